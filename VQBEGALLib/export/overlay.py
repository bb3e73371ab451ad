"""One slice as a picture: the image in grey, segments in their colours over it, and a banner below it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from VQBEGALLib.export.segmentation import Segment
from VQBEGALLib.volumes.libraries import library
from VQBEGALLib.volumes.volume import Voxels

Picture = npt.NDArray[np.uint8]
"""(rows, columns, 3): red, green, blue."""

FILL = 0.25
"""How much of the segment's colour is in what lies inside; its outline has all of it."""

SMALLEST = 512
"""Columns that a picture has at least, so that its banner can be read."""

WARNING = "OVERLAY BURNED IN · NOT FOR PRIMARY DIAGNOSIS"

_CT_WINDOW = (-150.0, 250.0)  # level 50, width 400 HU: abdomen
_PAPER, _INK, _AMBER = (20, 20, 20), (235, 235, 235), (255, 190, 60)
_NEEDED_BY = "secondary capture"


@dataclass(frozen=True)
class Overlay:
    """How the slices of one image are drawn.

    Args:
        segments: those in the legend.
        window: values that are shown black and white.
        note: line of the banner that says what was drawn.
        columns: of the image.
    """

    segments: tuple[Segment, ...]
    window: tuple[float, float]
    note: str
    columns: int

    @property
    def zoom(self) -> int:
        """Pixels of the picture, each way, a pixel of the image."""
        return -(-SMALLEST // self.columns)

    def draw(self, plane: Voxels, labels: Voxels) -> Picture:
        """Draw a slice.

        Args:
            plane: (J, I), the image's values.
            labels: (J, I), the segments' values.

        Returns:
            The picture, ``zoom`` times as large, with the banner's rows below.
        """
        image: Any = library("PIL.Image", needed_by=_NEEDED_BY)
        low, high = self.window
        grey = np.clip((plane.astype(np.float32) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
        size = (grey.shape[1] * self.zoom, grey.shape[0] * self.zoom)
        picture = np.array(image.fromarray(grey).resize(size, image.Resampling.BICUBIC).convert("RGB"))
        large = labels.repeat(self.zoom, axis=0).repeat(self.zoom, axis=1)
        for segment in self.segments:
            _paint(picture, large == segment.value, segment.color, width=max(1, round(size[0] / 300)))
        return np.concatenate((picture, self._banner(size[0])))

    def _banner(self, width: int) -> Picture:
        """Draw the lines below the picture; they are the same on every slice."""
        image: Any = library("PIL.Image", needed_by=_NEEDED_BY)
        drawing: Any = library("PIL.ImageDraw", needed_by=_NEEDED_BY)
        font: Any = library("PIL.ImageFont", needed_by=_NEEDED_BY).load_default(size=width / 34)
        line, edge = round(width / 24), width // 64
        room = width - 2 * edge
        rows = _wrapped([(_drawable(segment.name, font), segment.color) for segment in self.segments], font, line, room)
        banner = image.new("RGB", (width, line * (2 + len(rows)) + edge), _PAPER)
        pen = drawing.Draw(banner)
        pen.text((edge, edge // 2), WARNING, fill=_AMBER, font=font)
        for number, row in enumerate(rows, start=1):
            top = number * line + edge // 2
            for left, text, color in row:
                box = (edge + left, top + line // 5, edge + left + line // 2, top + line * 7 // 10)
                pen.rectangle(box, fill=color)
                pen.text((edge + left + line * 3 // 4, top), text, fill=_INK, font=font)
        note = _cut(_drawable(self.note, font), font, room)
        pen.text((edge, (1 + len(rows)) * line + edge // 2), note, fill=_INK, font=font)
        return np.asarray(banner)


def window_of(image: Voxels, modality: str) -> tuple[float, float]:
    """Return the values to show black and white: an abdominal window in CT, else all but the rarest hundredths."""
    if modality == "CT":
        return _CT_WINDOW
    low, high = np.percentile(image[:, ::4, ::4].astype(np.float32), (1, 99))
    return float(low), max(float(high), float(low) + 1e-6)


def _paint(picture: Picture, mask: npt.NDArray[np.bool_], color: tuple[int, int, int], *, width: int) -> None:
    """Tint what is inside a mask and draw its outline, which lies inside too."""
    inner = np.pad(mask, 1)
    for _ in range(width):
        middle = inner[1:-1, 1:-1]
        shrunk = middle & inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
        inner = np.pad(shrunk, 1)
    inside = inner[1:-1, 1:-1]
    picture[inside] = (picture[inside] * (1 - FILL) + np.array(color) * FILL).astype(np.uint8)
    picture[mask & ~inside] = color


Color = tuple[int, int, int]
Entry = tuple[int, str, Color]
"""Left edge, text and colour."""


def _wrapped(entries: Sequence[tuple[str, Color]], font: Any, line: int, width: int) -> list[list[Entry]]:
    """Lay the legend's entries out in rows."""
    rows: list[list[Entry]] = [[]]
    left = 0
    for name, color in entries:
        text = _cut(name, font, width - line)
        needed = line * 3 // 4 + round(font.getlength(text))
        if rows[-1] and left + needed > width:
            rows.append([])
            left = 0
        rows[-1].append((left, text, color))
        left += needed + line
    return rows


def _cut(text: str, font: Any, width: int) -> str:
    """Shorten a text to a width."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _drawable(text: str, font: Any) -> str:
    """Return a text in letters that the font has: without accents, a question mark where that does not help."""
    missing = bytes(font.getmask("\uffff"))
    plain = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(letter if bytes(font.getmask(letter)) != missing else "?" for letter in plain)

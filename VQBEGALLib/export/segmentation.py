"""What is exported: a labelmap, what each of its values means, and who or what made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from VQBEGALLib import __version__
from VQBEGALLib.errors import InputError
from VQBEGALLib.volumes import Volume

Method = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]
METHODS: tuple[Method, ...] = ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL")
SOFTWARE = "VQBEGAL"


def fits(text: str, most: int) -> bool:
    """Tell whether a text is one value of DICOM: 1 to ``most`` printable letters, no backslash."""
    return bool(text.strip()) and len(text) <= most and text.isprintable() and "\\" not in text


@dataclass(frozen=True)
class Code:
    """A concept of a coding scheme; valid once built.

    Args:
        value: for example ``10200004``; at most 16 letters.
        scheme: for example ``SCT`` (SNOMED CT); at most 16 letters.
        meaning: for a person; at most 64 letters.

    Raises:
        InputError: a part is empty, too long or not printable.
    """

    value: str
    scheme: str
    meaning: str

    def __post_init__(self) -> None:
        for name, text, most in (("value", self.value, 16), ("scheme", self.scheme, 16), ("meaning", self.meaning, 64)):
            if not fits(text, most):
                raise InputError(f"A code's {name} is {text!r}.", f"Use 1 to {most} printable letters, no backslash.")

    @classmethod
    def from_json(cls, data: object) -> Code:
        """Build from ``{"value", "scheme", "meaning"}``; an InputError says what is missing."""
        if isinstance(data, Mapping):
            parts = [data.get(name) for name in ("value", "scheme", "meaning")]
            if all(isinstance(part, str) and part.strip() for part in parts):
                return cls(*(str(part).strip() for part in parts))
        raise InputError("A code is incomplete.", "Give value, scheme and meaning, each as text.")


ANATOMICAL_STRUCTURE = Code("123037004", "SCT", "Anatomical Structure")
"""Segmented property category; pydicom's own code of that name is another one, 91723000."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One structure.

    Args:
        value: its voxels' value in the labelmap, 1 to 255.
        name: for a person, for example ``Liver``.
        color: red, green, blue, 0 to 255 (sRGB).
        type: segmented property type; None where nobody coded it, so that DICOM cannot hold it.
        category: segmented property category.
        method: how it was made.
    """

    value: int
    name: str
    color: tuple[int, int, int]
    type: Code | None
    category: Code = ANATOMICAL_STRUCTURE
    method: Method = "AUTOMATIC"

    def __post_init__(self) -> None:
        if not 1 <= self.value <= 255:
            raise InputError(f"A segment's value is {self.value}.", "Use whole numbers from 1 to 255.")
        if not fits(self.name, 64):
            raise InputError(
                f"{self.name!r} cannot be a segment's name.", "Use 1 to 64 printable letters, no backslash."
            )
        if len(self.color) != 3 or not all(0 <= part <= 255 for part in self.color):
            raise InputError(f"The colour of {self.name} is {self.color}.", "Give red, green and blue, 0 to 255.")
        if self.method not in METHODS:
            raise InputError(f"{self.name}: there is no method {self.method!r}.", f"Use one of {', '.join(METHODS)}.")

    @classmethod
    def from_json(cls, data: object) -> Segment:
        """Build from plain JSON values, as the option ``--segments`` of ``vqbegal export`` takes them.

        Raises:
            InputError: something is missing or wrong.
        """
        wrong = InputError("A segment is incomplete.", "Give value, name, color (three numbers) and type.")
        if not isinstance(data, Mapping):
            raise wrong
        value, name, color = data.get("value"), data.get("name"), data.get("color")
        if type(value) is not int or not isinstance(name, str) or not isinstance(color, list | tuple):
            raise wrong
        if not all(type(part) is int for part in color):
            raise wrong
        coded, category = data.get("type"), data.get("category")
        return cls(
            value=value,
            name=name,
            color=cast("tuple[int, int, int]", tuple(color)),
            type=None if coded is None else Code.from_json(coded),
            category=ANATOMICAL_STRUCTURE if category is None else Code.from_json(category),
            method=cast(Method, data.get("method", "AUTOMATIC")),
        )


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Who and what made a segmentation; goes into DICOM objects, never into the study.

    Args:
        round: of the network, None where no network took part.
        description: for a person, for example ``VQ-BEGAL, prediction of round 2``; at most 64 letters.
        creator: the clinician's name as ``Family^Given``, empty where she does not want it.
        version: of the software.

    Raises:
        InputError: the creator is no person's name, or the description too long.
    """

    round: int | None = None
    description: str = SOFTWARE
    creator: str = ""
    version: str = __version__

    def __post_init__(self) -> None:
        groups = self.creator.split("=")
        if self.creator and (len(groups) > 3 or not all(fits(group, 64) for group in groups)):
            raise InputError(
                "The creator is no person's name.", "Write Family^Given, at most 64 printable letters, no backslash."
            )
        if not fits(self.description, 64):
            raise InputError(f"{self.description!r} cannot be a description.", "Use 1 to 64 printable letters.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """A labelmap with its segments; valid once built.

    Args:
        labelmap: uint8 on the image's grid, 0 outside every segment.
        segments: each value once, in the order of their values.
        provenance: who and what made it.

    Raises:
        InputError: a value of the labelmap has no segment, two segments share a value or a name, or there is none.
    """

    labelmap: Volume
    segments: tuple[Segment, ...]
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        voxels = self.labelmap.voxels
        if voxels.dtype != np.uint8:
            raise InputError(f"The labelmap holds {voxels.dtype} values.", "Give whole numbers from 0 to 255.")
        segments = tuple(sorted(self.segments, key=lambda segment: segment.value))
        values = [segment.value for segment in segments]
        if not segments or len(set(values)) < len(values) or len({segment.name for segment in segments}) < len(values):
            raise InputError("The segments do not have different values and names.", "Give each its own.")
        lost = np.setdiff1d(_values(self.labelmap), values)
        if lost.size:
            raise InputError(f"The labelmap holds {lost[0]}, which no segment stands for.", "Name it, or remove it.")
        object.__setattr__(self, "segments", segments)

    def empty(self) -> list[Segment]:
        """Return the segments without a voxel."""
        found = _values(self.labelmap)
        return [segment for segment in self.segments if segment.value not in found]

    def present(self) -> tuple[Segment, ...]:
        """Return the segments with a voxel; an InputError where there is none."""
        empty = self.empty()
        found = tuple(segment for segment in self.segments if segment not in empty)
        if not found:
            raise InputError("The segmentation is empty: nothing to export.", "Segment or annotate the case first.")
        return found

    def slices(self) -> list[int]:
        """Return the indices along K of the slices that hold a segment."""
        return [int(index) for index in np.flatnonzero(self.labelmap.voxels.any(axis=(1, 2)))]


def _values(labelmap: Volume) -> npt.NDArray[np.intp]:
    """Return the values other than 0, slice by slice to save memory."""
    seen = np.zeros(256, dtype=bool)
    for plane in labelmap.voxels:
        highest = int(np.max(plane))
        if highest > 1:
            seen |= np.bincount(plane.ravel(), minlength=256) > 0
        else:
            seen[highest] = True  # most labelmaps have one segment, and a maximum is found much faster
    return np.flatnonzero(seen[1:]) + 1

"""Slices as a radiologist reads them: segmentations drawn on the image, and the pairs that a strategy chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from VQBEGALLib.config import SliceSettings
from VQBEGALLib.errors import InputError
from VQBEGALLib.evidence.plotting import (
    ORGAN_COLOURS,
    SKY,
    Picture,
    drawing,
    finished,
    grey_picture,
    new_figure,
)
from VQBEGALLib.metrics import dice
from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.slices.preprocessing import Images, normalise
from VQBEGALLib.volumes import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 4
"""Slices of a case."""
WIDTH = 1000
"""Of a case's row of slices, CSS pixels."""
GAP = 2
"""Pixels between the two slices of a pair."""

Plane = npt.NDArray[Any]
"""(R, C): rows to posterior, columns to the patient's left."""


@dataclass(frozen=True, eq=False)
class ShownSlice:
    """One plane of a case.

    Args:
        index: slice number along the volume's own array axis.
        image: 0 to 1.
        prediction: value of the organ, 0 outside.
        reference: likewise; None where there is none.
    """

    index: int
    image: Plane
    prediction: Plane
    reference: Plane | None


def shown_slices(
    volume: Volume, prediction: Volume, reference: Volume | None, settings: SliceSettings
) -> tuple[list[ShownSlice], tuple[float, float]]:
    """Return a case's slices spread evenly through the organ, head first, and their pixel (row, column) in mm.

    The organ reaches as far as the reference says, else the prediction; a case without either shows the whole volume.

    Raises:
        InputError: the volume has one intensity everywhere.
    """
    frame = SliceFrame.of(volume)
    images = frame.planes(normalise(volume, settings.primary_modality, settings))
    mine = frame.planes(prediction.voxels)
    true = None if reference is None else frame.planes(reference.voxels)
    chosen = spread(mine if true is None or not true.any() else true, upward=frame.upward)
    slices = [ShownSlice(each, images[each], mine[each], None if true is None else true[each]) for each in chosen]
    return slices, frame.pixel


def spread(planes: npt.NDArray[Any], *, upward: bool) -> list[int]:
    """Return at most four slices of a mask (N, R, C), in the middles of the quarters of its extent, head first."""
    inside = np.flatnonzero(planes.any(axis=(1, 2)))
    first, last = (int(inside[0]), int(inside[-1])) if len(inside) else (0, len(planes) - 1)
    middles = first + (np.arange(SHOWN) + 0.5) / SHOWN * (last - first)
    found = sorted({round(float(value)) for value in middles})
    return found[::-1] if upward else found


def case_montage(
    slices: Sequence[ShownSlice], pixel: tuple[float, float], *, organs: int = 1, name: str, alt: str
) -> Picture:
    """Draw a case's slices in a row with the outlines of prediction and reference, each pixel in its true proportions.

    Args:
        slices: of one case, all of one shape.
        pixel: row and column spacing, mm.
        organs: how many values the labels have; each of several organs has a colour, and the reference is dashed.
        name: stem of the figure's file.
        alt: what it shows.

    Raises:
        InputError: there is no slice.
    """
    if not slices:
        raise InputError("There is no slice to show.", "Choose a case with at least one slice.")
    rows, columns = slices[0].image.shape
    side = WIDTH / SHOWN
    height = round(side * (rows * pixel[0]) / (columns * pixel[1]))
    with drawing():
        figure = new_figure(round(side * len(slices)), height)
        figure.set_layout_engine("none")
        figure.set_facecolor("black")
        for number, each in enumerate(slices):
            axes = figure.add_axes((number / len(slices), 0, 1 / len(slices), 1))
            _slice(axes, each, pixel, organs)
        return finished(figure, name, alt)


def _slice(axes: Axes, shown: ShownSlice, pixel: tuple[float, float], organs: int) -> None:
    axes.imshow(shown.image, cmap="gray", vmin=0, vmax=1, aspect=pixel[0] / pixel[1], interpolation="bilinear")
    axes.set_axis_off()
    for value in range(1, organs + 1):
        colour = ORGAN_COLOURS[(value - 1) % len(ORGAN_COLOURS)]
        if shown.reference is not None:
            _outline(axes, shown.reference == value, SKY if organs == 1 else colour, 1.7, dashed=organs > 1)
        _outline(axes, shown.prediction == value, colour, 1.0)
    text: dict[str, Any] = {"color": "white", "fontsize": 10, "transform": axes.transAxes}
    text["bbox"] = {"facecolor": "black", "alpha": 0.55, "edgecolor": "none", "pad": 1.5}
    axes.text(0.02, 0.98, f"slice {shown.index}", ha="left", va="top", **text)
    if shown.reference is not None:
        agreement = mean_dice(shown.prediction, shown.reference, organs)
        axes.text(0.98, 0.98, f"Dice {agreement:.3f}", ha="right", va="top", **text)
    axes.text(0.02, 0.5, "R", ha="left", va="center", **text)


def mean_dice(prediction: Plane, reference: Plane, organs: int) -> float:
    """Return the mean Dice of the organs that a slice shows in either labelling; 1 where it shows none."""
    shown = [value for value in range(1, organs + 1) if (prediction == value).any() or (reference == value).any()]
    return float(np.mean([dice(prediction == value, reference == value) for value in shown])) if shown else 1.0


def _outline(axes: Axes, mask: Plane, colour: str, width: float, *, dashed: bool = False) -> None:
    if mask.any():
        padded = np.pad(mask, 1).astype(np.uint8)  # an organ cut by the image's edge is closed there
        rows, columns = (np.arange(-1, count + 1) for count in mask.shape)
        look: dict[str, Any] = {"colors": [colour], "linewidths": width, "linestyles": "--" if dashed else "-"}
        axes.contour(columns, rows, padded, levels=[0.5], **look)
        axes.set(xlim=(-0.5, mask.shape[1] - 0.5), ylim=(mask.shape[0] - 0.5, -0.5))


def pair_picture(primary: Images, auxiliary: Images | None, *, name: str, alt: str) -> Picture:
    """Draw a pair as the network sees it, primary on the left; one image where there is no partner."""
    images = [primary] if auxiliary is None else [primary, np.ones((len(primary), GAP), np.float32), auxiliary]
    with drawing():
        return grey_picture(np.concatenate(images, axis=1), name, alt, width=140 * (1 if auxiliary is None else 2))


def ends_and_middle(values: Mapping[str, float], most: int) -> list[str]:
    """Return the names of the lowest, middle and highest values, or all where there are no more than ``most``.

    Examples:
        >>> ends_and_middle({"a": 0.9, "b": 0.5, "c": 0.7, "d": 0.8, "e": 0.6}, 3)
        ['b', 'c', 'a']
    """
    order = sorted(values, key=lambda name: (values[name], name))
    if len(order) <= most:
        return order
    return [order[round(place)] for place in np.linspace(0, len(order) - 1, most)]

"""Where the images of a DICOM series lie, from their positions alone, and whether they make one volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from VQBEGALLib.errors import InputError
from VQBEGALLib.volumes.dicom_slice import PATIENT, Slice
from VQBEGALLib.volumes.volume import Affine

UNEVEN = 0.1
"""Distances between neighbouring slices may differ from their median by this share."""

_SAME_POSITION = 0.01  # mm
_NOT_PERPENDICULAR = 0.01  # cosine
_ONE = (*PATIENT, "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
"""What all images of a series must share, be it absent."""

_ALIKE = (("ImageOrientationPatient", 6, "orientations"), ("PixelSpacing", 2, "pixel sizes"))


def arrange(slices: Sequence[Slice]) -> tuple[Affine, list[Slice]]:
    """Order slices along their normal and return the affine, (i, j, k, 1) → LPS mm, with them.

    Source: DICOM PS3.3, C.7.6.2.1.1.
    """
    _check_alike(slices)
    rows = slices[0].numbers("ImageOrientationPatient", 6)
    lengths = np.linalg.norm(rows[:3]), np.linalg.norm(rows[3:])
    if not np.allclose((*lengths, 1 + rows[:3] @ rows[3:]), 1, atol=_NOT_PERPENDICULAR):
        raise InputError(
            f"The rows and columns of {slices[0].path.name} are not perpendicular (ImageOrientationPatient).",
            "Export the series again.",
        )
    along_i, along_j = rows[:3] / lengths[0], rows[3:] / lengths[1]
    normal = np.cross(along_i, along_j)
    slices = sorted(_without_copies(slices), key=lambda item: float(item.numbers("ImagePositionPatient", 3) @ normal))
    positions = np.array([item.numbers("ImagePositionPatient", 3) for item in slices])
    between_rows, between_columns = slices[0].numbers("PixelSpacing", 2)
    if min(between_rows, between_columns) <= 0:
        raise InputError(f"The PixelSpacing of {slices[0].path.name} is not positive.", "Export the series again.")
    affine = np.eye(4)
    affine[:3, 0] = along_i * between_columns
    affine[:3, 1] = along_j * between_rows
    if len(slices) > 1:
        _check_even(slices, positions, normal, pixel=max(between_rows, between_columns))
        affine[:3, 2] = (positions[-1] - positions[0]) / (len(slices) - 1)
    else:
        header = slices[0].header
        affine[:3, 2] = normal * float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 1.0)
    affine[:3, 3] = positions[0]
    return affine, slices


def _check_alike(slices: Sequence[Slice]) -> None:
    first = slices[0]
    for keyword in _ONE:
        if len({item.text(keyword) for item in slices}) > 1:
            raise InputError(
                f"The images differ in {keyword}: they belong to several "
                f"{'patients' if keyword in PATIENT else 'series'}.",
                "Keep the images of one series of one patient a folder.",
            )
    for item in slices:
        if int(item.header.get("NumberOfFrames") or 1) > 1:
            raise InputError(
                f"{item.path.name} holds many frames in one file.", "Export it as one file a slice, or as NIfTI."
            )
        if int(item.header.get("SamplesPerPixel") or 1) != 1:
            raise InputError(f"{item.path.name} is a colour image.", "Choose a series of CT or MR images.")
        if (item.header.Rows, item.header.Columns) != (first.header.Rows, first.header.Columns):
            raise _mixed(first, item, "sizes")
        for keyword, count, what in _ALIKE:
            if not np.allclose(item.numbers(keyword, count), first.numbers(keyword, count), rtol=1e-3, atol=1e-3):
                raise _mixed(first, item, what)


def _mixed(first: Slice, other: Slice, what: str) -> InputError:
    return InputError(
        f"The series mixes images of different {what}, for example {first.path.name} and {other.path.name}.",
        "Remove the images that do not belong to it (a localizer?).",
    )


def _without_copies(slices: Sequence[Slice]) -> list[Slice]:
    """Keep one of the files that hold the same image in the same place."""
    kept: dict[object, Slice] = {}
    for item in slices:
        uid = item.sop_uid
        key = (uid, tuple(item.numbers("ImagePositionPatient", 3))) if uid else item.path
        kept.setdefault(key, item)
    return list(kept.values())


def _check_even(
    slices: Sequence[Slice],
    positions: npt.NDArray[np.float64],
    normal: npt.NDArray[np.float64],
    *,
    pixel: float,
) -> None:
    """Refuse slices that lie double, leave a gap, or stray from a straight line.

    Args:
        slices: in order.
        positions: (K, 3), LPS mm.
        normal: (3,), unit vector.
        pixel: in-plane spacing, mm.
    """
    gaps = np.diff(positions @ normal)
    double = int(np.argmin(gaps))
    if gaps[double] < _SAME_POSITION:
        raise InputError(
            f"{slices[double].path.name} and {slices[double + 1].path.name} show the same position.",
            "Keep one phase, echo or copy a folder.",
        )
    spacing = float(np.median(gaps))
    worst = int(np.argmax(np.abs(gaps - spacing)))
    if abs(gaps[worst] - spacing) > UNEVEN * spacing:
        raise InputError(
            f"The slices are not evenly spaced: {gaps[worst]:.2f} mm between slices {worst + 1} and {worst + 2} "
            f"({slices[worst].path.name}, {slices[worst + 1].path.name}), {spacing:.2f} mm elsewhere.",
            "Export the series again with all its slices."
            if gaps[worst] > spacing
            else "Remove the image that does not belong to it (a localizer?).",
        )
    line = np.linspace(positions[0], positions[-1], len(slices))
    if np.linalg.norm(positions - line, axis=1).max() > max(pixel, spacing / 4):
        raise InputError(
            "The slices do not lie one behind the other on a straight line.", "Choose a series of parallel slices."
        )

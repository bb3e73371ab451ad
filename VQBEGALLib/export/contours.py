"""Outlines of a mask, slice by slice: closed polygons, a hole joined to its outline by a keyhole.

The outline runs between a voxel inside and its neighbour outside (marching squares), so that a reader that fills the
polygons finds the centres of the same voxels inside.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from VQBEGALLib.volumes.libraries import library
from VQBEGALLib.volumes.volume import Affine, Voxels

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
"""(N, 2): columns and rows, in voxels; or (N, 3): LPS mm. The last point is not the first again."""

LEVEL = 0.51
"""A hundredth of a voxel closer to the inside than halfway: where a reader rounds points to whole voxels and takes the
polygon's edge for inside, as some do, it finds the same voxels too."""

MOST_POINTS = 1500
"""Of one polygon: more do not fit into the 65,534 letters that a decimal string has in an explicit encoding."""


def outlines(plane: Voxels, value: int, *, most: int = MOST_POINTS) -> list[Points]:
    """Return polygons around the pixels of a value, even where only one pixel has it.

    Args:
        plane: (J, I).
        value: of the structure.
        most: points of a polygon; where one had more, the plane is cut.

    Returns:
        Each (N, 2), (i, j): at least three points; inside on the same side of all. Empty where there is no such pixel.
    """
    mask = plane == value
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    corner = np.array((columns[0], rows[0]))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return [points + corner for points in _around(part, most)]


def to_patient(points: Points, index: int, affine: Affine) -> Points:
    """Return points (i, j) of slice ``index`` as (x, y, z) in LPS mm."""
    placed: Points = points @ affine[:3, :2].T + affine[:3, 2] * index + affine[:3, 3]
    return placed


def _around(mask: Mask, most: int) -> list[Points]:
    contourpy: Any = library("contourpy", needed_by="RTSTRUCT")
    generator = contourpy.contour_generator(
        z=np.pad(mask, 1).astype(np.float64), name="serial", fill_type=contourpy.FillType.OuterOffset
    )
    polygons = []
    for points, offsets in zip(*generator.filled(LEVEL, np.inf), strict=True):
        rings = [points[start : end - 1] - 1 for start, end in pairwise(offsets.tolist())]  # − 1: the padding
        polygons.append(without_needless(keyhole(rings[0], rings[1:])))
    return polygons if all(len(points) <= most for points in polygons) else _around_halves(mask, most)


def _around_halves(mask: Mask, most: int) -> list[Points]:
    """Cut a mask across its longer side and go around what is in both halves."""
    half, across = max(mask.shape) // 2, int(mask.shape[1] > mask.shape[0])
    first, second = np.split(mask, [half], axis=across)
    shift = (half, 0) if across else (0, half)
    return [*_around(first, most), *(points + shift for points in _around(second, most))]


def keyhole(outer: Points, holes: list[Points]) -> Points:
    """Join holes to their outline by a cut that is walked there and back, so that one polygon is left.

    From its rightmost point each hole is joined to the next point to the right. On the row of a pixel's centre every
    crossing of an outline is one of its points, so there is such a point, and nothing lies between. Holes further to
    the right are joined first; they are part of the outline then.

    Args:
        outer: (N, 2), points on rows and columns of pixels' centres, between two of them.
        holes: each (N, 2), running the other way round than ``outer``.
    """
    for hole in sorted(holes, key=lambda ring: float(ring[:, 0].max()), reverse=True):
        start = int(hole[:, 0].argmax())
        ring = np.roll(hole, -start, axis=0)
        right = np.flatnonzero((outer[:, 1] == ring[0, 1]) & (outer[:, 0] > ring[0, 0]))
        join = int(right[outer[right, 0].argmin()])
        outer = np.concatenate((outer[: join + 1], ring, ring[:1], outer[join:]))
    return outer


def without_needless(points: Points) -> Points:
    """Leave out points in the middle of a straight line; the turning points of a cut stay."""
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    bend = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    ahead = (before * after).sum(axis=1)
    kept: Points = points[(bend != 0) | (ahead <= 0)]
    return kept

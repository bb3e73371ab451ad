"""Soft shapes on a grid: signed distances in mm, random smooth fields, and a canvas that paints them anti-aliased.

A distance is negative inside a shape. All arrays are float32 on the canvas' grid (K, J, I) or on a box of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
"""float32 throughout; NumPy's stubs lose that in expressions with Python numbers."""
Point = tuple[float, float, float]
"""(x, y, z) in mm: towards the patient's left, back and head (LPS)."""
Box = tuple[slice, slice, slice]

_LATTICE_LOW = np.array([-260.0, -260.0, -380.0])
_LATTICE_HIGH = np.array([260.0, 260.0, 220.0])


class SmoothField:
    """A random function of position that changes over about ``scale`` mm and has the given standard deviation.

    A sum of Gaussians on a lattice; being separable it costs three matrix products on any grid.

    Args:
        generator: draws the weights.
        scale: distance between lattice points, mm.
        deviation: standard deviation of the values.
    """

    def __init__(self, generator: np.random.Generator, scale: float, deviation: float) -> None:
        counts = ((_LATTICE_HIGH - _LATTICE_LOW) / scale).astype(int) + 1
        self._scale = scale
        self._centres = [low + scale * np.arange(count) for low, count in zip(_LATTICE_LOW, counts, strict=True)]
        # The Gaussians' width is the lattice step, so a weight's squares sum to about pi ** 1.5 at every position.
        weights = generator.standard_normal(tuple(counts)) * (deviation / np.pi**0.75)
        self._weights: Array = weights.astype(np.float32)

    def on(self, x: Array, y: Array, z: Array) -> Array:
        """Return the values (K, J, I) at every combination of the coordinates x (I,), y (J,), z (K,) in mm."""
        bases = [
            np.exp(-0.5 * np.square((axis[:, None] - centres) / self._scale)).astype(np.float32)
            for axis, centres in zip((x, y, z), self._centres, strict=True)
        ]
        along_z = np.tensordot(bases[2], self._weights, axes=(1, 2))
        along_y = np.tensordot(along_z, bases[1], axes=(2, 1))
        result: Array = np.tensordot(along_y, bases[0], axes=(1, 1))
        return result


def ellipsoid(position: Sequence[Array], centre: Point, axes: Point, *, lean: Point = (0.0, 0.0, 0.0)) -> Array:
    """Return the distance along the ray from ``centre`` to an ellipsoid's surface.

    Args:
        position: x, y and z of each voxel, mm.
        centre: of the ellipsoid, mm.
        axes: half lengths, mm.
        lean: shear, mm per mm: x along z, y along z, y along x.
    """
    x, y, z = (part - middle for part, middle in zip(position, centre, strict=True))
    y = y - lean[1] * z - lean[2] * x
    x = x - lean[0] * z
    radius = np.sqrt(x * x + y * y + z * z)
    x, y, z = x / axes[0], y / axes[1], z / axes[2]
    relative = np.sqrt(x * x + y * y + z * z)
    distance: Array = (relative - 1) * np.maximum(radius, 1e-3) / np.maximum(relative, 1e-3)
    return distance


def tube(position: Sequence[Array], points: Sequence[Point], radii: Sequence[float]) -> Array:
    """Return the distance to a polyline through ``points`` whose radius runs linearly between ``radii``."""
    nearest: Array | None = None
    for first, last, start, end in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
        axis = [b - a for a, b in zip(first, last, strict=True)]
        offset = [part - a for part, a in zip(position, first, strict=True)]
        length = max(sum(step * step for step in axis), 1e-6)
        along = np.clip(sum(o * step for o, step in zip(offset, axis, strict=True)) / length, 0, 1)
        squares = sum(np.square(o - along * step) for o, step in zip(offset, axis, strict=True))
        distance = np.sqrt(squares) - (start + (end - start) * along)
        nearest = distance if nearest is None else np.minimum(nearest, distance)
    if nearest is None:
        raise ValueError("A tube needs two points.")
    return nearest.astype(np.float32, copy=False)


def smooth_maximum(first: Array, second: Array, rounding: float) -> Array:
    """Return the larger value, the edge between both rounded over about ``rounding`` mm.

    The larger of two distances is the distance to what both shapes share.
    """
    blend = np.maximum(rounding - np.abs(first - second), 0)
    result: Array = np.maximum(first, second) + blend * blend * np.float32(0.25 / rounding)
    return result


class Canvas:
    """An image that is painted structure by structure, later ones over earlier ones.

    Args:
        axes: x (I,), y (J,) and z (K,) of the voxel centres in the body's own frame, mm.
        values: the value of each tissue.
        textures: amplitude of the texture of each tissue that has one.
        texture: (K, J, I), noise of unit variance that the textures are made of.
        organs: structures whose share of each voxel is kept.
    """

    def __init__(
        self,
        axes: tuple[Array, Array, Array],
        values: Mapping[str, float],
        textures: Mapping[str, float],
        texture: Array,
        organs: Sequence[str] = ("liver",),
    ) -> None:
        self.axes = axes
        self._values = values
        self._textures = textures
        self.texture = texture
        self._edge = float(axes[0][1] - axes[0][0])
        shape = (len(axes[2]), len(axes[1]), len(axes[0]))
        self.image: Array = np.full(shape, values["air"], dtype=np.float32)
        self.shares: dict[str, Array] = {organ: np.zeros(shape, dtype=np.float32) for organ in organs}
        self.whole: Box = (slice(None), slice(None), slice(None))

    def box(self, low: Point, high: Point, *, margin: float = 22.0) -> Box:
        """Return the part of the grid between two corners, with a margin for the deformation, mm."""
        first, second, third = (
            slice(int(np.searchsorted(axis, a - margin)), int(np.searchsorted(axis, b + margin)))
            for axis, a, b in zip(self.axes, low, high, strict=True)
        )
        return third, second, first

    def paint(self, tissue: str, distance: Array, box: Box | None = None, *, part_of: str | None = "") -> None:
        """Paint where ``distance`` is negative; voxels on the surface get their share of it.

        Args:
            tissue: whose value and texture to use.
            distance: mm, on ``box``.
            box: part of the grid; absent: all of it.
            part_of: the organ whose label these voxels belong to, empty for none; None leaves that as it is.
        """
        box = box or self.whole
        share = np.clip(0.5 - distance / self._edge, 0, 1)
        value: Array | float = self._values[tissue]
        if tissue in self._textures:
            value = value + self._textures[tissue] * self.texture[box]
        image = self.image[box]
        image += share * (value - image)
        for organ, whole in self.shares.items() if part_of is not None else ():
            own = whole[box]
            own += share * (float(organ == part_of) - own)

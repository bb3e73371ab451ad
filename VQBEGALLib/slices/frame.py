"""Which way a volume is cut: along the body axis, each plane turned the way a radiologist reads it.

A slice index always counts along the volume's own array axis, so that it is the number every viewer shows;
only the plane is turned, rows running to posterior and columns to the patient's left.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from VQBEGALLib.volumes import Volume

Plane = npt.NDArray[Any]
"""(R, C): rows to posterior, columns to left."""


@dataclass(frozen=True)
class SliceFrame:
    """The cutting of one grid into planes across the body axis.

    Args:
        axes: array axes of (K, J, I) that run along the body, along rows and along columns.
        flips: whether the array runs to anterior (rows) and to right (columns), and so is reversed.
        upward: whether the slice index grows towards the head.
        shape: slices, rows, columns.
        pixel: row and column spacing in the plane, mm.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool]
    upward: bool
    shape: tuple[int, int, int]
    pixel: tuple[float, float]

    @classmethod
    def of(cls, volume: Volume) -> SliceFrame:
        """Return the frame of a volume's grid; the acquisition may be axial, coronal, sagittal or oblique."""
        directions = volume.affine[:3, 2::-1]  # (3, 3): column a is the LPS direction of array axis a
        spacing = np.linalg.norm(directions, axis=0)
        cosines = directions / spacing
        # LPS component that body, row and column axes should follow
        axes = max(
            itertools.permutations(range(3)),
            key=lambda order: sum(
                abs(cosines[component, axis]) for component, axis in zip((2, 1, 0), order, strict=True)
            ),
        )
        body, row, column = axes
        return cls(
            axes=(body, row, column),
            flips=(bool(cosines[1, row] < 0), bool(cosines[0, column] < 0)),
            upward=bool(cosines[2, body] > 0),
            shape=(volume.shape[body], volume.shape[row], volume.shape[column]),
            pixel=(float(spacing[row]), float(spacing[column])),
        )

    @property
    def axis(self) -> int:
        """Array axis of (K, J, I) that the slice index counts along."""
        return self.axes[0]

    @property
    def count(self) -> int:
        """Number of slices."""
        return self.shape[0]

    def planes(self, voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a view (N, R, C) of voxels (K, J, I); writing to it writes to the voxels."""
        view = voxels.transpose(self.axes)
        rows = slice(None, None, -1 if self.flips[0] else 1)
        columns = slice(None, None, -1 if self.flips[1] else 1)
        return view[:, rows, columns]

    def height(self, index: int) -> float:
        """Relative position of a slice along the body: 0 at the lowest end of the volume, 1 at the highest."""
        fraction = (index + 0.5) / self.count
        return fraction if self.upward else 1 - fraction

    def at_height(self, height: float) -> int:
        """Return the slice whose extent holds a relative position; the inverse of :meth:`height`."""
        fraction = height if self.upward else 1 - height
        return min(int(fraction * self.count), self.count - 1)

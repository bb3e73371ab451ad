"""Bring a volume onto another grid in the same patient space."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from VQBEGALLib.volumes.volume import Volume

_ROUNDING = 1e-3  # of a voxel: what headers with 32-bit numbers leave


def resample(volume: Volume, grid: Volume, *, labels: bool = False) -> Volume:
    """Sample a volume at the voxel centres of another grid.

    A voxel reaches half a spacing around its centre; beyond the outermost voxels the result is the image's
    minimum, or 0 for labels. No smoothing comes before a coarser grid.

    Args:
        volume: what to sample.
        grid: shape and affine of the result; its voxels are not looked at.
        labels: take the nearest voxel and keep the dtype; otherwise interpolate linearly to float32.

    Examples:
        >>> import numpy as np
        >>> thick = Volume(np.array([[[0.0]], [[10.0]]]), np.diag((1.0, 1.0, 4.0, 1.0)))
        >>> thin = Volume(np.zeros((5, 1, 1)), np.eye(4))
        >>> resample(thick, thin).voxels.ravel().tolist()
        [0.0, 2.5, 5.0, 7.5, 10.0]
    """
    from scipy import ndimage  # takes longer to load than all else here

    to_source = np.linalg.inv(volume.affine) @ grid.affine  # (i, j, k, 1) of the grid → (i, j, k, 1) of the volume
    matrix, offset = to_source[2::-1, 2::-1], to_source[2::-1, 3]  # the same for (k, j, i)
    source: npt.NDArray[Any] = volume.voxels
    voxels = np.empty(grid.shape, dtype=source.dtype if labels else np.float32)
    ndimage.affine_transform(
        source, matrix, offset, grid.shape, output=voxels, order=0 if labels else 1, mode="nearest"
    )
    voxels[~_covered(volume.shape, grid.shape, matrix, offset)] = 0 if labels else source.min()
    return Volume(voxels, grid.affine)


def _covered(
    source: tuple[int, int, int],
    shape: tuple[int, int, int],
    matrix: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """Return which voxels of a grid of ``shape`` have their centre inside a voxel of the source, (K, J, I)."""
    inside = np.ones(shape, dtype=bool)
    indices = np.ogrid[: shape[0], : shape[1], : shape[2]]
    for length, row, start in zip(source, matrix, offset, strict=True):
        position = start + sum(step * index for step, index in zip(row, indices, strict=True))
        inside &= (position >= -0.5 - _ROUNDING) & (position <= length - 0.5 + _ROUNDING)
    return inside

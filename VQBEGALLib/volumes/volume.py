"""A volume is voxels and an affine; nothing else in the library knows where a voxel lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from VQBEGALLib.errors import InputError

Voxels = npt.NDArray[np.generic]
"""(K, J, I): slice, row, column of the stored array."""

Affine = npt.NDArray[np.float64]
"""(4, 4): maps voxel indices (i, j, k, 1) to patient coordinates (x, y, z, 1) in LPS mm (DICOM, ITK)."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A scalar image or labelmap on a grid in patient space; valid once built.

    Args:
        voxels: (K, J, I), any real dtype, finite, at least one voxel.
        affine: (4, 4), voxel indices (i, j, k, 1) → LPS mm; invertible, last row 0 0 0 1. Axes need not be orthogonal.

    Raises:
        InputError: another number of axes, no voxel, NaN or infinite values, or a singular affine.
    """

    voxels: Voxels
    affine: Affine

    def __post_init__(self) -> None:
        voxels = np.asarray(self.voxels)
        affine = np.array(self.affine, dtype=np.float64)
        if voxels.ndim != 3:
            raise InputError(
                f"The image has {voxels.ndim} axes; a volume has three.",
                "Save one channel or one time point of it as a 3-D volume.",
            )
        if voxels.size == 0:
            raise InputError("The image has no voxels.", "Check that the file was exported completely.")
        if not (np.issubdtype(voxels.dtype, np.integer) or np.issubdtype(voxels.dtype, np.floating)):
            if voxels.dtype != np.bool_:
                raise InputError(
                    f"The image holds {voxels.dtype} values, not numbers.", "Export it as a scalar volume."
                )
            voxels = voxels.astype(np.uint8)
        if np.issubdtype(voxels.dtype, np.floating) and not np.isfinite(voxels).all():
            raise InputError(
                "The image holds NaN or infinite values.",
                "Replace them (for example by the background value) and retry.",
            )
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.array_equal(affine[3], (0, 0, 0, 1)):
            raise InputError("The image's affine is not a 4 × 4 voxel-to-patient matrix.", "Check the file's header.")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise InputError("The image's axes do not span space (zero spacing?).", "Check spacing and directions.")
        object.__setattr__(self, "voxels", voxels)
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(K, J, I)."""
        k, j, i = self.voxels.shape
        return k, j, i

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along (K, J, I), mm."""
        along_i, along_j, along_k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(along_k), float(along_j), float(along_i)

    @property
    def orthogonal(self) -> bool:
        """Whether the axes are perpendicular to each other, to within 0.006°; a gantry tilt makes them not so."""
        axes = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        return bool(np.abs(axes.T @ axes - np.eye(3)).max() < 1e-4)

    def with_voxels(self, voxels: Voxels) -> Volume:
        """Return other voxels on this grid.

        Raises:
            InputError: ``voxels`` has another shape.
        """
        if voxels.shape != self.voxels.shape:
            raise InputError(
                f"Voxels of shape {voxels.shape} do not fit a grid of shape {self.voxels.shape}.",
                "Resample them to the grid first.",
            )
        return Volume(voxels, self.affine)

    def same_grid(self, other: Volume, *, tolerance: float = 1e-3) -> bool:
        """Tell whether both volumes have the same shape and their voxel centres differ by at most ``tolerance`` mm."""
        if self.shape != other.shape:
            return False
        corners = np.array(
            [
                (i, j, k, 1)
                for i in (0, self.shape[2] - 1)
                for j in (0, self.shape[1] - 1)
                for k in (0, self.shape[0] - 1)
            ]
        )
        return bool(np.abs(corners @ (self.affine - other.affine).T).max() <= tolerance)

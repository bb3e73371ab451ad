"""Write a volume so that at any instant either the old file or the new one is there, whole."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np

from VQBEGALLib.errors import InputError
from VQBEGALLib.storage import write_file
from VQBEGALLib.volumes.itk import read_itk, write_itk
from VQBEGALLib.volumes.nifti import write_nifti
from VQBEGALLib.volumes.volume import Volume

WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha")


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume or labelmap on its exact grid; the format follows from the suffix.

    Labelmaps (uint8) are compressed where the format allows. An existing file is replaced.

    Raises:
        InputError: another suffix than .nii.gz, .nii, .nrrd or .mha; sheared axes in NRRD or MetaImage.
        StorageError: the disk is full or the folder cannot be written to; what was there before is intact.
    """
    path = Path(path)
    if path.name.lower().endswith((".nii", ".nii.gz")):
        compressed = path.name.lower().endswith(".gz")
        write_file(path, lambda temporary: write_nifti(temporary, volume, compressed=compressed))
    elif path.name.lower().endswith(WRITABLE):
        if not volume.orthogonal:
            raise InputError(
                f"{path} cannot hold this volume, whose axes are not perpendicular (gantry tilt?).",
                "Write NIfTI (.nii.gz) instead.",
            )
        write_file(path, lambda temporary: _write_itk(temporary, volume))
    else:
        raise InputError(f"{path} has no suffix of a known format.", f"Choose one of {', '.join(WRITABLE)}.")


def _write_itk(path: Path, volume: Volume) -> None:
    """Write with ITK and compare what is there then: on a full disk some of its writers stop without an error."""
    try:
        write_itk(path, volume, compressed=volume.voxels.dtype == np.uint8)
        written = read_itk(path).voxels
    except RuntimeError as error:
        raise OSError(errno.EIO, "the file is incomplete; the disk may be full") from error
    if not np.array_equal(written, volume.voxels.astype(written.dtype)):
        raise OSError(errno.EIO, "the file is incomplete; the disk may be full")

"""NRRD and MetaImage in and out through SimpleITK, which speaks LPS already."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from VQBEGALLib.errors import InputError
from VQBEGALLib.volumes.libraries import library
from VQBEGALLib.volumes.volume import Affine, Volume


def read_itk(path: Path) -> Volume:
    """Read NRRD or MetaImage.

    Raises:
        InputError: not one scalar image of two or three axes.
        RuntimeError: SimpleITK cannot read the file.
    """
    sitk = library("SimpleITK")
    with quiet_itk():
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        _check_scalar(reader, layered=path.name.lower().endswith(".seg.nrrd"))
        image = reader.Execute()
        voxels = sitk.GetArrayFromImage(image)
    if voxels.dtype == np.float64:
        with np.errstate(over="ignore"):
            voxels = voxels.astype(np.float32)
    shape = (1, *voxels.shape)[-3:] if voxels.ndim < 3 else voxels.shape[-3:]
    return Volume(voxels.reshape(shape), affine_of(image))


def write_itk(path: Path, volume: Volume, *, compressed: bool) -> None:
    """Write a volume with orthogonal axes as NRRD or MetaImage, by the path's suffix.

    Raises:
        RuntimeError: SimpleITK cannot write the file.
    """
    sitk = library("SimpleITK")
    voxels = volume.voxels.astype(np.float32) if volume.voxels.dtype == np.float16 else volume.voxels
    spacing = np.array(volume.spacing[::-1])
    with quiet_itk():
        image = sitk.GetImageFromArray(np.ascontiguousarray(voxels, dtype=voxels.dtype.newbyteorder("=")))
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(volume.affine[:3, 3].tolist())
        image.SetDirection((volume.affine[:3, :3] / spacing).ravel().tolist())
        sitk.WriteImage(image, str(path), compressed)


def affine_of(image: Any) -> Affine:
    """Return the (4, 4) affine, (i, j, k, 1) → LPS mm, of a SimpleITK image; axes after the third are left out."""
    axes = image.GetDimension()
    matrix = np.eye(4)
    used = min(axes, 3)
    directions = np.array(image.GetDirection()).reshape(axes, axes)
    matrix[:used, :used] = (directions * image.GetSpacing())[:used, :used]
    matrix[:used, 3] = image.GetOrigin()[:used]
    return matrix


_silence = threading.RLock()


@contextlib.contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep what ITK and its codecs print about a file from the terminal; errors still raise.

    Some codecs write to the process's error stream past every switch of ITK, so that stream is turned away
    meanwhile; one thread at a time, or a thread could restore the silence of another.
    """
    sitk = library("SimpleITK")
    with _silence, contextlib.ExitStack() as undo:
        undo.callback(sitk.ProcessObject.SetGlobalWarningDisplay, sitk.ProcessObject.GetGlobalWarningDisplay())
        sitk.ProcessObject.SetGlobalWarningDisplay(False)
        with contextlib.suppress(OSError):  # an application with a window may have no error stream
            kept = os.dup(2)
            undo.callback(os.close, kept)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            undo.callback(os.close, nowhere)
            os.dup2(nowhere, 2)
            undo.callback(os.dup2, kept, 2)
        yield


def _check_scalar(reader: Any, *, layered: bool) -> None:
    size = reader.GetSize()
    if reader.GetNumberOfComponents() != 1:
        if layered:
            raise InputError(
                "The segmentation has segments that overlap, so one labelmap cannot hold it.",
                "Export the organ alone as a labelmap.",
            )
        raise InputError(
            f"The file holds {reader.GetNumberOfComponents()} values a voxel (colour or vectors).",
            "Export it as a scalar volume.",
        )
    if any(length != 1 for length in size[3:]):
        raise InputError(
            f"The file has {len(size)} axes of {' × '.join(map(str, size))}.",
            "Save one time point or channel of it as a 3-D volume.",
        )

"""NIfTI in and out: the only place where RAS, (I, J, K) arrays and scaling slopes are met."""

from __future__ import annotations

import contextlib
import gzip
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from VQBEGALLib.errors import InputError
from VQBEGALLib.volumes.libraries import library
from VQBEGALLib.volumes.volume import Affine, Volume, Voxels

RAS_TO_LPS = np.diag((-1.0, -1.0, 1.0, 1.0))
_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}
_SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT
_NIFTI2 = (540, int.from_bytes((540).to_bytes(4, "big"), "little"))  # size of its header, in either byte order
_LONGEST_AXIS = 32767  # of NIfTI-1; NIfTI-2 beyond


def read_nifti(path: Path) -> Volume:
    """Read a NIfTI file: ``.nii``, ``.nii.gz`` or a pair ``.hdr``/``.img``.

    The affine is the sform where its code is positive, else the qform; without either, axes run along RAS from
    the origin, as in ITK. Integers without a scaling slope stay integers; all else becomes float32.

    Raises:
        InputError: not a NIfTI file, or not one scalar 3-D image.
    """
    nibabel = library("nibabel")
    with _quiet(nibabel):
        if path.name.lower().endswith(".nii.gz"):
            return _read_packed(path, nibabel)
        image = nibabel.load(path, mmap=False)
        if not isinstance(image, nibabel.Nifti1Pair):
            raise InputError(
                "The file is in Analyze 7.5 or another format that leaves left and right open.",
                "Save it as NIfTI (.nii.gz) with the program that made it.",
            )
        return Volume(_voxels(image), _affine(image))


def write_nifti(path: Path, volume: Volume, *, compressed: bool) -> None:
    """Write NIfTI with the exact affine as sform and, where the axes are orthogonal, as qform too.

    Args:
        path: where to write; what is there is overwritten.
        volume: 16-bit floats are stored in 32 bits; all other values are stored as they are.
        compressed: write a gzip stream.
    """
    nibabel = library("nibabel")
    voxels = volume.voxels.astype(np.float32) if volume.voxels.dtype == np.float16 else volume.voxels
    affine = RAS_TO_LPS @ volume.affine
    kind = nibabel.Nifti1Image if max(volume.shape) <= _LONGEST_AXIS else nibabel.Nifti2Image
    with _quiet(nibabel):
        image = kind(voxels.transpose(2, 1, 0), affine, dtype=voxels.dtype)
        image.set_sform(affine, code=_SCANNER)
        image.set_qform(affine, code=_SCANNER if volume.orthogonal else 0)
        image.header.set_xyzt_units("mm")
        with path.open("wb") as stream:
            if compressed:
                with gzip.GzipFile(filename="", fileobj=stream, mode="wb", compresslevel=5, mtime=0) as packed:
                    image.to_stream(packed)
            else:
                image.to_stream(stream)


def _read_packed(path: Path, nibabel: Any) -> Volume:
    """Read ``.nii.gz`` to the end of the stream: only there gzip tells that something before was damaged."""
    with gzip.open(path) as stream:
        header_size = int.from_bytes(stream.read(4), "little")
        stream.seek(0)
        kind = nibabel.Nifti2Image if header_size in _NIFTI2 else nibabel.Nifti1Image
        image = kind.from_stream(stream)
        volume = Volume(_voxels(image), _affine(image))
        while stream.read(1 << 20):
            pass
    return volume


def _affine(image: Any) -> Affine:
    header = image.header
    matrix, code = header.get_sform(coded=True)
    if not code:
        matrix, code = header.get_qform(coded=True)
    if not code:
        matrix = np.diag((*np.abs(header["pixdim"][1:4]), 1.0))
    scale = _MM_PER_UNIT.get(header.get_xyzt_units()[0], 1.0)
    return np.asarray(RAS_TO_LPS @ np.diag((scale, scale, scale, 1.0)) @ matrix, dtype=np.float64)


def _voxels(image: Any) -> Voxels:
    dtype = image.header.get_data_dtype()
    if dtype.fields is not None:
        raise InputError("The file holds colours (RGB).", "Export it as a scalar volume.")
    shape = (*image.shape, 1, 1)[: max(3, len(image.shape))]
    if any(length != 1 for length in shape[3:]):
        raise InputError(
            f"The file has {len(image.shape)} axes of {' × '.join(map(str, image.shape))}.",
            "Save one time point or channel of it as a 3-D volume.",
        )
    unscaled = (image.dataobj.slope, image.dataobj.inter) == (1, 0)
    if np.issubdtype(dtype, np.integer) and unscaled:
        stored = np.asarray(image.dataobj.get_unscaled()).astype(dtype.newbyteorder("="), copy=False)
    else:
        stored = np.asarray(image.dataobj)
        if np.iscomplexobj(stored):
            raise InputError("The file holds complex numbers.", "Export the magnitude as a scalar volume.")
        with np.errstate(over="ignore"):
            stored = stored.astype(np.float32)
    return np.ascontiguousarray(stored.reshape(shape[:3], order="F").transpose(2, 1, 0))


@contextlib.contextmanager
def _quiet(nibabel: Any) -> Iterator[None]:
    """Keep nibabel's remarks on header fields that do not matter here from the terminal."""
    with warnings.catch_warnings(), nibabel.imageglobals.LoggingOutputSuppressor():
        warnings.simplefilter("ignore")
        yield

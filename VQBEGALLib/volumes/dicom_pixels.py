"""Decode one DICOM image's pixels, whatever its compression and however little else the file tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from VQBEGALLib.volumes.itk import quiet_itk
from VQBEGALLib.volumes.libraries import library
from VQBEGALLib.volumes.volume import Voxels

_KEPT = (
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
)
_MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"  # a class for which GDCM does not interpret the values


def read_pixels(path: Path, scratch: Path) -> Voxels:
    """Return rescaled pixel values, (rows, columns): int16 or int32 where slope and intercept are whole, else float32.

    GDCM (in SimpleITK) decodes, since 3D Slicer has no other decoder for compressed images. It decides by the
    SOP class whether to rescale and refuses files without one, so it is shown a copy that holds the pixels and
    their layout only; slope and intercept are applied here.

    Args:
        path: a DICOM file with one scalar image.
        scratch: an empty folder for the copy, which is removed again.

    Raises:
        Exception: of any type, by the reader; the file is damaged or its compression is unknown.
    """
    pydicom = library("pydicom")
    full = pydicom.dcmread(path, force=True, specific_tags=[*_KEPT, "RescaleSlope", "RescaleIntercept"])
    _check_length(full)
    pixels = _pixels_only(pydicom, full)
    try:
        stored = _decode(pixels, scratch / "pixels.dcm")
    except RuntimeError:  # GDCM does not know every compression; pydicom may, with what is installed beside it
        stored = pixels.pixel_array
    slope, intercept = _number(full, "RescaleSlope", 1.0), _number(full, "RescaleIntercept", 0.0)
    if not (slope.is_integer() and intercept.is_integer()):
        return np.asarray(stored * slope + intercept, dtype=np.float32)
    values = stored.astype(np.int64) * int(slope) + int(intercept)
    fits = values.min() >= -(2**15) and values.max() < 2**15
    return np.asarray(values, dtype=np.int16 if fits else np.int32)


def _decode(pixels: Any, copy: Path) -> npt.NDArray[Any]:
    """Let GDCM decode a data set by way of a file, (rows, columns)."""
    sitk = library("SimpleITK")
    pixels.save_as(copy)
    try:
        with quiet_itk():
            stored = sitk.GetArrayFromImage(sitk.ReadImage(str(copy)))
    finally:
        copy.unlink()
    return np.asarray(stored).reshape(int(pixels.Rows), int(pixels.Columns))


def _pixels_only(pydicom: Any, full: Any) -> Any:
    syntax = full.file_meta.get("TransferSyntaxUID") or pydicom.uid.ExplicitVRLittleEndian
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = _MR_IMAGE_STORAGE
    meta.MediaStorageSOPInstanceUID = "2.25.1"
    pixels = pydicom.dataset.FileDataset(
        None,
        {},
        file_meta=meta,
        preamble=b"\0" * 128,
        is_implicit_VR=syntax.is_implicit_VR,
        is_little_endian=syntax.is_little_endian,
    )
    pixels.SOPClassUID = _MR_IMAGE_STORAGE
    pixels.SOPInstanceUID = "2.25.1"
    for keyword in _KEPT:
        if keyword in full:
            pixels[keyword] = full[keyword]
    pixels.setdefault("SamplesPerPixel", 1)
    pixels.PhotometricInterpretation = "MONOCHROME2"  # the other way round is a matter of display; GDCM would invert
    return pixels


def _check_length(full: Any) -> None:
    """Refuse a plain pixel array that breaks off; GDCM would fill it up with zeros."""
    expected = int(full.Rows) * int(full.Columns) * int(full.BitsAllocated) // 8
    if not full["PixelData"].is_undefined_length and len(full.PixelData) < expected:
        raise EOFError(f"{len(full.PixelData)} bytes of {expected}")


def _number(dataset: Any, keyword: str, absent: float) -> float:
    value = dataset.get(keyword)
    return absent if value in (None, "") else float(value)

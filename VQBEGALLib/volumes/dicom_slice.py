"""One DICOM image's header: found among other files, and asked for what places the image in space."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from VQBEGALLib.errors import InputError
from VQBEGALLib.volumes.libraries import library

_NOT_IMAGES = {"SEG", "SR", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "REG", "RWV", "FID", "DOC", "PLAN"}
PATIENT = ("PatientID", "PatientName", "PatientBirthDate")
"""What tells patients apart; compared with each other, and neither kept nor shown."""

_HEADER = (
    "Modality",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "SOPInstanceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SpacingBetweenSlices",
    "SliceThickness",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "NumberOfFrames",
    "SOPClassUID",
    *PATIENT,
)
_ALWAYS_IMAGES = {"CT", "MR"}
_DICOMDIR = "1.2.840.10008.1.3.10"


_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Tell whether a text has the form of a UID; leading zeros, which old scanners write, are let through."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


@dataclass(frozen=True, eq=False)
class Slice:
    """A file with one image and its header, pixels left out; attributes may be missing.

    Args:
        path: the file.
        header: pydicom data set with the attributes of interest.
    """

    path: Path
    header: Any

    def text(self, keyword: str) -> str:
        """Return an attribute as text; empty where it is missing."""
        return str(self.header.get(keyword) or "")

    @property
    def meta(self) -> Any:
        """The file's own header (group 2), a mapping."""
        return getattr(self.header, "file_meta", None) or {}

    @property
    def sop_uid(self) -> str:
        """Of the image; where the data set lacks it, the copy in the file's own header."""
        return self.text("SOPInstanceUID") or str(self.meta.get("MediaStorageSOPInstanceUID") or "")

    def numbers(self, keyword: str, count: int) -> npt.NDArray[np.float64]:
        """Return an attribute's numbers, (count,).

        Raises:
            InputError: they are missing, so that the slice cannot be placed.
        """
        value = self.header.get(keyword)
        try:
            numbers = np.array([] if value is None or isinstance(value, str) else value, dtype=np.float64)
        except (TypeError, ValueError):  # texts where numbers belong
            numbers = np.array([])
        if numbers.shape != (count,) or not np.isfinite(numbers).all():
            raise InputError(
                f"{self.path.name} has no {keyword}, so nobody can tell where its image lies.",
                "Export the series again without removing geometry, or give it as NIfTI or NRRD.",
            )
        return numbers


def read_header(path: Path) -> Slice | None:
    """Return an image's header; nothing for files that hold no image.

    Raises:
        InputError: the file is DICOM but damaged, or cannot be opened.
    """
    if not path.is_file():
        return None
    pydicom = library("pydicom")
    try:
        with path.open("rb") as stream:
            start = stream.read(132)
        begins_with_a_tag = start[:2] in (b"\x02\x00", b"\x08\x00")  # old files lack the 128 + 4 bytes in front
        if start[128:] != b"DICM" and not begins_with_a_tag and path.suffix.lower() != ".dcm":
            return None
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_HEADER))
        item = Slice(path, header)
        lost = not (header.get("Rows") and header.get("Columns"))
        broken = lost and (not start or _should_be_image(item, pydicom))
    except OSError as error:
        raise InputError(f"{path.name} cannot be opened ({error.strerror}).", "Check that you may read it.") from error
    except Exception as error:  # pydicom complains about damaged files with errors of many types
        raise damaged(path) from error
    if broken:
        raise damaged(path)
    return None if lost or item.text("Modality") in _NOT_IMAGES else item


def _should_be_image(item: Slice, pydicom: Any) -> bool:
    """Tell a damaged image from an object that is none, by what its header says it is."""
    sop_class = item.text("SOPClassUID") or str(item.meta.get("MediaStorageSOPClassUID") or "")
    if sop_class == _DICOMDIR:
        return False
    return (
        not item.header or item.text("Modality") in _ALWAYS_IMAGES or "Image Storage" in pydicom.uid.UID(sop_class).name
    )


def damaged(path: Path) -> InputError:
    """Return the error for a file whose content cannot be made out."""
    return InputError(
        f"{path.name} is damaged, incomplete or compressed in an unknown way.", "Export or copy the series again."
    )

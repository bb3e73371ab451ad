"""The images that a segmentation refers to: their headers, in the order of the voxels, complete enough for DICOM."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from VQBEGALLib.errors import InputError
from VQBEGALLib.export.cleaning import clean
from VQBEGALLib.volumes import Volume, on_grid
from VQBEGALLib.volumes.dicom import quiet_pydicom
from VQBEGALLib.volumes.dicom_geometry import arrange
from VQBEGALLib.volumes.dicom_slice import Slice, is_uid
from VQBEGALLib.volumes.libraries import library

NEEDED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
"""Attributes that nobody may invent."""


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """The headers of one series; valid once built by :meth:`of`.

    Args:
        datasets: pydicom data sets without pixels, in the order of the grid's K axis; those of type 2 that were
            missing are there and empty.
        grid: zeros (uint8, read-only) on the grid that the images make up, LPS mm.
        blanked: keywords of values that broke DICOM's rules and are blank here.
    """

    datasets: tuple[Any, ...]
    grid: Volume
    blanked: tuple[str, ...] = ()

    @classmethod
    def of(cls, datasets: Iterable[Any], wanted: Sequence[str] = ()) -> SourceSeries:
        """Order the headers of a series.

        Args:
            datasets: in any order; others than the wanted are passed over.
            wanted: SOP instance UIDs of the images; empty takes all.

        Raises:
            InputError: an image is missing, has no place in space, or lacks an attribute that nobody may invent; they
                belong to several patients, or share a UID.
        """
        only = set(wanted)
        if len(only) < len(wanted):
            raise InputError(
                "Several source images share one SOP instance UID, so nothing can refer to them.",
                "Fetch the series from the PACS again, or export NIfTI or NRRD.",
            )
        slices = [Slice(Path(str(data.get("SOPInstanceUID") or "an image")), data) for data in datasets]
        found = [item for item in slices if not only or item.sop_uid in only]
        missing = len(only - {item.sop_uid for item in found})
        if missing or not found:
            raise InputError(
                f"{missing} of the {len(only)} source images were not found." if only else "There is no source image.",
                "Name the folder that holds the whole series.",
            )
        affine, found = arrange(found)
        shape = (len(found), int(found[0].header.Rows), int(found[0].header.Columns))
        grid = Volume(np.broadcast_to(np.uint8(0), shape), affine)
        with quiet_pydicom():
            completed = [_completed(item, grid) for item in found]
        blanked = sorted({keyword for _, keywords in completed for keyword in keywords})
        return cls(tuple(data for data, _ in completed), grid, tuple(blanked))

    def text(self, keyword: str) -> str:
        """Return an attribute that all images share; empty where it is."""
        return str(self.datasets[0].get(keyword) or "")

    def align(self, labelmap: Volume) -> Volume:
        """Return a labelmap with its voxels in the order of the images.

        Raises:
            InputError: it is on another grid than the images.
        """
        return on_grid(labelmap, self.grid)


def read_source(files: Iterable[Path], wanted: Sequence[str]) -> SourceSeries:
    """Read the headers of the wanted images from among files of any kind.

    Args:
        files: those that are not DICOM are passed over.
        wanted: SOP instance UIDs.

    Raises:
        InputError: as :meth:`SourceSeries.of`.
    """
    pydicom = library("pydicom", needed_by="DICOM")
    only, found = set(wanted), {}
    with quiet_pydicom():
        for path in files:
            uid = _instance_uid(pydicom, path)
            if uid in only and uid not in found:
                found[uid] = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    return SourceSeries.of(found.values(), wanted)


def _instance_uid(pydicom: Any, path: Path) -> str:
    """Return the SOP instance UID of a file, empty where it is no DICOM file."""
    try:
        if not path.is_file():
            return ""
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=["SOPInstanceUID"])
    except Exception:  # a file that cannot be read, or none of DICOM: pydicom has errors of many types
        return ""
    return Slice(path, header).sop_uid


def _completed(item: Slice, grid: Volume) -> tuple[Any, list[str]]:
    """Return a header that an object can refer to, and which of its values had to become blank."""
    data = copy.copy(item.header)
    data.SOPInstanceUID = item.sop_uid
    if not data.get("SOPClassUID"):
        data.SOPClassUID = str(getattr(item.meta, "MediaStorageSOPClassUID", ""))
    if lost := [keyword for keyword in NEEDED if not is_uid(str(data.get(keyword) or ""))]:
        raise InputError(
            f"The source images have no {lost[0]}, which an object that refers to them needs.",
            "Fetch the series from the PACS again, or export NIfTI or NRRD.",
        )
    return data, clean(data, thickness=grid.spacing[0])

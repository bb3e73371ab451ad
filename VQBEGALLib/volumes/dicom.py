"""A DICOM series: many files, in any order and under any name, become one volume in patient space."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from VQBEGALLib.errors import InputError, VQBEGALError
from VQBEGALLib.volumes.dicom_geometry import arrange
from VQBEGALLib.volumes.dicom_pixels import read_pixels
from VQBEGALLib.volumes.dicom_slice import Slice, damaged, read_header
from VQBEGALLib.volumes.volume import Affine, Volume, Voxels

LIST = ".txt"
"""Suffix of a file that lists DICOM files."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DicomSeries:
    """A volume and what it takes to refer to the images that it came from.

    Args:
        volume: rescaled values (Hounsfield units for CT); slices run along the normal of rows and columns.
        modality: CT, MR, …; empty where the files do not tell.
        series_uid: of the series.
        study_uid: of the study.
        frame_of_reference_uid: of the patient coordinates.
        sop_instance_uids: one an image, in the order of the volume's K axis.
    """

    volume: Volume
    modality: str
    series_uid: str
    study_uid: str
    frame_of_reference_uid: str
    sop_instance_uids: tuple[str, ...]


def read_series(path: Path, *, series_uid: str | None = None) -> DicomSeries:
    """Read the series in a folder and its subfolders, or the series beside and including a file.

    Files that are not DICOM, and DICOM objects that are not images (SEG, SR, DICOMDIR), are passed over.
    Slices are ordered by position; the step between them is measured from positions, so a tilted gantry gives a
    sheared, exact affine.

    Args:
        path: a folder, one file of the series, or a list of files as :func:`dicom_files` takes it.
        series_uid: chooses among several series in the folder.

    Raises:
        InputError: no image, several series, slices missing, double, of different size or without a position, or
            files that are damaged or cannot be opened.
    """
    path = Path(path)
    with quiet_pydicom():
        slices, affine = read_headers(path, series_uid=series_uid)
        voxels = _pixels(slices)
    return DicomSeries(volume=Volume(voxels, affine), **identity(slices))


def identity(slices: Sequence[Slice]) -> dict[str, Any]:
    """Return what :class:`DicomSeries` says of a series besides its volume, by name."""
    first = slices[0]
    return {
        "modality": first.text("Modality"),
        "series_uid": first.text("SeriesInstanceUID"),
        "study_uid": first.text("StudyInstanceUID"),
        "frame_of_reference_uid": first.text("FrameOfReferenceUID"),
        "sop_instance_uids": tuple(item.sop_uid for item in slices),
    }


def is_dicom(path: Path) -> bool:
    """Tell whether a path is a folder, a list of files (.txt), or a file that is or calls itself DICOM."""
    if path.is_dir() or path.name.lower().endswith((".dcm", LIST)):
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_headers(path: Path, *, series_uid: str | None = None) -> tuple[list[Slice], Affine]:
    """Read what places the images of a series, and leave their pixels.

    Args:
        path: a folder, a file of the series, or a list of files as :func:`dicom_files` takes it.
        series_uid: chooses among several series.

    Returns:
        The slices along their normal, and the affine (i, j, k, 1) → LPS mm of the volume that they make up.

    Raises:
        InputError: as :func:`read_series`, but for damaged pixels.
    """
    files = dicom_files(path)
    with quiet_pydicom():
        slices = [item for item in map(read_header, files) if item is not None]
        if series_uid is None and path.is_file() and path.suffix.lower() != LIST:
            series_uid = next((item.text("SeriesInstanceUID") for item in slices if item.path == path), None)
        affine, slices = arrange(_choose(slices, path, series_uid))
    return slices, affine


def dicom_files(path: Path) -> list[Path]:
    """Return the files in a folder and its subfolders, beside a file, or named one a line in a .txt file (UTF-8).

    Raises:
        InputError: there is no such folder or file, or the list cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist.", "Check the path.")
    if path.is_dir():
        return sorted(path.rglob("*"))
    if path.suffix.lower() != LIST:
        return sorted(path.parent.iterdir())
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a list of files.", "Write one path a line, in UTF-8.") from error
    files = [path.parent / line.strip() for line in lines if line.strip()]
    if lost := next((file for file in files if not file.is_file()), None):
        raise InputError(f"{path} lists {lost.name}, which is not there.", "Correct the list.")
    return files


@contextlib.contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom's remarks on odd values, which it quotes, from the terminal and from logs."""
    logger = logging.getLogger("pydicom")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled


def _choose(slices: Sequence[Slice], path: Path, series_uid: str | None) -> list[Slice]:
    found: dict[str, list[Slice]] = {}
    for item in slices:
        found.setdefault(item.text("SeriesInstanceUID"), []).append(item)
    if not found:
        raise InputError(f"{path} holds no DICOM images.", "Choose the folder that the series was exported to.")
    choices = "; ".join(
        f"{len(items)} {items[0].text('Modality') or 'unknown'} images, series {uid or 'without a UID'}"
        for uid, items in sorted(found.items(), key=lambda pair: -len(pair[1]))
    )
    if series_uid is None:
        if len(found) > 1:
            raise InputError(
                f"{path} holds {len(found)} series: {choices}.", "Keep one a folder, or list its files in a .txt file."
            )
        return next(iter(found.values()))
    if series_uid not in found:
        raise InputError(f"{path} has no images of series {series_uid}.", f"It has: {choices}.")
    return found[series_uid]


def _pixels(slices: Sequence[Slice]) -> Voxels:
    """Return rescaled values, (K, J, I)."""
    planes = []
    with tempfile.TemporaryDirectory() as scratch:
        for item in slices:
            try:
                planes.append(read_pixels(item.path, Path(scratch)))
            except VQBEGALError:
                raise
            except Exception as error:  # pydicom and GDCM complain with errors of many types
                raise damaged(item.path) from error
    voxels = np.stack(planes)
    return voxels.astype(np.float32) if voxels.dtype == np.float64 else voxels

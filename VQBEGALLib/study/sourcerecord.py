"""Which DICOM series an image was made from: UIDs only, neither a patient's name nor where the files lay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from VQBEGALLib.errors import InputError
from VQBEGALLib.volumes import Volume, on_grid
from VQBEGALLib.volumes.dicom import dicom_files, identity, read_headers, read_series
from VQBEGALLib.volumes.dicom_slice import PATIENT, Slice, read_header


def read_with_source(path: Path) -> tuple[Volume, dict[str, Any]]:
    """Read a series, and what to remember of it.

    Raises:
        InputError: as :func:`VQBEGALLib.volumes.read_series`; the folder may not be read.
    """
    try:
        series = read_series(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    known = {name: value for name, value in vars(series).items() if name != "volume"}
    return series.volume, {**known, "sop_instance_uids": list(series.sop_instance_uids)}


def of_one_patient(first: Path, second: Path) -> bool:
    """Tell whether two places of DICOM files name the same patient; nothing of the patient is kept.

    Args:
        first: a folder, a file, or a list of files.
        second: the same.
    """
    named = [{keyword: _first(path).text(keyword) for keyword in PATIENT} for path in (first, second)]
    return named[0] == named[1]


def _first(place: Path) -> Slice:
    return next(item for item in map(read_header, dicom_files(place)) if item is not None)


def source_of(files: Path, volume: Volume) -> dict[str, Any]:
    """Return what to remember of the series that another program made a volume of.

    Args:
        files: a folder of DICOM files, or a list of them in a .txt file.
        volume: on the grid of the images, its voxels possibly in another order.

    Raises:
        InputError: the files cannot be read, or the volume is on another grid.
    """
    slices, affine = read_headers(files)
    shape = (len(slices), int(slices[0].header.Rows), int(slices[0].header.Columns))
    on_grid(volume, Volume(np.broadcast_to(np.uint8(0), shape), affine), name="The volume")
    known = identity(slices)
    return {**known, "sop_instance_uids": list(known["sop_instance_uids"])}

"""Fetches a series (WADO-RS) to a folder, so that it can be broken off and taken up again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from VQBEGALLib.errors import ServerError
from VQBEGALLib.events import Reporter, Stage
from VQBEGALLib.pacs import query
from VQBEGALLib.pacs.connection import checked_uid
from VQBEGALLib.pacs.multipart import DICOM, Parts, boundary_of
from VQBEGALLib.pacs.transport import Transport
from VQBEGALLib.pacs.trouble import not_understood
from VQBEGALLib.storage import TEMPORARY, storing, temporary_sibling, write_file
from VQBEGALLib.volumes.libraries import library

ACCEPT = f'multipart/related; type="{DICOM}"; transfer-syntax=*'
SUFFIX = ".dcm"


def series(transport: Transport, study_uid: str, series_uid: str, folder: Path, reporter: Reporter) -> int:
    """Fetch a series, one file an instance, named by its SOP instance UID; files that are there already stay.

    The whole series is asked for at once where nothing of it is here yet; what is missing then, or was missing from
    the beginning, one by one.

    Args:
        transport: of the server.
        study_uid: of the study.
        series_uid: of the series.
        folder: created for this user alone where it does not exist.
        reporter: of progress, and whether a person cancelled.

    Returns:
        How many instances the series has; all of them are in the folder.

    Raises:
        ServerError: the series is not there, or the server does not give all of it.
        StorageError: the disk is full or refuses.
        CancelledError: a person asked to stop; what has arrived stays.
    """
    wanted = query.instances(transport, study_uid, series_uid, strict=True)
    if not wanted:
        raise ServerError(f"{transport.server.name} has no such series.", "Search for the study anew.")
    _prepare(folder)
    address = f"/studies/{study_uid}/series/{series_uid}"
    missing = _missing(folder, wanted)
    with reporter.stage("fetch", len(wanted), unit="image", done=len(wanted) - len(missing)) as stage:
        if missing == wanted:
            try:
                _fetch(transport, address, folder, missing, stage)
            except ServerError:
                if missing == _missing(folder, wanted):
                    raise
        for uid in sorted(_missing(folder, wanted)):
            _fetch(transport, f"{address}/instances/{uid}", folder, {uid}, stage)
    if lost := _missing(folder, wanted):
        problem = f"{transport.server.name} did not give {len(lost)} of the series' {len(wanted)} images."
        raise ServerError(problem, "Try again, or ask those who run the server.")
    return len(wanted)


def headers(transport: Transport, study_uid: str, series_uid: str) -> list[Any]:
    """Return the attributes of a series' images as pydicom's data sets, without pixels and other bulk.

    Raises:
        ServerError: no answer, or not one of WADO-RS.
    """
    path = f"/studies/{checked_uid(study_uid)}/series/{checked_uid(series_uid)}/metadata"
    answer = transport.fetch(path, accept=query.JSON)
    dataset = library("pydicom.dataset").Dataset
    try:
        return [dataset.from_json(item, lambda tag, vr, uri: None) for item in json.loads(answer.body or b"[]")]
    except Exception:  # pydicom raises much on odd values, and quotes them
        damaged = not_understood(transport.server)
    raise damaged


def _fetch(transport: Transport, path: str, folder: Path, wanted: set[str], stage: Stage) -> None:
    """Ask for one address and store the wanted instances in the answer."""
    with transport.stream(path, accept=ACCEPT) as (content_type, pieces):
        boundary = boundary_of(content_type)
        if not boundary:
            raise not_understood(transport.server)
        parts = Parts(pieces, boundary, lambda: not_understood(transport.server))
        scratch = temporary_sibling(folder / SUFFIX)
        try:
            while _next_part(parts, scratch):
                uid = _sop_instance_uid(scratch)
                if uid is None:
                    raise not_understood(transport.server)
                if uid in wanted and not _path(folder, uid).exists():
                    write_file(_path(folder, uid), lambda target: _move(scratch, target))
                    stage.advance()
        finally:
            scratch.unlink(missing_ok=True)


def _next_part(parts: Parts, scratch: Path) -> bool:
    with storing(scratch), scratch.open("wb") as target:
        return parts.next_into(target)


def _move(source: Path, target: Path) -> None:
    source.replace(target)


def _sop_instance_uid(path: Path) -> str | None:
    """Return what a file says it is; None where it is no DICOM file."""
    try:
        return str(library("pydicom.filereader").read_file_meta_info(path).MediaStorageSOPInstanceUID)
    except Exception:  # damaged bytes bring out any of pydicom's errors
        return None


def _missing(folder: Path, wanted: set[str]) -> set[str]:
    return {uid for uid in wanted if not _path(folder, uid).exists()}


def _path(folder: Path, uid: str) -> Path:
    return folder / f"{checked_uid(uid)}{SUFFIX}"


def _prepare(folder: Path) -> None:
    """Create a folder that only this user can look into, and remove what a killed process left in it."""
    with storing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for rest in folder.glob(f"{TEMPORARY}*"):
            rest.unlink(missing_ok=True)

"""Where a case's source images are on this computer, or on the server: found again when they are needed.

A study holds their UIDs only. Their folders are remembered beside the user's settings, not in the study, which may
travel to another computer and must not name patients.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from VQBEGALLib.errors import InputError, MissingDependencyError, StorageError, StudyError
from VQBEGALLib.export.source import SourceSeries, read_source
from VQBEGALLib.pacs.profiles import settings_folder
from VQBEGALLib.storage import make_folder, read_json, write_json
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.study.reading import StudyReader
from VQBEGALLib.study.records import WHICH, Which
from VQBEGALLib.volumes.dicom import dicom_files, is_dicom

_FILE = "sources.json"


class HeaderServer(Protocol):
    """A server that tells the headers of a series."""

    def series_headers(self, study_uid: str, series_uid: str) -> Sequence[Any]:
        """Return the headers of a series' images, pydicom data sets."""


def remember_sources(study: StudyReader, members: Iterable[NewSubject]) -> None:
    """Remember where the DICOM files of new cases lie; what cannot be written down is asked for at the export."""
    found: dict[str, list[str]] = {}
    for member in members:
        for which in WHICH:
            image, source = getattr(member, which), getattr(member, f"{which}_source")
            place = source or (image if image is not None and is_dicom(image) else None)
            record = study.subject(member.name).image(which)
            if place is not None and record is not None and series_uid(record.source):
                folders = {str(path.parent.resolve()) for path in dicom_files(place) if path.is_file()}
                found[series_uid(record.source)] = sorted(folders)
    if found:
        with suppress(MissingDependencyError, StorageError):
            make_folder(settings_folder())
            write_json(settings_folder() / _FILE, {**_remembered(), **found})


def series_uid(source: Any) -> str:
    """Return the series that a record's source names; empty where it names none."""
    return str((source or {}).get("series_uid") or "")


def places(study: StudyReader, case: str, which: Which = "primary") -> list[Path]:
    """Return the folders that hold a case's series as far as this computer knows; they exist."""
    record = study.subject(case).image(which)
    uid = series_uid(record.source) if record is not None else ""
    with suppress(MissingDependencyError):
        return [Path(folder) for folder in _remembered().get(uid, []) if Path(folder).is_dir()]
    return []


def find_source(
    study: StudyReader, case: str, *, given: Sequence[Path] = (), server: HeaderServer | None = None
) -> SourceSeries:
    """Return the headers of the series that a case's primary image came from.

    Looked for in the given places, in the folders that this computer remembers, then on the server.

    Args:
        study: has the case.
        case: its name.
        given: folders, or lists of files (.txt).
        server: asked where no file is found.

    Raises:
        InputError: the case did not come from DICOM, the images are not found, or lack what DICOM needs.
        ServerError: the server cannot be asked.
    """
    study.grid(case)
    record = study.subject(case).primary
    source = (record.source if record is not None else None) or {}
    uids = source.get("sop_instance_uids")
    if not series_uid(source) or not isinstance(uids, list) or not uids:
        raise InputError(
            f"{case} was not added from DICOM, so nobody knows which images its result belongs to.",
            "Export NIfTI or NRRD, or add the case again from its DICOM series.",
        )
    failed: InputError | None = None
    remembered = [path for folder in places(study, case) for path in dicom_files(folder)]
    for files in (*map(dicom_files, given), remembered):
        try:
            if files:
                return read_source(files, uids)
        except InputError as error:
            failed = error
    if server is not None:
        return SourceSeries.of(server.series_headers(str(source.get("study_uid")), series_uid(source)), uids)
    raise failed or InputError(
        f"The source images of {case} are not on this computer any more.",
        "Name their folder (option --source), or send to the PACS that has them.",
    )


def _remembered() -> dict[str, list[str]]:
    try:
        known = read_json(settings_folder() / _FILE)
    except StudyError:  # not there yet, or damaged: then it is begun anew
        return {}
    if not isinstance(known, dict):
        return {}
    return {str(uid): [str(item) for item in items] for uid, items in known.items() if isinstance(items, list)}

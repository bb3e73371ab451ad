"""Where a case's source images are, on this computer or on the server: found again when they are needed.

A study holds their UIDs only. Their folders are remembered beside the user's settings, for each study apart: the same
series may lie under another patient's name in somebody's research data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from VQBEGALLib.errors import InputError, MissingDependencyError, ServerError, StorageError, StudyError
from VQBEGALLib.export.source import SourceSeries, read_source
from VQBEGALLib.pacs.connection import FoundStudy
from VQBEGALLib.pacs.profiles import make_settings_folder, settings_folder
from VQBEGALLib.storage import read_json, write_json
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.study.reading import StudyReader
from VQBEGALLib.study.records import WHICH
from VQBEGALLib.volumes.dicom import dicom_files, is_dicom

_FILE = "sources.json"


class HeaderServer(Protocol):
    """A server that tells what it has of a study, and the headers of a series."""

    def query(self, *, study_uid: str) -> list[FoundStudy]:
        """Return a study with its series."""

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
            known, key = _remembered(), str(study.folder)
            make_settings_folder()
            write_json(settings_folder() / _FILE, {**known, key: {**known.get(key, {}), **found}})


def series_uid(source: Any) -> str:
    """Return the series that a record's source names; empty where it names none."""
    return str((source or {}).get("series_uid") or "")


def kept_in(study: StudyReader, uid: str) -> Path:
    """Return the folder beside a study, not in it, where the files of a series that was fetched are kept."""
    return study.folder.with_name(f"{study.folder.name}.dicom") / uid


def places(study: StudyReader, uid: str) -> list[Path]:
    """Return the folders that hold a series as far as this computer knows; they exist."""
    found = [kept_in(study, uid)]
    with suppress(MissingDependencyError):
        found += [Path(folder) for folder in _remembered().get(str(study.folder), {}).get(uid, [])]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def find_source(
    study: StudyReader, case: str, *, given: Sequence[Path] = (), server: HeaderServer | None = None
) -> SourceSeries:
    """Return the headers of the series that a case's primary image came from.

    They come from the server, which knows best whose images they are; else from the given places and no others; and
    where none is given, from the folders that this computer remembers.

    Args:
        study: has the case.
        case: its name.
        given: folders, or lists of files (.txt), which hold the series together.
        server: asked first; passed over where it does not tell.

    Raises:
        InputError: the case did not come from DICOM, the images are not found, or lack what DICOM needs.
        ServerError: the server does not tell, and the images are not on this computer.
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
    trouble: ServerError | None = None
    try:
        if server is not None and (headers := _of_server(server, source)):
            return SourceSeries.of(headers, uids)
    except ServerError as error:
        trouble = error
    files = [path for place in given or places(study, series_uid(source)) for path in dicom_files(place)]
    if given or files:
        return read_source(files, uids)
    raise trouble or InputError(
        f"The source images of {case} are not on this computer any more.",
        "Name their folder (option --source), or send to a PACS that has them.",
    )


def _of_server(server: HeaderServer, source: dict[str, Any]) -> Sequence[Any]:
    """Return the headers of a series; nothing where the server does not have it."""
    study, series = str(source.get("study_uid")), series_uid(source)
    found = server.query(study_uid=study)
    there = any(item.series_uid == series for each in found for item in each.series)
    return server.series_headers(study, series) if there else ()


def _remembered() -> dict[str, dict[str, list[str]]]:
    """Return folders by study and series."""
    try:
        known = read_json(settings_folder() / _FILE)
    except StudyError:  # not there yet, or damaged: then it is begun anew
        return {}
    whole = isinstance(known, dict) and all(isinstance(series, dict) for series in known.values())
    return known if whole else {}

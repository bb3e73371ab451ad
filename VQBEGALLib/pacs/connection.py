"""What can be asked of a PACS, whichever way it is reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.pacs.quiet import quiet
from VQBEGALLib.pacs.server import Secret, Server
from VQBEGALLib.volumes.dicom_slice import is_uid
from VQBEGALLib.volumes.libraries import library

OnDone = Callable[[str, str], None]
"""Called with the SOP instance UID of each instance whose fate is known, and a problem; empty where it is stored."""


@dataclass(frozen=True)
class Instance:
    """A DICOM file to send; valid once built.

    Args:
        path: of the file.
        sop_class_uid: what kind of object it is.
        sop_instance_uid: of the object.
        study_uid: of its study.
        series_uid: of its series.

    Raises:
        InputError: one of the UIDs is none.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str

    def __post_init__(self) -> None:
        for uid in (self.sop_class_uid, self.sop_instance_uid, self.study_uid, self.series_uid):
            checked_uid(uid)

    @classmethod
    def read(cls, path: Path) -> Instance:
        """Return what a DICOM file says it is.

        Raises:
            InputError: it is no DICOM file, or lacks a UID.
        """
        keywords = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
        try:
            with quiet():
                header = library("pydicom").dcmread(path, specific_tags=list(keywords), stop_before_pixels=True)
                uids = [str(header.get(keyword, "")) for keyword in keywords]
        except Exception:  # damaged bytes bring out any of pydicom's errors, which quote them
            uids = [""] * 4
        if not all(map(is_uid, uids)):
            raise InputError(f"{path} is not a DICOM file with its UIDs.", "Export it anew, and send that.")
        return cls(path, *uids)


@dataclass(frozen=True, kw_only=True)
class FoundSeries:
    """A series on a server; nothing of the patient.

    Args:
        series_uid: of the series.
        modality: CT, MR, SEG, …
        description: what the scanner or a person wrote.
        images: how many; -1 where the server does not tell.
    """

    series_uid: str
    modality: str
    description: str
    images: int


@dataclass(frozen=True, kw_only=True)
class FoundStudy:
    """A study on a server with its series; nothing of the patient.

    Args:
        study_uid: of the study.
        date: as ``YYYYMMDD``; empty where it has none.
        description: what the scanner or a person wrote.
        modalities: of its series.
        series: its series, by modality and UID.
    """

    study_uid: str
    date: str
    description: str
    modalities: tuple[str, ...]
    series: tuple[FoundSeries, ...]


class Connection(Protocol):
    """A server within a with statement. Every method may raise ServerError, and CancelledError between its steps."""

    def __enter__(self) -> Connection: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def test(self) -> str:
        """Ask whether the server is there and lets us in; returns a sentence for a person."""

    def stored(self, instances: Sequence[Instance]) -> set[str]:
        """Return the SOP instance UIDs of those that the server has already, as far as it tells."""

    def store(self, instances: Sequence[Instance], on_done: OnDone) -> None:
        """Send instances; those for which ``on_done`` was not called, because of an error, are simply not done."""

    def query(self, *, patient: str = "", study_uid: str = "", modality: str = "", limit: int = 50) -> list[FoundStudy]:
        """Return the studies of a patient's number, or one study, at most ``limit``, the newest first."""

    def series_headers(self, study_uid: str, series_uid: str) -> list[Any]:
        """Return the attributes of a series' images, as pydicom's data sets without pixels; they name the patient."""

    def retrieve(self, study_uid: str, series_uid: str, folder: Path, reporter: Reporter) -> int:
        """Fetch a series to a folder, one file an instance; files that are there already stay. Returns their number."""


def connect(server: Server, secret: Secret | None, reporter: Reporter) -> Connection:
    """Return a connection to use in a with statement; nothing is sent yet.

    Args:
        server: where to.
        secret: password or token, where the server asks for one.
        reporter: told of progress, asked whether a person cancelled.

    Raises:
        ServerError: the password is missing, or a certificate's file cannot be used.
        MissingDependencyError: a library for it is not installed.
    """
    if server.web:
        from VQBEGALLib.pacs.dicomweb import DicomWeb

        return DicomWeb(server, secret, reporter)
    from VQBEGALLib.pacs.dimse import Dimse

    return Dimse(server, reporter)


def checked_uid(uid: str) -> str:
    """Return a UID that may stand in an address or a file name.

    Raises:
        InputError: it is none.
    """
    if not isinstance(uid, str) or not is_uid(uid):
        raise InputError("A UID is missing or wrong.", "It has digits and single dots, at most 64 of them.")
    return uid

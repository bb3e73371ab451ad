"""What several tests of the network need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from Testing.dicom_series import PLANTED
from Testing.pacs.orthanc import Orthanc
from VQBEGALLib.events import Event, Reporter
from VQBEGALLib.pacs import Connection, Instance, Secret, Server, connect

PASSWORD = Secret(Orthanc.password)


@dataclass
class Outcome:
    """Collects what is told of each instance; ``problems`` keep the order of arrival."""

    problems: dict[str, str] = field(default_factory=dict)

    def __call__(self, uid: str, problem: str) -> None:
        assert uid not in self.problems, "told twice"
        self.problems[uid] = problem

    @property
    def stored(self) -> list[str]:
        return [uid for uid, problem in self.problems.items() if not problem]


def web_server(url: str, **changes: Any) -> Server:
    """Orthanc's profile at an address; quick to give up."""
    fields = {"name": "PACS", "user": Orthanc.user, "auth": "basic", "plain": url.startswith("http:")}
    return Server(url=url, **(fields | {"connect_timeout": 5.0, "read_timeout": 20.0} | changes))


def dicom_server(orthanc: Orthanc, **changes: Any) -> Server:
    """Orthanc's profile for the DICOM protocol, without TLS."""
    aet, host, port = orthanc.dicom
    fields = {"name": "PACS", "url": f"dicom://{aet}@{host}:{port}", "plain": True, "read_timeout": 20.0}
    return Server(**(fields | changes))


@contextmanager
def connected(
    server: Server, secret: Secret | None = PASSWORD, events: list[Event] | None = None
) -> Iterator[Connection]:
    """A connection; its events are appended to ``events``."""
    reporter = Reporter((lambda event: None) if events is None else events.append)
    with connect(server, secret if server.auth != "none" else None, reporter) as connection:
        yield connection


def tiny_images(folder: Path, count: int, **attributes: Any) -> list[Instance]:
    """Write ``count`` images of a few pixels in one series; keyword arguments replace attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    study, series = generate_uid(), generate_uid()
    instances = []
    for number in range(count):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID, data.Modality = study, series, "CT"
        data.PatientName, data.PatientID, data.PatientBirthDate, data.AccessionNumber = PLANTED[:4]
        data.InstanceNumber, data.Rows, data.Columns = number + 1, 4, 4
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 15, 0, 1
        data.PhotometricInterpretation, data.PixelData = "MONOCHROME2", bytes(32)
        for name, value in attributes.items():
            setattr(data, name, value)
        path = folder / f"{number}.dcm"
        data.save_as(path, enforce_file_format=True)
        instances.append(Instance(path, str(data.SOPClassUID), str(data.SOPInstanceUID), str(study), str(series)))
    return instances


def uids(instances: Sequence[Instance]) -> list[str]:
    """Their SOP instance UIDs, in order."""
    return [instance.sop_instance_uid for instance in instances]

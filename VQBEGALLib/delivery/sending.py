"""Send a case's result to a PACS: first into the study's queue, then to the server, then into the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from VQBEGALLib.delivery import outbox
from VQBEGALLib.delivery.exporting import Choice, described, materials
from VQBEGALLib.delivery.formats import DICOM, save_all
from VQBEGALLib.delivery.sources import HeaderServer
from VQBEGALLib.errors import InputError, ServerError
from VQBEGALLib.events import Reporter
from VQBEGALLib.pacs.connection import Connection, Instance, connect
from VQBEGALLib.pacs.server import Secret, Server
from VQBEGALLib.study import Study
from VQBEGALLib.volumes.libraries import library


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What came of sending.

    Args:
        sent: objects that the server confirmed.
        already: objects that it had from an interrupted attempt.
        waiting: objects that wait in the study now, for whichever server.
        problems: by SOP instance UID, why the server refused an object.
    """

    sent: int
    already: int
    waiting: int
    problems: dict[str, str]


def enqueue(
    study: Study, choice: Choice, server: Server, *, reporter: Reporter, headers: HeaderServer | None = None
) -> outbox.Item:
    """Export a case into the study's queue, under new UIDs.

    Args:
        study: held for writing.
        choice: what to send; one of the DICOM formats.
        server: for which it waits.
        reporter: told of each file.
        headers: asked for the source images' headers where the files are not on this computer.

    Raises:
        InputError: another format; or as :func:`VQBEGALLib.delivery.exporting.materials`.
        StorageError: the disk is full or refuses; then nothing is added.
        CancelledError: a person asked to stop; then nothing is added.
    """
    if choice.format not in DICOM:
        raise InputError("A PACS takes DICOM objects only.", f"Choose one of {', '.join(DICOM)}.")
    segmentation, source, image = materials(study, choice, headers)
    assert source is not None

    def fill(folder: Path) -> list[Instance]:
        files = save_all(folder, choice.format, segmentation, source, image, reporter)
        return [_instance(path) for path in files]

    about = described(choice, segmentation)
    return outbox.put(study.folder, fill, about=about, server=server.name, address=server.url)


def push(study: Study, choice: Choice, server: Server, secret: Secret | None, *, reporter: Reporter) -> Sent:
    """Export a case and send it; what cannot be sent waits.

    Raises:
        InputError, StorageError: as :func:`enqueue`.
        ServerError: the server was not reached or refused; what it did not confirm waits in the study.
        CancelledError: a person asked to stop; what is not sent waits.
    """
    with connect(server, secret, reporter) as connection:
        item = enqueue(study, choice, server, reporter=reporter, headers=connection)
        return _send(study, [item], connection, server)


def resend(study: Study, server: Server, secret: Secret | None, *, reporter: Reporter) -> Sent:
    """Send what waits for a server, without what it has already.

    Raises:
        ServerError, CancelledError: as :func:`push`.
        StudyError: an item of the queue is damaged.
    """
    outbox.remove_abandoned(study.folder)
    items = [item for item in outbox.waiting(study.folder) if server.name == item.server or server.url == item.address]
    with connect(server, secret, reporter) as connection:
        return _send(study, items, connection, server)


def _send(study: Study, items: Sequence[outbox.Item], connection: Connection, server: Server) -> Sent:
    sent = already = 0
    problems: dict[str, str] = {}
    for item in items:
        try:
            already += _those_there(study, item, connection)
            answers = _store(study, outbox.read(study.folder, item.id), connection)
        except ServerError as error:
            raise _kept(study, error) from error
        sent += sum(not problem for problem in answers.values())
        problems |= {uid: problem for uid, problem in answers.items() if problem}
        finish(study, item.id, server)
    return Sent(sent=sent, already=already, waiting=_count(study), problems=problems)


def finish(study: Study, name: str, server: Server) -> None:
    """Note an item in the log and take it out of the queue, once the server has confirmed all of it."""
    item = outbox.read(study.folder, name)
    if item.left:
        return
    if not any(event.get("item") == name for event in study.events("sent")):  # else killed between these two steps
        study.log(
            {
                "event": "sent",
                "item": name,
                **item.about,
                "server": server.name,
                "address": server.url,
                "objects": len(item.instances),
                "series_uid": item.instances[0].series_uid,
            }
        )
    outbox.remove(study.folder, name)


def _those_there(study: Study, item: outbox.Item, connection: Connection) -> int:
    """Note what the server has of an item whose sending was interrupted before its answer came."""
    if not item.begun:
        return 0
    there = connection.stored(item.left)
    for instance in item.left:
        if instance.sop_instance_uid in there:
            outbox.note(study.folder, item, instance.sop_instance_uid)
    return len(there)


def _store(study: Study, item: outbox.Item, connection: Connection) -> dict[str, str]:
    """Send what is left of an item and return the server's answers."""
    answers: dict[str, str] = {}

    def done(uid: str, problem: str) -> None:
        outbox.note(study.folder, item, uid, problem)
        answers[uid] = problem

    if item.left:
        outbox.begin(study.folder, item)
        connection.store(item.left, done)
    return answers


def _kept(study: Study, error: ServerError) -> ServerError:
    count = _count(study)
    waits = f" {count} object{' waits' if count == 1 else 's wait'} in the study and can be sent again."
    return ServerError(f"{error.problem}{waits if count else ''}", error.remedy)


def _count(study: Study) -> int:
    return sum(len(item.left) for item in outbox.waiting(study.folder))


def _instance(path: Path) -> Instance:
    pydicom = library("pydicom", needed_by="DICOM")
    data: Any = pydicom.dcmread(
        path,
        stop_before_pixels=True,
        specific_tags=["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"],
    )
    return Instance(
        path=path,
        sop_class_uid=str(data.SOPClassUID),
        sop_instance_uid=str(data.SOPInstanceUID),
        study_uid=str(data.StudyInstanceUID),
        series_uid=str(data.SeriesInstanceUID),
    )

"""Send a case's result to a PACS: first into the study's queue, then to the server, then into the log."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from VQBEGALLib.delivery import outbox
from VQBEGALLib.delivery.exporting import Choice, described, images_of, segmentation_of
from VQBEGALLib.delivery.formats import DICOM, save_all
from VQBEGALLib.errors import InputError, ServerError
from VQBEGALLib.events import Reporter
from VQBEGALLib.export.segmentation import Segmentation
from VQBEGALLib.pacs.connection import Connection, Instance, connect
from VQBEGALLib.pacs.server import Secret, Server
from VQBEGALLib.study import Study

_PATIENCE = 10.0
"""Seconds that a server may take to tell whose images they are; then the files on this computer say it, and the result
waits for the server in the queue."""


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


def push(study: Study, choice: Choice, server: Server, secret: Secret | None, *, reporter: Reporter) -> Sent:
    """Export a case and send it; what cannot be sent waits. The same result that waits already is not made again.

    Args:
        study: held for writing.
        choice: what to send; one of the DICOM formats.
        server: where to.
        secret: password or token, where the server asks for one.
        reporter: told of progress.

    Raises:
        InputError: another format; or as :func:`VQBEGALLib.delivery.exporting.export`.
        StorageError: the disk is full or refuses; then nothing is added to the queue.
        ServerError: the server was not reached or refused; what it did not confirm waits in the study.
        CancelledError: a person asked to stop; what is not sent waits.
    """
    if choice.format not in DICOM:
        raise InputError("A PACS takes DICOM objects only.", f"Choose one of {', '.join(DICOM)}.")
    item = _enqueue(study, choice, server, secret, reporter)
    with connect(server, secret, reporter) as connection:
        return _send(study, [item], connection, server, reporter)


def resend(study: Study, server: Server, secret: Secret | None, *, reporter: Reporter) -> Sent:
    """Send what waits for a server, without what it has already.

    Raises:
        ServerError, CancelledError: as :func:`push`.
    """
    outbox.remove_abandoned(study.folder)
    everything = outbox.waiting(study.folder)
    items = [item for item in everything if item.address == server.url and not item.damaged]
    elsewhere = [item for item in everything if item.server == server.name and item not in items]
    if elsewhere:
        reporter.warn(
            f"{sum(len(item.left) for item in elsewhere)} objects wait for {server.name} at another address and are "
            "not sent. `vqbegal queue STUDY --redirect ID --server NAME` sends them here, `--remove ID` gives them up."
        )
    if not items:
        return Sent(sent=0, already=0, waiting=_count(study), problems={})
    with connect(server, secret, reporter) as connection:
        return _send(study, items, connection, server, reporter)


def redirect(study: Study, name: str, server: Server) -> outbox.Item:
    """Let what waits under a name wait for another server; it is sent as it is, under the same UIDs.

    Raises:
        InputError: nothing waits under the name.
        StudyError: it is damaged.
        StorageError: the disk is full or refuses.
    """
    return outbox.redirect(study.folder, outbox.read(study.folder, name), server=server.name, address=server.url)


def _enqueue(study: Study, choice: Choice, server: Server, secret: Secret | None, reporter: Reporter) -> outbox.Item:
    """Export a case into the queue under new UIDs, or find it there."""
    about = {**described(choice, segmentation := segmentation_of(study, choice)), "result": _digest(segmentation)}
    others = [item for item in outbox.waiting(study.folder) if item.address == server.url]
    for item in others:
        if item.about == about:
            reporter.message("The same result waits already; it is sent now.")
            return item
    if any(item.about.get("case") == choice.case for item in others):
        reporter.warn(f"An earlier result of {choice.case} waits too; `vqbegal queue` shows it.")
    segmentation.present()
    if server.web:
        hasty = replace(
            server,
            connect_timeout=min(server.connect_timeout, _PATIENCE),
            read_timeout=min(server.read_timeout, _PATIENCE),
            attempts=1,
        )
        with connect(hasty, secret, reporter) as connection:
            source, image = images_of(study, choice, connection)
    else:
        source, image = images_of(study, choice)

    def fill(folder: Path) -> list[Instance]:
        files = save_all(folder, choice.format, segmentation, source, image, reporter)
        return [Instance.read(path) for path in files]

    return outbox.put(study.folder, fill, about=about, server=server.name, address=server.url)


def _digest(segmentation: Segmentation) -> str:
    """Return what tells results apart: voxels, what they mean, and who answers for them."""
    digest = hashlib.sha256(repr((segmentation.segments, segmentation.provenance)).encode())
    for plane in segmentation.labelmap.voxels:
        digest.update(plane.tobytes())
    return digest.hexdigest()[:16]


def _send(
    study: Study, items: Sequence[outbox.Item], connection: Connection, server: Server, reporter: Reporter
) -> Sent:
    sent = already = 0
    problems: dict[str, str] = {}
    for item in items:
        try:
            already += _those_there(study, item, connection)
            answers = _store(study, outbox.read(study.folder, item.id), connection)
        except ServerError as error:
            outbox.note_trouble(study.folder, item, error.problem)
            raise _kept(study, error) from error
        except InputError as error:  # a file of the item is gone or damaged; the others can be sent
            outbox.note_trouble(study.folder, item, error.problem)
            reporter.warn(f"{item.id} cannot be sent: {error.problem} Remove it from the queue and export again.")
            continue
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
    waits = f" {count} object{' waits' if count == 1 else 's wait'} in the study." if count else ""
    return ServerError(f"{error.problem}{waits}", f"{error.remedy} Then send what waits.".strip())


def _count(study: Study) -> int:
    return sum(len(item.left) for item in outbox.waiting(study.folder))

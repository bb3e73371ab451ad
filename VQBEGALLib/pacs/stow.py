"""Sends DICOM files by STOW-RS: several small ones a request, and every answer read to its last item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from VQBEGALLib.events import Reporter, Stage
from VQBEGALLib.pacs.answers import Outcome, read_answer
from VQBEGALLib.pacs.connection import Instance, OnDone
from VQBEGALLib.pacs.multipart import Body, file_size
from VQBEGALLib.pacs.transport import Transport
from VQBEGALLib.pacs.trouble import not_understood

BATCH_BYTES, BATCH_IMAGES = 16 << 20, 50
"""Most of a request; a file that is larger alone has one of its own."""

ACCEPT = "application/dicom+json, application/dicom+xml;q=0.5"

_ANSWERS = {200, 202, 409}
_ABOUT_THE_CONTENT = {400, 406, 409, 413, 415, 422}
"""Status codes that may be the fault of one file of many."""


def store(transport: Transport, instances: Sequence[Instance], on_done: OnDone, reporter: Reporter) -> None:
    """Send instances to ``/studies``; ``on_done`` learns of each as soon as the answer is there.

    Raises:
        ServerError: no answer, or one that concerns all; what was not reported is not done.
        CancelledError: a person asked to stop.
    """
    alone = False
    with reporter.stage("send", len(instances), unit="image") as stage:
        for batch in batches(instances):
            alone = _send_batch(transport, batch, on_done, reporter, stage, alone=alone)


def batches(instances: Sequence[Instance]) -> Iterator[list[Instance]]:
    """Yield instances in their order, several a request.

    Raises:
        InputError: a file cannot be read.
    """
    batch: list[Instance] = []
    size = 0
    for instance in instances:
        own = file_size(instance.path)
        if batch and (size + own > BATCH_BYTES or len(batch) >= BATCH_IMAGES):
            yield batch
            batch, size = [], 0
        batch.append(instance)
        size += own
    if batch:
        yield batch


def _send_batch(
    transport: Transport,
    batch: list[Instance],
    on_done: OnDone,
    reporter: Reporter,
    stage: Stage,
    *,
    alone: bool,
) -> bool:
    """Send a batch, or each of it alone; returns whether the server wants one a request from now on."""
    if not alone or len(batch) == 1:
        outcome = _post(transport, batch, reporter)
        if isinstance(outcome, Outcome):
            _report(batch, outcome, on_done, reporter, stage)
            return alone
        if len(batch) == 1:
            _report(batch, Outcome(failed={batch[0].sop_instance_uid: _words(outcome)}), on_done, reporter, stage)
            return alone
    for instance in batch:
        _send_batch(transport, [instance], on_done, reporter, stage, alone=True)
    return True


def _post(transport: Transport, batch: Sequence[Instance], reporter: Reporter) -> Outcome | int:
    """Send one request; returns what became of each instance, or the status of an answer that does not tell."""
    body = Body([instance.path for instance in batch], reporter.check_cancelled)
    answer = transport.fetch(
        "/studies",
        accept=ACCEPT,
        body=body,
        content_type=body.content_type,
        accepted=lambda status: status in _ANSWERS | _ABOUT_THE_CONTENT,
    )
    outcome = read_answer(answer.body)
    if answer.status in (200, 202):
        if outcome is None:
            raise not_understood(transport.server)
        return outcome
    told = outcome is not None and any(outcome.knows(item.sop_instance_uid) for item in batch)
    return outcome if outcome is not None and told else answer.status


def _report(batch: Sequence[Instance], outcome: Outcome, on_done: OnDone, reporter: Reporter, stage: Stage) -> None:
    for instance in batch:
        on_done(instance.sop_instance_uid, outcome.problem(instance.sop_instance_uid))
    remarks = {outcome.remarks.get(instance.sop_instance_uid, "") for instance in batch} - {""}
    if remarks:
        reporter.warn(f"The server remarks: {'; '.join(sorted(remarks))}.")
    stage.advance(len(batch))


def _words(status: int) -> str:
    if status == 413:
        return "It is too large for the server."
    return f"The server refuses it and does not say why (status {status})."

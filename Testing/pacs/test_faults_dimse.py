"""Application entities that refuse, remark, fall silent or break off: what is said of each instance."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynetdicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.association import Association

from Testing.pacs.support import Outcome, connected, tiny_images, uids
from VQBEGALLib.errors import CancelledError, InputError, ServerError
from VQBEGALLib.events import Reporter
from VQBEGALLib.pacs import Server, connect

# On a busy processor pynetdicom now and then leaves a socket of a failed association to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Exception ignored in. <socket\.socket:pytest.PytestUnraisableExceptionWarning"
)


@contextmanager
def entity(answer: Callable[[Any], int], syntax: str = ExplicitVRLittleEndian, **handlers: Any) -> Iterator[int]:
    """An application entity whose C-STORE answers as told, at a port that is yielded."""
    ae = pynetdicom.AE(ae_title="PACS")
    ae.add_supported_context(CTImageStorage, syntax)
    taken: list[socket.socket] = []

    def keep(event: Any) -> None:
        taken.append(event.assoc.dul.socket.socket)

    events = [(evt.EVT_C_STORE, answer), (evt.EVT_CONN_OPEN, keep)]
    events += [(getattr(evt, name), handler) for name, handler in handlers.items()]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=events)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()
        for connection in taken:  # pynetdicom leaves those open whose client has gone
            connection.close()


def profile(port: int, **changes: Any) -> Server:
    fields = {"name": "PACS", "plain": True, "attempts": 1, "connect_timeout": 5.0, "read_timeout": 10.0}
    return Server(url=f"dicom://PACS@127.0.0.1:{port}", **(fields | changes))


def test_the_status_of_each_instance_is_told(folder: Path):
    images = tiny_images(folder, 6)
    statuses = dict(zip(uids(images), [0x0000, 0xA700, 0x0111, 0xB000, 0xC122, 0x0000], strict=True))
    outcome, events = Outcome(), []
    with (
        entity(lambda event: statuses[event.request.AffectedSOPInstanceUID]) as port,
        connected(profile(port), events=events) as pacs,
    ):
        pacs.store(images, outcome)
    refused = {1: "out of space or memory (A700)", 4: "does not take this transfer syntax (C122)"}
    for number, uid in enumerate(statuses):
        assert (refused[number] in outcome.problems[uid]) if number in refused else outcome.problems[uid] == ""
    assert [event["text"] for event in events if event["event"] == "warning"] == [
        "The server stored an instance with changes (B000)."
    ]


def test_an_entity_that_knows_only_implicit_vr_gets_it(folder: Path):
    images = tiny_images(folder, 2)
    received = []

    def keep(event: Any) -> int:
        received.append((event.context.transfer_syntax, str(event.dataset.SOPInstanceUID), event.dataset.PixelData))
        return 0

    outcome = Outcome()
    with entity(keep, ImplicitVRLittleEndian) as port, connected(profile(port)) as pacs:
        pacs.store(images, outcome)
    assert received == [(ImplicitVRLittleEndian, uid, bytes(32)) for uid in uids(images)]
    assert outcome.stored == uids(images)


def test_an_entity_that_takes_nothing_of_it_says_so(folder: Path):
    outcome = Outcome()
    with entity(lambda event: 0, "1.2.840.10008.1.2.4.70") as port, connected(profile(port)) as pacs:
        for ask in (pacs.test, lambda: pacs.store(tiny_images(folder, 2), outcome)):
            with pytest.raises(ServerError, match="takes none of these kinds of objects"):
                ask()
    assert not outcome.problems


def test_an_entity_that_falls_silent_is_given_up_after_its_time(folder: Path):
    images = tiny_images(folder, 3)

    def answer(event: Any) -> int:
        time.sleep(1.5 if event.request.AffectedSOPInstanceUID == uids(images)[1] else 0)
        return 0

    outcome = Outcome()
    with entity(answer) as port, connected(profile(port, read_timeout=0.5, attempts=3)) as pacs:
        started = time.monotonic()
        with pytest.raises(ServerError, match=r"silent for 0\.5 s"):
            pacs.store(images, outcome)
        assert time.monotonic() - started < 1.4
    assert outcome.stored == uids(images)[:1]


def test_an_association_that_is_aborted_again_and_again_is_given_up(folder: Path):
    images = tiny_images(folder, 3)
    asked = []

    def answer(event: Any) -> int:
        asked.append(str(event.request.AffectedSOPInstanceUID))
        if asked[-1] == uids(images)[1]:
            event.assoc.abort()
        return 0

    outcome = Outcome()
    with (
        entity(answer) as port,
        connected(profile(port, attempts=2)) as pacs,
        pytest.raises(ServerError, match="broke off"),
    ):
        pacs.store(images, outcome)
    assert asked == [uids(images)[0], uids(images)[1], uids(images)[1]]
    assert outcome.stored == uids(images)[:1]


def test_cancel_ends_the_association_between_instances(folder: Path):
    images = tiny_images(folder, 4)
    outcome = Outcome()

    def stop(uid: str, problem: str) -> None:
        outcome(uid, problem)
        (folder / "cancel").touch()

    with (
        entity(lambda event: 0) as port,
        connect(profile(port), None, Reporter(cancel_file=folder / "cancel")) as pacs,
        pytest.raises(CancelledError),
    ):
        pacs.store(images, stop)
    assert outcome.stored == uids(images)[:1]


def test_a_damaged_file_is_named(folder: Path):
    images = tiny_images(folder, 2)
    images[1].path.write_bytes(b"not DICOM")
    outcome = Outcome()
    with (
        entity(lambda event: 0) as port,
        connected(profile(port)) as pacs,
        pytest.raises(InputError, match=r"1\.dcm cannot be read"),
    ):
        pacs.store(images, outcome)
    assert outcome.stored == uids(images)[:1]


def test_one_that_stops_reading_does_not_hold_us_for_ever(folder: Path):
    (image,) = tiny_images(folder, 1, PixelData=bytes(16_000_000), Rows=2000, Columns=4000)

    started = time.monotonic()
    with (
        entity(lambda event: 0, EVT_DATA_RECV=lambda event: time.sleep(2) if event.data[0] == 4 else None) as port,
        connected(profile(port, read_timeout=0.5)) as pacs,
    ):
        with pytest.raises(ServerError):
            pacs.store([image], Outcome())
        assert time.monotonic() - started < 1.9
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("Requestor")]


def test_no_answer_is_lost_where_the_processor_is_busy(folder: Path, monkeypatch: pytest.MonkeyPatch):
    class Busy(threading.Event):
        """As if the association's thread went on just when an answer has come."""

        def wait(self, timeout: float | None = None) -> bool:
            reached = super().wait(timeout)
            thread, end = threading.current_thread(), time.monotonic() + 0.1
            while isinstance(thread, Association) and time.monotonic() < end and not thread.dimse.msg_queue.qsize():
                time.sleep(0)
            return reached

    busy = SimpleNamespace(**vars(threading) | {"Event": Busy})
    monkeypatch.setattr("pynetdicom.association.threading", busy)
    images = tiny_images(folder, 10)
    outcome = Outcome()
    with entity(lambda event: 0) as port, connected(profile(port, read_timeout=2.0)) as pacs:
        pacs.store(images, outcome)
    assert outcome.stored == uids(images)

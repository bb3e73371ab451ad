"""The libraries of the network say nothing while a connection is open, and are as before afterwards."""

from __future__ import annotations

import logging
import threading

import pytest

from Testing.pacs.fronts import http, scripted
from VQBEGALLib.events import Reporter
from VQBEGALLib.pacs import Server, connect
from VQBEGALLib.pacs.quiet import LOGGERS, quiet


def test_levels_return_when_the_last_of_several_users_has_left():
    logging.getLogger("urllib3").setLevel(logging.INFO)
    before = [logging.getLogger(name).level for name in LOGGERS]
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    try:
        with quiet():
            thread.start()
            assert inside.wait(10)
        assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.CRITICAL)
        leave.set()
        thread.join(10)
        assert [logging.getLogger(name).level for name in LOGGERS] == before
    finally:
        leave.set()
        logging.getLogger("urllib3").setLevel(logging.NOTSET)


def test_a_query_is_not_logged_even_where_everything_is(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    with scripted(lambda *_: http(200, b"[]")) as (url, requests):
        with connect(Server(name="PACS", url=url, plain=True), None, Reporter()) as pacs:
            assert pacs.query(patient="PID-PLANTED-4711") == []
        assert "PID-PLANTED-4711" in requests[0].path
    assert "PLANTED" not in caplog.text

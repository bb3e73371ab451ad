"""Connections that are cut, slow, sent elsewhere, or not with a PACS at all."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from Testing.pacs.fronts import Listener, Request, http, reset, scripted, stow_json
from Testing.pacs.support import PASSWORD, Outcome, connected, tiny_images, uids, web_server
from VQBEGALLib.errors import ServerError
from VQBEGALLib.pacs import transport


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.01)


def all_stored(request: Request, number: int) -> bytes:
    return http(200, stow_json(request.uids()))


def test_a_connection_that_is_cut_before_the_answer_is_tried_again(folder: Path):
    images = tiny_images(folder, 2)
    outcome = Outcome()

    def script(request: Request, number: int) -> bytes | None:
        return None if number == 0 else all_stored(request, number)

    with scripted(script) as (url, requests), connected(web_server(url)) as pacs:
        pacs.store(images, outcome)
    assert len(requests) == 2
    assert outcome.stored == uids(images)


def test_an_answer_that_ends_in_the_middle_is_no_answer(folder: Path):
    images = tiny_images(folder, 2)

    def script(request: Request, number: int) -> bytes:
        whole = http(200, stow_json(request.uids()), extra="Connection: close\r\n")
        return whole[:-20]

    outcome = Outcome()
    with (
        scripted(script) as (url, requests),
        connected(web_server(url, attempts=2)) as pacs,
        pytest.raises(ServerError, match="broke off"),
    ):
        pacs.store(images, outcome)
    assert len(requests) == 2
    assert not outcome.problems


def test_something_else_than_http(folder: Path):
    def greet(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(b"220 mail.example.org ESMTP\r\n" * 3)

    listener = Listener(greet)
    try:
        with connected(web_server(f"http://127.0.0.1:{listener.port}", attempts=1)) as pacs, pytest.raises(ServerError):
            pacs.test()
    finally:
        listener.close()


def test_a_redirection_gets_no_password(folder: Path):
    images = tiny_images(folder, 1)
    with scripted(all_stored) as (elsewhere, there):
        moved = http(302, extra=f"Location: {elsewhere}/studies\r\n")
        with scripted(lambda *_: moved) as (url, here), connected(web_server(url)) as pacs:
            for ask in (pacs.test, lambda: pacs.store(images, Outcome())):
                with pytest.raises(ServerError, match="another address"):
                    ask()
    assert len(here) == 2
    assert there == []


def test_a_slow_server_is_given_up_after_its_time(folder: Path):
    def script(request: Request, number: int) -> bytes:
        time.sleep(1.5)
        return all_stored(request, number)

    outcome = Outcome()
    started = time.monotonic()
    with scripted(script) as (url, requests):
        with (
            connected(web_server(url, read_timeout=0.3)) as pacs,
            pytest.raises(ServerError, match="silent for"),
        ):
            pacs.store(tiny_images(folder, 2), outcome)
        assert time.monotonic() - started < 1.4
    assert len(requests) == 1
    assert not outcome.problems


def test_the_environment_lends_neither_passwords_nor_proxies(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "netrc").write_text("machine 127.0.0.1 login somebody password elses\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with (
        scripted(lambda *_: http(200, b"[]")) as (url, requests),
        connected(web_server(url, auth="none", user="")) as pacs,
    ):
        pacs.test()
        with connected(web_server(url, auth="bearer", user="")) as pacs:
            pacs.test()
        assert "authorization" not in requests[0].headers
        assert requests[1].headers["authorization"].encode("latin-1").decode() == f"Bearer {PASSWORD.reveal()}"
        with connected(web_server(url, proxies=True, attempts=1)) as pacs, pytest.raises(ServerError, match="proxy"):
            pacs.test()
    assert len(requests) == 2


def test_a_connection_that_is_closed_half_way_through_the_body_is_tried_again(folder: Path):
    (image,) = tiny_images(folder, 1, PixelData=bytes(8_000_000), Rows=2000, Columns=2000)
    seen = []

    def cut(connection: socket.socket) -> None:
        seen.append(connection.recv(1 << 16))
        reset(connection)

    listener = Listener(cut)
    try:
        outcome = Outcome()
        with (
            connected(web_server(f"http://127.0.0.1:{listener.port}/dicom-web", attempts=2)) as pacs,
            pytest.raises(ServerError, match="broke off"),
        ):
            pacs.store([image], outcome)
    finally:
        listener.close()
    assert len(seen) == 2
    assert not outcome.problems


def test_a_server_that_takes_its_time_to_read_is_waited_for(folder: Path):
    (image,) = tiny_images(folder, 1, PixelData=bytes(16_000_000), Rows=2000, Columns=4000)

    def read_slowly(connection: socket.socket) -> None:
        time.sleep(0.8)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1 << 10)
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        body = len(head.partition(b"\r\n\r\n")[2])
        while body < length:
            body += len(connection.recv(1 << 20))
        connection.sendall(http(200, stow_json([image.sop_instance_uid])))

    listener = Listener(read_slowly)
    outcome = Outcome()
    try:
        server = web_server(f"http://127.0.0.1:{listener.port}/dicom-web", connect_timeout=0.3, attempts=1)
        with connected(server) as pacs:
            pacs.store([image], outcome)
    finally:
        listener.close()
    assert outcome.stored == [image.sop_instance_uid]

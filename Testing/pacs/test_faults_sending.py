"""Servers that answer wrongly, late, in part or not at all: what is said of each instance, and what is sent again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from Testing.pacs.fronts import Request, http, scripted, stow_json
from Testing.pacs.support import Outcome, connected, tiny_images, uids, web_server
from VQBEGALLib.errors import InputError, ServerError
from VQBEGALLib.pacs import transport

XML = """<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
<DicomAttribute tag="00081199" vr="SQ"><Item number="1"><DicomAttribute tag="00081155" vr="UI"><Value number="1">{}
</Value></DicomAttribute></Item></DicomAttribute><DicomAttribute tag="00081198" vr="SQ"><Item number="1">
<DicomAttribute tag="00081155" vr="UI"><Value number="1">{}</Value></DicomAttribute>
<DicomAttribute tag="00081197" vr="US"><Value number="1">42752</Value></DicomAttribute></Item></DicomAttribute>
</NativeDicomModel>"""


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.01)


def all_stored(request: Request, number: int) -> bytes:
    return http(200, stow_json(request.uids()))


def test_failed_items_of_a_success_are_told_one_by_one(folder: Path):
    images = tiny_images(folder, 4)
    good, full, twice, forgotten = uids(images)

    def script(request: Request, number: int) -> bytes:
        return http(200, stow_json([good], {full: 0xA700, twice: 0x0111}))

    outcome = Outcome()
    with scripted(script) as (url, requests), connected(web_server(url)) as pacs:
        pacs.store(images, outcome)
    assert len(requests) == 1
    assert outcome.problems == {
        good: "",
        full: "Refused: the server is out of space or memory (A700).",
        twice: "",  # it has this one already
        forgotten: "The server did not confirm it.",
    }


@pytest.mark.parametrize("status", [200, 202, 409])
def test_an_answer_in_xml(folder: Path, status: int):
    images = tiny_images(folder, 3)
    good, bad, forgotten = uids(images)

    def script(request: Request, number: int) -> bytes:
        return http(status, XML.format(good, bad).encode(), content_type="application/dicom+xml")

    outcome = Outcome()
    with scripted(script) as (url, requests), connected(web_server(url)) as pacs:
        pacs.store(images, outcome)
    assert len(requests) == 1
    assert outcome.stored == [good]
    assert "A700" in outcome.problems[bad]
    assert "not confirm" in outcome.problems[forgotten]


def test_remarks_on_stored_items_are_a_warning(folder: Path):
    (image,) = tiny_images(folder, 1)
    answer = json.loads(stow_json([image.sop_instance_uid]))
    answer["00081199"]["Value"][0]["00081196"] = {"vr": "US", "Value": [0xB000]}
    outcome, events = Outcome(), []
    with (
        scripted(lambda request, number: http(200, json.dumps(answer).encode())) as (url, _),
        connected(web_server(url), events=events) as pacs,
    ):
        pacs.store([image], outcome)
    assert outcome.stored == [image.sop_instance_uid]
    assert "B000" in next(event["text"] for event in events if event["event"] == "warning")


@pytest.mark.parametrize(("status", "sentence"), [(413, "too large for the server"), (409, "status 409"), (400, "400")])
def test_a_refused_request_is_taken_apart_so_that_only_the_culprit_fails(folder: Path, status: int, sentence: str):
    images = tiny_images(folder, 3)
    culprit = images[1].sop_instance_uid

    def script(request: Request, number: int) -> bytes:
        return http(status, b"") if culprit in request.uids() else all_stored(request, number)

    outcome = Outcome()
    with scripted(script) as (url, requests), connected(web_server(url)) as pacs:
        pacs.store(images, outcome)
    assert [request.uids() for request in requests] == [uids(images)] + [[uid] for uid in uids(images)]
    assert outcome.stored == [uids(images)[0], uids(images)[2]]
    assert sentence in outcome.problems[culprit]


def test_too_large_is_understood_even_where_the_server_does_not_wait_for_the_body(folder: Path):
    (image,) = tiny_images(folder, 1, PixelData=bytes(20_000_000), Rows=2500, Columns=4000)
    outcome = Outcome()
    refusal = http(413, b"<html>", content_type="text/html", extra="Connection: close\r\n")
    with scripted(lambda *_: refusal, read_body=False) as (url, _), connected(web_server(url)) as pacs:
        pacs.store([image], outcome)
    assert outcome.problems == {image.sop_instance_uid: "It is too large for the server."}


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_of_the_server_is_tried_again_a_bounded_number_of_times(folder: Path, status: int):
    images = tiny_images(folder, 2)
    outcome = Outcome()

    def recovers(request: Request, number: int) -> bytes:
        return http(status) if number < 2 else all_stored(request, number)

    with scripted(recovers) as (url, requests), connected(web_server(url, attempts=3)) as pacs:
        pacs.store(images, outcome)
    assert [request.uids() for request in requests] == [uids(images)] * 3
    assert outcome.stored == uids(images)
    untold = Outcome()
    with (
        scripted(lambda *_: http(status)) as (url, requests),
        connected(web_server(url, attempts=3)) as pacs,
        pytest.raises(ServerError, match=f"status {status}"),
    ):
        pacs.store(images, untold)
    assert len(requests) == 3
    assert not untold.problems


def test_only_what_was_not_answered_is_sent_again(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("VQBEGALLib.pacs.stow.BATCH_IMAGES", 2)
    images = tiny_images(folder, 6)

    def script(request: Request, number: int) -> bytes:
        return http(503) if number == 1 else all_stored(request, number)

    outcome = Outcome()
    with scripted(script) as (url, requests), connected(web_server(url)) as pacs:
        pacs.store(images, outcome)
    first, second, third = uids(images)[:2], uids(images)[2:4], uids(images)[4:]
    assert [request.uids() for request in requests] == [first, second, second, third]
    assert outcome.stored == uids(images)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 429, 501])
def test_a_refusal_of_everything_is_not_repeated(folder: Path, status: int):
    outcome = Outcome()
    with (
        scripted(lambda *_: http(status)) as (url, requests),
        connected(web_server(url)) as pacs,
        pytest.raises(ServerError),
    ):
        pacs.store(tiny_images(folder, 2), outcome)
    assert len(requests) == 1
    assert not outcome.problems


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>'
    b"<NativeDicomModel>&c;</NativeDicomModel>"
)


@pytest.mark.parametrize(
    "body",
    [b"<html><body>Please log in</body></html>", b"stored!", b"[" * 100_000, b"[1]", b"[{}, {}]", BOMB, b"\xff\xfe\0"],
    ids=["login page", "words", "deep", "number", "two", "entities", "bytes"],
)
def test_garbage_is_no_success(folder: Path, body: bytes):
    outcome = Outcome()
    with (
        scripted(lambda *_: http(200, body, content_type="text/html")) as (url, requests),
        connected(web_server(url)) as pacs,
        pytest.raises(ServerError, match="not one of a PACS"),
    ):
        pacs.store(tiny_images(folder, 2), outcome)
    assert len(requests) == 1
    assert not outcome.problems


def test_an_empty_success_confirms_nothing(folder: Path):
    images = tiny_images(folder, 2)
    outcome = Outcome()
    with scripted(lambda *_: http(200)) as (url, _), connected(web_server(url)) as pacs:
        pacs.store(images, outcome)
    assert outcome.problems == dict.fromkeys(uids(images), "The server did not confirm it.")


def test_a_file_that_has_gone_is_named(folder: Path):
    images = tiny_images(folder, 2)
    images[1].path.unlink()
    with (
        scripted(all_stored) as (url, requests),
        connected(web_server(url)) as pacs,
        pytest.raises(InputError, match=r"1\.dcm cannot be read"),
    ):
        pacs.store(images, Outcome())
    assert requests == []


def test_a_server_without_searches_is_taken_to_have_nothing(folder: Path):
    images = tiny_images(folder, 2)
    for status in (204, 400, 404, 501):
        with scripted(lambda *_, status=status: http(status)) as (url, _), connected(web_server(url)) as pacs:
            assert pacs.stored(images) == set()

"""Whatever goes wrong on the way: what a person is told, what waits afterwards, and that the PACS gets it once."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from Testing.delivery_case import DeliveryCase, make_case
from Testing.dicom_series import PLANTED, write_series
from Testing.pacs.fronts import Certificates, Request, Script, http, scripted, stow_json, tls_front
from Testing.pacs.orthanc import Orthanc
from VQBEGALLib.config import preset
from VQBEGALLib.delivery import remember_sources, waiting
from VQBEGALLib.study import Study
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.volumes import Volume


@pytest.fixture
def case(tmp_path: Path) -> DeliveryCase:
    return make_case(tmp_path)


@pytest.fixture
def push(call, monkeypatch, own_settings: Path):
    """Calls ``vqbegal push`` with a server of the name PACS-A at an address."""

    def run(url: str, *words: object, **changes: object):
        fields = {"name": "PACS-A", "url": url, "user": Orthanc.user, "auth": "basic", "plain": url.startswith("http:")}
        fields |= {"connect_timeout": 5.0, "read_timeout": 20.0, "attempts": 1, **changes}
        (own_settings / "servers.json").write_text(json.dumps({"servers": [fields]}))
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{Orthanc.password}\n".encode())))
        return call("push", *words, "--server", "PACS-A", "--password-stdin", "--events", "json")

    return run


@pytest.fixture
def redirect(call, own_settings: Path):
    """Lets all that waits in a study wait for an address instead."""

    def run(study: Path, url: str) -> None:
        fields = {"name": "PACS-A", "url": url, "plain": url.startswith("http:")}
        (own_settings / "servers.json").write_text(json.dumps({"servers": [fields]}))
        for item in waiting(study):
            assert call("queue", study, "--redirect", item.id, "--server", "PACS-A").code == 0

    return run


def nothing_leaked(case: DeliveryCase, told) -> None:
    for word in (*PLANTED, Orthanc.password):
        assert word not in told.out + told.err
    for path in case.folder.rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            assert Orthanc.password.encode() not in text, path
            if path.suffix != ".dcm":  # the objects that wait name their patient, as they must
                assert not [word for word in PLANTED if word.encode() in text], path


def answering_posts(script: Script) -> Script:
    """Find nothing when asked what there is; what is sent is answered by the script."""
    return lambda request, number: http(204) if request.method == "GET" else script(request, number)


def refusing(status: int, reason: int) -> Callable[[Request, int], bytes]:
    return lambda request, number: http(status, stow_json([], dict.fromkeys(request.uids(), reason)))


def slow(request: Request, number: int) -> bytes:
    time.sleep(2)
    return http(200, stow_json(request.uids()))


FAULTS = {
    "200 with failed items": (refusing(200, 0xA700), "out of space"),
    "409": (refusing(409, 0xC000), ""),
    "413": (lambda request, number: http(413), "large"),
    "garbage": (lambda request, number: http(200, b"<html>hello</html>", content_type="text/html"), ""),
    "half-closed connection": (lambda request, number: None, ""),
    "slow": (slow, "silent"),
    "503": (lambda request, number: http(503), ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_told_it_waits_and_it_arrives_once(push, redirect, case, orthanc, fault):
    script, says = FAULTS[fault]
    with scripted(answering_posts(script)) as (url, _):
        told = push(url, case.folder, "P1", read_timeout=1.0)
    assert told.code == 9, told.out
    last = told.events[-1]
    words = last.get("problem", "") + " ".join(item["reason"] for item in last.get("problems", ()))
    assert words.strip()
    assert says in words
    nothing_leaked(case, told)
    (item,) = waiting(case.folder)
    assert len(item.left) == 1
    assert not case.study.events("sent")

    redirect(case.folder, orthanc.url)
    told = push(orthanc.url, case.folder)
    assert told.code == 0, told.out
    assert orthanc.instances() == [item.left[0].sop_instance_uid]
    assert waiting(case.folder) == []
    assert len(case.study.events("sent")) == 1
    nothing_leaked(case, told)


def test_an_error_of_the_server_that_passes_is_not_even_noticed(push, case):
    def script(request: Request, number: int) -> bytes:
        posts.append(request)
        return http(500) if len(posts) == 1 else http(200, stow_json(request.uids()))

    posts: list[Request] = []
    with scripted(answering_posts(script)) as (url, _):
        told = push(url, case.folder, "P1", attempts=3)
    assert told.code == 0, told.out
    assert len(posts) == 2
    assert waiting(case.folder) == []


@pytest.mark.parametrize(
    ("certificate", "trusted", "says"),
    [("expired", True, "expired"), ("elsewhere", True, "another address"), ("good", False, "certificate")],
)
def test_a_certificate_that_is_not_good_stops_it(push, redirect, case, orthanc, tmp_path, certificate, trusted, says):
    made = Certificates(tmp_path / "certificates")
    with tls_front(orthanc.http_port, getattr(made, certificate)) as port:
        told = push(
            f"https://127.0.0.1:{port}/dicom-web", case.folder, "P1", ca_file=str(made.ca_file) if trusted else ""
        )
    assert told.code == 9, told.out
    assert says in told.events[-1]["problem"]
    assert told.events[-1]["remedy"]
    assert len(waiting(case.folder)) == 1
    assert orthanc.count() == 0
    with tls_front(orthanc.http_port, made.good, client_ca=made.ca_file) as port:
        redirect(case.folder, f"https://127.0.0.1:{port}/dicom-web")
        certificate_file, key_file = map(str, made.client)
        options = {"ca_file": str(made.ca_file), "cert_file": certificate_file, "key_file": key_file}
        assert push(f"https://127.0.0.1:{port}/dicom-web", case.folder, **options).code == 0
    assert orthanc.count() == 1


def test_only_what_was_refused_is_sent_again(push, tmp_path):
    case = make_case(tmp_path, slices=20)
    count = int(case.truth.voxels.any(axis=(1, 2)).sum())
    sent: list[list[str]] = []

    def script(request: Request, number: int) -> bytes:
        sent.append(request.uids())
        refused = sent[0][::3] if len(sent) == 1 else []
        return http(200, stow_json([uid for uid in sent[-1] if uid not in refused], dict.fromkeys(refused, 0x0110)))

    with scripted(answering_posts(script)) as (url, _):
        told = push(url, case.folder, "P1", "--format", "sc")
        again = push(url, case.folder)
    result = told.events[-1]
    refused = sent[0][::3]
    assert told.code == 9
    assert result["sent"] == count - len(refused)
    assert len(result["problems"]) == result["waiting"] == len(refused)
    assert again.events[-1]["sent"] == len(refused)
    assert sent[1:] == [refused]


def test_a_full_disk_puts_nothing_half_into_the_queue(push, orthanc, tiny_disk, tmp_path):
    case = make_case(tmp_path, size=64, slices=30)
    with case.study.writing("fill"):
        (case.folder / "outbox").symlink_to(tiny_disk, target_is_directory=True)
    (tiny_disk / "filler").write_bytes(b"0" * (230 << 10))
    told = push(orthanc.url, case.folder, "P1")
    assert told.code == 6, told.out
    assert "full" in told.events[-1]["problem"]
    (tiny_disk / "filler").unlink()
    assert waiting(case.folder) == []
    assert orthanc.count() == 0
    assert push(orthanc.url, case.folder, "P1").code == 0
    assert orthanc.count() == 1


def test_1200_slices(push, orthanc, tmp_path):
    shape = (1200, 16, 16)
    image = Volume(np.random.default_rng(0).integers(0, 200, shape).astype(np.int16), np.eye(4))
    write_series(tmp_path / "ct", image)
    member = NewSubject("P1", "P1", "train", tmp_path / "ct")
    study = Study.create(tmp_path / "study", preset("tiny"), [member])
    remember_sources(study, [member])
    study.put_prediction(0, "P1", image.with_voxels(np.ones(shape, np.uint8)), [0.0] * shape[0])
    told = push(orthanc.url, study.folder, "P1")
    assert told.code == 0, told.out
    (stored,) = orthanc.rest("/instances")
    assert orthanc.rest(f"/instances/{stored}/simplified-tags")["NumberOfFrames"] == "1200"

"""Servers that give garbage, too much, too little or half of what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from Testing.pacs.fronts import Request, http, listing, multipart, scripted
from Testing.pacs.support import PASSWORD, connected, tiny_images, uids, web_server
from VQBEGALLib.errors import CancelledError, ServerError
from VQBEGALLib.events import Reporter
from VQBEGALLib.pacs import Connection, connect


def ask_all(pacs: Connection, folder: Path) -> list[ServerError]:
    """Search, fetch headers and fetch a series; each fails."""
    errors = []
    for ask in (
        lambda: pacs.query(study_uid="1.2.3"),
        lambda: pacs.series_headers("1.2.3", "1.2.3.4"),
        lambda: pacs.retrieve("1.2.3", "1.2.3.4", folder / "fetched", Reporter()),
    ):
        with pytest.raises(ServerError) as error:
            ask()
        errors.append(error.value)
    return errors


@pytest.mark.parametrize("body", [b"<html>log in</html>", b'{"a": 1}', b'["a"]', b"[" * 100_000])
def test_garbage_for_a_search_or_a_fetch(folder: Path, body: bytes):
    with scripted(lambda *_: http(200, body)) as (url, _), connected(web_server(url)) as pacs:
        errors = ask_all(pacs, folder)
    assert all("not one of a PACS" in error.problem for error in errors)


def test_a_server_that_overlooks_conditions_and_pages(folder: Path):
    everything = listing(*(f"1.2.{number}" for number in range(500)))
    with scripted(lambda *_: everything) as (url, requests), connected(web_server(url)) as pacs:
        assert [study.study_uid for study in pacs.query(study_uid="1.2.7")] == ["1.2.7"]
        assert len(requests) < 8


def test_a_fetch_takes_no_name_from_the_server(folder: Path):
    listed = listing("../../escaped")
    with (
        scripted(lambda *_: listed) as (url, _),
        connected(web_server(url)) as pacs,
        pytest.raises(ServerError, match="not one of a PACS"),
    ):
        pacs.retrieve("1.2.3", "1.2.3.4", folder / "fetched", Reporter())
    assert not list(folder.rglob("*escaped*"))


def test_a_fetch_that_breaks_off_keeps_what_came_and_goes_on_one_by_one(folder: Path):
    images = tiny_images(folder, 3)
    files = {image.sop_instance_uid: image.path.read_bytes() for image in images}
    listed = listing(*files)

    def script(request: Request, number: int) -> bytes:
        last = request.path.rpartition("/")[2]
        if last.startswith("instances"):
            return listed
        if last in files:
            return multipart(files[last])
        return multipart(files[uids(images)[0]], end=b"--b\r\n\r\nhalf a file")

    target = folder / "fetched"
    with scripted(script) as (url, requests), connected(web_server(url)) as pacs:
        assert pacs.retrieve(images[0].study_uid, images[0].series_uid, target, Reporter()) == 3
    assert {path.stem: path.read_bytes() for path in target.iterdir()} == files
    assert [request.path.rpartition("/")[2] for request in requests[2:]] == sorted(uids(images)[1:])


def test_a_fetch_that_brings_too_little_says_so(folder: Path):
    images = tiny_images(folder, 2)
    here, lost = images
    listed = listing(*uids(images))

    def script(request: Request, number: int) -> bytes:
        last = request.path.rpartition("/")[2]
        return listed if last.startswith("instances") else multipart(here.path.read_bytes())

    with (
        scripted(script) as (url, _),
        connected(web_server(url)) as pacs,
        pytest.raises(ServerError, match="did not give 1 of the series' 2 images"),
    ):
        pacs.retrieve(lost.study_uid, lost.series_uid, folder / "fetched", Reporter())
    assert [path.stem for path in (folder / "fetched").iterdir()] == [here.sop_instance_uid]


def test_cancel_ends_a_fetch_in_the_middle_of_an_image(folder: Path):
    (image,) = tiny_images(folder, 1)

    def script(request: Request, number: int) -> bytes:
        if request.path.rpartition("/")[2].startswith("instances"):
            return listing(image.sop_instance_uid)
        (folder / "cancel").touch()
        return multipart(image.path.read_bytes())

    reporter = Reporter(cancel_file=folder / "cancel")
    with (
        scripted(script) as (url, _),
        connect(web_server(url), PASSWORD, reporter) as pacs,
        pytest.raises(CancelledError),
    ):
        pacs.retrieve(image.study_uid, image.series_uid, folder / "fetched", reporter)
    assert list((folder / "fetched").iterdir()) == []

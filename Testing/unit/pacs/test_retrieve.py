"""A fetch that the disk has no room for."""

from __future__ import annotations

from pathlib import Path

import pytest

from Testing.pacs.fronts import Request, listing, multipart, scripted
from Testing.pacs.support import connected, tiny_images, web_server
from VQBEGALLib.errors import StorageError
from VQBEGALLib.events import Reporter


def test_a_full_disk_is_named_and_leaves_no_part_of_a_file(tiny_disk: Path, tmp_path: Path):
    (image,) = tiny_images(tmp_path / "source", 1, PixelData=bytes(500_000))

    def script(request: Request, number: int) -> bytes:
        listed = request.path.rpartition("/")[2].startswith("instances")
        return listing(image.sop_instance_uid) if listed else multipart(image.path.read_bytes())

    target = tiny_disk / "fetched"
    with (
        scripted(script) as (url, _),
        connected(web_server(url)) as pacs,
        pytest.raises(StorageError, match="The disk is full"),
    ):
        pacs.retrieve(image.study_uid, image.series_uid, target, Reporter())
    assert list(target.iterdir()) == []

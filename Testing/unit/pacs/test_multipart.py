"""Bodies of many files: what is written is read back, however the network cuts it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VQBEGALLib.errors import CancelledError, InputError, ServerError
from VQBEGALLib.pacs.multipart import CHUNK, Body, Parts, boundary_of


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def read(body: bytes, boundary: bytes, size: int = 7) -> list[bytes]:
    parts = Parts(pieces(body, size), boundary, lambda: ServerError("garbage"))
    found = []
    while parts.next_into(target := io.BytesIO()):
        found.append(target.getvalue())
    return found


def test_files_come_back_and_the_length_is_right(tmp_path: Path):
    contents = [b"", b"\r\n--", bytes(range(256)) * 5000, b"x" * (CHUNK + 1)]
    paths = [tmp_path / str(number) for number in range(4)]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    body = Body(paths, lambda: None)
    boundary = boundary_of(body.content_type)
    for _ in range(2):
        whole = b"".join(body)
        assert len(whole) == len(body)
        assert read(whole, boundary, 1 << 16) == contents
    assert max(map(len, body)) <= CHUNK


@given(st.lists(st.binary(max_size=60), max_size=4), st.integers(1, 50), st.binary(max_size=20))
def test_parts_do_not_depend_on_how_the_body_is_cut(contents: list[bytes], size: int, preamble: bytes):
    parts = [b"--mark\r\nContent-Type: a/b\r\n\r\n" + content + b"\r\n" for content in contents]
    whole = preamble + b"\r\n" + b"".join(parts) + b"--mark--\r\nepilogue"
    assert read(whole, b"mark", size) == contents


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--mark",
        b"--mark\r\nContent-Type: a/b",
        b"--mark\r\n\r\nhalf",
        b"--mark\r\n\r\nwhole\r\n--mark\r\n\r\nhalf",
        b"<html>" * 100_000,
        b"--mark\r\n" + b"X: y\r\n" * 100_000,
    ],
    ids=["empty", "start", "header", "half", "second half", "page", "headers"],
)
def test_a_body_that_ends_early_or_never_begins_is_garbage(body: bytes):
    with pytest.raises(ServerError, match="garbage"):
        read(body, b"mark", 1000)


def test_sending_can_be_stopped_and_a_lost_file_is_named(tmp_path: Path):
    path = tmp_path / "1.dcm"
    path.write_bytes(b"data")

    def stop() -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        list(Body([path], stop))
    body = Body([path], lambda: None)
    path.unlink()
    for ask in (lambda: list(body), lambda: Body([path], lambda: None)):
        with pytest.raises(InputError, match=r"1\.dcm cannot be read"):
            ask()


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', b"abc"),
        ('Multipart/Related;boundary="a;b c";type=x', b"a;b c"),
        ("multipart/related", b""),
        ("application/dicom", b""),
        ("", b""),
    ],
)
def test_the_boundary_is_found(content_type: str, boundary: bytes):
    assert boundary_of(content_type) == boundary

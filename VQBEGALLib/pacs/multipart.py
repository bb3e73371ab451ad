"""Bodies of many DICOM files: written from the disk and read to it piece by piece, never held as a whole."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from VQBEGALLib.errors import InputError, ServerError

CHUNK = 1 << 20
DICOM = "application/dicom"
LONGEST_HEADER = 1 << 16


class Body:
    """A multipart/related body of files; can be iterated again, as another attempt needs.

    Args:
        paths: of the files.
        between: called before every piece; may raise to stop.
    """

    def __init__(self, paths: Sequence[Path], between: Callable[[], None]) -> None:
        self._paths = list(paths)
        self._between = between
        boundary = secrets.token_hex(16)
        self.content_type = f'multipart/related; type="{DICOM}"; boundary={boundary}'
        self._head = f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode()
        self._tail = f"--{boundary}--\r\n".encode()
        self._size = sum(len(self._head) + file_size(path) + 2 for path in self._paths) + len(self._tail)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        for path in self._paths:
            yield self._head
            yield from self._pieces(path)
            yield b"\r\n"
        yield self._tail

    def _pieces(self, path: Path) -> Iterator[bytes]:
        try:
            with path.open("rb") as stream:
                while piece := stream.read(CHUNK):
                    self._between()
                    yield piece
        except OSError as error:
            raise _unreadable(path) from error


def file_size(path: Path) -> int:
    """Return the bytes of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.stat().st_size
    except OSError as error:
        raise _unreadable(path) from error


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a Content-Type names; empty where it is not multipart.

    Examples:
        >>> boundary_of('multipart/related; type="application/dicom"; boundary="a b"')
        b'a b'
    """
    message = Message()
    message["Content-Type"] = content_type
    if message.get_content_maintype() != "multipart":
        return b""
    return (message.get_boundary() or "").encode("utf-8", "replace")


class Parts:
    """Splits a body into its parts.

    Args:
        pieces: of the body, of any size.
        boundary: between the parts.
        garbage: made and raised where the body is not what the boundary says.
    """

    def __init__(self, pieces: Iterator[bytes], boundary: bytes, garbage: Callable[[], ServerError]) -> None:
        self._pieces = pieces
        self._mark = b"\r\n--" + boundary
        self._garbage = garbage
        self._buffer = b"\r\n"  # the first boundary may stand at the very beginning

    def next_into(self, target: BinaryIO) -> bool:
        """Write the next part, without its header, to ``target``; False where there is none left.

        Raises:
            ServerError: the body ends in the middle or is garbage.
        """
        if not self._header():
            return False
        while (found := self._buffer.find(self._mark)) < 0:
            keep = len(self._mark) - 1
            target.write(self._buffer[:-keep])
            self._buffer = self._buffer[-keep:]
            self._more()
        target.write(self._buffer[:found])
        self._buffer = self._buffer[found:]
        return True

    def _header(self) -> bool:
        """Pass over the boundary and the header after it; False at the end of the body."""
        while (found := self._buffer.find(self._mark)) < 0:
            self._more(LONGEST_HEADER)
        start = found + len(self._mark)
        while len(self._buffer) < start + 2:
            self._more()
        if self._buffer[start : start + 2] == b"--":
            return False
        while (end := self._buffer.find(b"\r\n\r\n", start)) < 0:
            self._more(start + LONGEST_HEADER)
        self._buffer = self._buffer[end + 4 :]
        return True

    def _more(self, most: int | None = None) -> None:
        piece = next(self._pieces, b"")
        if not piece or (most is not None and len(self._buffer) > most):
            raise self._garbage()
        self._buffer += piece


def _unreadable(path: Path) -> InputError:
    return InputError(f"{path} cannot be read.", "Export it anew, and send that.")

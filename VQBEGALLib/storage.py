"""Files that survive a kill: written aside, flushed, renamed; and one writer at a time.

A file is never changed in place. Its new content goes to a temporary file in the same folder, is forced to the
disk and takes the old one's name in one step, so that a reader finds the old content or the new, never a part.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from VQBEGALLib.errors import StorageError, StudyError

TEMPORARY = ".tmp-"
"""Begins the name of every temporary file and folder; what a killed process leaves behind is known by it."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn the system's errors on writing ``path`` into a StorageError.

    Raises:
        StorageError: the disk is full, the place cannot be written, or the system refuses for another reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            problem, remedy = f"The disk is full; {path} was not written.", "Free some space and run this again."
        elif error.errno in _REFUSED:
            problem = f"{path} cannot be written: no permission, or the disk is read-only."
            remedy = "Choose a folder that you may write to, or change its permissions."
        else:
            problem = f"{path} was not written: {error.strerror or error}."
            remedy = "Check the disk and the path, and run this again."
        raise StorageError(problem, remedy) from error


def temporary_sibling(path: Path) -> Path:
    """Return an unused temporary name beside ``path`` that ends like it, so that writers see the same suffix."""
    return path.with_name(f"{TEMPORARY}{secrets.token_hex(6)}-{path.name[-20:]}")


def write_file(path: Path, writer: Callable[[Path], None]) -> None:
    """Let ``writer`` fill a temporary file, then give it the name ``path`` in one step.

    Raises:
        StorageError: the disk is full or refuses; ``path`` is what it was before.
    """
    temporary = temporary_sibling(path)
    try:
        with storing(path):
            writer(temporary)
            _flush_file(temporary)
            temporary.replace(path)
            flush_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file in one step.

    Raises:
        StorageError: the disk is full or refuses; ``path`` is what it was before.
    """
    write_file(path, lambda temporary: _fill(temporary, data))


def write_json(path: Path, data: object) -> None:
    """Write plain values as indented JSON in one step.

    Raises:
        StorageError: the disk is full or refuses; ``path`` is what it was before.
        ValueError: ``data`` holds NaN or infinity, which JSON cannot.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1)
    write_bytes(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        StudyError: the file is missing, unreadable, cut short or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StudyError(f"{path} is missing.", _RESTORE) from None
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror or error}.", "Check its permissions.") from error
    except (ValueError, RecursionError):
        raise StudyError(f"{path} is damaged: it is not JSON, or cut short.", _RESTORE) from None


_RESTORE = "Restore it from a copy of the study."


def append_line(path: Path, data: object) -> None:
    """Append one line of JSON; a line that a killed process left unfinished is closed off first.

    Raises:
        StorageError: the disk is full or refuses.
    """
    line = json.dumps(data, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    with storing(path), path.open("a+b", buffering=0) as stream:
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            line = line if stream.read(1) == b"\n" else b"\n" + line
        if stream.write(line) != len(line):
            raise OSError(errno.ENOSPC, "only part of a line was written")
        os.fsync(stream.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the objects of a file of JSON lines; unfinished lines are skipped, a missing file has none."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return []
    values = []
    for line in lines:
        with suppress(ValueError, RecursionError):
            value = json.loads(line)
            if isinstance(value, dict):
                values.append(value)
    return values


def inside(folder: Path, relative: str) -> Path:
    """Return the path that a file of ``folder`` names, relative and with forward slashes.

    Raises:
        StudyError: the path is absolute, climbs with ``..``, or a link leads out of the folder.
    """
    parts = PurePosixPath(relative).parts
    windows = PureWindowsPath(relative)
    wild = not parts or ".." in parts or ".." in windows.parts or "\0" in relative
    if not wild and not relative.startswith("/") and not windows.drive and not windows.root:
        path = folder.joinpath(*parts)
        with suppress(OSError, RuntimeError, ValueError):
            if path.resolve().is_relative_to(folder.resolve()):
                return path
    raise StudyError(f"{relative!r} does not lie inside {folder}.", "A study may name only its own files; correct it.")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        StudyError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror or error}.", _RESTORE) from error
    return digest.hexdigest()


def make_folder(path: Path) -> None:
    """Create a folder and its parents where they are missing, and force their names to the disk.

    Raises:
        StorageError: the disk is full or refuses.
    """
    if not path.is_dir():
        with storing(path):
            path.mkdir(parents=True, exist_ok=True)
            flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, on systems where a folder can be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _fill(path: Path, data: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(data)


def _flush_file(path: Path) -> None:
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())

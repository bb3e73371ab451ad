"""One writer at a time: a lock that names its holder and that dies with it."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

from VQBEGALLib.errors import StudyError, StudyLockedError
from VQBEGALLib.storage import read_json, storing, write_json
from VQBEGALLib.volumes.libraries import library

LOCK = "lock"
HOLDER = "lock.json"
_PATIENCE = 0.5
"""Seconds for a new holder to write its name before it is called unknown."""


class StudyLock:
    """Holds a folder for one writer; use it as a context manager.

    The operating system frees the lock when its holder ends in whatever way, so that a crash locks nobody out.
    A file beside it names the holder for whoever comes second.

    Args:
        folder: an existing folder.
        what: what the holder is doing, for example ``train``.
    """

    def __init__(self, folder: Path, what: str = "write") -> None:
        self._folder = folder
        self._what = what
        self._filelock = library("filelock", needed_by="writing to a study")
        self._lock = self._filelock.FileLock(str(folder / LOCK), thread_local=False)

    @property
    def held(self) -> bool:
        """Whether this object holds the lock now."""
        return bool(self._lock.is_locked)

    def __enter__(self) -> StudyLock:
        if self.held:
            raise self._refusal()
        with storing(self._folder / LOCK):
            try:
                self._lock.acquire(timeout=0)
            except self._filelock.Timeout:
                raise self._refusal() from None
        try:
            since = datetime.now(timezone.utc).isoformat(timespec="seconds")
            holder = {"host": socket.gethostname(), "pid": os.getpid(), "what": self._what, "since": since}
            write_json(self._folder / HOLDER, holder)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            (self._folder / HOLDER).unlink(missing_ok=True)
        self._lock.release()

    def _refusal(self) -> StudyLockedError:
        return StudyLockedError(
            f"{self._folder} is in use by {_holder(self._folder / HOLDER)}.",
            "Wait until it has finished, or end it, and run this again.",
        )


def _holder(path: Path) -> str:
    until = time.monotonic() + _PATIENCE
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    try:
        who = read_json(path)
        return f"process {who['pid']} on {who['host']} ({who['what']}, since {who['since']})"
    except (StudyError, KeyError, TypeError):
        return "another process"

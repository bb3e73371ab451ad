"""Progress, messages and cancel: what a long job tells whoever started it.

A job reports through a :class:`Reporter`. What becomes of the events is the listener's affair: a progress
bar on a terminal, one JSON object a line for the panel (:func:`json_lines`), or nothing in a test.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from VQBEGALLib.errors import CancelledError
from VQBEGALLib.processes import alive

Event = dict[str, Any]
"""A flat, JSON-ready mapping. ``event`` names its kind: stage, progress, message, warning, device, round; the
command line ends with result or error."""

Listener = Callable[[Event], None]

PROGRESS_INTERVAL = 0.1
"""Seconds between two progress events of one stage; the first and the last are always sent."""

OWNER_INTERVAL = 1.0
"""Seconds between two looks whether the owner of a job still exists."""


def ignore(event: Event) -> None:
    """Drop the event."""


def json_lines(stream: TextIO) -> Listener:
    """Return a listener that writes each event as one line of JSON and flushes it.

    Examples:
        >>> import sys
        >>> json_lines(sys.stdout)({"event": "message", "text": "ready"})
        {"event": "message", "text": "ready"}
    """

    def write(event: Event) -> None:
        stream.write(json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n")
        stream.flush()

    return write


class Reporter:
    """Sends a job's events to a listener and looks for a request to cancel between steps.

    Args:
        listener: receives each event.
        cancel_file: a file whose existence asks the job to stop; looked for at every step boundary.
        owner: number of the process that the job is done for; once it has ended, the job stops too.
        clock: seconds on a monotonic clock; replaced in tests.
    """

    def __init__(
        self,
        listener: Listener = ignore,
        *,
        cancel_file: Path | None = None,
        owner: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._cancel_file = cancel_file
        self._owner = owner
        self._looked = -math.inf
        self.clock = clock

    def silent(self) -> Reporter:
        """Return a reporter that tells nobody anything and stops for the same reasons."""
        return Reporter(cancel_file=self._cancel_file, owner=self._owner, clock=self.clock)

    def emit(self, kind: str, **fields: Any) -> None:
        """Send one event of a kind with its fields."""
        self._listener({"event": kind, **fields})

    def message(self, text: str) -> None:
        """Send a line for the log."""
        self.emit("message", text=text)

    def warn(self, text: str) -> None:
        """Send a line that deserves attention."""
        self.emit("warning", text=text)

    def check_cancelled(self) -> None:
        """Raise where the cancel file exists, or the owner no longer does.

        Raises:
            CancelledError: a person asked the job to stop, or nobody waits for it any more.
        """
        if self._cancel_file is not None and self._cancel_file.exists():
            raise CancelledError()
        if self._owner is None or self.clock() - self._looked < OWNER_INTERVAL:
            return
        self._looked = self.clock()
        if not alive(self._owner):
            raise CancelledError("The process that asked for this has ended; everything finished so far is kept.")

    def stage(self, name: str, total: int, *, unit: str = "step", done: int = 0) -> Stage:
        """Begin a stage of ``total`` units, of which ``done`` were finished before (a resumed job).

        Use the result as a context manager and call :meth:`Stage.advance` after each unit.
        """
        return Stage(self, name, total, unit, done)


class Stage:
    """One stage of a job: counts units, estimates the time left, looks for a request to cancel."""

    def __init__(self, reporter: Reporter, name: str, total: int, unit: str, done: int) -> None:
        self._reporter = reporter
        self._name = name
        self._total = total
        self._unit = unit
        self._done = self._first = done
        self._figures: dict[str, float] = {}
        self._started = self._sent = reporter.clock()

    def __enter__(self) -> Stage:
        self._reporter.check_cancelled()
        self._reporter.emit("stage", stage=self._name, total=self._total, unit=self._unit, done=self._done)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._send()

    def advance(self, count: int = 1, **figures: float) -> None:
        """Count finished units; ``figures`` (a loss, a Dice) travel with this event and those after it.

        Raises:
            CancelledError: a person asked the job to stop.
        """
        self._done += count
        self._figures |= {key: round(float(value), 6) for key, value in figures.items()}
        now = self._reporter.clock()
        if now - self._sent >= PROGRESS_INTERVAL:
            self._sent = now
            self._send()
        self._reporter.check_cancelled()

    def _send(self) -> None:
        elapsed = self._reporter.clock() - self._started
        finished = self._done - self._first
        left = elapsed / finished * (self._total - self._done) if finished else None
        self._reporter.emit(
            "progress",
            stage=self._name,
            done=self._done,
            total=self._total,
            unit=self._unit,
            seconds=round(elapsed, 2),
            seconds_left=None if left is None else round(left, 1),
            **self._figures,
        )


def plural(count: int, word: str) -> str:
    """Return a number of things for a sentence.

    Examples:
        >>> plural(1, "slice"), plural(14, "slice")
        ('1 slice', '14 slices')
    """
    return f"{count} {word}{'' if count == 1 else 's'}"

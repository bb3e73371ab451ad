"""A job is one background process of the library's command line: its events, its cancel, its end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from VQBEGALPanel.paths import library_root

Event = dict[str, Any]

POLL = 100
"""Milliseconds between two looks at what the process has written."""

PATIENCE = 1.5
"""Seconds that a process has to stop by itself; the study stands a kill at any instant."""

START = (
    "import os, sys; sys.path += sys.argv.pop(1).split(os.pathsep); from VQBEGALLib.cli import main; sys.exit(main())"
)
"""What a job's Python runs. The application's packages come after Python's own modules: some package brings a
``dataclasses`` of its own, and ahead of them, as PYTHONPATH is, it would stand in for Python's."""

_LINES = 200
"""Lines handled at a time, so that a talkative process does not hold the application up."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        result: the command's result; None where it failed.
        code: exit code as in :mod:`VQBEGALLib.errors`; negative for a signal.
        problem: what went wrong, one sentence; empty where nothing did.
        remedy: what to do about it.
        cancelled: whether a person asked it to stop.
    """

    result: Event | None
    code: int
    problem: str = ""
    remedy: str = ""
    cancelled: bool = False


@dataclass
class Job:
    """One ``vqbegal`` command in a process of its own.

    The process writes its events to a file, which a timer reads; no pipe can fill up, and nothing of the process
    runs in the application. It ends itself when the application is gone.

    Args:
        arguments: of the command, without the shared options.
        on_event: called in the application's thread with each event.
        on_end: called once, after the last event.
        told: what the process reads from its standard input, as JSON: passwords and patient IDs, which must appear
            neither in the list of processes nor in a file. It is forgotten once the process has it.
    """

    arguments: Sequence[str]
    on_event: Callable[[Event], None]
    on_end: Callable[[Outcome], None]
    told: Mapping[str, Any] | None = field(default=None, repr=False)
    cancelled: bool = False

    def start(self) -> None:
        """Start the process.

        Raises:
            OSError: there is no Python to run, or no place for temporary files.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="vqbegal-job-"))
        self._cancel_file = self._folder / "cancel"
        self._last: Event = {}
        self._cancel_at = 0.0
        self._killed = False
        shared = ["--events", "json", "--cancel-file", str(self._cancel_file), "--owner", str(owner())]
        command = [str(python()), "-c", START, _packages(), *self.arguments, *shared]
        with (self._folder / "events").open("wb") as out, (self._folder / "errors").open("wb") as errors:
            given = subprocess.DEVNULL if self.told is None else subprocess.PIPE
            self._process = subprocess.Popen(
                command, stdin=given, stdout=out, stderr=errors, env=_environment(), **_apart()
            )
        self._tell()
        self._events = (self._folder / "events").open("rb")
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL)
        self._timer.connect("timeout()", self._poll)
        self._timer.start()

    def _tell(self) -> None:
        """Write to the process's standard input, once; it is less than a pipe holds, so that nothing waits."""
        if self._process.stdin is not None:
            with suppress(OSError), self._process.stdin as stream:  # the process has ended: its last words tell why
                stream.write(json.dumps(self.told).encode("utf-8"))
        self.told = None

    @property
    def pid(self) -> int:
        """Process number."""
        return self._process.pid

    def cancel(self) -> None:
        """Ask the process to stop at its next step, and end it where it does not within :data:`PATIENCE`."""
        if not self.cancelled:
            self.cancelled = True
            self._cancel_at = time.monotonic()
            with suppress(OSError):  # a full disk: the process is ended instead
                self._cancel_file.touch()

    def stop(self) -> None:
        """End the process now, and wait for it; nothing is reported. For when the application lets go of the panel."""
        self._timer.stop()
        self.cancel()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
        self._clean()

    def _poll(self) -> None:
        ended = self._process.poll() is not None
        more = self._read()
        if self.cancelled and not ended and not self._killed and time.monotonic() - self._cancel_at > PATIENCE:
            self._kill()
        elif ended and not more:
            self._timer.stop()
            outcome = self._outcome(self._process.returncode)
            self._clean()
            self.on_end(outcome)

    def _read(self) -> bool:
        """Hand on complete lines; tell whether there may be more."""
        for _count in range(_LINES):
            place = self._events.tell()
            line = self._events.readline()
            if not line.endswith(b"\n"):
                self._events.seek(place)
                return False
            with suppress(ValueError):  # a library's own chatter is no event
                event = json.loads(line)
                if isinstance(event, dict):
                    self._last = event
                    self.on_event(event)
        return True

    def _outcome(self, code: int) -> Outcome:
        kind = self._last.get("event")
        if kind == "result" and code >= 0:  # also one that is no whole success: a server refused some of it
            return Outcome(self._last, code)
        if self.cancelled:
            return Outcome(None, code, cancelled=True)
        if kind == "error":
            return Outcome(None, code, str(self._last.get("problem", "")), str(self._last.get("remedy", "")))
        words = self._errors().strip().splitlines()
        reason = f" ({words[-1]})" if words else ""
        return Outcome(
            None,
            code,
            _("The work in the background ended unexpectedly{reason}.").format(reason=reason),
            _("Finished steps are kept: start it again. If it happens again, the computer may be short of memory."),
        )

    def _errors(self) -> str:
        with suppress(OSError):
            return (self._folder / "errors").read_text(encoding="utf-8", errors="replace")[-4000:]
        return ""

    def _kill(self) -> None:
        """End the process and all that it started; the launcher's child would outlive the launcher."""
        self._killed = True
        with suppress(OSError):
            if os.name == "nt":
                subprocess.run(
                    ["taskkill", "/F", "/T", "/PID", str(self.pid)], capture_output=True, check=False, **_apart()
                )
            else:
                os.killpg(self.pid, signal.SIGKILL)

    def _clean(self) -> None:
        self._events.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def owner() -> int:
    """Return the process whose end is the job's end as well: the application."""
    return os.getpid()


def python() -> Path:
    """Return the Python that runs with the application's packages.

    Raises:
        FileNotFoundError: there is none.
    """
    suffix = ".exe" if os.name == "nt" else ""
    found = shutil.which("PythonSlicer")
    places = [
        *([Path(found)] if found else []),
        Path(slicer.app.slicerHome) / "bin" / f"PythonSlicer{suffix}",
        *([Path(sys.executable)] if Path(sys.executable).name.lower().startswith("python") else []),
        Path(sys.exec_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}{suffix}",
    ]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(_("The application's Python (PythonSlicer) was not found; install the application again."))


def _packages() -> str:
    """Return where the application's packages are."""
    return os.pathsep.join(path for path in sys.path if Path(path).name in ("site-packages", "dist-packages"))


def _environment() -> dict[str, str]:
    """Return the application's environment, with the library on Python's path."""
    before = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    path = os.pathsep.join([*before, str(library_root())])
    quiet = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}  # idle threads sleep: the interface wants the cores
    own = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    own["PYTHONSAFEPATH"] = "1"  # what lies in the application's working folder is no module of ours
    return {**quiet, **os.environ, **own}


def threads() -> int:
    """Return how many threads a job computes with: half of the logical processors.

    That is about one a core, and leaves room for the interface. With more, threads wait for each other whenever the
    application draws: training with as many threads as cores was 40 times slower beside another busy process.
    """
    return max(1, (os.cpu_count() or 2) // 2)


def _apart() -> dict[str, Any]:
    """Return how a process is started so that it can be ended together with its children, and without a window."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}

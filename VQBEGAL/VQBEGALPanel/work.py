"""What goes on in the background: the study's one job, and errands that no study needs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from VQBEGALPanel.jobs import Event, Job, Outcome


@dataclass
class Progress:
    """Where the job stands, for a bar and a line of text."""

    stage: str = ""
    done: int = 0
    total: int = 0
    seconds_left: float | None = None


@dataclass
class Work:
    """A job that is going on.

    Args:
        what: for the status line, for example ``Training``.
        job: its process.
        then: called with the outcome once the study is held again.
        temporary: folder that goes when the job has ended; its name is not shown to a person.
    """

    what: str
    job: Job
    then: Callable[[Outcome], None]
    temporary: Path | None = None
    progress: Progress = field(default_factory=Progress)

    def tidy(self) -> None:
        """Delete the temporary folder."""
        if self.temporary is not None:
            shutil.rmtree(self.temporary, ignore_errors=True)


class Errands:
    """Short jobs beside the study's: they ask and check, and write nothing into the study."""

    def __init__(self) -> None:
        self._works: list[Work] = []

    def run(
        self,
        arguments: Sequence[str],
        told: Mapping[str, Any],
        then: Callable[[Outcome], None],
        *,
        temporary: Path | None = None,
    ) -> Job:
        """Start one.

        Args:
            arguments: of the command.
            told: what it reads from its standard input.
            then: called with the outcome.
            temporary: folder that goes when it has ended.

        Raises:
            OSError: it cannot be started.
        """

        def ended(outcome: Outcome) -> None:
            self._works.remove(work)
            work.tidy()
            then(outcome)

        work = Work("", Job(arguments, lambda _event: None, ended, told), then, temporary)
        try:
            work.job.start()
        except OSError:
            work.tidy()
            raise
        self._works.append(work)
        return work.job

    def stop(self) -> None:
        """End them all; nothing is reported."""
        for work in self._works:
            work.job.stop()
            work.tidy()
        self._works.clear()


def log_line(event: Event) -> str:
    """Return what the log says of an event, empty where it says nothing."""
    kind = event.get("event")
    if kind in ("message", "warning", "device"):
        return str(event.get("text") or event.get("name") or event.get("device") or "")
    if kind == "stage":
        return str(event["stage"])
    if kind == "round":
        dice = (event.get("dice") or {}).get("mean")
        return "" if dice is None else _("Validation Dice {dice:.3f}").format(dice=dice)
    return ""

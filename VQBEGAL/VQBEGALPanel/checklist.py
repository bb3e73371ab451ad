"""The checklist before an export: what is missing, why it matters, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import qt
from slicer.i18n import tr as _

from VQBEGALLib.errors import VQBEGALError
from VQBEGALLib.study.labelstore import read_index
from VQBEGALPanel.sections import attempt

if TYPE_CHECKING:
    from pathlib import Path

    import slicer

    from VQBEGALPanel.delivering import Choice, Delivering
    from VQBEGALPanel.jobs import Job, Outcome
    from VQBEGALPanel.session import Session

DELAY = 200
"""Milliseconds without another change before the list is made anew."""

MARKS = {"ok": ("✓", "#2e9e4f"), "warning": ("!", "#d98200"), "error": ("✗", "#d9363e")}


_NOTHING = object()
"""No list is being made; None stands for the list without a choice."""


@dataclass(frozen=True)
class Check:
    """One point of the list, as :class:`VQBEGALLib.delivery.Check`."""

    name: str
    level: str
    text: str
    remedy: str = ""


class Checklist:
    """Has the list made in the background when its inputs have changed and somebody looks, and keeps it until then.

    Args:
        session: with the open study.
        delivering: has the list made.
        choice: returns what would be exported now, None where nothing can be.
        shown: tells whether the list can be seen.
        made: called when there is another list.
    """

    def __init__(
        self,
        session: Session,
        delivering: Delivering,
        choice: Callable[[], Choice | None],
        shown: Callable[[], bool],
        made: Callable[[], None],
    ) -> None:
        self._session, self._delivering = session, delivering
        self._choice, self._shown, self._made = choice, shown, made
        self._key: Hashable = None
        self._asked: Hashable = _NOTHING
        self._job: Job | None = None
        self.checks: list[Check] = []
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY)
        self._timer.connect("timeout()", attempt(self._refresh))

    @property
    def is_current(self) -> bool:
        """Whether the list belongs to what would be exported now."""
        return self._key == self._inputs()

    def stop(self) -> None:
        """Make no list any more."""
        self._timer.stop()

    def schedule(self) -> None:
        """Have the list made soon, where it is out of date and can be seen."""
        if self._shown() and self._inputs() not in (self._key, self._asked):
            self._timer.start()

    def _refresh(self) -> None:
        key, choice = self._inputs(), self._choice()
        if key in (self._key, self._asked) or not self._shown():
            return
        self._leave()
        if choice is None:
            self._take(key, [])
            return
        try:
            self._asked = key
            self._job, overlap = self._delivering.check(choice, lambda outcome: self._answered(key, outcome, overlap))
        except VQBEGALError as error:
            self._take(key, [Check(_("Result"), "error", error.problem, error.remedy)])

    def _leave(self) -> None:
        """Give up a list that is out of date before it is made."""
        if self._job is not None:
            self._job.cancel()
        self._job, self._asked = None, _NOTHING

    def _answered(self, key: Hashable, outcome: Outcome, overlap: int) -> None:
        if key != self._asked or outcome.cancelled:
            return
        if outcome.result is None:
            checks = [Check(_("Result"), "error", outcome.problem, outcome.remedy)]
        else:
            checks = [Check(**item) for item in outcome.result["checks"]]
        if overlap:
            text = _("{count} voxels belong to several segments; the later one in the list gets them.")
            remedy = _("Forbid overlap in the Segment Editor, or export the segments one by one.")
            checks.append(Check(_("Overlap"), "warning", text.format(count=overlap), remedy))
        self._take(key, checks)

    def _take(self, key: Hashable, checks: list[Check]) -> None:
        self.checks, self._key = checks, key
        self._job, self._asked = None, _NOTHING
        self._made()

    def problem(self) -> str:
        """Return the first thing that forbids the export, empty where nothing does or the list is out of date."""
        if not self.is_current:
            return ""
        return next((f"{item.text} {item.remedy}".strip() for item in self.checks if item.level == "error"), "")

    def lacking(self) -> list[Check]:
        """Return the points that are not well."""
        return [item for item in self.checks if item.level != "ok"]

    def html(self) -> str:
        """Return the list for a label."""
        return f"<table cellpadding='2'>{''.join(_row(item) for item in self.checks)}</table>" if self.checks else ""

    def _inputs(self) -> Hashable:
        """Return all that the list depends on."""
        choice, study = self._choice(), self._session.study
        if choice is None or study is None:
            return None
        index = read_index(study.folder, choice.case, "primary")
        newest = study.predictions().get(choice.case)
        node = () if choice.node is None else (choice.node.GetID(), _changes(choice.node))
        made = None if newest is None else (newest.round, _changed_at(newest.path))
        labels = None if index is None else index.counter
        place = (str(study.folder), choice.case, choice.what, choice.format, choice.source, choice.server)
        return (*place, made, labels, node)


def _changed_at(path: Path) -> int:
    """Return when a file was written; 0 while it is being replaced."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _changes(node: slicer.vtkMRMLSegmentationNode) -> tuple:
    """Return what changes with a segmentation: its contents, names and place."""
    segmentation = node.GetSegmentation()
    times = [segmentation.GetMTime(), node.GetTransformNodeID()]
    for number in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(number)
        image = segment.GetRepresentation("Binary labelmap")
        times += [segment.GetMTime(), 0 if image is None else image.GetMTime()]
    return tuple(times)


def _row(item: Check) -> str:
    mark, color = MARKS[item.level]
    text = f"<b>{escape(item.name)}:</b> {escape(item.text)}" if item.name else escape(item.text)
    remedy = f" <i>{escape(item.remedy)}</i>" if item.remedy else ""
    return f"<tr><td style='color:{color}; font-weight:bold'>{mark}&nbsp;</td><td>{text}{remedy}</td></tr>"

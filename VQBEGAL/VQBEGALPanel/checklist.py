"""The checklist before an export: what is missing, why it matters, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from html import escape
from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from VQBEGALLib.delivery import Check, preflight
from VQBEGALLib.errors import VQBEGALError
from VQBEGALLib.study.labelstore import read_index
from VQBEGALPanel.delivering import Choice

if TYPE_CHECKING:
    from VQBEGALPanel.delivering import Delivering
    from VQBEGALPanel.session import Session

DELAY = 200
"""Milliseconds without another change before the list is made anew."""

MARKS = {"ok": ("✓", "#2e9e4f"), "warning": ("!", "#d98200"), "error": ("✗", "#d9363e")}


class Checklist:
    """Makes the list when its inputs have changed and somebody looks, and keeps it until they change again.

    Args:
        session: with the open study.
        delivering: knows the DICOM images that the application has.
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
        self.checks: list[Check] = []
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY)
        self._timer.connect("timeout()", self.refresh)

    @property
    def is_current(self) -> bool:
        """Whether the list belongs to what would be exported now."""
        return self._key == self._inputs()

    def stop(self) -> None:
        """Make no list any more."""
        self._timer.stop()

    def schedule(self) -> None:
        """Make the list soon, where it is out of date and can be seen."""
        if self._shown() and not self.is_current:
            self._timer.start()

    def refresh(self) -> None:
        """Make the list now, where it is out of date."""
        key = self._inputs()
        if key == self._key:
            return
        choice = self._choice()
        with slicer.util.WaitCursor():
            self.checks = [] if choice is None else self._look(choice)
        self._key = key
        self._made()

    def problem(self) -> str:
        """Return the first thing that forbids the export, empty where nothing does."""
        if not self.is_current:
            return _("The checklist is being made.")
        return next((f"{item.text} {item.remedy}".strip() for item in self.checks if item.level == "error"), "")

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
        made = None if newest is None else (newest.round, newest.path.stat().st_mtime_ns)
        labels = None if index is None else index.counter
        place = (str(study.folder), choice.case, choice.what, choice.format, choice.source, choice.server)
        return (*place, made, labels, node)

    def _look(self, choice: Choice) -> list[Check]:
        try:
            wanted, overlap = self._delivering.wanted(choice)
        except VQBEGALError as error:
            return [Check(_("Result"), "error", error.problem, error.remedy)]
        checks = preflight(self._session.study, wanted, sending=choice.server is not None)
        if overlap:
            text = _("{count} voxels belong to several segments; the later one in the list gets them.")
            remedy = _("Forbid overlap in the Segment Editor, or export the segments one by one.")
            checks.append(Check(_("Overlap"), "warning", text.format(count=overlap), remedy))
        return checks


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

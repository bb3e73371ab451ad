"""What all sections of the panel share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from VQBEGALLib.errors import VQBEGALError
from VQBEGALPanel.estimate import duration

if TYPE_CHECKING:
    from VQBEGALPanel.work import Work


class Gate:
    """Greys what cannot be done, with the reason as its tooltip; keeps the tooltip that says what it does."""

    def __init__(self) -> None:
        self._tips: dict[str, str] = {}

    def set(self, widget: qt.QWidget, reason: str) -> None:
        """Enable a widget where there is no reason against it."""
        tip = self._tips.setdefault(widget.objectName, widget.toolTip)
        widget.enabled = not reason
        widget.toolTip = reason or tip


def attempt(action: Callable[..., object]) -> Callable[..., None]:
    """Return an action that shows what went wrong in the application's own display instead of raising."""

    def run(*arguments: object) -> None:
        try:
            action(*arguments)
        except VQBEGALError as error:
            slicer.util.errorDisplay(str(error))
        except Exception as error:
            logging.exception("VQBEGAL")
            slicer.util.errorDisplay(
                _("That did not work: {error}. The study is as it was; the application's log tells more.").format(
                    error=str(error).rstrip(".") or type(error).__name__
                )
            )

    return run


def fill(combo: qt.QComboBox, items: Sequence[tuple[str, str]]) -> None:
    """Give a combo box its choices: text and value."""
    combo.clear()
    for text, value in items:
        combo.addItem(text, value)


def fill_explained(combo: qt.QComboBox, items: Sequence[tuple[str, str, str]]) -> None:
    """Give a combo box its choices: text, value, and what it is for as the choice's own tooltip."""
    fill(combo, [(text, value) for text, value, _tip in items])
    for row, (_text, _value, tip) in enumerate(items):
        combo.setItemData(row, tip, qt.Qt.ToolTipRole)


def fill_names(combo: qt.QComboBox, names: Sequence[str]) -> None:
    """Give a combo box names to choose from; the chosen one stays where it is still there."""
    keep = combo.currentText
    blocked = combo.blockSignals(True)
    combo.clear()
    combo.addItems(list(names))
    combo.setCurrentIndex(max(list(names).index(keep) if keep in names else 0, 0) if names else -1)
    combo.blockSignals(blocked)


def choose(combo: qt.QComboBox, value: str) -> None:
    """Select the choice with a value, where there is one."""
    index = combo.findData(value)
    if index >= 0 and index != combo.currentIndex:
        combo.setCurrentIndex(index)


def set_up_table(table: qt.QTableWidget, titles: Sequence[str]) -> None:
    """Give a table its columns."""
    table.setColumnCount(len(titles))
    table.setHorizontalHeaderLabels(list(titles))
    table.verticalHeader().hide()
    table.verticalHeader().defaultSectionSize = 22
    table.horizontalHeader().setStretchLastSection(True)
    table.resizeColumnsToContents()


def fill_table(table: qt.QTableWidget, rows: Sequence[Sequence[Any]]) -> None:
    """Write texts into a table, one row an item; the selection is cleared."""
    blocked = table.blockSignals(True)
    table.setUpdatesEnabled(False)
    table.setRowCount(0)
    table.setRowCount(len(rows))
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            table.setItem(number, column, qt.QTableWidgetItem(text))
    table.scrollToTop()
    table.setUpdatesEnabled(True)
    for column in range(table.columnCount):  # all at once would leave none stretched
        table.resizeColumnToContents(column)
    table.blockSignals(blocked)


def selected_row(table: qt.QTableWidget) -> int:
    """Return the selected row, -1 without one."""
    rows = table.selectionModel().selectedRows()
    return rows[0].row() if rows else -1


def show_progress(work: Work | None, bar: qt.QProgressBar, label: qt.QLabel) -> None:
    """Show a job's progress; the bar stays without a job, so that no button moves under the mouse when one ends."""
    if work is None:
        bar.maximum, bar.value = 1, 0
        label.text = ""
        return
    bar.maximum, bar.value = work.progress.total, work.progress.done  # 0 shows a bar that only moves
    label.text = _progress_text(work)


def _progress_text(work: Work) -> str:
    if work.job.cancelled:
        return _("{what}: cancelling…").format(what=work.what)
    progress = work.progress
    if not progress.stage:
        return _("{what}: starting…").format(what=work.what)
    text = _("{what}: {stage}, {done} of {total}").format(
        what=work.what, stage=stage_words(progress.stage), done=progress.done, total=progress.total
    )
    left = progress.seconds_left
    return text if left is None else text + _(", about {time} left").format(time=duration(left))


def stage_words(stage: str) -> str:
    """Return what a stage of a job is called in the panel."""
    known = {
        "slices": _("preparing slices"),
        "train": _("training"),
        "score": _("scoring slices"),
        "thumbnails": _("looking at slices"),
        "critic": _("learning which slices are new"),
        "segment": _("segmenting"),
        "estimate": _("measuring"),
        "import": _("copying"),
        "export": _("writing"),
        "send": _("sending"),
        "fetch": _("downloading"),
    }
    return known.get(stage, stage)

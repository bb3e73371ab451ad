"""Acts as a person does: opens the panel, clicks, types, chooses, waits, paints, answers.

Runs on the stand-in and in the application alike: only qt, slicer and the standard library are used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import qt
import slicer

MODULE = "VQBEGAL"


def open_panel():
    """Show the module, and return its panel."""
    slicer.util.selectModule(MODULE)
    process()
    return slicer.util.getModuleWidget(MODULE).panel


def reload_panel():
    """Load the module's code anew, as a developer's "Reload" does, and return the new panel."""
    slicer.util.getModuleWidget(MODULE).onReload()
    process()
    return open_panel()


def process(seconds: float = 0.0) -> None:
    """Let the application handle what has come up, at least for some seconds."""
    end = time.monotonic() + seconds
    slicer.app.processEvents()
    while time.monotonic() < end:
        time.sleep(0.01)
        slicer.app.processEvents()


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Let the application work until a condition holds; fail when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"Waited {seconds} s for {what} in vain.")
        process(0.02)


def click(button) -> None:
    """Click a button; fail where a person could not."""
    if not button.enabled:
        raise AssertionError(f"{_name(button)} cannot be clicked: {button.toolTip}")
    button.click()
    process()


def type_text(line_edit, text: str) -> None:
    """Replace a line's text as if it were typed and confirmed."""
    _can_be_used(line_edit)
    line_edit.setFocus()
    line_edit.selectAll()
    line_edit.insert(text)
    _press(line_edit, qt.Qt.Key_Return)
    process()


def choose(combo, text: str) -> None:
    """Choose an entry of a box by its text, or by the value behind it."""
    _can_be_used(combo)
    index = max(combo.findText(text), combo.findData(text))
    if index < 0:
        raise AssertionError(f"{_name(combo)} has no entry {text!r}: {[combo.itemText(i) for i in range(combo.count)]}")
    combo.setCurrentIndex(index)
    process()


def select_row(table, row: int) -> None:
    """Select a row of a table."""
    _can_be_used(table)
    if not 0 <= row < table.rowCount:
        raise AssertionError(f"{_name(table)} has no row {row}; it has {table.rowCount}.")
    table.setCurrentCell(row, 0)
    table.selectRow(row)
    process()


def click_mark(plot_view, series, row: int) -> None:
    """Click a point of a chart: a row of a series' table."""
    import vtk

    ids, rows, points = vtk.vtkStringArray(), vtk.vtkCollection(), vtk.vtkIdTypeArray()
    ids.InsertNextValue(series.GetID())
    points.InsertNextValue(row)
    rows.AddItem(points)
    signal = plot_view.dataSelected
    getattr(signal, "emit", signal)(ids, rows)
    process()


def paint(segmentation, segment_id: str, volume, axis: int, index: int, mask) -> None:
    """Paint one slice of a segment.

    Args:
        segmentation: segmentation node.
        segment_id: segment that is painted.
        volume: volume node whose grid the slice belongs to.
        axis: axis of the voxel array (K, J, I) that the slice is cut along.
        index: slice along this axis.
        mask: the slice's new content, 0 or 1, in the order of the two other axes.
    """
    array = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume)
    if array is None:
        array = slicer.util.arrayFromVolume(volume) * 0
    array = array.astype("uint8")
    array[(slice(None),) * axis + (index,)] = mask
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, segmentation, segment_id, volume)
    process()


@contextmanager
def answer(yes: bool = True) -> Iterator[list[str]]:
    """Answer every question and close every message that comes up meanwhile; yields the list of their texts."""
    texts: list[str] = []
    positive = (qt.QMessageBox.Ok, qt.QMessageBox.Yes, qt.QMessageBox.Retry)
    negative = (qt.QMessageBox.Cancel, qt.QMessageBox.No, qt.QMessageBox.Close)

    def reply(_level, text, *_arguments, **options):
        texts.append(text)
        offered = options.get("standardButtons", qt.QMessageBox.Ok)
        return next((button for button in (positive if yes else negative) if int(offered) & int(button)), None)

    with mock.patch.object(slicer.util, "_messageDisplay", reply):
        yield texts


def screenshot(widget, path: Path) -> None:
    """Write a picture of a widget as it looks now."""
    process(0.1)
    if not widget.grab().save(str(path)):
        raise AssertionError(f"The screenshot {path} could not be written.")


def _press(widget, key) -> None:
    for kind in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
        slicer.app.sendEvent(widget, qt.QKeyEvent(kind, key, qt.Qt.NoModifier))


def _can_be_used(widget) -> None:
    if not widget.enabled:
        raise AssertionError(f"{_name(widget)} is disabled: {widget.toolTip}")


def _name(widget) -> str:
    return f"{widget.className()} {widget.objectName!r}"

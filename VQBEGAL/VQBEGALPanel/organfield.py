"""Which organs a study has: one box for each, one below the other; their order gives the values in labelmaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import qt
from slicer.i18n import tr as _

from VQBEGALPanel.organs import LIVER, organ, organs
from VQBEGALPanel.wheel import WheelGuard

if TYPE_CHECKING:
    from VQBEGALPanel.sections import Gate


@dataclass(frozen=True)
class _Row:
    widget: qt.QWidget
    box: qt.QComboBox
    remove: qt.QToolButton
    guard: WheelGuard


class OrganField:
    """The box of the .ui file for the first organ, and one more for each that is added.

    Args:
        ui: the panel's widgets.
        gate: greys what is fixed.
    """

    def __init__(self, ui, gate: Gate) -> None:
        self._ui, self._gate = ui, gate
        self._rows: list[_Row] = []
        self._made = 0
        self._fixed = ""
        ui.organ.addItems(list(organs()))
        ui.organ.setCurrentIndex(ui.organ.findText(LIVER.name))
        ui.addOrgan.connect("clicked()", lambda: self.add())

    def names(self) -> list[str]:
        """Return the organs in order, in small letters; the liver where every box is empty."""
        texts = [box.currentText.strip().lower() for box in (self._ui.organ, *(row.box for row in self._rows))]
        return [text for text in texts if text] or [LIVER.name.lower()]

    def show(self, names: Sequence[str]) -> None:
        """Show the organs of a study."""
        self._ui.organ.setCurrentText(organ(names[0]).name)
        for row in tuple(self._rows):
            self._remove(row)
        for name in names[1:]:
            self.add(organ(name).name)

    def add(self, name: str = "") -> None:
        """Add a box below the others; empty ones do not count."""
        self._made += 1
        widget = qt.QWidget()
        layout = qt.QHBoxLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        box, remove = qt.QComboBox(), qt.QToolButton()
        box.objectName, remove.objectName = f"organ{self._made}", f"removeOrgan{self._made}"
        box.editable = True
        box.addItems(list(organs()))
        box.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        box.toolTip = _(
            "A further structure to segment, from the application's terminology or with a name of your own."
        )
        box.lineEdit().placeholderText = _("choose or type an organ")
        box.setCurrentIndex(-1)
        if name:
            box.setCurrentText(name)
        remove.text, remove.toolTip = "−", _("Take this organ out.")
        layout.addWidget(box)
        layout.addWidget(remove)
        row = _Row(widget, box, remove, WheelGuard(widget))
        remove.connect("clicked()", lambda: self._remove(row))
        self._rows.append(row)
        self._ui.organRows.layout().addWidget(widget)
        self._gate_row(row)

    def fix(self, reason: str) -> None:
        """Grey the boxes where the organs cannot be changed."""
        self._fixed = reason
        for widget in (self._ui.organ, self._ui.addOrgan):
            self._gate.set(widget, reason)
        for row in self._rows:
            self._gate_row(row)

    def _gate_row(self, row: _Row) -> None:
        for widget in (row.box, row.remove):
            self._gate.set(widget, self._fixed)

    def _remove(self, row: _Row) -> None:
        self._rows.remove(row)
        self._ui.organRows.layout().removeWidget(row.widget)
        row.widget.hide()
        row.widget.deleteLater()

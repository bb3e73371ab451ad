"""The clinician's name for DICOM objects: hers to give, and remembered only where she ticks that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

if TYPE_CHECKING:
    import qt

CREATOR, KEEP_CREATOR = "VQBEGAL/Creator", "VQBEGAL/KeepCreator"
"""Settings: the name, and whether it is kept."""


class CreatorField:
    """A line for the name, and a box that keeps it on this computer.

    Args:
        line: where it is typed.
        keep: the box.
    """

    def __init__(self, line: qt.QLineEdit, keep: qt.QCheckBox) -> None:
        self._line, self._keep = line, keep
        settings = slicer.app.userSettings()
        keep.checked = str(settings.value(KEEP_CREATOR, "")) == "yes"
        line.text = str(settings.value(CREATOR, "") or "") if keep.checked else ""
        line.connect("editingFinished()", self._write)
        keep.connect("toggled(bool)", lambda _on: self._write())

    def name(self) -> str:
        """Return the name, empty where she does not want it."""
        return self._line.text.strip()

    def _write(self) -> None:
        """Write the name into the settings, or take it out again."""
        settings, keep = slicer.app.userSettings(), self._keep.checked
        settings.setValue(KEEP_CREATOR, "yes" if keep else "")
        settings.setValue(CREATOR, self.name() if keep else "")

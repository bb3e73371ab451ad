"""Windows of their own, from a .ui file."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from VQBEGALPanel.paths import resource


class Window:
    """A window above the application's, made when it is first shown.

    Args:
        file_name: in the module's Resources/UI.
        title: of the window.
    """

    def __init__(self, file_name: str, title: str) -> None:
        self._file_name, self._title = file_name, title
        self.dialog: qt.QDialog | None = None
        self.ui: Any = None

    def make(self) -> bool:
        """Make the window where it is not made yet; tell whether it was."""
        if self.dialog is not None:
            return False
        self.dialog = dialog = qt.QDialog(slicer.util.mainWindow())
        dialog.setWindowTitle(self._title)
        form = slicer.util.loadUI(str(resource("UI", self._file_name)))
        layout = qt.QVBoxLayout(dialog)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(form)
        self.ui = slicer.util.childWidgetVariables(form)
        return True

    def bring_up(self) -> None:
        """Show the window in front of the others."""
        self.dialog.show()
        self.dialog.raise_()
        self.dialog.activateWindow()

    @property
    def is_up(self) -> bool:
        """Whether a person sees it."""
        return self.dialog is not None and self.dialog.visible

    def close(self) -> None:
        """Take the window away for good."""
        if self.dialog is not None:
            self.dialog.hide()
            self.dialog.deleteLater()
            self.dialog = self.ui = None

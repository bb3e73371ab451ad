"""Pictures of the whole stand-in application: the panel to the left, the views to the right."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer

_DARK = {
    qt.QPalette.Window: "#323232",
    qt.QPalette.WindowText: "#ffffff",
    qt.QPalette.Base: "#1e1e1e",
    qt.QPalette.AlternateBase: "#2b2b2b",
    qt.QPalette.ToolTipBase: "#323232",
    qt.QPalette.ToolTipText: "#ffffff",
    qt.QPalette.Text: "#ffffff",
    qt.QPalette.Button: "#3c3c3c",
    qt.QPalette.ButtonText: "#ffffff",
    qt.QPalette.PlaceholderText: "#9a9a9a",
    qt.QPalette.Highlight: "#2a82da",
    qt.QPalette.HighlightedText: "#ffffff",
    qt.QPalette.Link: "#5aa9f0",
}
_DISABLED = (qt.QPalette.WindowText, qt.QPalette.Text, qt.QPalette.ButtonText)


def set_dark(dark: bool) -> None:
    """Choose colours like those of the application's dark style, or the light ones again."""
    palette = slicer.app.style().standardPalette()
    for role, color in _DARK.items() if dark else ():
        palette.setColor(role, qt.QColor(color))
    for role in _DISABLED if dark else ():
        palette.setColor(qt.QPalette.Disabled, role, qt.QColor("#8a8a8a"))
    slicer.app.setPalette(palette)


def make_screenshot(path: Path, *, size: tuple[int, int] = (1400, 900), top: qt.QWidget | None = None) -> None:
    """Write a picture of the main window.

    Args:
        path: PNG file.
        size: width and height in pixels.
        top: widget of the panel that is scrolled to the top.

    Raises:
        OSError: the file cannot be written.
    """
    window = slicer.util.mainWindow()
    window.resize(*size)
    slicer.app.processEvents()
    if top is not None:
        area = next(item for item in window.findChildren(qt.QScrollArea) if item.isAncestorOf(top))
        area.verticalScrollBar().setValue(top.mapTo(area.widget(), qt.QPoint(0, 0)).y())
    for name in slicer.app.layoutManager().sliceViewNames():
        slicer.app.layoutManager().sliceWidget(name).sliceView().scheduleRender()
    slicer.app.processEvents()
    if not window.grab().save(str(path)):
        raise OSError(f"The picture {path} could not be written; look at the folder and its rights.")

"""The mouse wheel scrolls the panel and changes nothing in it."""

from __future__ import annotations

import qt
import slicer


class WheelGuard(qt.QObject):
    """Lets the wheel pass by boxes and numbers, so that scrolling the panel does not change what is exported.

    Args:
        root: the panel, or a part of it.
        except_in: widget whose own boxes keep the wheel, if there is one.
    """

    def __init__(self, root: qt.QWidget, except_in: qt.QWidget | None = None) -> None:
        qt.QObject.__init__(self)
        self._guarded = [
            widget
            for kind in ("QComboBox", "QSpinBox")
            for widget in slicer.util.findChildren(root, className=kind)
            if except_in is None or not except_in.isAncestorOf(widget)
        ]
        for widget in self._guarded:
            widget.installEventFilter(self)

    def eventFilter(self, _widget: qt.QObject, event: qt.QEvent) -> bool:  # noqa: N802
        """Ignore the wheel, so that it goes to the panel around."""
        if event.type() != qt.QEvent.Wheel:
            return False
        event.ignore()
        return True

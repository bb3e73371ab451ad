"""Says which packages are missing, and installs them because a person asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from VQBEGALPanel import dependencies
from VQBEGALPanel.sections import attempt

if TYPE_CHECKING:
    import qt

    from VQBEGALPanel.work import Work


class Setup:
    """A frame that is there as long as something is missing.

    Args:
        frame: shown and hidden.
        text: says what is missing.
        button: installs it.
        progress: moves meanwhile.
        words: what the text says; ``{packages}`` stands for the packages.
        install: installs them, telling each step.
        done: called afterwards.
    """

    def __init__(
        self,
        frame: qt.QFrame,
        text: qt.QLabel,
        button: qt.QPushButton,
        progress: qt.QProgressBar,
        words: str,
        install: Callable[[Callable[[str], None]], None],
        done: Callable[[], None],
    ) -> None:
        self._frame, self._text, self._button, self._words = frame, text, button, words
        self._progress, self._install, self._done = progress, install, done
        self._tip = button.toolTip
        button.connect("clicked()", attempt(self._clicked))

    def update(self, missing: Sequence[str], work: Work | None) -> None:
        """Show what is missing now; nothing is installed while a job is going on."""
        self._frame.visible, self._progress.visible = bool(missing), False
        self._text.text = self._words.format(packages=", ".join(missing))
        self._button.enabled = work is None
        waiting = _("Wait until the work in the background has ended.")
        self._button.toolTip = self._tip if work is None else waiting

    def _clicked(self) -> None:
        self._progress.visible = True
        try:
            self._install(lambda text: slicer.util.showStatusMessage(text))
        except dependencies.InstallError as error:
            slicer.util.errorDisplay(str(error))
        self._done()

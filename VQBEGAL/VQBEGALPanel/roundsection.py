"""Section 3: one button for the next round, with progress, log and cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from VQBEGALPanel.sections import Gate, attempt, show_progress

if TYPE_CHECKING:
    from VQBEGALPanel.annotating import Annotating
    from VQBEGALPanel.session import Session


class RoundSection:
    """Starts rounds and shows how they go.

    Args:
        ui: the panel's widgets.
        session: what the widgets act on.
        annotating: knows what is not done yet.
    """

    def __init__(self, ui, session: Session, gate: Gate, annotating: Annotating) -> None:
        self._ui, self._session, self._gate, self._annotating = ui, session, gate, annotating
        self._logged = 0
        ui.nextRound.connect("clicked()", attempt(self.next_round))
        ui.trainOnly.connect("clicked()", attempt(self.train_only))
        ui.estimate.connect("clicked()", attempt(session.measure))
        ui.cancelJob.connect("clicked()", attempt(session.cancel))

    def next_round(self) -> None:
        """Train, score and select, after saying what becomes of slices that are not done."""
        if self._may_leave_slices():
            self._session.next_round()

    def train_only(self) -> None:
        """Train without selecting."""
        if self._may_leave_slices():
            self._session.next_round(only_train=True)

    def _may_leave_slices(self) -> bool:
        current = self._session.current()
        left = "" if current is None or current.trained else self._annotating.remaining_text()
        return not left or slicer.util.confirmOkCancelDisplay(_("{what} Train now?").format(what=left))

    def update(self) -> None:
        """Say what the button does now, and grey what cannot be done."""
        ui, session = self._ui, self._session
        current = session.current()
        first = current is None and not session.is_begun()
        ui.nextRound.text = _("Choose the first slices") if first else _("Train and choose the next slices")
        if current is not None and current.trained:
            ui.nextRound.text = _("Choose the next slices")
        self._gate.set(ui.nextRound, session.reasons.round())
        self._gate.set(ui.trainOnly, session.reasons.training())
        self._gate.set(ui.estimate, session.reasons.round())
        self._gate.set(ui.cancelJob, "" if session.work is not None else _("Nothing is going on in the background."))
        ui.roundSummary.text = self._summary()
        ui.estimateText.text = "" if session.estimate is None else session.estimate.text()
        self.update_progress()

    def _summary(self) -> str:
        current, session = self._session.current(), self._session
        if session.study is None:
            return ""
        if current is None:
            return self._beginning()
        if current.trained:
            return _("Round {number} is trained.").format(number=current.index)
        counter = self._annotating.counter()
        left = self._annotating.remaining_text()
        return " ".join(
            [
                _("Round {number} asks for {asked} slices; {done} are done.").format(
                    number=current.index, asked=counter.asked, done=counter.done
                ),
                *([left] if counter.done else []),
            ]
        )

    def _beginning(self) -> str:
        """Return what the button does first."""
        rounds = self._session.study.config.rounds
        if self._session.is_begun():
            return _("The first network learns from what is annotated; then the next slices are chosen.")
        words = {
            "stratified_random": _("The first {count} slices are spread over the patients; there is no network yet."),
            "diversity": _("The first {count} slices look as different as possible; there is no network yet."),
            "exemplar": _("Without a segmentation you are asked for {count} slices, all of one case."),
        }
        return words[rounds.cold_start].format(count=rounds.seed_budget)

    def update_progress(self) -> None:
        """Show the job's progress and the new lines of the log."""
        ui, work = self._ui, self._session.work
        for line in self._session.log[self._logged :]:
            ui.log.appendPlainText(line)
        self._logged = len(self._session.log)
        show_progress(work, ui.progress, ui.progressText)

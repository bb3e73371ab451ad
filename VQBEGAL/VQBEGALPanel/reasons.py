"""What cannot be done now, and why: one sentence each, for a tooltip and the status line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from VQBEGALPanel import dependencies

if TYPE_CHECKING:
    from VQBEGALPanel.session import Session


class Reasons:
    """Every method returns why something cannot be done, an empty text where it can.

    Args:
        session: what is open and going on.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def study(self) -> str:
        """Return why no other study can be opened, empty where it can."""
        return self._busy() or self._lacking(torch=False)

    def cases(self) -> str:
        """Return why no case can be added or changed, empty where it can."""
        return self._without_study() or self._busy() or self._lacking(torch=False)

    def computing(self) -> str:
        """Return why nothing can be trained or scored, empty where it can."""
        return self.cases() or self._lacking(torch=True)

    def annotating(self) -> str:
        """Return why no answer can be taken, empty where it can."""
        if reason := self._without_study() or self._lacking(torch=False):
            return reason
        if self._session.work is not None:
            return _("{what} is going on: you can page through the slices; annotate when it is done.").format(
                what=self._session.work.what
            )
        current = self._session.current()
        if current is None and self._session.is_begun():
            return _("The study begins with a case that is annotated: train in section 3.")
        if current is None:
            return _("No slice has been chosen yet: press “Choose the first slices” in section 3.")
        return _("The newest round is trained: choose the next slices.") if current.trained else ""

    def training(self) -> str:
        """Return why there is nothing to train, empty where there is."""
        if reason := self.computing() or self._without_cases():
            return reason
        current = self._session.current()
        if current is None and not self._session.is_begun():
            return _("There is nothing to train yet: choose the first slices and annotate some.")
        if current is not None and current.trained:
            return _("The newest round is trained already.")
        if not self._session.budget()["used"]:
            return _("Annotate at least one slice first.")
        return ""

    def round(self) -> str:
        """Return why no next round can be started, empty where it can."""
        current = self._session.current()
        if self._session.is_begun() or (current is not None and not current.trained):
            return self.training()
        if reason := self.computing() or self._without_cases():
            return reason
        budget = self._session.budget()
        if budget["left"] <= 0:
            return _("The budget of {total} slices is spent: raise “Slices in all” in section 1 to go on.").format(
                total=budget["total"]
            )
        return ""

    def segmenting(self) -> str:
        """Return why no case can be segmented, empty where it can."""
        if reason := self.computing():
            return reason
        return "" if any(item.trained for item in self._session.rounds()) else _("No network is trained yet.")

    def exporting(self, *, dicom: bool) -> str:
        """Return why nothing can be exported or sent, empty where it can; a DICOM object needs more packages."""
        return self.cases() or (self.servers() if dicom else "")

    def servers(self) -> str:
        """Return why no DICOM object can be made and no server asked, empty where it can."""
        lacking = self._session.missing_for_export
        return _("Install what is missing first: {packages}.").format(packages=", ".join(lacking)) if lacking else ""

    def _busy(self) -> str:
        return (
            ""
            if self._session.work is None
            else _("{what} is going on; wait or cancel it.").format(what=self._session.work.what)
        )

    def _without_study(self) -> str:
        return "" if self._session.study is not None else _("Create or open a study first.")

    def _without_cases(self) -> str:
        return "" if self._session.study.cases("train") else _("Add a case for training first.")

    def _lacking(self, *, torch: bool) -> str:
        lacking = [item for item in self._session.missing if torch or item != dependencies.TORCH]
        if not lacking:
            return ""
        return _("Install what is missing first: {packages}.").format(packages=", ".join(lacking))

"""Section 5: predictions, learning curve, uncertainty, advice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import slicer
from slicer.i18n import tr as _

from VQBEGALLib.slices import SliceFrame
from VQBEGALPanel.attention import LEAST, TOP, color_scale
from VQBEGALPanel.highlight import RESULTS
from VQBEGALPanel.plots import show_learning_curve, strip
from VQBEGALPanel.sections import Gate, attempt, fill_names

if TYPE_CHECKING:
    from VQBEGALPanel.annotating import Annotating
    from VQBEGALPanel.caseviewer import CaseViewer
    from VQBEGALPanel.session import Session

_STRIP, _SCALE = (400, 18), (120, 12)
"""Pixels."""


class ResultsSection:
    """Shows what the newest network makes of the cases.

    Args:
        ui: the panel's widgets.
        session: what the widgets act on.
        annotating: knows the learning curve.
        viewer: brings cases up.
    """

    def __init__(self, ui, session: Session, gate: Gate, annotating: Annotating, viewer: CaseViewer) -> None:
        self._ui, self._session, self._gate = ui, session, gate
        self._annotating, self._viewer = annotating, viewer
        self._cases: list[str] = []
        ui.resultCase.connect("currentIndexChanged(int)", lambda _index: attempt(self._update_case)())
        ui.showResult.connect("clicked()", attempt(self.show))
        ui.segmentCase.connect("clicked()", attempt(lambda: session.segment([self.case()])))
        ui.segmentAll.connect("clicked()", attempt(lambda: session.segment([])))
        ui.show3D.connect("toggled(bool)", lambda on: attempt(self._show_3d)(on))
        ui.showAttention.connect("toggled(bool)", lambda on: attempt(self._show_attention)(on))
        ui.attentionScale.setPixmap(color_scale(*_SCALE))
        ui.attentionBottom.text = _("{share} %").format(share=LEAST)
        viewer.attention.put_away_hook = self._update_attention
        ui.showCurve.connect("clicked()", attempt(self.show_curve))

    def case(self) -> str:
        """Return the chosen case, empty without one."""
        return self._ui.resultCase.currentText

    def show(self) -> None:
        """Bring the case and its prediction up, at the slice with most of the organ."""
        case, scene = self.case(), self._session.scene
        with_attention = self._ui.showAttention.checked and self._viewer.attention.is_there(case)
        with slicer.util.WaitCursor():
            scene.prediction(case)
            planes = SliceFrame.of(self._session.study.grid(case)).planes(scene.predicted(case))
            areas = np.count_nonzero(planes, axis=(1, 2))
            index = int(np.argmax(areas)) if areas.any() else None
            if index is None:
                self._session.say(_("The prediction of {case} is empty: train with more slices.").format(case=case))
                slicer.util.showStatusMessage(self._session.log[-1], 5000)
            self._viewer.show_prediction(case, index, in_3d=self._ui.show3D.checked)
        if with_attention:
            self._viewer.show_attention(case)
            self._update_attention()

    def _show_attention(self, on: bool) -> None:
        """Lay the map over its own case, which is brought up first where another one is; or put it away."""
        case, viewer = self.case(), self._viewer
        try:
            if not on:
                viewer.attention.put_away()
            elif viewer.case == case:
                viewer.show_attention(case)
            else:
                self.show()
        finally:
            self._update_attention()

    def _update_attention(self) -> None:
        """Show whether there is a map, and whether it is up."""
        ui, case, overlay, scene = self._ui, self.case(), self._viewer.attention, self._session.scene
        there = overlay.is_there(case)
        ui.showAttention.visible = there
        up = there and overlay.case == case
        blocked = ui.showAttention.blockSignals(True)
        ui.showAttention.checked = up
        ui.showAttention.blockSignals(blocked)
        ui.attentionLegend.visible = up
        if up:
            ui.attentionTop.text = _("{share} % read from the {modality}").format(
                share=TOP, modality=scene.modality("auxiliary")
            )

    def _show_3d(self, visible: bool) -> None:
        if self._session.scene is not None and self.case():
            self._viewer.show_3d(self.case(), visible=visible)

    def show_curve(self) -> None:
        """Plot the learning curve."""
        self._viewer.views.arrange(RESULTS)
        show_learning_curve(*self._annotating.curve())
        self._viewer.plotted_something_else()

    def update(self) -> None:
        """Show the figures there are, and grey what cannot be done."""
        ui, study = self._ui, self._session.study
        self._viewer.attention.check()
        cases = [] if study is None else [subject.name for subject in study.cases()]
        if cases != self._cases:
            self._cases = cases
            fill_names(ui.resultCase, cases)
        validation, proposals = ([], []) if study is None else self._annotating.curve()
        ui.resultText.text = _figures(validation, proposals, {} if study is None else self._annotating.by_organ())
        ui.advice.text = self._session.advice
        no_curve = _(
            "There is no learning curve yet: it needs validation cases with a reference, or corrected proposals."
        )
        self._gate.set(ui.showCurve, "" if validation or proposals else no_curve)
        self._update_case()

    def _update_case(self) -> None:
        ui, case, study = self._ui, self.case(), self._session.study
        none = "" if case else _("There is no case yet.")
        against = none or self._session.reasons.segmenting()
        self._gate.set(ui.segmentCase, against)
        self._gate.set(ui.segmentAll, against)
        newest = study.predictions().get(case) if study is not None and case else None
        missing = "" if newest is not None else _("There is no prediction of this case yet: press Segment.")
        self._gate.set(ui.showResult, none or missing)
        self._gate.set(ui.show3D, none or missing)
        values = study.uncertainty(case) if newest is not None else {}
        ui.uncertaintyStrip.visible = bool(values)
        ui.uncertaintyText.text = ""
        if values:
            worst = max(values, key=values.get)
            ui.uncertaintyText.text = _("Prediction of round {round}; least certain at slice {slice}:").format(
                round=newest.round, slice=worst
            )
            ui.uncertaintyStrip.setPixmap(strip(values, SliceFrame.of(study.grid(case)).count, *_STRIP))
        self._update_attention()


def _figures(
    validation: list[tuple[float, float]], proposals: list[tuple[float, float]], by_organ: Mapping[str, float]
) -> str:
    parts = []
    if validation:
        text = _("Validation Dice {dice:.3f} with {count:.0f} slices{organs}.")
        organs = ", ".join(f"{name} {dice:.3f}" for name, dice in by_organ.items())
        dice, count = validation[-1][1], validation[-1][0]
        parts.append(text.format(dice=dice, count=count, organs=f" ({organs})" if organs else ""))
    if proposals:
        parts.append(_("Your corrections agree with the proposals by Dice {dice:.3f}.").format(dice=proposals[-1][1]))
    return " ".join(parts)

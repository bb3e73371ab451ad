"""Brings a case, or one slice pair of it, up in the views."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from VQBEGALLib.slices import SliceFrame
from VQBEGALPanel.attention import AttentionOverlay
from VQBEGALPanel.highlight import ANNOTATE, LEFT, PAIR, RESULTS, RIGHT, SETTLED, Shown, SliceViews
from VQBEGALPanel.plots import role_words, show_uncertainty

if TYPE_CHECKING:
    from VQBEGALLib.study.records import Request, Which
    from VQBEGALPanel.session import Session


class CaseViewer:
    """Shows CT left and MR right, whichever of them is the primary.

    ``leave`` is called before a case comes up that is not to be annotated, ``plotted`` after a plot has come up.

    Args:
        session: with the open study.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.views = SliceViews()
        self.attention = AttentionOverlay(session, self.views)
        self.leave = self.plotted = lambda: None
        self._plotted: tuple[str, int] | None = None
        self.case = ""

    def show_request(self, request: Request) -> None:
        """Bring up the slice pair of a request, with its note and the plot of its case.

        Raises:
            VQBEGALError: an image cannot be shown.
            RuntimeError: the application cannot read an image.
        """
        current = self._session.current()
        lines = [
            _("Round {round}, rank {rank} of {count}").format(
                round=current.index, rank=request.rank + 1, count=len(current.requests)
            ),
            _("trains {role}").format(role=role_words()[request.role])
            + ("" if request.score is None else _(", entropy {score:.3g}").format(score=request.score)),
        ]
        scores = self._session.scores(request.case)
        layout = ANNOTATE if scores else PAIR  # the first round has no network yet, and so no entropy
        self._show(request.case, request.slice, request.partner, request.partner_slice, lines, layout=layout)
        self._plot(request.case, current.index, scores)

    def show_case(self, case: str, index: int | None = None, *, layout: int = PAIR) -> None:
        """Bring a case up at a slice of its primary image, by default its middle one, with its own auxiliary."""
        self.leave()
        study = self._session.study
        subject = study.subjects[case]
        if subject.primary is None:
            self._show(case, None, case, None, [], layout=layout)
            return
        frame = SliceFrame.of(study.grid(case))
        index = frame.count // 2 if index is None else index
        partner, partner_slice = None, None
        if subject.auxiliary is not None:
            other = SliceFrame.of(study.grid(case, "auxiliary"))
            partner, partner_slice = case, other.at_height(frame.height(index))
        self._show(case, index, partner, partner_slice, [], layout=layout)

    def _show(
        self,
        case: str,
        index: int | None,
        partner: str | None,
        partner_slice: int | None,
        lines: list[str],
        *,
        layout: int,
    ) -> None:
        scene = self._session.scene
        self.attention.put_away()
        self.case = case
        primary = self._shown(case, "primary", index, lines) if index is not None else Shown(None, None, 0, "")
        modality = scene.modality("auxiliary")
        if partner is None:
            auxiliary = Shown(None, None, 0, _("{case} has no {modality}").format(case=case, modality=modality))
        else:
            borrowed = [] if partner == case else [_("of another patient: {case} has no {modality}")]
            borrowed = [text.format(case=case, modality=modality) for text in borrowed]
            auxiliary = self._shown(partner, "auxiliary", partner_slice, borrowed)
        self.views.arrange(layout)
        self.views.show(*((primary, auxiliary) if self._ct_first() else (auxiliary, primary)))
        self.focus(case)
        for gone in scene.unload({case, partner}):
            self._session.say(_("{case} was unloaded: memory is short.").format(case=gone))

    def focus(self, case: str) -> None:
        """Show the segmentations of one case, over its primary image and in 3-D, and hide those of all others."""
        hidden = self._session.scene.focus(case, [f"vtkMRMLSliceNode{self._own_view()}", "vtkMRMLViewNode1"])
        for name in hidden:
            self._session.say(_("{name} was hidden: it is not of this case.").format(name=name))

    def page_to(self, index: int) -> None:
        """Show another slice of the case that is up; the slice to annotate stays the same."""
        if self.case in self._session.study.subjects:
            self.views.show_one(self._own_view(), self._shown(self.case, "primary", index, []))

    def is_up(self, request: Request) -> bool:
        """Tell whether the view of the primary image shows the request's slice."""
        volume = self._session.scene.volume(request.case, "primary")
        grid = self._session.study.grid(request.case)
        return self.views.is_at(self._own_view(), Shown(volume, grid, request.slice, ""))

    def _own_view(self) -> str:
        return LEFT if self._ct_first() else RIGHT

    def _ct_first(self) -> bool:
        return self._session.scene.modality("primary") == "CT"

    def _shown(self, case: str, which: Which, index: int | None, lines: list[str]) -> Shown:
        study, scene = self._session.study, self._session.scene
        grid = study.grid(case, which)
        count = SliceFrame.of(grid).count
        index = count // 2 if index is None else index
        title = _("{case}: {modality} slice {index} of 0–{last}").format(
            case=case, modality=scene.modality(which), index=index, last=count - 1
        )
        return Shown(scene.volume(case, which), grid, index, "\n".join([title, *lines]))

    def _plot(self, case: str, round_index: int, scores: dict[int, float]) -> None:
        """Plot the scores along a case where there are any, unless they are shown already."""
        if not scores or self._plotted == (case, round_index):
            return
        self._plotted = (case, round_index)
        chosen: dict[str, list[int]] = {}
        for item in self._session.current().requests:
            if item.case == case:
                chosen.setdefault(item.role, []).append(item.slice)
        show_uncertainty(_("Entropy along {case}").format(case=case), scores, chosen)
        self.plotted()

    def show_prediction(self, case: str, index: int | None, *, in_3d: bool) -> None:
        """Bring a case and its prediction up, with the prediction's uncertainty along the case."""
        self.show_case(case, index, layout=RESULTS)
        title = _("Uncertainty of the prediction along {case}").format(case=case)
        show_uncertainty(title, self._session.study.uncertainty(case), {})
        self.plotted()
        self.plotted_something_else()
        self.show_3d(case, visible=in_3d)

    def show_attention(self, case: str) -> None:
        """Lay the map of what was read from the other modality over a case that is up; errors as the overlay's."""
        self.attention.show(case, self._own_view())

    def forget(self) -> None:
        """Start over: another study, or another scene."""
        self.attention.put_away()
        self.case = ""
        self.plotted_something_else()
        self.views.clear()

    def plotted_something_else(self) -> None:
        """Plot the scores anew at the next request."""
        self._plotted = None

    def show_3d(self, case: str, *, visible: bool) -> None:
        """Show or hide a case's prediction as a surface, in the middle of the 3-D view."""
        node = self._session.scene.find(case, "prediction")
        if node is None:
            return
        if visible:
            node.CreateClosedSurfaceRepresentation()
        node.GetDisplayNode().SetVisibility3D(visible)
        widget = slicer.app.layoutManager().threeDWidget(0)
        if visible and widget is not None:
            bounds = [0.0] * 6
            node.GetRASBounds(bounds)
            if bounds[0] > bounds[1]:  # nothing is segmented
                return
            renderer = widget.threeDView().renderWindow().GetRenderers().GetFirstRenderer()
            qt.QTimer.singleShot(SETTLED, lambda: renderer.ResetCamera(bounds))

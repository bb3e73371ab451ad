"""Section 4: the slices that the round asks for, and the Segment Editor to answer them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from VQBEGALLib.errors import InputError
from VQBEGALPanel.organs import listed
from VQBEGALPanel.plots import ROLE_COLORS, role_words
from VQBEGALPanel.scene import segment_ids
from VQBEGALPanel.sections import Gate, attempt, fill_table, selected_row, set_up_table

if TYPE_CHECKING:
    from VQBEGALLib.study.records import Request, Status
    from VQBEGALPanel.annotating import Annotating
    from VQBEGALPanel.caseviewer import CaseViewer
    from VQBEGALPanel.session import Session

_ROLE, _STATUS = 5, 6
_UNDO_STATES = 10


class SlicesSection:
    """Shows requests one after the other and takes the answers.

    Args:
        ui: the panel's widgets.
        session: what the widgets act on.
        annotating: answers requests.
        viewer: brings slices up.
        shown: called with case and slice when a request comes up.
    """

    def __init__(
        self,
        ui,
        session: Session,
        gate: Gate,
        annotating: Annotating,
        viewer: CaseViewer,
        shown: Callable[[str, int], None],
    ) -> None:
        self._ui, self._session, self._gate = ui, session, gate
        self._annotating, self._viewer, self._on_shown = annotating, viewer, shown
        self._filled: tuple[object, ...] = ()
        self._up: Request | None = None
        viewer.leave = self.leave
        self._icons = {role: _chip(color) for role, color in ROLE_COLORS.items()}
        set_up_table(ui.requestsTable, [_("Rank"), _("Case"), _("CT"), _("MR"), _("Entropy"), _("Trains"), _("Status")])
        ui.requestsTable.connect("itemSelectionChanged()", attempt(self.show_selected))
        ui.previousSlice.connect("clicked()", attempt(lambda: self.move(-1)))
        ui.nextSlice.connect("clicked()", attempt(lambda: self.move(1)))
        ui.showPrediction.connect("toggled(bool)", lambda _on: attempt(self._show_prediction)())
        ui.startFromPrediction.connect("clicked()", attempt(self.start_from_prediction))
        ui.done.connect("clicked()", attempt(self.done))
        ui.skip.connect("clicked()", attempt(lambda: self._answer("skipped")))
        ui.review.connect("clicked()", attempt(lambda: self._answer("review")))
        ui.editor.setMaximumNumberOfUndoStates(_UNDO_STATES)
        ui.editor.setAutoShowSourceVolumeNode(False)  # the panel shows CT and MR itself

    def selected(self) -> Request | None:
        """Return the selected request."""
        requests, row = self._annotating.requests(), selected_row(self._ui.requestsTable)
        return requests[row] if 0 <= row < len(requests) else None

    def select(self, rank: int | None) -> None:
        """Bring up the request of a rank."""
        if rank is not None:
            self._ui.requestsTable.selectRow(rank)

    def select_slice(self, index: int) -> None:
        """Bring up a slice of the shown case: its request while requests are shown, else just the slice."""
        if self._up is not None:
            for request in self._annotating.requests():
                if (request.case, request.slice) == (self._up.case, index):
                    self.select(request.rank)
                    return
        self._viewer.page_to(index)

    def move(self, step: int) -> None:
        """Go back one row, or on to the next request that is still open."""
        row = selected_row(self._ui.requestsTable)
        if step > 0:
            following = self._annotating.next_open(row)
            self.select(min(row + 1, len(self._annotating.requests()) - 1) if following is None else following)
        else:
            self.select(max(row - 1, 0))

    def show_selected(self) -> None:
        """Bring the selected request up in the views and in the editor."""
        request, self._up = self.selected(), None
        try:
            if request is not None:
                with slicer.util.WaitCursor():
                    self._viewer.show_request(request)
                    self._edit(request)
                self._up = request
                self._annotating.shown()
                self._on_shown(request.case, request.slice)
        finally:
            if self._up is None:
                self._ui.editor.setSegmentationNode(None)
            self._update_buttons()

    def leave(self) -> None:
        """Put the slice away: another case, or another scene, comes up."""
        self._up = None
        self._ui.editor.setActiveEffect(None)
        self._ui.editor.setSegmentationNode(None)
        self._ui.requestsTable.clearSelection()
        self._viewer.views.clear()
        self._update_buttons()

    def check(self) -> None:
        """Put the slice away where the editor has come to hold something else."""
        if self._up is not None:
            node = self._session.scene.find(self._up.case, "annotation")
            if node is None or self._ui.editor.segmentationNode() is not node:
                self.leave()

    def _edit(self, request: Request) -> None:
        editor, scene = self._ui.editor, self._session.scene
        node = scene.annotation(request.case)
        volume = scene.volume(request.case, "primary")
        effect = editor.activeEffect()
        if editor.segmentationNode() is not node:
            editor.setSegmentationNode(node)
        if editor.sourceVolumeNode() is not volume:
            editor.setSourceVolumeNode(volume)
        organs = segment_ids(node)
        if editor.currentSegmentID() not in organs:
            editor.setCurrentSegmentID(organs[0])
        if effect is not None:
            editor.setActiveEffectByName(effect.name)  # another segmentation puts the brush away
        scene.prediction(request.case)
        self._viewer.focus(request.case)
        self._show_prediction()

    def _show_prediction(self) -> None:
        request, scene = self.selected(), self._session.scene
        node = None if request is None else scene.find(request.case, "prediction")
        if node is not None:
            node.GetDisplayNode().SetVisibility2D(self._ui.showPrediction.checked)

    def start_from_prediction(self) -> None:
        """Copy the proposal into the slice; one undo takes it back."""
        request = self.selected()
        self._ui.editor.saveStateForUndo()
        self._annotating.propose(request)

    def done(self) -> None:
        """Write the slice to the disk, then bring up the next open one."""
        request = self._checked()
        if request.status == "done" and not slicer.util.confirmOkCancelDisplay(
            _("This slice was finished before. Replace that by what is painted now?")
        ):
            return
        labelmap = self._session.scene.labelmap(request.case)
        if self._annotating.is_empty(request, labelmap) and not slicer.util.confirmOkCancelDisplay(
            _("Nothing is painted on slice {slice} of {case}. Save it as a slice without {organ}?").format(
                slice=request.slice, case=request.case, organ=listed(self._session.study.config.organs)
            )
        ):
            return
        shared = self._session.scene.overlap(request.case, request.slice)
        if shared and not slicer.util.confirmOkCancelDisplay(
            _("{count} pixels belong to several organs. Save the slice, and give them to the later organ?").format(
                count=shared
            )
        ):
            return
        with slicer.util.WaitCursor():
            self._annotating.done(request, labelmap)
        self._go_on(request)

    def _checked(self) -> Request:
        """Return the request whose slice is on the screen and in the editor.

        Raises:
            InputError: the view shows something else; the slice is brought up again.
        """
        request = self.selected()
        node = self._session.scene.find(request.case, "annotation")
        in_editor = node is not None and self._ui.editor.segmentationNode() is node
        if self._up is None or not in_editor or not self._viewer.is_up(request):
            self.show_selected()
            raise InputError(
                _("Slice {slice} of {case} was not on the screen.").format(slice=request.slice, case=request.case),
                _("It is shown now: look at it, and press Done again."),
            )
        return request

    def _answer(self, status: Status) -> None:
        request = self.selected()
        if request.status == "done" and not slicer.util.confirmOkCancelDisplay(
            _("This slice is finished. Take its annotation out of the study?")
        ):
            return
        self._annotating.set_status(request, status)
        self._go_on(request)

    def _go_on(self, request: Request) -> None:
        following = self._annotating.next_open(request.rank)
        if following is None:
            slicer.util.showStatusMessage(_("All slices of the round are answered: train when you like."), 5000)
        else:
            self.select(following)

    def update(self) -> None:
        """Show the requests with their status, and grey what cannot be done."""
        requests, current = self._annotating.requests(), self._session.current()
        folder = None if self._session.study is None else self._session.study.folder
        places = [(item.case, item.slice) for item in requests]
        key = (folder, None if current is None else current.index, places)
        if key != self._filled:
            self._filled = key
            self._fill(requests)
            if self._up is not None:
                self.leave()
        words = status_words()
        table = self._ui.requestsTable
        for row, request in enumerate(requests):
            if table.item(row, _STATUS).text() != words[request.status]:
                table.item(row, _STATUS).setText(words[request.status])
        counter = self._annotating.counter()
        self._ui.counter.text = (
            _("{done} of {asked} this round, {used} of {total} in all").format(**vars(counter)) if requests else ""
        )
        self._update_buttons()

    def _fill(self, requests: tuple[Request, ...]) -> None:
        words = role_words()
        ct_first = self._session.scene is None or self._session.scene.modality("primary") == "CT"
        rows = []
        for item in requests:
            places = [str(item.slice), "–" if item.partner_slice is None else str(item.partner_slice)]
            score = "–" if item.score is None else f"{item.score:.3g}"
            rows.append(
                [str(item.rank + 1), item.case, *(places if ct_first else places[::-1]), score, words[item.role], ""]
            )
        table = self._ui.requestsTable
        fill_table(table, rows)
        for row, item in enumerate(requests):
            table.item(row, _ROLE).setIcon(self._icons[item.role])
        table.resizeColumnToContents(_ROLE)

    def _update_buttons(self) -> None:
        ui, request = self._ui, self.selected()
        nothing = "" if request is not None and self._up is not None else _("Select a slice in the table first.")
        against = self._session.reasons.annotating() or nothing
        for button in (ui.done, ui.skip, ui.review):
            self._gate.set(button, against)
        self._gate.set(ui.startFromPrediction, self._annotating.reason_against_proposal(request))
        empty = "" if self._annotating.requests() else _("There is no slice to annotate yet.")
        for button in (ui.previousSlice, ui.nextSlice):
            self._gate.set(button, empty)
        self._gate.set(ui.editor, against)
        ui.editor.readOnly = bool(against)  # disabled alone, its keys would still choose brushes
        ui.sliceNote.text = "" if request is None else _note(request)


def status_words() -> dict[str, str]:
    """Return what the statuses are called in the panel."""
    return {"open": _("open"), "done": _("done"), "skipped": _("skipped"), "review": _("second look")}


def _note(request: Request) -> str:
    words = {
        "decoder": _("The network is unsure here: your contour teaches the decoder where the organ ends."),
        "encoder": _("The network is sure here: your contour keeps the encoders on firm ground."),
        "all": _("Your contour teaches the whole network."),
    }
    return words[request.role]


def _chip(color: tuple[float, float, float]) -> qt.QIcon:
    """Return a small square of a colour."""
    pixmap = qt.QPixmap(12, 12)
    pixmap.fill(qt.QColor(*(int(255 * part) for part in color)))
    return qt.QIcon(pixmap)

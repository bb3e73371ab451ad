"""In section 3, before the first round: the one case that is annotated already, where a study begins with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer
from slicer.i18n import tr as _

from VQBEGALLib.errors import InputError
from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.study.labelstore import read_index
from VQBEGALPanel.exporting import organ_labels
from VQBEGALPanel.geometry import voxel_order
from VQBEGALPanel.organs import listed
from VQBEGALPanel.sections import Gate, attempt, fill, fill_names

if TYPE_CHECKING:
    from VQBEGALPanel.session import Session

EXEMPLAR = "exemplar"
"""Value of the setting ``cold_start``."""

_WHOLE, _PAINTED = "whole", "painted"


class ExemplarBox:
    """Takes a segmentation of the scene as the study's first annotation.

    Args:
        ui: the panel's widgets.
        session: what the widgets act on.
    """

    def __init__(self, ui, session: Session, gate: Gate) -> None:
        self._ui, self._session, self._gate = ui, session, gate
        fill(
            ui.exemplarSlices,
            [(_("Every slice of the case"), _WHOLE), (_("Only slices with something painted"), _PAINTED)],
        )
        ui.exemplarCase.connect("currentIndexChanged(int)", lambda _index: attempt(self._update_gates)())
        ui.exemplarSegmentation.connect("currentNodeChanged(vtkMRMLNode*)", lambda _node: attempt(self._update_gates)())
        ui.takeExemplar.connect("clicked()", attempt(self.take))
        ui.dropExemplar.connect("clicked()", attempt(self.drop))

    def take(self) -> None:
        """Write the segmentation's slices into the study.

        Raises:
            InputError: the segmentation lacks an organ, or lies beside the case's images.
        """
        case, node = self._ui.exemplarCase.currentText, self._ui.exemplarSegmentation.currentNode()
        study, scene = self._session.study, self._session.scene
        with slicer.util.WaitCursor():
            volume, grid = scene.volume(case, "primary"), study.grid(case)
            labels, lacking = organ_labels(node, study.config.organs, volume)
            if lacking:
                raise InputError(
                    _("{name} has no segment called {organs}.").format(name=node.GetName(), organs=listed(lacking)),
                    _("Every annotated slice tells of all organs: rename or add the segment."),
                )
            labelmap = grid.with_voxels(np.ascontiguousarray(labels[voxel_order(volume, grid)]))
            frame = SliceFrame.of(grid)
            painted = np.flatnonzero(frame.planes(labelmap.voxels).any(axis=(1, 2))).tolist()
            if not painted:
                raise InputError(
                    _("Nothing of {name} lies on the images of {case}.").format(name=node.GetName(), case=case),
                    _("Choose the segmentation that was painted on them."),
                )
            whole = self._ui.exemplarSlices.currentData == _WHOLE
            study.put_labels(case, labelmap, range(frame.count) if whole else painted, round=0, axis=frame.axis)
        self._session.refresh()

    def drop(self) -> None:
        """Take the annotation out of the study again, after asking."""
        study = self._session.study
        cases = self._annotated()
        if slicer.util.confirmOkCancelDisplay(
            _("Take the annotation of {cases} out of the study? Your segmentation stays in the scene.").format(
                cases=listed(list(cases))
            )
        ):
            for case, slices in cases.items():
                study.remove_labels(case, slices)
            self._session.refresh()

    def _annotated(self) -> dict[str, list[int]]:
        """Return the annotated slices of the training cases."""
        study = self._session.study
        found = {item.name: read_index(study.folder, item.name, "primary") for item in study.cases("train")}
        return {name: sorted(index.annotations) for name, index in found.items() if index and index.annotations}

    def update(self) -> None:
        """Show the box as long as a study is to begin with an annotated case, and has not begun."""
        ui, study = self._ui, self._session.study
        wanted = study is not None and study.config.rounds.cold_start == EXEMPLAR and self._session.current() is None
        ui.exemplarFrame.visible = wanted
        if not wanted:
            return
        fill_names(ui.exemplarCase, [item.name for item in study.cases("train") if item.primary is not None])
        cases = self._annotated()
        ui.exemplarText.text = _("Choose the case that you have annotated, and its segmentation.")
        if cases:
            text = _(
                "{cases}: {count} slices are annotated. The first network learns from them and from all other slices."
            )
            ui.exemplarText.text = text.format(cases=", ".join(cases), count=sum(map(len, cases.values())))
        ui.dropExemplar.visible = bool(cases)
        self._update_gates()

    def _update_gates(self) -> None:
        ui = self._ui
        against = self._session.reasons.cases()
        case = "" if ui.exemplarCase.currentText else _("Add a case for training first.")
        node = "" if ui.exemplarSegmentation.currentNode() is not None else _("Choose the segmentation first.")
        self._gate.set(ui.takeExemplar, against or case or node)
        self._gate.set(ui.dropExemplar, against)

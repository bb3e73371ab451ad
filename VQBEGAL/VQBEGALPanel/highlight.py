"""Shows which slices to annotate: CT left, MR right, each at its slice, a note in the corner, plots beneath."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _

from VQBEGALPanel.geometry import slice_to_ras
from VQBEGALPanel.plots import PLOT_VIEW

if TYPE_CHECKING:
    from VQBEGALLib.volumes import Volume

LEFT, RIGHT = "Red", "Yellow"
_SLICE = (
    '<item><view class="vtkMRMLSliceNode" singletontag="{name}"><property name="orientation" action="default">Axial'
    '</property><property name="viewlabel" action="default">{label}</property></view></item>'
)
_PAIR = '<layout type="horizontal">' + _SLICE.format(name=LEFT, label="R") + _SLICE.format(name=RIGHT, label="Y")
_PLOT = (
    f'<item splitSize="250"><view class="vtkMRMLPlotViewNode" singletontag="{PLOT_VIEW}">'
    '<property name="viewlabel" action="default">P</property></view></item>'
)
_VOLUME = (
    '<item><view class="vtkMRMLViewNode" singletontag="1"><property name="viewlabel" action="default">1</property>'
    "</view></item>"
)
PAIR, ANNOTATE, RESULTS = 5710, 5711, 5712
"""Numbers of the layouts, far from the application's own: without a plot, with one, and with the 3-D view as well."""

LAYOUTS = {
    PAIR: f"{_PAIR}</layout>",
    ANNOTATE: f'<layout type="vertical" split="true"><item splitSize="750">{_PAIR}</layout></item>{_PLOT}</layout>',
    RESULTS: f'<layout type="vertical" split="true"><item splitSize="750">{_PAIR}{_VOLUME}</layout></item>'
    f"{_PLOT}</layout>",
}
_UPPER_RIGHT = 3
_PARALLEL = 0.9998
"""Cosine of 1°: a view that is turned further shows another plane."""
SETTLED = 100
"""Milliseconds until views have their sizes in a new layout."""


@dataclass(frozen=True)
class Shown:
    """What one slice view shows.

    Args:
        volume: image; None leaves the view empty.
        grid: the image's grid in the study; None without an image.
        index: slice along the grid's own axis.
        note: text for the view's corner.
    """

    volume: slicer.vtkMRMLScalarVolumeNode | None
    grid: Volume | None
    index: int
    note: str


class SliceViews:
    """The two slice views; they follow the selected slice pair."""

    def __init__(self) -> None:
        self._notes: dict[str, vtk.vtkCornerAnnotation] = {}
        self._shown: dict[str, Shown] = {}
        self._observed: dict[str, tuple[slicer.vtkMRMLSliceNode, int]] = {}
        self._over: dict[str, str] = {}

    def arrange(self, layout: int) -> None:
        """Switch the application to one of :data:`LAYOUTS`, and fit the images once the views have their new sizes."""
        node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
        before = node.GetViewArrangement()
        for number, description in LAYOUTS.items():
            if not node.IsLayoutDescription(number):
                node.AddLayoutDescription(number, description)
        node.SetViewArrangement(layout)  # also where it is the same: a loaded scene may have had only the number
        if before != layout:
            qt.QTimer.singleShot(SETTLED, self._fit)

    def show(self, left: Shown, right: Shown) -> None:
        """Bring a pair up; the field of view is fitted when the image is another than before."""
        for name, shown in ((LEFT, left), (RIGHT, right)):
            self.show_one(name, shown)

    def clear(self) -> None:
        """Take the notes away; the images stay."""
        self._shown.clear()
        for name in tuple(self._notes):
            self._set_note(name, "")

    def lay_over(self, name: str, volume: slicer.vtkMRMLScalarVolumeNode, opacity: float) -> None:
        """Show a volume over the image of a view, until :meth:`uncover`."""
        self._over[name] = volume.GetID()
        composite = slicer.app.layoutManager().sliceWidget(name).sliceLogic().GetSliceCompositeNode()
        composite.SetForegroundVolumeID(volume.GetID())
        composite.SetForegroundOpacity(opacity)

    def uncover(self) -> None:
        """Show the images alone."""
        for name, volume_id in self._over.items():
            composite = slicer.app.layoutManager().sliceWidget(name).sliceLogic().GetSliceCompositeNode()
            if composite.GetForegroundVolumeID() == volume_id:
                composite.SetForegroundVolumeID(None)
        self._over.clear()

    @staticmethod
    def is_at(name: str, shown: Shown) -> bool:
        """Tell whether a view shows an image at a slice, to within half a slice, along the grid's own plane."""
        widget = slicer.app.layoutManager().sliceWidget(name)
        if widget is None or shown.volume is None:
            return False
        logic = widget.sliceLogic()
        wanted = slice_to_ras(shown.grid, shown.index)
        seen = slicer.util.arrayFromVTKMatrix(logic.GetSliceNode().GetSliceToRAS())
        step = np.linalg.norm((slice_to_ras(shown.grid, shown.index + 1) - wanted)[:3, 3])
        away = abs(np.dot(seen[:3, 3] - wanted[:3, 3], wanted[:3, 2]))
        parallel = abs(np.dot(seen[:3, 2], wanted[:3, 2])) > _PARALLEL
        image = logic.GetSliceCompositeNode().GetBackgroundVolumeID() == shown.volume.GetID()
        return bool(image and parallel and away < step / 2)

    def _fit(self) -> None:
        """Fit the images that are shown into their views, without leaving the slice."""
        for name, shown in self._shown.items():
            logic = slicer.app.layoutManager().sliceWidget(name).sliceLogic()
            if shown.grid is not None:
                logic.FitSliceToBackground()
                self._pose(logic.GetSliceNode(), shown)

    def show_one(self, name: str, shown: Shown) -> None:
        """Bring an image up in one of the views."""
        widget = slicer.app.layoutManager().sliceWidget(name)
        if widget is None:
            return
        self._shown[name] = shown
        logic = widget.sliceLogic()
        composite = logic.GetSliceCompositeNode()
        before = composite.GetBackgroundVolumeID()
        volume_id = shown.volume.GetID() if shown.volume is not None else None
        composite.SetLinkedControl(False)
        composite.SetForegroundVolumeID(self._over.get(name))
        composite.SetLabelVolumeID(None)
        composite.SetBackgroundVolumeID(volume_id)
        if shown.grid is not None:
            node = logic.GetSliceNode()
            if before != volume_id:
                self._pose(node, shown)
                logic.FitSliceToBackground()
            self._pose(node, shown)
            self._follow(name, node)
        self._set_note(name, shown.note)

    def _follow(self, name: str, node: slicer.vtkMRMLSliceNode) -> None:
        """Keep the note true when a person pages; the node is kept as well, for its observer dies with its wrapper."""
        if name not in self._observed:
            tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda _caller, _event: self._moved(name))
            self._observed[name] = (node, tag)

    def _moved(self, name: str) -> None:
        shown = self._shown.get(name)
        if shown is None or shown.grid is None:
            return
        if self.is_at(name, shown):
            self._set_note(name, shown.note)
        else:
            self._set_note(name, _("Another slice than slice {index}").format(index=shown.index))

    @staticmethod
    def _pose(node: slicer.vtkMRMLSliceNode, shown: Shown) -> None:
        """Turn the view into the grid's own plane through the slice."""
        pose = slicer.util.vtkMatrixFromArray(slice_to_ras(shown.grid, shown.index))
        changing = node.StartModify()
        node.GetSliceToRAS().DeepCopy(pose)
        node.UpdateMatrices()
        node.EndModify(changing)

    def _set_note(self, name: str, text: str) -> None:
        """Write into the view's upper right corner, which the application's own annotations leave free."""
        view = slicer.app.layoutManager().sliceWidget(name).sliceView()
        note = self._notes.get(name)
        renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
        if note is None:
            note = self._notes[name] = vtk.vtkCornerAnnotation()
            note.SetMaximumFontSize(16)
            note.SetMinimumFontSize(12)
            note.SetNonlinearFontScaleFactor(1)
            note.GetTextProperty().SetColor(1.0, 0.85, 0.3)
            note.GetTextProperty().SetShadow(True)
        if not renderer.HasViewProp(note):
            renderer.AddViewProp(note)
        if note.GetText(_UPPER_RIGHT) == text:
            return
        note.SetText(_UPPER_RIGHT, text)
        view.scheduleRender()

    def forget(self) -> None:
        """Take the notes out of the views; for when the application lets go of the panel."""
        for name, note in self._notes.items():
            widget = slicer.app.layoutManager().sliceWidget(name)
            if widget is not None:
                renderers = widget.sliceView().renderWindow().GetRenderers()
                renderers.GetFirstRenderer().RemoveViewProp(note)
        for node, tag in self._observed.values():
            node.RemoveObserver(tag)
        self._observed.clear()
        self._notes.clear()
        self._shown.clear()

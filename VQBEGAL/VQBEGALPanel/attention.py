"""Shows, over a case's own image, where its prediction made use of the other modality."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import qt
import slicer

if TYPE_CHECKING:
    from VQBEGALPanel.highlight import SliceViews
    from VQBEGALPanel.session import Session

LEAST, TOP = 5, 100
"""Values that are shown, per cent; where less was read the image stays as it is."""

OPACITY = 0.5
COLORS = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)]) / 255
"""Evenly spaced colours of the map viridis: equal steps look equal, also without telling red from green."""

_TABLE = "VQBEGALAttention"


class AttentionOverlay:
    """One case's map, as foreground of the view of its primary image.

    The map's volume goes when it is put away, and is left out when the scene is saved: it belongs to the study.

    Args:
        session: with the open study.
        views: the slice views.
    """

    def __init__(self, session: Session, views: SliceViews) -> None:
        self._session, self._views = session, views
        self._node_id = ""
        self._key: tuple[object, ...] = ()
        self.case = ""
        self.put_away_hook = lambda: None

    def show(self, case: str, view: str) -> None:
        """Lay a case's map over the image in a view.

        Raises:
            VQBEGALError: it is on another grid than the case's image.
            RuntimeError: the application cannot read it.
        """
        self.put_away()
        node = self._session.scene.attention(case)
        _set_up(node.GetDisplayNode())
        self._node_id, self.case, self._key = node.GetID(), case, self._made(case)
        self._views.lay_over(view, node, OPACITY)

    def put_away(self) -> None:
        """Take the map out of the view and out of the scene."""
        if not self.case:
            return
        self._views.uncover()
        node = slicer.mrmlScene.GetNodeByID(self._node_id)
        if node is not None:
            slicer.mrmlScene.RemoveNode(node)
        self._node_id = self.case = ""
        self.put_away_hook()

    def check(self) -> None:
        """Put the map away where it is no longer that of the newest prediction, or the study is closed."""
        if self.case and self._key != self._made(self.case):
            self.put_away()

    def is_there(self, case: str) -> bool:
        """Tell whether the newest prediction of a case has a map."""
        return bool(self._made(case))

    def _made(self, case: str) -> tuple[object, ...]:
        """Return which map a case has, empty where it has none."""
        study = self._session.study
        newest = None if study is None or case not in study.subjects else study.predictions().get(case)
        path = None if newest is None else newest.attention
        try:
            return () if path is None else (path, path.stat().st_mtime_ns)
        except FileNotFoundError:  # a job is replacing the prediction
            return ()


def color_scale(width: int, height: int) -> qt.QPixmap:
    """Return the colours from :data:`LEAST` to :data:`TOP` as a strip."""
    image = qt.QImage(TOP + 1 - LEAST, 1, qt.QImage.Format_RGB32)
    for place, color in enumerate(_colors()[LEAST:]):
        image.setPixel(place, 0, qt.QColor(*(round(255 * part) for part in color)).rgb())
    return qt.QPixmap.fromImage(image).scaled(width, height)


def _set_up(display: slicer.vtkMRMLScalarVolumeDisplayNode) -> None:
    """Let a map show with the same colours whatever its values."""
    display.SetAndObserveColorNodeID(_color_table().GetID())
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0, TOP)
    display.SetThreshold(LEAST, TOP)
    display.SetApplyThreshold(True)
    display.SetSaveWithScene(False)


def _colors() -> list[tuple[float, float, float]]:
    """Return the colours of the values 0 to :data:`TOP`."""
    places = np.linspace(0, len(COLORS) - 1, TOP + 1)
    parts = [np.interp(places, range(len(COLORS)), COLORS[:, part]) for part in range(3)]
    return [tuple(float(part) for part in color) for color in np.transpose(parts)]


def _color_table() -> slicer.vtkMRMLColorTableNode:
    """Return the map's colour table, which is not saved with the scene."""
    node = slicer.mrmlScene.GetSingletonNode(_TABLE, "vtkMRMLColorTableNode")
    if node is not None:
        return node
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLColorTableNode")
    node.UnRegister(None)
    node.SetSingletonTag(_TABLE)
    node.SetName("VQBEGAL attention")
    node.SetTypeToUser()
    node.SetNumberOfColors(TOP + 1)
    for value, color in enumerate(_colors()):
        node.SetColor(value, f"{value} %", *color, 1.0)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    return slicer.mrmlScene.AddNode(node)

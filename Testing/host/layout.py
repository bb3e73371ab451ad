"""The layout manager: real layout logic; the views of the current layout, arranged as its description says."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import slicer
import vtk
from plots import qMRMLPlotWidget
from PySide6 import QtCore, QtGui, QtWidgets
from pythonqt import observe, own
from views import qMRMLSliceWidget, qMRMLThreeDWidget

_WIDGETS = {
    "vtkMRMLSliceNode": qMRMLSliceWidget,
    "vtkMRMLViewNode": qMRMLThreeDWidget,
    "vtkMRMLPlotViewNode": qMRMLPlotWidget,
}


@own()
class qSlicerLayoutManager(QtCore.QObject):
    """Makes a view for each view node of the layout; views of earlier layouts are kept and hidden.

    Args:
        viewport: the widget that the views fill.
    """

    layoutChanged = QtCore.Signal(int)

    def __init__(self, viewport: QtWidgets.QWidget) -> None:
        super().__init__(viewport)
        self._viewport, self._views, self._shown = viewport, {}, []
        self._box = QtWidgets.QVBoxLayout(viewport)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._root: QtWidgets.QWidget | None = None
        self._current = ("", "")
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        self._logic.SetMRMLScene(slicer.mrmlScene)
        node = self._logic.GetLayoutNode()
        observe(node, vtk.vtkCommand.ModifiedEvent, self._update)
        node.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
        self._update()

    def layoutLogic(self) -> slicer.vtkMRMLLayoutLogic:
        return self._logic

    def viewport(self) -> QtWidgets.QWidget:
        return self._viewport

    def mrmlScene(self) -> slicer.vtkMRMLScene:
        return self._logic.GetMRMLScene()

    def mrmlSliceLogics(self) -> vtk.vtkCollection:
        return slicer.app.applicationLogic().GetSliceLogics()

    def setLayout(self, layout: int) -> None:
        self._logic.GetLayoutNode().SetViewArrangement(layout)

    layout = property(lambda self: self._logic.GetLayoutNode().GetViewArrangement(), setLayout)

    def _update(self) -> None:
        """Arrange the views anew after another layout was chosen or described."""
        node = self._logic.GetLayoutNode()
        now = (node.GetViewArrangement(), node.GetCurrentLayoutDescription())
        if now == self._current or not now[1]:
            return
        self._current = now
        for widget in self._views.values():
            widget.setParent(self._viewport)
            widget.hide()
        if self._root is not None:
            self._box.removeWidget(self._root)
            if self._root not in self._views.values():
                self._root.deleteLater()
        self._shown = []
        self._root = self._build(ET.fromstring(now[1]))
        self._box.addWidget(self._root)
        self._root.show()
        self.layoutChanged.emit(now[0])

    def _build(self, element: ET.Element) -> QtWidgets.QWidget:
        if element.tag == "view":
            return self._view(element)
        kind = element.get("type", "horizontal")
        if kind == "tab":
            box = QtWidgets.QTabWidget()
        else:
            box = QtWidgets.QSplitter(QtCore.Qt.Vertical if kind == "vertical" else QtCore.Qt.Horizontal)
        for index, item in enumerate(element.findall("item")):
            child = self._build(item[0])
            if kind == "tab":
                box.addTab(child, item.get("name", ""))
            else:
                box.addWidget(child)
                box.setStretchFactor(index, int(item.get("splitSize", 500)))
        if kind != "tab":
            box.setSizes([1000 * int(item.get("splitSize", 500)) for item in element.findall("item")])
        return box

    def _view(self, element: ET.Element) -> QtWidgets.QWidget:
        class_name, tag = element.get("class"), element.get("singletontag") or ""
        if class_name not in _WIDGETS:
            raise NotImplementedError(f"The stand-in host shows no {class_name}; choose a layout without it.")
        node = slicer.mrmlScene.GetSingletonNode(tag, class_name)
        if node.GetID() not in self._views:
            for item in element.findall("property"):
                _set_property(node, item.get("name"), (item.text or "").strip())
            self._views[node.GetID()] = _WIDGETS[class_name](node)
        widget = self._views[node.GetID()]
        self._shown.append(widget)
        widget.show()
        return widget

    def _of(self, kind: type) -> list[QtWidgets.QWidget]:
        return [widget for widget in self._views.values() if type(widget) is kind]

    def sliceViewNames(self) -> list[str]:
        return [widget.sliceViewName for widget in self._of(qMRMLSliceWidget)]

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        return next((widget for widget in self._of(qMRMLSliceWidget) if widget.sliceViewName == name), None)

    def threeDWidget(self, index: int) -> qMRMLThreeDWidget | None:
        return dict(enumerate(self._of(qMRMLThreeDWidget))).get(index)

    def plotWidget(self, index: int) -> qMRMLPlotWidget | None:
        return dict(enumerate(self._of(qMRMLPlotWidget))).get(index)

    threeDViewCount = property(lambda self: len(self._of(qMRMLThreeDWidget)))
    plotViewCount = property(lambda self: len(self._of(qMRMLPlotWidget)))

    def resetSliceViews(self) -> None:
        for widget in self._of(qMRMLSliceWidget):
            widget.fitSliceToBackground()

    def resetThreeDViews(self) -> None:
        for widget in self._of(qMRMLThreeDWidget):
            widget.threeDView().resetFocalPoint()

    def setRenderPaused(self, paused: bool) -> None:
        for widget in self._views.values():
            widget._view.setRenderPaused(paused)

    def pauseRender(self) -> None:
        self.setRenderPaused(True)

    def resumeRender(self) -> None:
        self.setRenderPaused(False)


def _set_property(node: slicer.vtkMRMLAbstractViewNode, name: str, value: str) -> None:
    """Give a new view the orientation, label, colour or group that the layout's description names."""
    if name == "orientation":
        node.SetOrientation(value)
    elif name == "viewlabel":
        node.SetLayoutLabel(value)
    elif name == "viewgroup":
        node.SetViewGroup(int(value))
    elif name == "viewcolor":
        node.SetLayoutColor(*QtGui.QColor(value).getRgbF()[:3])

"""The qMRML widgets that stand in .ui files: scene holder and node selector."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from pythonqt import observe, own, unobserve

_SCENE_EVENTS = (
    slicer.vtkMRMLScene.NodeAddedEvent,
    slicer.vtkMRMLScene.NodeRemovedEvent,
    slicer.vtkMRMLScene.EndBatchProcessEvent,
    slicer.vtkMRMLScene.EndCloseEvent,
)


@own({"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"})
class qMRMLWidget(QtWidgets.QWidget):
    """A widget that knows the scene and hands it on."""

    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


@own(
    {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
    }
)
class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Selects a node of given types; follows nodes that come, go and change their names."""

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeActivated = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None
        self._types: list[str] = []
        self._attributes: list[tuple[str, str, str]] = []
        self._base = ""
        self._none, self._add, self._remove, self._rename = False, True, False, False
        self._none_text, self._hidden, self._children, self._edit = "Select a node", False, True, False
        self._current: str | None = None
        self._observed: list[tuple] = []
        self._names: list[tuple] = []
        self._combo = QtWidgets.QComboBox(self)
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self.setFocusProxy(self._combo)
        self._combo.currentIndexChanged.connect(lambda _index: self._select(self._combo.currentData))
        self._combo.activated.connect(lambda _index: self.nodeActivated.emit(self.currentNode()))

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        unobserve(self._observed)
        self._scene = scene
        self._observed = [] if scene is None else [observe(scene, event, self._fill) for event in _SCENE_EVENTS]
        self._fill()

    def _nodes(self) -> list[slicer.vtkMRMLNode]:
        if self._scene is None:
            return []
        found = {}
        for name in self._types:
            nodes = self._scene.GetNodesByClass(name)
            nodes.UnRegister(None)
            for index in range(nodes.GetNumberOfItems()):
                node = nodes.GetItemAsObject(index)
                if self._children or node.GetClassName() == name:
                    found[node.GetID()] = node
        return [node for node in found.values() if self._shows(node)]

    def _shows(self, node: slicer.vtkMRMLNode) -> bool:
        wanted = [item for item in self._attributes if node.IsA(item[0])]
        fits = all(node.GetAttribute(name) == value for _type, name, value in wanted)
        return fits and (self._hidden or not node.GetHideFromEditors())

    def _fill(self) -> None:
        """List the nodes anew; the current one stays if it is still there."""
        if self._scene is not None and self._scene.IsBatchProcessing():
            return
        unobserve(self._names)
        nodes = self._nodes()
        self._names = [observe(node, vtk.vtkCommand.ModifiedEvent, self._show_names) for node in nodes]
        self._combo.blockSignals(True)
        self._combo.clear()
        if self._none or not nodes:
            self._combo.addItem(self._none_text, None)
        for node in nodes:
            self._combo.addItem(node.GetName(), node.GetID())
        index = self._combo.findData(self._current) if self._current else 0
        self._combo.setCurrentIndex(max(index, 0))
        self._combo.blockSignals(False)
        self._select(self._combo.currentData)

    def _show_names(self) -> None:
        for node in self._nodes():
            index = self._combo.findData(node.GetID())
            if index >= 0 and self._combo.itemText(index) != node.GetName():
                self._combo.setItemText(index, node.GetName())

    def _select(self, node_id: str | None) -> None:
        if node_id != self._current:
            self._current = node_id
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(node_id or "")

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        return self._scene.GetNodeByID(self._current) if self._scene is not None and self._current else None

    def setCurrentNode(self, node: slicer.vtkMRMLNode | None) -> None:
        self.setCurrentNodeID(None if node is None else node.GetID())

    def setCurrentNodeID(self, node_id: str | None) -> None:
        index = self._combo.findData(node_id) if node_id else self._combo.findText(self._none_text)
        self._combo.setCurrentIndex(index)

    def nodeFromIndex(self, index: int) -> slicer.vtkMRMLNode | None:
        return dict(enumerate(self._nodes())).get(index)

    def nodeCount(self) -> int:
        return len(self._nodes())

    def addAttribute(self, node_type: str, name: str, value: str | None = None) -> None:
        self._attributes.append((node_type, name, value))
        self._fill()

    def addNode(self) -> slicer.vtkMRMLNode:
        node = self._scene.AddNewNodeByClass(self._types[0], self._scene.GenerateUniqueName(self._base or "Node"))
        self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def _refilling(name: str) -> property:
        def write(self: qMRMLNodeComboBox, value: object) -> None:
            setattr(self, name, value)
            self._fill()

        return property(lambda self: getattr(self, name), write)

    nodeTypes = _refilling("_types")
    noneEnabled = _refilling("_none")
    noneDisplay = _refilling("_none_text")
    showHidden = _refilling("_hidden")
    showChildNodeTypes = _refilling("_children")
    addEnabled = _refilling("_add")
    removeEnabled = _refilling("_remove")
    renameEnabled = _refilling("_rename")
    editEnabled = _refilling("_edit")
    baseName = _refilling("_base")
    currentNodeID = property(lambda self: self._current or "", setCurrentNodeID)
    del _refilling

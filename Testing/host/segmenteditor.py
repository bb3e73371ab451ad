"""The Segment Editor widget: the application's real segment editor logic under a simple face.

Effects can be chosen, yet a mouse paints nothing here: tests paint through the segmentation.
"""

from __future__ import annotations

import slicer
import vtk
from ctk import ctkCollapsibleButton
from mrmlwidgets import qMRMLNodeComboBox, qMRMLWidget
from PySide6 import QtCore, QtGui, QtWidgets
from pythonqt import observe, own, unobserve

EFFECTS = (
    "Threshold",
    "Paint",
    "Draw",
    "Erase",
    "Level tracing",
    "Grow from seeds",
    "Fill between slices",
    "Margin",
    "Hollow",
    "Smoothing",
    "Scissors",
    "Islands",
    "Logical operators",
    "Mask volume",
)


class _Effect:
    """What a chosen effect tells and keeps: its name, and its parameters in the editor's node."""

    def __init__(self, name: str, node: slicer.vtkMRMLSegmentEditorNode) -> None:
        self.name = name
        self._node = node

    def parameter(self, name: str) -> str:
        return self._node.GetAttribute(f"{self.name}.{name}") or ""

    def setParameter(self, name: str, value: object) -> None:
        self._node.SetAttribute(f"{self.name}.{name}", str(value))


@own(
    {
        "segmentationNodeChanged(vtkMRMLSegmentationNode*)": "segmentationNodeChanged",
        "sourceVolumeNodeChanged(vtkMRMLVolumeNode*)": "sourceVolumeNodeChanged",
    }
)
class qMRMLSegmentEditorWidget(qMRMLWidget):
    """Selectors, a table of segments, the effects and undo; over a vtkSlicerSegmentEditorLogic."""

    segmentationNodeChanged = QtCore.Signal(object)
    sourceVolumeNodeChanged = QtCore.Signal(object)
    currentSegmentIDChanged = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        self._observed: list[tuple] = []
        self._node_observed: list[tuple] = []
        self._shortcuts: list[QtGui.QShortcut] = []
        self._busy, self._auto_show, self._read_only = False, True, False
        self._segmentation, self._source = (self._selector(), self._selector())
        self._add, self._remove = QtWidgets.QPushButton("Add"), QtWidgets.QPushButton("Remove")
        self._show3d, self._switch = QtWidgets.QPushButton("Show 3D"), QtWidgets.QPushButton("Segmentations…")
        self._table = QtWidgets.QTableWidget(0, 2)
        self._effects = QtWidgets.QButtonGroup(self)
        self._undo, self._redo = QtWidgets.QPushButton("Undo"), QtWidgets.QPushButton("Redo")
        self._masking = ctkCollapsibleButton("Masking")
        self._form = QtWidgets.QFormLayout()
        self._build()
        self._add.clicked.connect(lambda: self._logic.AddEmptySegment())
        self._remove.clicked.connect(lambda: self._logic.RemoveSelectedSegment())
        self._show3d.clicked.connect(lambda: self._logic.ToggleSegmentationSurfaceRepresentation())
        self._undo.clicked.connect(lambda: self.undo())
        self._redo.clicked.connect(lambda: self.redo())
        self._table.itemSelectionChanged.connect(self._row_selected)
        history = slicer.vtkSlicerSegmentEditorLogic.SegmentationHistoryChangedEvent
        observe(self._logic, history, self._update)
        self._update()

    def _selector(self) -> qMRMLNodeComboBox:
        selector = qMRMLNodeComboBox(self)
        selector.noneEnabled = True
        return selector

    def _build(self) -> None:
        self._form.addRow("Segmentation:", self._segmentation)
        self._form.addRow("Source volume:", self._source)
        self._effects.idClicked.connect(lambda index: self.setActiveEffectByName(("", *EFFECTS)[index]))
        grid = QtWidgets.QGridLayout()
        for index, name in enumerate(("None", *EFFECTS)):
            button = QtWidgets.QToolButton()
            button.setText(name)
            button.setCheckable(True)
            button.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
            self._effects.addButton(button, index)
            grid.addWidget(button, index // 3, index % 3)
        self._table.setHorizontalHeaderLabels(["Color", "Name"])
        self._table.horizontalHeader().setStretchLastSection(True)
        self._table.verticalHeader().hide()
        self._table.setMaximumHeight(90)
        self._table.setSelectionBehavior(QtWidgets.QTableWidget.SelectRows)
        self._table.setEditTriggers(QtWidgets.QTableWidget.NoEditTriggers)
        self._masking.collapsed = True
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._form)
        layout.addLayout(_row(self._add, self._remove, self._show3d, self._switch))
        layout.addWidget(self._table)
        layout.addLayout(grid)
        layout.addLayout(_row(self._undo, self._redo))
        layout.addWidget(self._masking)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        self._logic.SetMRMLScene(scene)
        self._segmentation.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._source.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        for selector in (self._segmentation, self._source):
            selector.setMRMLScene(scene)
        if scene is None:
            self._follow(None)
            unobserve(self._node_observed)
            self._node_observed = []
        super().setMRMLScene(scene)
        self._update()

    def mrmlSegmentEditorNode(self) -> slicer.vtkMRMLSegmentEditorNode | None:
        return self._logic.GetSegmentEditorNode()

    def setMRMLSegmentEditorNode(self, node: slicer.vtkMRMLSegmentEditorNode | None) -> None:
        unobserve(self._node_observed)
        self._logic.SetSegmentEditorNode(node)
        self._node_observed = [] if node is None else [observe(node, vtk.vtkCommand.ModifiedEvent, self._update)]
        self._follow(self.segmentationNode())
        self._update()

    def _editor(self) -> slicer.vtkMRMLSegmentEditorNode:
        node = self.mrmlSegmentEditorNode()
        if node is None:
            raise RuntimeError("The segment editor has no node of its own; call setMRMLSegmentEditorNode first.")
        return node

    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._logic.GetSegmentationNode()

    def segmentationNodeID(self) -> str:
        node = self.segmentationNode()
        return node.GetID() if node else ""

    def setSegmentationNode(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        self._editor()
        if node is self.segmentationNode():
            return
        if node is not None and node.GetDisplayNode() is None:
            node.CreateDefaultDisplayNodes()
        self._logic.SetSegmentationNode(node)
        self._follow(node)
        first = (
            node.GetSegmentation().GetNthSegmentID(0) if node and node.GetSegmentation().GetNumberOfSegments() else ""
        )
        self.setCurrentSegmentID(first)
        self._update()
        self.segmentationNodeChanged.emit(node)

    def _follow(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        unobserve(self._observed)
        kind = slicer.vtkSegmentation
        events = (kind.SegmentAdded, kind.SegmentRemoved, kind.SegmentModified)
        segmentation = None if node is None else node.GetSegmentation()
        self._observed = [observe(segmentation, event, self._update) for event in events if segmentation]

    def sourceVolumeNode(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        return self._logic.GetSourceVolumeNode()

    def sourceVolumeNodeID(self) -> str:
        node = self.sourceVolumeNode()
        return node.GetID() if node else ""

    def setSourceVolumeNode(self, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        self._editor()
        if node is self.sourceVolumeNode():
            return
        self._logic.SetSourceVolumeNode(node)
        segmentation = self.segmentationNode()
        role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
        if node is not None and segmentation is not None and segmentation.GetNodeReference(role) is None:
            segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
        if node is not None and self._auto_show:
            self.showSourceVolumeInSliceViewers()
        self._update()
        self.sourceVolumeNodeChanged.emit(node)

    def showSourceVolumeInSliceViewers(self) -> None:
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            if self.sourceVolumeNodeID() not in (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()):
                composite.SetBackgroundVolumeID(self.sourceVolumeNodeID())

    def setAutoShowSourceVolumeNode(self, show: bool) -> None:
        self._auto_show = show

    autoShowSourceVolumeNode = property(lambda self: self._auto_show, setAutoShowSourceVolumeNode)

    def currentSegmentID(self) -> str:
        return self._logic.GetCurrentSegmentID() if self.mrmlSegmentEditorNode() else ""

    def setCurrentSegmentID(self, segment_id: str) -> None:
        if segment_id != self.currentSegmentID():
            self._editor().SetSelectedSegmentID(segment_id)
            self._update()
            self.currentSegmentIDChanged.emit(segment_id)

    def _row_selected(self) -> None:
        row = self._table.currentRow()
        node = self.segmentationNode()
        if not self._busy and node is not None and row >= 0:
            self.setCurrentSegmentID(node.GetSegmentation().GetNthSegmentID(row))

    def updateWidgetFromMRML(self) -> None:
        self._update()

    def _update(self) -> None:
        """Show what node and logic say."""
        self._busy = True
        node = self.segmentationNode() if self.mrmlSegmentEditorNode() else None
        self._segmentation.setCurrentNode(node)
        self._source.setCurrentNode(self.sourceVolumeNode() if self.mrmlSegmentEditorNode() else None)
        segmentation = None if node is None else node.GetSegmentation()
        self._table.setRowCount(segmentation.GetNumberOfSegments() if segmentation else 0)
        for row in range(self._table.rowCount):
            segment = segmentation.GetNthSegment(row)
            swatch = QtWidgets.QTableWidgetItem()
            swatch.setData(QtCore.Qt.DecorationRole, QtGui.QColor.fromRgbF(*segment.GetColor()))
            self._table.setItem(row, 0, swatch)
            self._table.setItem(row, 1, QtWidgets.QTableWidgetItem(segment.GetName()))
            if segmentation.GetNthSegmentID(row) == self.currentSegmentID():
                self._table.selectRow(row)
        for button in (self._add, self._remove, *self._effects.buttons()):
            button.setEnabled(node is not None and not self._read_only)
        self._undo.setEnabled(self._logic.CanUndo() and not self._read_only)
        self._redo.setEnabled(self._logic.CanRedo() and not self._read_only)
        name = self.mrmlSegmentEditorNode().GetActiveEffectName() if self.mrmlSegmentEditorNode() else ""
        self._effects.button(("", *EFFECTS).index(name or "")).setChecked(True)
        self._busy = False

    def setReadOnly(self, on: bool) -> None:
        self._read_only = on
        if on:
            self.setActiveEffect(None)
        self._update()

    readOnly = property(lambda self: self._read_only, setReadOnly)

    def availableEffectNames(self) -> list[str]:
        return list(EFFECTS)

    def activeEffect(self) -> _Effect | None:
        node = self.mrmlSegmentEditorNode()
        return self.effectByName(node.GetActiveEffectName()) if node else None

    def effectByName(self, name: str) -> _Effect | None:
        return _Effect(name, self._editor()) if name in EFFECTS else None

    def setActiveEffect(self, effect: _Effect | None) -> None:
        self.setActiveEffectByName("" if effect is None else effect.name)

    def setActiveEffectByName(self, name: str) -> None:
        if name and name not in EFFECTS:
            raise NotImplementedError(f"The stand-in host has no effect {name}; it has {', '.join(EFFECTS)}.")
        if self.mrmlSegmentEditorNode() is not None:
            self.mrmlSegmentEditorNode().SetActiveEffectName(name)
            self._update()

    def saveStateForUndo(self) -> None:
        self._logic.SaveStateForUndo()

    def undo(self) -> None:
        self._logic.Undo()

    def redo(self) -> None:
        self._logic.Redo()

    def setMaximumNumberOfUndoStates(self, count: int) -> None:
        self._logic.SetMaximumNumberOfUndoStates(count)

    maximumNumberOfUndoStates = property(
        lambda self: self._logic.GetMaximumNumberOfUndoStates(), setMaximumNumberOfUndoStates
    )

    def installKeyboardShortcuts(self, parent: QtWidgets.QWidget | None = None) -> None:
        self.uninstallKeyboardShortcuts()
        for key, call in (("Ctrl+Z", self.undo), ("Ctrl+Y", self.redo)):
            shortcut = QtGui.QShortcut(QtGui.QKeySequence(key), parent or slicer.util.mainWindow())
            shortcut.activated.connect(call)
            self._shortcuts.append(shortcut)

    def uninstallKeyboardShortcuts(self) -> None:
        for shortcut in self._shortcuts:
            shortcut.delete()
        self._shortcuts = []

    def turnOffLightboxes(self) -> None:
        """Nothing to do: the version that the host stands for has no lightboxes any more."""

    def updateEffectList(self) -> None:
        """Nothing to do: the effects are always the same here."""

    def setupViewObservations(self) -> None:
        """Nothing to do: no effect follows the mouse here."""

    def removeViewObservations(self) -> None:
        """Nothing to do: no effect follows the mouse here."""

    def _showing(*names: str) -> property:
        def write(self: qMRMLSegmentEditorWidget, visible: bool) -> None:
            for part in (getattr(self, name) for name in names):
                part.setVisible(visible)
                if self._form.labelForField(part) is not None:
                    self._form.setRowVisible(part, visible)

        return property(lambda self: not getattr(self, names[0]).isHidden(), write)

    segmentationNodeSelectorVisible = _showing("_segmentation")
    sourceVolumeNodeSelectorVisible = _showing("_source")
    masterVolumeNodeSelectorVisible = _showing("_source")
    addRemoveSegmentButtonsVisible = _showing("_add", "_remove")
    show3DButtonVisible = _showing("_show3d")
    switchToSegmentationsButtonVisible = _showing("_switch")
    maskingSectionVisible = _showing("_masking")
    undoEnabled = _showing("_undo", "_redo")
    del _showing


def _row(*parts: QtWidgets.QWidget) -> QtWidgets.QHBoxLayout:
    row = QtWidgets.QHBoxLayout()
    for part in parts:
        row.addWidget(part)
    return row

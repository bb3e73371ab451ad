"""The stand-in host offers what the application offers, in its spelling, and the panel uses nothing else."""

from __future__ import annotations

import ast
import enum
import gc
import importlib.util
import os
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PANEL = ROOT / "VQBEGAL"
LIST = ROOT.parent / "shared" / "slicer_api.json"

needs_list = pytest.mark.skipif(not LIST.is_file(), reason="the list of the application's surface is not here")


@pytest.fixture(scope="module")
def host() -> ModuleType:
    """The started stand-in; skipped where its libraries cannot be loaded, yet not in continuous integration."""
    sys.path.insert(0, str(ROOT / "Testing" / "host"))
    try:
        import host

        host.start()
    except ImportError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the stand-in host needs slicer-core and PySide6 with their system libraries ({error})")
    return host


@pytest.fixture
def application(host: ModuleType) -> Iterator[None]:
    """An empty application before and after the test."""
    host.reset()
    yield
    host.reset()


@needs_list
def test_own_classes_offer_only_what_the_application_offers(host: ModuleType) -> None:
    import pythonqt
    import surface
    from PySide6 import QtCore

    checked, wrong = 0, []
    for cls in pythonqt.OWN:
        known = surface.names_of(cls)
        if known is None:
            continue
        checked += 1
        for name, member in vars(cls).items():
            listed = name if isinstance(member, property) else f"{name}()"
            is_value = not callable(member) and not isinstance(member, (property, QtCore.Signal))
            if not name.startswith("_") and name != "staticMetaObject":
                wrong += [] if (name if is_value else listed) in known else [f"{cls.__name__}.{listed}"]
        kit = "ctk" if cls.__module__ == "ctk" else "slicer"
        wrong += [] if cls.__name__ in surface.names(kit) | {"qSlicerApplication"} else [cls.__name__]
    assert checked > 12
    assert wrong == []


@needs_list
def test_properties_of_qt_are_properties_in_the_application(host: ModuleType) -> None:
    import pythonqt
    import surface

    wrong = []
    for cls in pythonqt.classes():
        known = surface.names(f"qt.{cls.__name__}")
        for name in dir(cls) if known else []:
            is_property = isinstance(getattr(cls, name, None), property)
            wrong += [f"{cls.__name__}.{name}"] if is_property and name not in known and f"{name}()" in known else []
    assert wrong == []


@needs_list
def test_signatures_name_signals_of_their_class(host: ModuleType) -> None:
    import pythonqt
    import surface

    for cls, signals in pythonqt.OWN.items():
        for signature, name in signals.items():
            assert signature.startswith(f"{name}(")
            assert hasattr(cls, name)
            assert surface.offers(surface.names_of(cls) or frozenset({name}), name)


class _Uses(ast.NodeVisitor):
    """Collects dotted names as code reads, calls or sets them."""

    def __init__(self) -> None:
        self.found: set[tuple[str, ...]] = set()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts, inner = [node.attr], node.value
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            self.found.add((inner.id, *reversed(parts)))
        self.generic_visit(node)


def _uses(folder: Path) -> dict[tuple[str, ...], Path]:
    """Return every dotted name in a folder's code, with a file that has it."""
    found: dict[tuple[str, ...], Path] = {}
    for path in sorted(folder.rglob("*.py")):
        visitor = _Uses()
        visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
        found |= dict.fromkeys(visitor.found, path)
    return found


def _widget_classes() -> dict[str, str]:
    """Return the class of every widget in the panel's .ui files by its name."""
    widgets = [item for path in PANEL.rglob("*.ui") for item in ET.parse(path).iter("widget")]
    return {item.get("name", ""): item.get("class", "") for item in widgets}


@needs_list
@pytest.mark.skipif(not any(PANEL.rglob("*.py")), reason="there is no panel yet")
def test_the_panel_uses_only_what_the_application_offers(host: ModuleType) -> None:
    import surface

    wrong = []
    for use, path in _uses(PANEL).items():
        keys = {("slicer", "util"): "slicer.util", ("slicer", "app"): "slicer.app"}
        if use[:2] in keys and len(use) > 2:
            known, name = surface.names(keys[use[:2]]), use[2]
        elif use[0] in ("qt", "ctk") and len(use) > 2:
            known, name = surface.names(f"{use[0]}.{use[1]}"), use[2]
        elif use[0] in ("qt", "ctk", "slicer"):
            known, name = surface.names(use[0]), use[1]
        else:
            continue
        if known is not None and not surface.offers(known, name):
            wrong.append(f"{path.name}: {'.'.join(use)}")
    assert wrong == []


@needs_list
@pytest.mark.skipif(not any(PANEL.rglob("*.ui")), reason="there is no panel yet")
def test_the_panel_uses_only_what_its_widgets_offer(host: ModuleType) -> None:
    import surface

    classes, wrong = _widget_classes(), []
    for use, path in _uses(PANEL).items():
        for place in range(len(use) - 2):
            if use[place] in ("ui", "_ui") and use[place + 1] in classes:
                kit = {"Q": "qt", "c": "ctk", "q": "slicer"}[classes[use[place + 1]][0]]
                known = surface.names(f"{kit}.{classes[use[place + 1]]}")
                if known is None or not surface.offers(known, use[place + 2]):
                    wrong.append(f"{path.name}: {'.'.join(use[place:])}")
    assert wrong == []


@needs_list
def test_code_under_watch_gets_only_what_the_application_offers(application: None, tmp_path: Path) -> None:
    import pythonqt
    import qt
    import surface

    (tmp_path / "watched.py").write_text("def read(item, name):\n    return getattr(item, name)\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location("watched", tmp_path / "watched.py")
    watched = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(watched)
    label, before = qt.QLabel("text"), pythonqt.watcher
    assert label.screen() is not None, "Qt 6 has it"
    surface.watch(tmp_path)
    try:
        assert watched.read(label, "text") == "text"
        with pytest.raises(AttributeError, match="QLabel has no attribute screen"):
            watched.read(label, "screen")
    finally:
        pythonqt.watcher = before


def test_properties_are_attributes_and_setters_stay_methods(application: None) -> None:
    import qt
    import slicer

    box = qt.QSpinBox()
    box.maximum = 7
    box.setValue(9)
    assert (box.value, box.maximum, box.isEnabled(), box.enabled) == (7, 7, True, True)
    item = qt.QTableWidgetItem("text")
    assert item.text() == "text"
    assert slicer.app.applicationName == "Slicer", "static in Qt"


def test_unknown_attributes_are_refused(application: None) -> None:
    import ctk
    import qt

    for widget in (qt.QLabel(), ctk.ctkPathLineEdit()):
        with pytest.raises(AttributeError, match="no attribute texxt"):
            widget.texxt = "a"
        with pytest.raises(AttributeError, match="is a method"):
            widget.show = 1
    assert not hasattr(qt, "QThread")
    assert not hasattr(qt, "QTest")

    class Own(qt.QObject):
        pass

    own = Own()
    own.anything = 1
    assert own.anything == 1


def test_signals_connect_by_signature(application: None) -> None:
    import qt

    button, seen = qt.QPushButton(), []

    class Counter:
        def add(self) -> None:
            seen.append("method")

    def take(checked: bool) -> None:
        seen.append(checked)

    button.connect("clicked()", Counter().add)  # nothing else keeps the counter alive
    button.connect("clicked(bool)", take)
    button.click()
    assert seen == ["method", False]
    assert button.disconnect("clicked(bool)", take)
    assert not button.disconnect("clicked(bool)", take)
    button.click()
    assert seen == ["method", False, "method"]
    with pytest.raises(AttributeError, match="no signal klicked"):
        button.connect("klicked()", take)


def test_single_shots_call_what_nothing_else_keeps(application: None) -> None:
    import qt
    import slicer

    seen: list[int] = []

    class Late:
        def call(self) -> None:
            seen.append(1)

    qt.QTimer.singleShot(0, Late().call)
    qt.QTimer.singleShot(1, lambda: seen.append(2))
    gc.collect()
    end = time.monotonic() + 10
    while len(seen) < 2 and time.monotonic() < end:
        slicer.app.processEvents()
    assert sorted(seen) == [1, 2]


UI = """<?xml version="1.0"?><ui version="4.0"><widget class="qMRMLWidget" name="root"><layout class="QVBoxLayout">
<item><widget class="ctkCollapsibleButton" name="section"><property name="collapsed"><bool>true</bool></property>
<property name="text"><string>Section</string></property><layout class="QVBoxLayout"><item>
<widget class="qMRMLNodeComboBox" name="volume"><property name="nodeTypes"><stringlist>
<string>vtkMRMLScalarVolumeNode</string></stringlist></property>
<property name="noneEnabled"><bool>true</bool></property>
<property name="SlicerParameterName" stdset="0"><string>volume</string></property></widget></item><item>
<widget class="QSpinBox" name="count">
<property name="SlicerParameterName" stdset="0"><string>count</string></property></widget>
</item></layout></widget></item><item><widget class="ctkPathLineEdit" name="path"><property name="filters">
<set>ctkPathLineEdit::Dirs|ctkPathLineEdit::Readable</set></property></widget></item></layout></widget>
<connections><connection><sender>root</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>volume</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>"""


@pytest.fixture
def ui(application: None, tmp_path: Path) -> Iterator[object]:
    """A loaded .ui file with widgets of each kind."""
    import slicer

    (tmp_path / "a.ui").write_text(UI, encoding="utf-8")
    root = slicer.util.loadUI(str(tmp_path / "a.ui"))
    root.setMRMLScene(slicer.mrmlScene)
    yield slicer.util.childWidgetVariables(root)
    root.delete()


def _volume(name: str, shape: tuple[int, ...] = (4, 5, 6)) -> object:
    import slicer

    return slicer.util.addVolumeFromArray(np.zeros(shape, np.int16), np.diag([2.0, 2.0, 3.0, 1.0]), name)


def test_ui_files_load_with_the_applications_widgets(ui: object) -> None:
    import ctk
    import slicer

    assert ui.section.collapsed
    assert not ui.count.visible
    assert ui.path.filters == ctk.ctkPathLineEdit.Dirs | ctk.ctkPathLineEdit.Readable
    assert ui.volume.mrmlScene() is slicer.mrmlScene, "the file's connection hands the scene on"
    seen = []
    ui.section.connect("contentsCollapsed(bool)", seen.append)
    ui.section.collapsed = False
    assert seen == [False]


def test_a_section_remembers_what_the_program_hides(ui: object) -> None:
    ui.root = ui.section.window()
    ui.root.show()
    ui.section.collapsed = False
    assert ui.count.visible
    ui.section.collapsed = True
    ui.count.visible = False
    ui.section.collapsed = False
    assert not ui.count.visible
    assert ui.volume.visible


def test_node_selectors_follow_the_scene(ui: object) -> None:
    import slicer

    seen = []
    ui.volume.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    first, second = _volume("first"), _volume("second")
    assert ui.volume.currentNode() is None
    assert ui.volume.nodeCount() == 2
    ui.volume.setCurrentNode(second)
    second.SetName("other")
    assert ui.volume.findChild(type(ui.volume.focusProxy())).currentText == "other"
    slicer.mrmlScene.RemoveNode(second)
    assert ui.volume.currentNode() is None
    ui.volume.setCurrentNode(first)
    slicer.mrmlScene.Clear(0)
    assert seen == [second, None, first, None]


def test_parameters_are_kept_in_their_node(application: None) -> None:
    import slicer
    from slicer.parameterNodeWrapper import Default, WithinRange, parameterNodeWrapper

    Side = enum.Enum("Side", "LEFT RIGHT")  # noqa: N806
    hints = {
        "count": Annotated[int, WithinRange(0, 10), Default(3)],
        "name": str,
        "side": Side,
        "path": Path,
        "volume": slicer.vtkMRMLScalarVolumeNode,
    }
    Parameters = parameterNodeWrapper(type("Parameters", (), {"__annotations__": hints}))  # noqa: N806
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    parameters = Parameters(node)
    assert (parameters.count, parameters.side, parameters.path, parameters.volume) == (3, Side.LEFT, Path(), None)
    with pytest.raises(ValueError, match="within range"):
        parameters.count = 11
    with pytest.raises(TypeError):
        parameters.name = 1
    parameters.side = Side.RIGHT
    parameters.volume = _volume("ct")
    again = Parameters(node)
    assert (again.side, again.volume) == (Side.RIGHT, parameters.volume)
    with pytest.raises(NotImplementedError, match="observe the parameter node"):
        parameters.connectGui(None)


def test_segment_editor_undoes_on_the_real_segmentation(application: None) -> None:
    import slicer

    editor = slicer.qMRMLSegmentEditorWidget()
    editor.setMRMLScene(slicer.mrmlScene)
    with pytest.raises(RuntimeError, match="setMRMLSegmentEditorNode"):
        editor.setSegmentationNode(None)
    editor.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
    volume = _volume("ct")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = node.GetSegmentation().AddEmptySegment("", "Liver")
    editor.setSegmentationNode(node)
    editor.setSourceVolumeNode(volume)
    editor.setMaximumNumberOfUndoStates(5)
    assert editor.currentSegmentID() == segment

    def paint(value: int) -> None:
        mask = np.full((4, 5, 6), value, np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, volume)

    def painted() -> int:
        return int(slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume).sum())

    paint(1)
    editor.saveStateForUndo()
    paint(0)
    assert painted() == 0
    editor.undo()
    assert painted() == 120
    editor.redo()
    assert painted() == 0
    editor.setActiveEffectByName("Paint")
    assert editor.activeEffect().name == "Paint"
    editor.setActiveEffect(None)
    assert editor.activeEffect() is None
    editor.setMRMLScene(None)
    editor.delete()


@pytest.mark.parametrize("ending", ["nrrd", "nii.gz"])
def test_volumes_are_saved_and_loaded(application: None, tmp_path: Path, ending: str) -> None:
    import slicer

    volume = _volume("ct")
    slicer.util.updateVolumeFromArray(volume, np.arange(120, dtype=np.int16).reshape(4, 5, 6))
    path = str(tmp_path / f"ct.{ending}")
    assert slicer.util.saveNode(volume, path)
    again = slicer.util.loadVolume(path)
    assert again.GetName().startswith("ct")
    assert (slicer.util.arrayFromVolume(again) == slicer.util.arrayFromVolume(volume)).all()
    label = slicer.util.loadLabelVolume(path, {"show": False})
    assert label.IsA("vtkMRMLLabelMapVolumeNode")
    with pytest.raises(RuntimeError, match="Failed to load"):
        slicer.util.loadVolume(str(tmp_path / "none.nrrd"))


@pytest.mark.parametrize("ending", ["mrb", "mrml"])
def test_scenes_are_saved_and_loaded(application: None, tmp_path: Path, ending: str) -> None:
    import slicer

    volume = _volume("ct")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organ")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = node.GetSegmentation().AddEmptySegment("", "Liver")
    mask = np.ones((4, 5, 6), np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, volume)
    if ending == "mrml":
        assert slicer.util.saveNode(volume, str(tmp_path / "ct.nrrd"))
        assert slicer.util.saveNode(node, str(tmp_path / "organ.seg.nrrd"))
    path = str(tmp_path / f"scene.{ending}")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(path)
    node, volume = slicer.util.getNode("organ"), slicer.util.getNode("ct")
    segment = node.GetSegmentation().GetNthSegmentID(0)
    assert (slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume) == 1).all()


LAYOUT = """<layout type="vertical"><item><layout type="horizontal"><item><view class="vtkMRMLSliceNode"
singletontag="HostCT"><property name="orientation" action="default">Coronal</property>
<property name="viewlabel" action="default">CT</property></view></item></layout></item>
<item><view class="vtkMRMLPlotViewNode" singletontag="HostPlot"/></item></layout>"""


def test_custom_layouts_make_their_views(application: None) -> None:
    import slicer

    manager, seen = slicer.app.layoutManager(), []
    manager.connect("layoutChanged(int)", seen.append)
    manager.layoutLogic().GetLayoutNode().AddLayoutDescription(901, LAYOUT)
    manager.setLayout(901)
    slicer.app.processEvents()
    widget = manager.sliceWidget("HostCT")
    assert (manager.layout, seen) == (901, [901])
    assert widget.sliceOrientation == "Coronal"
    assert widget.mrmlSliceNode() is slicer.mrmlScene.GetSingletonNode("HostCT", "vtkMRMLSliceNode")
    assert widget.sliceView().visible
    assert not manager.sliceWidget("Red").visible
    assert manager.plotWidget(0).mrmlPlotViewNode().GetSingletonTag() == "HostPlot"
    assert manager.sliceWidget("none") is None


def test_slice_views_show_volume_segmentation_and_note(application: None) -> None:
    import slicer

    volume = _volume("ct", (6, 32, 32))
    slicer.util.updateVolumeFromArray(volume, np.full((6, 32, 32), 100, np.int16))
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(200, 100)
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    slicer.app.processEvents()

    def middle() -> tuple[int, int, int]:
        slicer.app.processEvents()
        color = view.grab().toImage().pixelColor(view.width // 2, view.height // 2)
        return color.red(), color.green(), color.blue()

    red, green, blue = middle()
    assert abs(red - 128) < 3
    assert red == green == blue
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = node.GetSegmentation().AddEmptySegment("", "Liver", (1.0, 0.0, 0.0))
    mask = np.ones((6, 32, 32), np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, volume)
    red, green, _blue = middle()
    assert red > green + 30
    before = view.grab().toImage()
    view.cornerAnnotation().SetText(2, "round 1")
    view.scheduleRender()
    slicer.app.processEvents()
    assert view.grab().toImage() != before


def test_plots_follow_their_table(application: None) -> None:
    import qt
    import slicer

    manager = slicer.app.layoutManager()
    manager.layoutLogic().GetLayoutNode().AddLayoutDescription(901, LAYOUT)
    manager.setLayout(901)
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    slicer.util.updateTableFromArray(table, [np.arange(3.0), np.arange(3.0)], ["x", "y"])
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", "curve")
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("x")
    series.SetYColumnName("y")
    series.SetPlotType(series.PlotTypeScatter)
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode")
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    manager.plotWidget(0).mrmlPlotViewNode().SetPlotChartNodeID(chart.GetID())
    view, seen = manager.plotWidget(0).plotView(), []
    assert view.chart().GetNumberOfPlots() == 1
    assert view.chart().GetPlot(0).GetLabel() == "curve"
    view.connect("dataSelected(vtkStringArray*,vtkCollection*)", lambda ids, _rows: seen.append(ids))
    view.dataSelected.emit("ids", "rows")
    assert seen == ["ids"]
    slicer.app.processEvents()
    picture = view.grab().toImage()
    assert picture.pixelColor(2, 2) == qt.QColor("white")
    chart.RemoveAllPlotSeriesNodeIDs()
    assert view.chart().GetNumberOfPlots() == 0


def test_pictures_are_light_or_dark(application: None, tmp_path: Path) -> None:
    import qt
    import screenshot

    colors = []
    for dark in (False, True):
        screenshot.set_dark(dark)
        screenshot.make_screenshot(tmp_path / "a.png", size=(900, 600))
        picture = qt.QImage(str(tmp_path / "a.png"))
        assert (picture.width(), picture.height()) == (900, 600)
        colors.append(picture.pixelColor(100, 300).lightness())
    screenshot.set_dark(False)
    assert colors[0] > 200
    assert colors[1] < 60
    with pytest.raises(OSError, match="could not be written"):
        screenshot.make_screenshot(tmp_path / "none" / "a.png")


def test_terminology_knows_the_liver(application: None) -> None:
    import slicer

    logic, entry = slicer.modules.terminologies.logic(), slicer.vtkSlicerTerminologyEntry()
    text = (
        "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
        "~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
    )
    assert logic.DeserializeTerminologyEntry(text, entry)
    assert entry.GetTypeObject().GetCodeMeaning() == "Liver"


def test_what_the_host_lacks_is_said(application: None, tmp_path: Path) -> None:
    import slicer

    with pytest.raises(NotImplementedError, match="no panel of the module Volumes"):
        slicer.modules.volumes.widgetRepresentation()
    (tmp_path / "a.ui").write_text(UI.replace("ctkPathLineEdit", "ctkThermometer"), encoding="utf-8")
    with pytest.raises(NotImplementedError, match="no ctkThermometer"):
        slicer.util.loadUI(str(tmp_path / "a.ui"))
    with pytest.raises(AttributeError):
        _ = slicer.modules.nothing
    with pytest.raises(NotImplementedError, match="does not load"):
        slicer.util.loadModel(str(tmp_path / "a.stl"))

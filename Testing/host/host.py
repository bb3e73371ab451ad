"""The stand-in for 3D Slicer: real MRML and segmentation logic, real Qt, views that render off screen.

import host
host.start()      # once in a process
host.load_module(path)
host.reset()      # back to an empty scene and fresh settings
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_QUIET = ("This plugin does not support propagateSizeHints()", "This plugin does not support raise()")


def start() -> None:
    """Make the application, its main window and the modules that Python code of the application imports."""
    if "qt" in sys.modules and sys.modules["qt"].QApplication.instance() is not None:
        return
    _keep_none()
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    if sys.platform == "linux":
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    if str(_HERE) not in sys.path:
        sys.path.insert(0, str(_HERE))
    import qt  # noqa: F401  (gives PySide6 the accent, before anything else is made)
    import slicer
    import slicer.util
    import vtk
    import vtk.util.numpy_support  # noqa: F401
    from PySide6 import QtCore

    QtCore.qInstallMessageHandler(_message)
    for name in slicer.util.__all__:  # slicer-core copies them; the application has them in slicer.util alone
        delattr(slicer, name)
    slicer.__path__.append(str(_HERE / "slicer_python"))
    from application import make_modules, qSlicerApplication, qSlicerMainWindow

    slicer.app = qSlicerApplication()
    slicer.mrmlScene = slicer.app.mrmlScene()
    _prepare_scene()
    slicer.modules = make_modules()
    _publish_classes()
    from layout import qSlicerLayoutManager

    window = qSlicerMainWindow()
    window.resize(1400, 900)
    slicer.app._window = window
    slicer.app._layout = qSlicerLayoutManager(window._views)
    window.show()
    slicer.app.processEvents()


def _keep_none() -> None:
    """Make None immortal, as from Python 3.12 on: PySide6 relies on that, and gives back one reference too many."""
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40


def _message(_kind: object, _context: object, text: str) -> None:
    if text not in _QUIET:
        print(text, file=sys.stderr)


def _prepare_scene() -> None:
    import slicer
    import vtk

    scene, logic = slicer.mrmlScene, slicer.app.applicationLogic()
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    logic.SetTemporaryPath(slicer.app.temporaryPath)
    scene.SetCacheManager(slicer.vtkCacheManager())
    scene.GetCacheManager().SetRemoteCacheDirectory(slicer.app.temporaryPath)
    logic.SetMRMLScene(scene)
    logic.SetMRMLSceneDataIO(scene, None, None)
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.SetSliceLogics(vtk.vtkCollection())
    logic.SetViewLogics(vtk.vtkCollection())
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    colors = slicer.vtkMRMLColorTableNode()  # the application reads this table from a file that slicer-core lacks
    colors.SetSingletonTag("FileGenericColors.txt")
    colors.SetTypeToUser()
    colors.SetNumberOfColors(300)
    for index in range(300):
        colors.SetColor(index, f"label {index}", *(index * step % 256 / 255 for step in (97, 57, 23)), min(index, 1))
    scene.AddNode(colors)


def _publish_classes() -> None:
    import importlib

    import slicer
    from pythonqt import OWN

    for name in ("mrmlwidgets", "segmenteditor", "views", "plots", "layout"):
        importlib.import_module(name)
    for cls in OWN:
        if cls.__module__ != "ctk" and cls.__name__ != "qSlicerApplication":
            setattr(slicer, cls.__name__, cls)
    widget = importlib.import_module("application").qSlicerScriptedLoadableModuleWidget
    slicer.qSlicerScriptedLoadableModuleWidget = widget


def load_module(path: Path) -> object:
    """Load a scripted module from its file and select it; return the widget object of its own class."""
    import slicer
    from application import qSlicerScriptedLoadableModule

    if slicer.app.moduleManager().module(path.stem) is None:
        qSlicerScriptedLoadableModule(path)
        slicer.app.startupCompleted.emit()
    slicer.util.selectModule(path.stem)
    return slicer.util.getModuleWidget(path.stem)


def reset() -> None:
    """Bring the application back to how it starts: no module, an empty scene, the first layout, fresh settings."""
    import slicer
    from application import qSlicerScriptedLoadableModule

    slicer.util.mainWindow().moduleSelector().selectModule("")
    for module in list(vars(slicer.modules).values()):
        if isinstance(module, qSlicerScriptedLoadableModule):
            module._unload()
    gc.collect()  # so that what hangs on something forgotten shows now, and not in a later test
    slicer.mrmlScene.Clear(False)
    for name in ("vtkMRMLScriptedModuleNode", "vtkMRMLSegmentEditorNode"):
        for node in slicer.util.getNodesByClass(name):
            slicer.mrmlScene.RemoveNode(node)
    layout = slicer.app.layoutManager()
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    for name in layout.sliceViewNames():
        layout.sliceWidget(name).sliceView().cornerAnnotation().ClearAllTexts()
    slicer.app.userSettings().clear()
    slicer.app.processEvents()

"""``slicer.app``, ``slicer.modules`` and the main window."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import slicer
import vtk
from files import qSlicerCoreIOManager
from PySide6 import QtCore, QtGui, QtWidgets
from pythonqt import own

VERSION = (5, 12)
_LOGICS = {
    "colors": slicer.vtkSlicerColorLogic,
    "models": slicer.vtkSlicerModelsLogic,
    "plots": slicer.vtkSlicerPlotsLogic,
    "segmentations": slicer.vtkSlicerSegmentationsModuleLogic,
    "subjecthierarchy": slicer.vtkSlicerSubjectHierarchyModuleLogic,
    "tables": slicer.vtkSlicerTablesLogic,
    "terminologies": slicer.vtkSlicerTerminologiesModuleLogic,
    "volumes": slicer.vtkSlicerVolumesLogic,
}
_NAMES = {"Subjecthierarchy": "SubjectHierarchy"}


@own({"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"})
class qSlicerApplication(QtWidgets.QApplication):
    """The application; there is one in a process."""

    startupCompleted = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self) -> None:
        super().__init__([])
        self.setApplicationName("Slicer")
        self.setOrganizationName("VQBEGAL tests")
        self.setApplicationVersion("{}.{}.0".format(*VERSION))
        self._folder = tempfile.TemporaryDirectory(prefix="vqbegal-host-", ignore_cleanup_errors=True)
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, self._folder.name)
        self._testing = True
        self._scene = slicer.vtkMRMLScene()
        self._logic = slicer.vtkSlicerApplicationLogic()
        self._io = qSlicerCoreIOManager(self)
        self._modules = qSlicerModuleManager(self)
        self._layout: QtCore.QObject | None = None

    def mrmlScene(self) -> slicer.vtkMRMLScene:
        return self._scene

    def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
        return self._logic

    def layoutManager(self) -> QtCore.QObject:
        return self._layout

    def moduleManager(self) -> qSlicerModuleManager:
        return self._modules

    def coreIOManager(self) -> qSlicerCoreIOManager:
        return self._io

    ioManager = coreIOManager

    def userSettings(self) -> QtCore.QSettings:
        return QtCore.QSettings()

    settings = revisionUserSettings = userSettings

    def testingEnabled(self) -> bool:
        return self._testing

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def pauseRender(self) -> None:
        self._layout.pauseRender()

    def resumeRender(self) -> None:
        self._layout.resumeRender()

    majorVersion = property(lambda self: VERSION[0])
    minorVersion = property(lambda self: VERSION[1])
    slicerHome = property(lambda self: sys.prefix)
    temporaryPath = property(lambda self: self._folder.name)


def _kept(name: str) -> property:
    """Return a property that a module's description sets."""
    return property(lambda self: getattr(self, f"_{name}"), lambda self, value: setattr(self, f"_{name}", value))


@own()
class qSlicerLoadableModule(QtCore.QObject):
    """A module of the application with its logic; those written in C++ have no panel here."""

    def __init__(self, name: str, logic: slicer.vtkMRMLAbstractLogic | None, path: str = "") -> None:
        super().__init__()
        self._name, self._logic, self._path = name, logic, path

    def logic(self) -> slicer.vtkMRMLAbstractLogic | None:
        return self._logic

    def widgetRepresentation(self) -> QtWidgets.QWidget:
        raise NotImplementedError(f"The stand-in host has no panel of the module {self._name}.")

    name = property(lambda self: self._name)
    path = property(lambda self: self._path)


@own()
class qSlicerScriptedLoadableModule(qSlicerLoadableModule):
    """A module written in Python, read from its file as the application does.

    Args:
        path: the module's file; its folder goes to the front of Python's path.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path.stem, None, str(path))
        self._title, self._helpText, self._acknowledgementText = "", "", ""
        self._categories, self._contributors, self._dependencies = [], [], []
        self._icon, self._hidden = QtGui.QIcon(), False
        self._widget: qSlicerScriptedLoadableModuleWidget | None = None
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
        self._python = importlib.import_module(path.stem)
        setattr(slicer.modules, path.stem.lower(), self)
        self._instance = getattr(self._python, path.stem)(self)
        setattr(slicer.modules, f"{path.stem}Instance", self._instance)

    title, helpText, acknowledgementText = _kept("title"), _kept("helpText"), _kept("acknowledgementText")
    categories, contributors, dependencies = _kept("categories"), _kept("contributors"), _kept("dependencies")
    icon, hidden = _kept("icon"), _kept("hidden")

    def widgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        if self._widget is None:
            self._widget = qSlicerScriptedLoadableModuleWidget(self)
            self._widget.reload()
        return self._widget

    def _unload(self) -> None:
        """Let the panel clean up, and forget it; the next one is made afresh."""
        if self._widget is not None:
            slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(self.name)
            self._widget.delete()
            self._widget = None
            delattr(slicer.modules, f"{self.name}Widget")


class qSlicerScriptedLoadableModuleWidget(QtWidgets.QWidget):
    """The widget that holds the module's panel, and hands enter and exit on to it."""

    def __init__(self, module: qSlicerScriptedLoadableModule) -> None:
        super().__init__()
        self._module, self._self = module, None
        QtWidgets.QVBoxLayout(self)

    def reload(self) -> None:
        name = self._module.name
        self._self = getattr(sys.modules[name], f"{name}Widget")(self)
        setattr(slicer.modules, f"{name}Widget", self._self)
        self._self.setup()

    def self(self) -> object:
        return self._self


@own()
class qSlicerModuleManager(QtCore.QObject):
    """Finds modules by name, and says when one goes away."""

    moduleAboutToBeUnloaded = QtCore.Signal(str)

    def module(self, name: str) -> qSlicerLoadableModule | None:
        found = getattr(slicer.modules, name.lower(), None)
        return found if isinstance(found, qSlicerLoadableModule) and found.name == name else None


@own()
class qSlicerModuleSelectorToolBar(QtWidgets.QToolBar):
    """Shows one module's panel; the one before is left, the new one entered."""

    moduleSelected = QtCore.Signal(str)

    def __init__(self, panel: QtWidgets.QScrollArea) -> None:
        super().__init__()
        self._panel, self._current = panel, ""

    selectedModule = property(lambda self: self._current)

    def selectModule(self, name: str) -> None:
        if name == self._current:
            return
        self._tell("exit")
        self._panel.takeWidget()
        self._current = name
        module = slicer.app.moduleManager().module(name)
        if isinstance(module, qSlicerScriptedLoadableModule):
            self._panel.setWidget(module.widgetRepresentation())
            module.widgetRepresentation().show()
            self._tell("enter")
        self.moduleSelected.emit(name)

    def _tell(self, what: str) -> None:
        module = slicer.app.moduleManager().module(self._current)
        if isinstance(module, qSlicerScriptedLoadableModule):
            call: Callable[[], None] | None = getattr(module.widgetRepresentation().self(), what, None)
            if call is not None:
                call()


@own()
class qSlicerMainWindow(QtWidgets.QMainWindow):
    """Module panel to the left, views to the right."""

    def __init__(self) -> None:
        super().__init__()
        self.objectName = "qSlicerMainWindow"
        self.windowTitle = "3D Slicer (stand-in)"
        panel = QtWidgets.QScrollArea()
        panel.setWidgetResizable(True)
        panel.setMinimumWidth(480)  # the panel, the layout around it, and a scroll bar
        panel.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
        views = QtWidgets.QWidget()
        split = QtWidgets.QSplitter()
        split.addWidget(panel)
        split.addWidget(views)
        split.setStretchFactor(1, 1)
        self.setCentralWidget(split)
        self.statusBar()
        self._selector = qSlicerModuleSelectorToolBar(panel)
        self._views = views

    def moduleSelector(self) -> qSlicerModuleSelectorToolBar:
        return self._selector


def make_modules() -> SimpleNamespace:
    """Return ``slicer.modules`` with the logics of the application's own modules."""
    modules = SimpleNamespace()
    vtk.vtkObject.GlobalWarningDisplayOff()  # about the files that the application installs and we do not have
    for name, cls in _LOGICS.items():
        logic = cls()
        title = _NAMES.get(name.capitalize(), name.capitalize())
        logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        logic.SetMRMLScene(slicer.mrmlScene)
        slicer.app.applicationLogic().SetModuleLogic(title, logic)
        setattr(modules, name, qSlicerLoadableModule(title, logic))
    vtk.vtkObject.GlobalWarningDisplayOn()
    modules.terminologies.logic().LoadTerminologyFromFile(str(Path(__file__).parent / "terminology.term.json"))
    modules.segmenteditor = qSlicerLoadableModule("SegmentEditor", None)
    return modules

"""Slice, 3-D and plot views: real displayable managers that render off screen, painted into Qt widgets."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from pythonqt import observe, own

SLICE_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLCrosshairDisplayableManager",
)
THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
)


class _View(QtWidgets.QWidget):
    """A render window that is rendered when its widget is painted."""

    def __init__(self, window: vtk.vtkRenderWindow, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._window = window
        self._window.SetShowWindow(False)
        self._window.SetOffScreenRendering(True)
        self._paused, self._dirty = 0, True
        self._image = QtGui.QImage()
        self.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Expanding)
        self.setMinimumSize(40, 40)

    def renderWindow(self) -> vtk.vtkRenderWindow:
        return self._window

    def scheduleRender(self) -> None:
        self._dirty = True
        self.update()

    def forceRender(self) -> None:
        if self._paused:
            return
        self._window.SetSize(max(self.width, 1), max(self.height, 1))
        self._window.Render()
        self._dirty = False
        self._image = _read(self._window)
        self.update()

    def pauseRender(self) -> None:
        self._paused += 1

    def resumeRender(self) -> None:
        self._paused = max(self._paused - 1, 0)
        if not self._paused and self._dirty:
            self.update()

    def setRenderPaused(self, paused: bool) -> None:
        (self.pauseRender if paused else self.resumeRender)()

    def isRenderPaused(self) -> bool:
        return self._paused > 0

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        self._window.SetSize(event.size().width(), event.size().height())
        self.scheduleRender()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        if self._dirty and not self._paused:
            self._window.Render()
            self._dirty = False
            self._image = _read(self._window)
        QtGui.QPainter(self).drawImage(self.rect, self._image)


def _read(window: vtk.vtkRenderWindow) -> QtGui.QImage:
    source = vtk.vtkWindowToImageFilter()
    source.SetInput(window)
    source.ReadFrontBufferOff()
    source.ShouldRerenderOff()
    source.SetInputBufferTypeToRGB()
    source.Update()
    image = source.GetOutput()
    width, height, _depth = image.GetDimensions()
    pixels = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)
    rows = pixels[::-1].copy()
    return QtGui.QImage(rows.data, width, height, 3 * width, QtGui.QImage.Format_RGB888).copy()


class _MRMLView(_View):
    """A view with displayable managers and a corner annotation."""

    def __init__(self, factory: type, managers: tuple[str, ...], parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(vtk.vtkRenderWindow(), parent)
        self._renderer = vtk.vtkRenderer()
        self._window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._annotation = vtk.vtkCornerAnnotation()
        self._annotation.SetMaximumFontSize(16)
        self._annotation.GetTextProperty().SetColor(1, 1, 1)
        self._annotation.GetTextProperty().SetShadow(True)
        self._renderer.AddViewProp(self._annotation)
        known = factory.GetInstance()
        known.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        for name in managers:
            if not known.IsDisplayableManagerRegistered(name):
                known.RegisterDisplayableManager(name)
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        self._managers.SetRenderer(self._renderer)
        observe(self._managers, vtk.vtkCommand.UpdateEvent, self.scheduleRender)
        self._managers.Initialize(known, self._renderer)

    def interactor(self) -> vtk.vtkRenderWindowInteractor:
        return self._interactor

    def cornerAnnotation(self) -> vtk.vtkCornerAnnotation:
        return self._annotation

    def displayableManagerByClassName(self, name: str) -> slicer.vtkMRMLAbstractDisplayableManager | None:
        return self._managers.GetDisplayableManagerByClassName(name)


@own()
class qMRMLSliceView(_MRMLView):
    """The picture of a slice with what the displayable managers draw over it."""

    def __init__(self, logic: slicer.vtkMRMLSliceLogic, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(slicer.vtkMRMLSliceViewDisplayableManagerFactory, SLICE_MANAGERS, parent)
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self._logic = logic
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        self._renderer.AddViewProp(self._actor)
        self._managers.SetMRMLDisplayableNode(logic.GetSliceNode())
        observe(logic, vtk.vtkCommand.ModifiedEvent, self._connect_image)
        self._connect_image()

    def _connect_image(self) -> None:
        connection = self._logic.GetImageDataConnection()
        self._actor.SetVisibility(connection is not None)
        self._actor.GetMapper().SetInputConnection(connection)
        self.scheduleRender()

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        return self._logic.GetSliceNode()

    def convertXYZToRAS(self, xyz: list[float]) -> list[float]:
        return list(self.mrmlSliceNode().GetXYToRAS().MultiplyPoint((*xyz, 1))[:3])

    def convertRASToXYZ(self, ras: list[float]) -> list[float]:
        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.mrmlSliceNode().GetXYToRAS(), inverse)
        return list(inverse.MultiplyPoint((*ras, 1))[:3])

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        super().resizeEvent(event)
        self._logic.ResizeSliceNode(event.size().width(), event.size().height())


@own()
class qMRMLSliceControllerWidget(QtWidgets.QWidget):
    """The bar over a slice view: its label and its slider."""

    def __init__(self, logic: slicer.vtkMRMLSliceLogic, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._logic, self._busy = logic, False
        self._label, self._slider, self._text = (
            QtWidgets.QLabel(self),
            QtWidgets.QSlider(QtCore.Qt.Horizontal, self),
            QtWidgets.QLabel(self),
        )
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(4, 1, 4, 1)
        for part in (self._label, self._slider, self._text):
            layout.addWidget(part)
        layout.setStretch(1, 1)
        self._slider.setRange(0, 1000)
        self._slider.valueChanged.connect(self._moved)
        for item in (logic, logic.GetSliceNode()):
            observe(item, vtk.vtkCommand.ModifiedEvent, self._update)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Fixed)
        self._update()

    def _range(self) -> tuple[float, float]:
        bounds = [0.0, 1.0]
        self._logic.GetSliceOffsetRangeResolution(bounds, vtk.reference(1.0))
        return bounds[0], max(bounds[1], bounds[0] + 1e-6)

    def _update(self) -> None:
        node = self._logic.GetSliceNode()
        low, high = self._range()
        self._busy = True
        self._slider.setValue(round(1000 * (self._logic.GetSliceOffset() - low) / (high - low)))
        self._busy = False
        self._text.setText(f"{self._logic.GetSliceOffset():.2f} mm")
        self._label.setText(f" {node.GetLayoutLabel() or node.GetLayoutName()} ")
        color = QtGui.QColor.fromRgbF(*node.GetLayoutColor())
        self._label.setStyleSheet(f"background: {color.name()}; color: black")

    def _moved(self, value: int) -> None:
        if not self._busy:
            low, high = self._range()
            self._logic.SetSliceOffset(low + value / 1000 * (high - low))

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToAll()
        self._logic.GetSliceNode().UpdateMatrices()


class _Framed(QtWidgets.QWidget):
    """A view under its bar."""

    def __init__(self, bar: QtWidgets.QWidget, view: QtWidgets.QWidget) -> None:
        super().__init__()
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(bar)
        layout.addWidget(view)
        self._view = view


def _bar(text: str) -> QtWidgets.QLabel:
    label = QtWidgets.QLabel(f" {text}")
    label.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Fixed)
    return label


@own()
class qMRMLSliceWidget(_Framed):
    """A slice view with its bar, on a slice logic of its own."""

    def __init__(self, node: slicer.vtkMRMLSliceNode) -> None:
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        slicer.app.applicationLogic().GetSliceLogics().AddItem(self._logic)
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._logic.SetSliceNode(node)
        self._controller = qMRMLSliceControllerWidget(self._logic)
        super().__init__(self._controller, qMRMLSliceView(self._logic))
        self.objectName = f"qMRMLSliceWidget{node.GetLayoutName()}"

    def sliceView(self) -> qMRMLSliceView:
        return self._view

    def sliceController(self) -> qMRMLSliceControllerWidget:
        return self._controller

    def sliceLogic(self) -> slicer.vtkMRMLSliceLogic:
        return self._logic

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> slicer.vtkMRMLSliceCompositeNode:
        return self._logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:
        self._controller.fitSliceToBackground()

    def setSliceOrientation(self, orientation: str) -> None:
        self.mrmlSliceNode().SetOrientation(orientation)

    sliceOrientation = property(lambda self: self.mrmlSliceNode().GetOrientation(), setSliceOrientation)
    sliceViewName = property(lambda self: self.mrmlSliceNode().GetLayoutName())


@own()
class qMRMLThreeDView(_MRMLView):
    """A scene in three dimensions."""

    def __init__(self, node: slicer.vtkMRMLViewNode, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(slicer.vtkMRMLThreeDViewDisplayableManagerFactory, THREE_D_MANAGERS, parent)
        self._node = node
        self._renderer.SetBackground(node.GetBackgroundColor())
        self._renderer.SetBackground2(node.GetBackgroundColor2())
        self._renderer.SetGradientBackground(True)
        self._managers.SetMRMLDisplayableNode(node)

    def mrmlViewNode(self) -> slicer.vtkMRMLViewNode:
        return self._node

    def cameraNode(self) -> slicer.vtkMRMLCameraNode:
        return self._managers.GetDisplayableManagerByClassName("vtkMRMLCameraDisplayableManager").GetCameraNode()

    def resetCamera(self) -> None:
        self._renderer.ResetCamera()
        self.scheduleRender()

    resetFocalPoint = resetCamera


@own()
class qMRMLThreeDWidget(_Framed):
    """A 3-D view with its bar."""

    def __init__(self, node: slicer.vtkMRMLViewNode) -> None:
        super().__init__(_bar(node.GetLayoutLabel() or "3D"), qMRMLThreeDView(node))

    def threeDView(self) -> qMRMLThreeDView:
        return self._view

    def mrmlViewNode(self) -> slicer.vtkMRMLViewNode:
        return self._view.mrmlViewNode()

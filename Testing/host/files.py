"""Loading and saving as slicer.util asks for it: volumes, labelmaps, segmentations and scenes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import slicer
import vtk
from PySide6 import QtCore
from pythonqt import own

_READERS = {
    "vtkMRMLScalarVolumeNode": "VolumeFile",
    "vtkMRMLLabelMapVolumeNode": "VolumeFile",
    "vtkMRMLSegmentationNode": "SegmentationFile",
}


@own()
class qSlicerCoreIOManager(QtCore.QObject):
    """Reads and writes with the application's own logics and storage nodes."""

    def fileType(self, path: str) -> str:
        name = path.lower()
        if name.endswith((".mrml", ".mrb")):
            return "SceneFile"
        if name.endswith((".seg.nrrd", ".seg.nhdr")):
            return "SegmentationFile"
        if name.endswith((".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")):
            return "VolumeFile"
        raise NotImplementedError(f"The stand-in host reads no such file: {path}")

    def fileWriterFileType(self, node: slicer.vtkMRMLNode) -> str:
        return _READERS.get(node.GetClassName(), "NodeFile")

    def loadNodes(
        self,
        kind: str,
        properties: dict[str, Any],
        loaded: vtk.vtkCollection | None = None,
        messages: slicer.vtkMRMLMessageCollection | None = None,
    ) -> bool:
        readers = {"VolumeFile": _load_volume, "SegmentationFile": _load_segmentation, "SceneFile": _load_scene}
        if kind not in readers:
            raise NotImplementedError(f"The stand-in host does not load files of the kind {kind}.")
        if not Path(properties["fileName"]).exists():
            return False
        node = readers[kind](properties)
        if isinstance(node, slicer.vtkMRMLNode) and loaded is not None:
            loaded.AddItem(node)
        return node is not None and node is not False

    def loadScene(self, path: str, clear: bool = True) -> bool:
        return self.loadNodes("SceneFile", {"fileName": path, "clear": clear})

    def saveScene(self, path: str, screenshot: object = None) -> bool:
        return self.saveNodes("SceneFile", {"fileName": path})

    def saveNodes(
        self, kind: str, properties: dict[str, Any], messages: slicer.vtkMRMLMessageCollection | None = None
    ) -> bool:
        if kind == "SceneFile":
            return _save_scene(str(properties["fileName"]))
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(str(properties["fileName"]))
        storage.SetUseCompression(properties.get("useCompression", 1))
        return bool(storage.WriteData(node))


def _load_volume(properties: dict[str, Any]) -> slicer.vtkMRMLVolumeNode | None:
    path = str(properties["fileName"])
    logic = slicer.modules.volumes.logic()
    names = {"labelmap": 1, "center": 2, "singleFile": 4, "autoWindowLevel": 8, "discardOrientation": 16}
    options = sum(bit for name, bit in names.items() if properties.get(name, name == "autoWindowLevel"))
    node = logic.AddArchetypeVolume(path, properties.get("name") or _stem(path), options)
    if node is not None and properties.get("show", True):
        selection = slicer.app.applicationLogic().GetSelectionNode()
        if node.IsA("vtkMRMLLabelMapVolumeNode"):
            selection.SetActiveLabelVolumeID(node.GetID())
        else:
            selection.SetActiveVolumeID(node.GetID())
        slicer.app.applicationLogic().PropagateVolumeSelection()
    return node


def _load_segmentation(properties: dict[str, Any]) -> slicer.vtkMRMLSegmentationNode | None:
    path = str(properties["fileName"])
    logic = slicer.modules.segmentations.logic()
    auto_opacities = properties.get("autoOpacities", True)
    node = logic.LoadSegmentationFromFile(path, auto_opacities, properties.get("name") or _stem(path))
    if node is not None:
        node.CreateDefaultDisplayNodes()
    return node


def _load_scene(properties: dict[str, Any]) -> bool:
    path, clear = str(properties["fileName"]), bool(properties.get("clear", True))
    scene = slicer.mrmlScene
    if not path.lower().endswith(".mrb"):
        scene.SetURL(path)
        return bool(scene.Connect() if clear else scene.Import())
    folder = tempfile.mkdtemp(dir=slicer.app.temporaryPath)
    if clear:
        scene.Clear(False)
    return bool(slicer.app.applicationLogic().OpenSlicerDataBundle(path, folder))


def _save_scene(path: str) -> bool:
    scene = slicer.mrmlScene
    if path.lower().endswith(".mrml"):
        scene.SetURL(path)
        scene.SetRootDirectory(str(Path(path).parent))
        return bool(scene.Commit())
    folder = Path(tempfile.mkdtemp(dir=slicer.app.temporaryPath)) / Path(path).stem
    if not path.lower().endswith(".mrb"):
        folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    logic = slicer.app.applicationLogic()
    if not logic.SaveSceneToSlicerDataBundleDirectory(str(folder), None):
        return False
    if not path.lower().endswith(".mrb"):
        return True
    done = logic.Zip(path, str(folder))
    shutil.rmtree(folder, ignore_errors=True)
    return bool(done)


def _stem(path: str) -> str:
    name = Path(path).name
    for ending in (".seg.nrrd", ".nii.gz"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return Path(name).stem

"""MRML nodes ↔ volumes of the study.

A node that the panel made carries its study, its case, its kind and the checksum of the image that it belongs to
as attributes. Nodes are found by these and never held, so that a deleted node or another scene does no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import slicer
from slicer.i18n import tr as _

from VQBEGALLib.errors import InputError
from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.study.labelstore import read_index
from VQBEGALLib.volumes import Volume, read_labelmap
from VQBEGALPanel.geometry import voxel_order
from VQBEGALPanel.organs import add_segment, distinct, organ

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from VQBEGALLib.study import Prediction, Study
    from VQBEGALLib.study.records import Which

Kind = Literal["primary", "auxiliary", "annotation", "prediction", "attention"]
STUDY, CASE, KIND, IMAGE = "VQBEGAL.Study", "VQBEGAL.Case", "VQBEGAL.Kind", "VQBEGAL.Image"
SEGMENT, VERSION = "VQBEGAL.Segment", "VQBEGAL.Version"
"""The organs' segments in the study's order, and what of the study a segmentation holds: number of the labels, or round
and time of a prediction."""

PREDICTION_COLOR = (0.35, 0.75, 1.0)
_CLASSES = {
    "primary": "vtkMRMLScalarVolumeNode",
    "auxiliary": "vtkMRMLScalarVolumeNode",
    "annotation": "vtkMRMLSegmentationNode",
    "prediction": "vtkMRMLSegmentationNode",
    "attention": "vtkMRMLScalarVolumeNode",
}


class Scene:
    """The nodes of one study's cases.

    Args:
        study: open study.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        created = study.events("created")
        self._identity = str(created[0]["time"]) if created else str(study.folder)
        self._recent: list[str] = []
        self._predicted: tuple[tuple[str, str], np.ndarray] | None = None

    def find(self, case: str, kind: Kind) -> slicer.vtkMRMLDisplayableNode | None:
        """Return the node of a case, None where it is not loaded."""
        wanted = self._marks(case, kind)
        for node in slicer.util.getNodesByClass(_CLASSES[kind]):
            if all(node.GetAttribute(name) == value for name, value in wanted.items()):
                return node
        return None

    def _marks(self, case: str, kind: Kind) -> dict[str, str]:
        return {STUDY: self._identity, CASE: case, KIND: kind, IMAGE: self._record(case, kind).sha256}

    def _record(self, case: str, kind: Kind):
        return self.study.subjects[case].image("auxiliary" if kind == "auxiliary" else "primary")

    def volume(self, case: str, which: Which) -> slicer.vtkMRMLScalarVolumeNode:
        """Return a case's volume node, loaded from the study where it is not in the scene.

        Raises:
            InputError: the case has no such image, or the application reads its file on another grid.
            RuntimeError: the application cannot read the file.
        """
        path = self.study.image_path(case, which)
        self._recent = [*(name for name in self._recent if name != case), case]
        node = self.find(case, which)
        grid = self.study.grid(case, which)
        if node is not None and voxel_order(node, grid) is None:
            node.RemoveAttribute(KIND)  # cropped or moved since: no longer the study's image
            node = None
        if node is None:
            modality = self.modality(which)
            node = _read_volume(path, f"{case} {modality}")
            if voxel_order(node, grid) is None:
                slicer.mrmlScene.RemoveNode(node)
                raise InputError(
                    _("The application reads {name} of {case} on another grid than the study.").format(
                        name=path.name, case=case
                    ),
                    _("Resample the volume to a rectangular grid and add it as a new case."),
                )
            if modality == "CT":  # MR keeps the application's own choice
                set_ct_window(node)
            self._mark(node, case, which)
        _refuse_transform(node)
        return node

    def modality(self, which: Which) -> str:
        """Return ``CT`` or ``MR``."""
        settings = self.study.config.slices
        return settings.primary_modality if which == "primary" else settings.auxiliary_modality

    def annotation(self, case: str) -> slicer.vtkMRMLSegmentationNode:
        """Return the segmentation that a person paints in.

        Where the study's labels are others than the node has seen (a new node, or an older scene), the finished slices
        are written into it; what is painted on other slices stays.

        Raises:
            InputError: the segmentation is under a transform, or has lost a segment.
        """
        node = self.find(case, "annotation")
        if node is None:
            node = self._segmentation(case, "annotation", _("{case} annotation").format(case=case))
        _refuse_transform(node)
        segment_ids(node)
        version = self._version(case)
        if node.GetAttribute(VERSION) != version:
            labels = self.study.labels(case)
            if labels is not None:
                mask = self.mask(case, "annotation")
                finished = [slice(None)] * 3
                finished[labels.axis] = sorted(labels.annotations)
                mask[tuple(finished)] = labels.labelmap.voxels[tuple(finished)]
                self._write(node, case, mask)
            node.SetAttribute(VERSION, version)
        return node

    def _version(self, case: str) -> str:
        index = read_index(self.study.folder, case, "primary")
        return str(0 if index is None else index.counter)

    def has_seen_labels(self, case: str) -> None:
        """Note that the annotation holds what the study has now: its slice has just been taken from it."""
        node = self.find(case, "annotation")
        if node is not None:
            node.SetAttribute(VERSION, self._version(case))

    def prediction(self, case: str) -> slicer.vtkMRMLSegmentationNode | None:
        """Return the newest prediction as a segmentation of its own, None where the study has none."""
        newest = self.study.predictions().get(case)
        node = self.find(case, "prediction")
        if newest is None:
            return node
        if node is None:
            node = self._segmentation(case, "prediction", _("{case} prediction").format(case=case))
        version = _made(newest)
        if node.GetAttribute(VERSION) != version:
            self._write(node, case, self.predicted(case))
            node.SetAttribute(VERSION, version)
        return node

    def predicted(self, case: str) -> np.ndarray | None:
        """Return the newest prediction, uint8 (K, J, I) on the primary image's grid; None without one.

        Values as in the study: 0 is background, the organs count from 1. That of the last case is kept, so that it is
        read once.
        """
        newest = self.study.predictions().get(case)
        if newest is None:
            return None
        key = (case, _made(newest))
        if self._predicted is None or self._predicted[0] != key:
            self._predicted = (key, read_labelmap(newest.path, grid=self.study.grid(case)).voxels)
        return self._predicted[1]

    def attention(self, case: str) -> slicer.vtkMRMLScalarVolumeNode:
        """Load the map of the newest prediction: what was read from the other modality, 0 to 100 per cent.

        Raises:
            InputError: it is on another grid than the case's image.
            RuntimeError: the application cannot read it.
        """
        path = self.study.predictions()[case].attention
        node = _read_volume(path, _("{case} read from the {other}").format(case=case, other=self.modality("auxiliary")))
        if voxel_order(node, self.study.grid(case)) is None:
            slicer.mrmlScene.RemoveNode(node)
            raise InputError(
                _("The map of {case} is on another grid than its image.").format(case=case),
                _("Segment the case again."),
            )
        node.SetSaveWithScene(False)
        self._mark(node, case, "attention")
        return node

    def mask(self, case: str, kind: Literal["annotation", "prediction"]) -> np.ndarray:
        """Return a segmentation's organs, uint8 (K, J, I) on the primary image's grid, values as in the study.

        Where segments overlap, the later organ has the voxel.

        Raises:
            InputError: the segmentation is not in the scene, under a transform, or has lost a segment.
        """
        first, *others = self._painted(case, kind)
        mask = first.view(np.uint8)
        for value, found in enumerate(others, 2):
            mask[found] = value
        return mask

    def overlap(self, case: str, index: int) -> int:
        """Return how many pixels of a slice of the annotation belong to several organs; errors as :meth:`mask`."""
        if len(self.study.config.organs) == 1:
            return 0
        frame = SliceFrame.of(self.study.grid(case))
        planes = [frame.planes(found)[index] for found in self._painted(case, "annotation")]
        return int(np.count_nonzero(np.sum(planes, axis=0) > 1))

    def _painted(self, case: str, kind: Literal["annotation", "prediction"]) -> Iterator[np.ndarray]:
        """Yield the organs one after the other, bool (K, J, I) on the primary image's grid."""
        node = self.find(case, kind)
        if node is None:
            raise InputError(
                _("The {kind} of {case} is no longer in the scene.").format(kind=kind, case=case),
                _("Select the slice again: what the study has of it comes back."),
            )
        _refuse_transform(node)
        volume = self.volume(case, "primary")
        order = voxel_order(volume, self.study.grid(case))
        for wanted in segment_ids(node):
            yield slicer.util.arrayFromSegmentBinaryLabelmap(node, wanted, volume)[order] != 0

    def labelmap(self, case: str) -> Volume:
        """Return the annotation as a labelmap on the study's grid of the primary image; errors as :meth:`mask`."""
        return self.study.grid(case).with_voxels(self.mask(case, "annotation"))

    def put_slice(self, case: str, index: int, plane: np.ndarray) -> None:
        """Replace one slice of the annotation by a plane in the frame's own order; all others stay."""
        node = self.annotation(case)
        mask = self.mask(case, "annotation")
        SliceFrame.of(self.study.grid(case)).planes(mask)[index] = plane
        self._write(node, case, mask)

    def focus(self, case: str, view_ids: Sequence[str]) -> list[str]:
        """Show the segmentations of one case, in the given views, and hide all others.

        Patients share the scene's coordinates, and CT and MR are not registered: a segmentation is shown, and can be
        painted, only over the image that it belongs to.

        Returns:
            Names of segmentations that are not the panel's, and were hidden now.
        """
        hidden = []
        found = (self.find(case, "annotation"), self.find(case, "prediction"))
        mine = {node.GetID() for node in found if node is not None}
        for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
            display = node.GetDisplayNode()
            if display is None:
                continue
            if node.GetID() not in mine:
                if display.GetVisibility() and node.GetAttribute(KIND) is None:
                    hidden.append(node.GetName())
                display.SetVisibility(False)
                continue
            display.SetVisibility(True)
            display.RemoveAllViewNodeIDs()
            for view_id in view_ids:
                display.AddViewNodeID(view_id)
        return hidden

    def unload(self, keep: Collection[str]) -> list[str]:
        """Take the volumes of the cases that were shown longest ago out of the scene while memory is short.

        Segmentations stay: they may hold work that is not finished.

        Returns:
            Cases that were unloaded.
        """
        gone = []
        while memory_is_short() and (old := next((name for name in self._recent if name not in keep), None)):
            self._recent.remove(old)
            if old in self.study.subjects:
                self._remove(old)
                gone.append(old)
        return gone

    def _remove(self, case: str) -> None:
        for which in ("primary", "auxiliary"):
            node = None if self._record(case, which) is None else self.find(case, which)
            if node is not None:
                slicer.mrmlScene.RemoveNode(node)

    def _segmentation(self, case: str, kind: Kind, name: str) -> slicer.vtkMRMLSegmentationNode:
        """Make an empty segmentation with the organs' segments on the primary image's geometry."""
        volume = self.volume(case, "primary")
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        wanted = distinct([organ(each) for each in self.study.config.organs])
        alone = kind == "prediction" and len(wanted) == 1  # one colour could not tell several organs apart
        added = [add_segment(node, known, PREDICTION_COLOR if alone else known.color) for known in wanted]
        if kind == "prediction":
            node.GetDisplayNode().SetAllSegmentsVisibility2DFill(False)
        node.SetAttribute(SEGMENT, " ".join(added))
        self._mark(node, case, kind)
        return node

    def _write(self, node: slicer.vtkMRMLSegmentationNode, case: str, voxels: np.ndarray) -> None:
        """Replace the organs' segments; all others stay."""
        volume = self.volume(case, "primary")
        ordered = voxels[voxel_order(volume, self.study.grid(case))]
        for value, wanted in enumerate(segment_ids(node), 1):
            painted = np.ascontiguousarray(ordered == value).view(np.uint8)
            slicer.util.updateSegmentBinaryLabelmapFromArray(painted, node, wanted, volume)

    def _mark(self, node: slicer.vtkMRMLNode, case: str, kind: Kind) -> None:
        for name, value in self._marks(case, kind).items():
            node.SetAttribute(name, value)


def segment_ids(node: slicer.vtkMRMLSegmentationNode) -> list[str]:
    """Return the organs' segments in the study's order, however they are sorted in the segmentation.

    Raises:
        InputError: one was removed.
    """
    wanted = (node.GetAttribute(SEGMENT) or "").split()
    if not wanted or any(node.GetSegmentation().GetSegment(each) is None for each in wanted):
        several = len(wanted) > 1
        raise InputError(
            (
                _("A segment of {name} was removed.") if several else _("The organ's segment of {name} was removed.")
            ).format(name=node.GetName()),
            _("Undo that, or delete the segmentation and select the slice again."),
        )
    return wanted


def memory_is_short() -> bool:
    """Tell whether less than a fifth of the computer's memory is free; no where the system does not say."""
    system = slicer.vtkSystemInformation()
    system.RunMemoryCheck()
    total = system.GetTotalPhysicalMemory()
    return 0 < system.GetAvailablePhysicalMemory() < total / 5


def _refuse_transform(node: slicer.vtkMRMLTransformableNode) -> None:
    if node.GetParentTransformNode() is not None:
        raise InputError(
            _("{name} is under a transform, and would be saved in another place than it is seen.").format(
                name=node.GetName()
            ),
            _("Take it out of the transform in the Data module, and select the slice again."),
        )


def _read_volume(path: Path, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """Return a new volume node that is not tied to the file: saving the scene must not write into the study.

    Raises:
        RuntimeError: the application cannot read the file.
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetSingleFile(True)
    if not storage.ReadData(node):
        slicer.mrmlScene.RemoveNode(node)
        raise RuntimeError(_("{name} cannot be read; check the study").format(name=path))
    node.CreateDefaultDisplayNodes()
    return node


def _made(prediction: Prediction) -> str:
    """Return which of a case's predictions it is: its round, and when it was written."""
    return f"{prediction.round}:{prediction.path.stat().st_mtime_ns}"


def set_ct_window(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show a CT in an abdominal soft-tissue window."""
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(400, 50)

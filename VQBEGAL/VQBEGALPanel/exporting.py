"""Writes what is in the scene to files, for the study to take in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer
from slicer.i18n import tr as _

from VQBEGALLib.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def export_volume(node: slicer.vtkMRMLVolumeNode, path: Path) -> None:
    """Write a volume as the scene shows it, its transform applied, without touching the node.

    Raises:
        InputError: the volume has no voxels.
        RuntimeError: the file cannot be written.
    """
    if node.GetImageData() is None:
        raise InputError(
            _("{name} has no voxels.").format(name=node.GetName()), _("Load the volume again, or choose another one.")
        )
    copy = slicer.mrmlScene.AddNewNodeByClass(node.GetClassName())
    try:
        copy.CopyContent(node)
        copy.SetAndObserveTransformNodeID(node.GetTransformNodeID())
        copy.HardenTransform()
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        storage.SetUseCompression(False)
        if not storage.WriteData(copy):
            raise RuntimeError(_("{name} cannot be written.").format(name=path.name))
    finally:
        slicer.mrmlScene.RemoveNode(copy)


def organ_labels(
    node: slicer.vtkMRMLSegmentationNode, organs: Sequence[str], volume: slicer.vtkMRMLVolumeNode
) -> tuple[np.ndarray, list[str]]:
    """Read the organs' segments of a segmentation on a volume's grid.

    Args:
        node: segmentation.
        organs: names of the segments, in any case. For a single organ the only segment there is may have any name.
        volume: gives the grid.

    Returns:
        uint8 (K, J, I) in the volume's order: the first organ is 1, the next one 2, and so on, and the later one has
        voxels that both have; and the organs that the segmentation lacks.

    Raises:
        InputError: no segment has the name of an organ.
    """
    segments = node.GetSegmentation()
    ids = [segments.GetNthSegmentID(number) for number in range(segments.GetNumberOfSegments())]
    named = {segments.GetSegment(each).GetName().strip().lower(): each for each in reversed(ids)}
    if len(organs) == len(ids) == 1:
        named = {organs[0].lower(): ids[0]}
    chosen = {value: named[name.lower()] for value, name in enumerate(organs, 1) if name.lower() in named}
    if not chosen:
        raise InputError(
            _("{name} has no segment called {organ}.").format(name=node.GetName(), organ=_(" or ").join(organs)),
            _("Rename the organ's segment, or choose another segmentation."),
        )
    labels = np.zeros(slicer.util.arrayFromVolume(volume).shape, dtype=np.uint8)
    for value, each in chosen.items():
        labels[slicer.util.arrayFromSegmentBinaryLabelmap(node, each, volume) != 0] = value
    return labels, [name for value, name in enumerate(organs, 1) if value not in chosen]


def export_labels(labels: np.ndarray, volume: slicer.vtkMRMLVolumeNode, path: Path) -> None:
    """Write labels in a volume's order as a labelmap on its grid.

    Raises:
        RuntimeError: the file cannot be written.
    """
    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    try:
        copy.CopyOrientation(volume)
        copy.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        slicer.util.updateVolumeFromArray(copy, labels)
        export_volume(copy, path)
    finally:
        slicer.mrmlScene.RemoveNode(copy)

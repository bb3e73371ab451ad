"""Writes what is in the scene to files, for the study to take in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer
from slicer.i18n import tr as _

from VQBEGALLib.errors import InputError

if TYPE_CHECKING:
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


def export_segment(
    node: slicer.vtkMRMLSegmentationNode, wanted: str, volume: slicer.vtkMRMLVolumeNode, path: Path
) -> None:
    """Write one segment as a labelmap on a volume's grid.

    Args:
        node: segmentation.
        wanted: the segment's name, in any case; without one of that name, the only segment there is.
        volume: gives the grid.
        path: file to write.

    Raises:
        InputError: the segmentation has several segments, and none of that name.
        RuntimeError: the file cannot be written.
    """
    segments = node.GetSegmentation()
    ids = [segments.GetNthSegmentID(number) for number in range(segments.GetNumberOfSegments())]
    named = [each for each in ids if segments.GetSegment(each).GetName().lower() == wanted.lower()]
    chosen = named[0] if named else ids[0] if len(ids) == 1 else None
    if chosen is None:
        raise InputError(
            _("{name} has no segment called {organ}.").format(name=node.GetName(), organ=wanted),
            _("Rename the organ's segment, or choose another segmentation."),
        )
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(node, chosen, volume)
    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    try:
        copy.CopyOrientation(volume)
        copy.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        slicer.util.updateVolumeFromArray(copy, (mask > 0).astype(np.uint8))
        export_volume(copy, path)
    finally:
        slicer.mrmlScene.RemoveNode(copy)

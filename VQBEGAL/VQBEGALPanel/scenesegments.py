"""A segmentation of the scene as a labelmap on a case's grid, with the meaning of its values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from VQBEGALLib.errors import InputError
from VQBEGALLib.export.codes import coded
from VQBEGALLib.export.segmentation import ANATOMICAL_STRUCTURE, Code, Segment
from VQBEGALLib.volumes import Volume
from VQBEGALPanel.geometry import voxel_order

if TYPE_CHECKING:
    from VQBEGALPanel.session import Session

MOST = 255
"""Segments that a labelmap of bytes can hold."""


_TISSUE = "85756007"
"""SNOMED CT code that the application gives to every new segment: it says only that nobody chose one."""


@dataclass(frozen=True)
class SceneSegments:
    """What is exported of a segmentation node.

    Args:
        labelmap: uint8 on the grid of the case's primary image.
        segments: meaning of its values, in the node's order.
        overlap: voxels that belong to several segments; the later segment has them.
    """

    labelmap: Volume
    segments: tuple[Segment, ...]
    overlap: int


def of_node(session: Session, case: str, node: slicer.vtkMRMLSegmentationNode) -> SceneSegments:
    """Read all segments of a node on the grid of a case.

    Raises:
        InputError: the node is under a transform or has no segment, or too many.
        RuntimeError: the application cannot read the case's volume.
    """
    if node.GetParentTransformNode() is not None:
        raise InputError(
            _("{name} is under a transform, and would be exported to another place than it is seen.").format(
                name=node.GetName()
            ),
            _("Harden the transform, or take the segmentation out of it in the Data module."),
        )
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(number) for number in range(segmentation.GetNumberOfSegments())]
    if not 1 <= len(ids) <= MOST:
        raise InputError(
            _("{name} has {count} segments.").format(name=node.GetName(), count=len(ids)),
            _("Choose a segmentation with 1 to {most} segments.").format(most=MOST),
        )
    volume, grid = session.scene.volume(case, "primary"), session.study.grid(case)
    order = voxel_order(volume, grid)
    voxels = np.zeros(grid.shape, dtype=np.uint8)
    segments, overlap = [], 0
    for value, segment_id in enumerate(ids, 1):
        found = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume)
        if found is not None:  # None: nothing is painted yet
            mask = found[order] != 0
            overlap += int(np.count_nonzero(voxels[mask]))
            voxels[mask] = value
        segments.append(_segment(value, segmentation.GetSegment(segment_id)))
    return SceneSegments(grid.with_voxels(voxels), _with_different_names(segments), overlap)


def _segment(value: int, segment: slicer.vtkSegment) -> Segment:
    entry = vtk.mutable("")
    segment.GetTag(segment.GetTerminologyEntryTagName(), entry)
    category, kind = codes(str(entry))
    known = coded(segment.GetName())
    if kind is None or kind.value == _TISSUE:  # nobody chose: an organ is known by its name
        category, kind = None, None if known is None else known.type
    name = "".join(letter for letter in segment.GetName() if letter.isprintable()).strip()[:64]
    return Segment(
        value=value,
        name=name or _("Segment {number}").format(number=value),
        color=tuple(round(part * 255) for part in segment.GetColor()),
        type=kind,
        category=category or ANATOMICAL_STRUCTURE,
        method="SEMIAUTOMATIC",
    )


def codes(entry: str) -> tuple[Code | None, Code | None]:
    """Return category and type of a terminology entry: ``context~scheme^value^meaning~scheme^value^meaning~…``."""
    parts = entry.split("~")
    return (_code(parts[1]), _code(parts[2])) if len(parts) > 2 else (None, None)


def _code(text: str) -> Code | None:
    parts = [part.strip() for part in text.split("^")]
    if len(parts) != 3 or not all(parts):
        return None
    scheme, value, meaning = parts
    return Code(value, scheme, meaning)


def _with_different_names(segments: list[Segment]) -> tuple[Segment, ...]:
    """Return the segments with a number after a name that another one has already."""
    taken: set[str] = set()
    renamed = []
    for item in segments:
        name, number = item.name, 2
        while name in taken:
            ending = f" {number}"
            name, number = f"{item.name[: 64 - len(ending)]}{ending}", number + 1
        taken.add(name)
        renamed.append(dataclasses.replace(item, name=name))
    return tuple(renamed)

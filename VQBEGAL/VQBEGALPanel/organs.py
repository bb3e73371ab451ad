"""Organs in the application's standard terminology: names, codes and colours."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import slicer

TERMINOLOGY = "Segmentation category and type - 3D Slicer General Anatomy list"
CATEGORY = "Anatomical Structure"


@dataclass(frozen=True)
class Organ:
    """An anatomical structure.

    Args:
        name: as in the terminology, for example ``Liver``.
        entry: the serialised terminology entry.
        color: red, green, blue from 0 to 1.
    """

    name: str
    entry: str
    color: tuple[float, float, float]


LIVER = Organ(
    "Liver",
    f"{TERMINOLOGY}~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^",
    (221 / 255, 130 / 255, 101 / 255),
)
"""The default; also where the application has no terminologies."""


@functools.lru_cache(maxsize=1)
def organs() -> dict[str, Organ]:
    """Return the anatomical structures of the application's terminology by name, sorted; at least the liver."""
    logic = getattr(getattr(slicer.modules, "terminologies", None), "logic", lambda: None)()
    found = {} if logic is None else {item.name: item for item in _read(logic)}
    return dict(sorted({LIVER.name: LIVER, **found}.items()))


def organ(name: str) -> Organ:
    """Return an organ by its name in any case; one that the terminology does not have keeps its name, grey."""
    for known, item in organs().items():
        if known.lower() == name.lower():
            return item
    return Organ(name, "", (0.6, 0.6, 0.6))


def add_segment(node: slicer.vtkMRMLSegmentationNode, known: Organ, color: tuple[float, float, float]) -> str:
    """Add an empty segment of an organ, with its terminology, and return the segment's ID."""
    added = node.GetSegmentation().AddEmptySegment("", known.name, color)
    segment = node.GetSegmentation().GetSegment(added)
    if known.entry:
        segment.SetTag(segment.GetTerminologyEntryTagName(), known.entry)
    return added


def _read(logic: slicer.vtkSlicerTerminologiesModuleLogic) -> list[Organ]:
    category = slicer.vtkSlicerTerminologyCategory()
    for index in range(logic.GetNumberOfCategoriesInTerminology(TERMINOLOGY)):
        if logic.GetNthCategoryInTerminology(TERMINOLOGY, index, category) and category.GetCodeMeaning() == CATEGORY:
            break
    else:
        return []
    return [
        _organ(logic, category, index)
        for index in range(logic.GetNumberOfTypesInTerminologyCategory(TERMINOLOGY, category))
    ]


def _organ(
    logic: slicer.vtkSlicerTerminologiesModuleLogic, category: slicer.vtkSlicerTerminologyCategory, index: int
) -> Organ:
    kind = slicer.vtkSlicerTerminologyType()
    logic.GetNthTypeInTerminologyCategory(TERMINOLOGY, category, index, kind)
    entry = slicer.vtkSlicerTerminologyEntry()
    entry.SetTerminologyContextName(TERMINOLOGY)
    entry.GetCategoryObject().Copy(category)
    entry.GetTypeObject().Copy(kind)
    red, green, blue = kind.GetRecommendedDisplayRGBValue()
    return Organ(kind.GetCodeMeaning(), logic.SerializeTerminologyEntry(entry), (red / 255, green / 255, blue / 255))

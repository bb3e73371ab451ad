"""Organs in the application's standard terminology: names, codes and colours."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import slicer
from slicer.i18n import tr as _

TERMINOLOGY = "Segmentation category and type - 3D Slicer General Anatomy list"
CATEGORY = "Anatomical Structure"
_LIGHTER, _LIGHTEST = 0.45, 0.98
"""Share of white that is mixed into a colour that is taken, and brightness from which it is left."""


@dataclass(frozen=True)
class Organ:
    """An anatomical structure.

    Args:
        name: as in the terminology, for example ``Liver``; that of a paired organ's side ``Right kidney``.
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


def listed(names: Sequence[str]) -> str:
    """Return organs as a person reads them after "without": ``liver, spleen and left kidney``."""
    *others, last = names
    return _("{others} and {last}").format(others=", ".join(others), last=last) if others else last


def distinct(known: Sequence[Organ]) -> list[Organ]:
    """Return organs of a study with colours that differ: of two with one colour, the later one is lighter."""
    taken: list[tuple[float, float, float]] = []
    for item in known:
        color = item.color
        while color in taken and max(color) < _LIGHTEST:
            color = tuple(round(part + (1 - part) * _LIGHTER, 3) for part in color)
        taken.append(color)
    return [replace(item, color=color) for item, color in zip(known, taken, strict=True)]


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
    found = []
    for index in range(logic.GetNumberOfTypesInTerminologyCategory(TERMINOLOGY, category)):
        kind = slicer.vtkSlicerTerminologyType()
        logic.GetNthTypeInTerminologyCategory(TERMINOLOGY, category, index, kind)
        found += [_organ(logic, category, kind), *_sides(logic, category, kind)]
    return [item for item in found if "," not in item.name]  # a comma separates organs


def _sides(
    logic: slicer.vtkSlicerTerminologiesModuleLogic,
    category: slicer.vtkSlicerTerminologyCategory,
    kind: slicer.vtkSlicerTerminologyType,
) -> list[Organ]:
    """Return the left and the right one of a paired organ."""
    found: list[Organ] = []
    if not kind.GetHasModifiers():  # asked for them all the same, the logic writes an error into the log
        return found
    for index in range(logic.GetNumberOfTypeModifiersInTerminologyType(TERMINOLOGY, category, kind)):
        side = slicer.vtkSlicerTerminologyType()
        logic.GetNthTypeModifierInTerminologyType(TERMINOLOGY, category, kind, index, side)
        found.append(_organ(logic, category, kind, side))
    return found


def _organ(
    logic: slicer.vtkSlicerTerminologiesModuleLogic,
    category: slicer.vtkSlicerTerminologyCategory,
    kind: slicer.vtkSlicerTerminologyType,
    side: slicer.vtkSlicerTerminologyType | None = None,
) -> Organ:
    entry = slicer.vtkSlicerTerminologyEntry()
    entry.SetTerminologyContextName(TERMINOLOGY)
    entry.GetCategoryObject().Copy(category)
    entry.GetTypeObject().Copy(kind)
    name = kind.GetCodeMeaning()
    if side is not None:
        entry.GetTypeModifierObject().Copy(side)
        name = f"{side.GetCodeMeaning()} {name.lower()}"
    red, green, blue = (kind if side is None else side).GetRecommendedDisplayRGBValue()
    return Organ(name, logic.SerializeTerminologyEntry(entry), (red / 255, green / 255, blue / 255))

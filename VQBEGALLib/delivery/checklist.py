"""What stands in the way of an export, told before anything is written: each point with its reason and remedy."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from VQBEGALLib.delivery.exporting import Choice, segmentation_of
from VQBEGALLib.delivery.formats import DICOM
from VQBEGALLib.delivery.sources import find_source, series_uid
from VQBEGALLib.errors import InputError, VQBEGALError
from VQBEGALLib.export.segmentation import Segmentation
from VQBEGALLib.pacs.server import Server
from VQBEGALLib.study.reading import StudyReader

Level = Literal["ok", "warning", "error"]
NEEDS = {"seg": "highdicom", "seg-labelmap": "highdicom", "rtstruct": "contourpy", "sc": "highdicom"}
"""Package that a format needs beyond the library's own."""

_FROM_DICOM = "Add the case from its DICOM series, or export NIfTI or NRRD."


@dataclass(frozen=True)
class Check:
    """One point of the list.

    Args:
        name: what was looked at, for example ``Source series``.
        level: ``error`` stands in the way, ``warning`` deserves a look.
        text: what was found, one sentence.
        remedy: what to do; empty where all is well.
    """

    name: str
    level: Level
    text: str
    remedy: str = ""


def preflight(study: StudyReader, choice: Choice, *, server: Server | None = None) -> list[Check]:
    """Look at everything that an export needs, as far as it can be told without asking a server.

    Reads the result, and for a DICOM format the headers of the source images.

    Args:
        study: has the case.
        choice: of what to export.
        server: where it is to be sent; none for a file.
    """
    found: list[Check] = []
    try:
        segmentation = segmentation_of(study, choice)
    except VQBEGALError as error:
        return [Check("Result", "error", error.problem, error.remedy)]
    for point in (
        lambda: _of_result(segmentation),
        lambda: _of_codes(segmentation, choice),
        lambda: _of_packages(choice, server),
        lambda: _of_series(study, choice),
        lambda: _of_images(study, choice, segmentation, server),
        lambda: _of_grid(study, choice),
    ):
        found += _seen(point)
    return found


def ready(checks: list[Check]) -> bool:
    """Tell whether nothing stands in the way."""
    return all(check.level != "error" for check in checks)


def _seen(point: Callable[[], Iterator[Check]]) -> list[Check]:
    try:
        return list(point())
    except VQBEGALError as error:
        return [Check("Study", "error", error.problem, error.remedy)]


def _of_result(segmentation: Segmentation) -> Iterator[Check]:
    slices = segmentation.slices()
    if not slices:
        yield Check("Result", "error", "No segment has a voxel.", "Segment or annotate the case first.")
        return
    yield Check("Result", "ok", f"{segmentation.provenance.description}: {len(slices)} slices hold a segment.")
    if empty := [segment.name for segment in segmentation.empty()]:
        text = f"{', '.join(empty)}: no voxel."
        yield Check("Empty segments", "warning", text, "Paint them, or remove them: DICOM objects leave them out.")


def _of_codes(segmentation: Segmentation, choice: Choice) -> Iterator[Check]:
    lost = [segment.name for segment in segmentation.segments if segment.type is None]
    if not lost:
        yield Check("Codes", "ok", "Every segment is coded.")
    elif choice.format in ("seg", "seg-labelmap"):
        yield Check("Codes", "error", f"{', '.join(lost)}: no code.", "Choose the organ from the terminology.")
    elif choice.format in ("nrrd", "rtstruct"):
        yield Check("Codes", "warning", f"{', '.join(lost)}: no code.", "Only the name will be in the file.")


def _of_packages(choice: Choice, server: Server | None) -> Iterator[Check]:
    needed = [NEEDS.get(choice.format), None if server is None else "requests" if server.web else "pynetdicom"]
    for name in needed:
        if name is not None and importlib.util.find_spec(name) is None:
            yield Check("Packages", "error", f"{name} is not installed.", f"Run: python -m pip install {name}")
    if choice.format == "seg-labelmap":
        text = "Few systems read segmentations of this kind yet."
        yield Check("Format", "warning", text, "Choose DICOM SEG unless yours is known to.")


def _of_series(study: StudyReader, choice: Choice) -> Iterator[Check]:
    if choice.format not in DICOM:
        return
    source = _source(study, choice)
    if not series_uid(source):
        yield Check("Source series", "error", "The case was not added from DICOM.", _FROM_DICOM)
        return
    words = (str(len(source.get("sop_instance_uids") or ())), str(source.get("modality") or ""), "images are known.")
    yield Check("Source series", "ok", " ".join(filter(None, words)))
    for key, name in (("study_uid", "Study"), ("frame_of_reference_uid", "Frame of reference")):
        if source.get(key):
            yield Check(name, "ok", "Its UID is known.")
        else:
            yield Check(name, "error", "The source images name none.", _FROM_DICOM)


def _of_images(
    study: StudyReader, choice: Choice, segmentation: Segmentation, server: Server | None
) -> Iterator[Check]:
    """Read the headers just as the export does; what they lack, a server that is asked may have."""
    if choice.format not in DICOM or not series_uid(_source(study, choice)):
        return
    try:
        source = find_source(study, choice.case, given=choice.sources)
        source.align(segmentation.labelmap)
    except InputError as error:
        if server is not None and server.web:
            text = "The PACS will be asked for their headers: they cannot be used from this computer."
            yield Check("Source images", "warning", text, "Name their folder if the PACS does not have them.")
        else:
            yield Check("Source images", "error", error.problem, error.remedy)
        return
    yield Check("Source images", "ok", "They are on this computer.")
    if not source.text("PatientID"):
        text = "The source images have no patient ID."
        yield Check("Patient", "warning", text, "Make sure that the PACS files the result under the right patient.")
    if odd := [keyword for keyword in source.blanked if keyword != "PatientID"]:
        text = f"{', '.join(odd)}: the source images hold what DICOM does not allow."
        yield Check("Headers", "warning", text, "It is left blank in the result; correct the series in the PACS.")


def _source(study: StudyReader, choice: Choice) -> dict[str, Any]:
    record = study.subject(choice.case).primary
    return (record.source if record is not None else None) or {}


def _of_grid(study: StudyReader, choice: Choice) -> Iterator[Check]:
    if choice.format in ("nrrd", "metaimage") and not study.grid(choice.case).orthogonal:
        text = "The axes are not perpendicular (gantry tilt), which the format cannot hold."
        yield Check("Grid", "error", text, "Choose NIfTI or DICOM.")

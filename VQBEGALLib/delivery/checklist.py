"""What stands in the way of an export, told before anything is written: each point with its reason and remedy."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from VQBEGALLib.delivery.exporting import Choice, segmentation_of
from VQBEGALLib.delivery.formats import DICOM
from VQBEGALLib.delivery.sources import places, series_uid
from VQBEGALLib.errors import VQBEGALError
from VQBEGALLib.export.segmentation import Segmentation
from VQBEGALLib.study.reading import StudyReader
from VQBEGALLib.volumes.dicom import dicom_files, quiet_pydicom
from VQBEGALLib.volumes.libraries import library

Level = Literal["ok", "warning", "error"]
NEEDS = {"seg": "highdicom", "seg-labelmap": "highdicom", "rtstruct": "contourpy", "sc": "highdicom"}
"""Package that a format needs beyond the library's own."""

_ASKED = ["SOPInstanceUID", "PatientID"]
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


def preflight(study: StudyReader, choice: Choice, *, sending: bool = False) -> list[Check]:
    """Look at everything that an export needs, as far as it can be told at once: reads the result and one header.

    Args:
        study: has the case.
        choice: of what to export.
        sending: to a PACS, which can be asked for the headers of images that are not on this computer.
    """
    points: tuple[Callable[[], Iterator[Check]], ...] = (
        lambda: _of_result(study, choice),
        lambda: _of_package(choice),
        lambda: _of_series(study, choice, sending),
        lambda: _of_grid(study, choice),
    )
    found = []
    for point in points:
        try:
            found += list(point())
        except VQBEGALError as error:
            found.append(Check("Result", "error", error.problem, error.remedy))
            break
    return found


def ready(checks: list[Check]) -> bool:
    """Tell whether nothing stands in the way."""
    return all(check.level != "error" for check in checks)


def _of_result(study: StudyReader, choice: Choice) -> Iterator[Check]:
    segmentation = segmentation_of(study, choice)
    slices = segmentation.slices()
    if not slices:
        yield Check("Result", "error", "No segment has a voxel.", "Segment or annotate the case first.")
        return
    yield Check("Result", "ok", f"{segmentation.provenance.description}: {len(slices)} slices hold a segment.")
    if empty := [segment.name for segment in segmentation.empty()]:
        text = f"{', '.join(empty)}: no voxel."
        yield Check("Empty segments", "warning", text, "Paint them, or remove them: DICOM objects leave them out.")
    yield from _of_codes(segmentation, choice)


def _of_codes(segmentation: Segmentation, choice: Choice) -> Iterator[Check]:
    lost = [segment.name for segment in segmentation.segments if segment.type is None]
    if not lost:
        yield Check("Codes", "ok", "Every segment is coded.")
    elif choice.format in ("seg", "seg-labelmap"):
        yield Check("Codes", "error", f"{', '.join(lost)}: no code.", "Choose the organ from the terminology.")
    elif choice.format in ("nrrd", "rtstruct"):
        yield Check("Codes", "warning", f"{', '.join(lost)}: no code.", "Only the name will be in the file.")


def _of_package(choice: Choice) -> Iterator[Check]:
    name = NEEDS.get(choice.format)
    if name is not None and importlib.util.find_spec(name) is None:
        yield Check("Packages", "error", f"{name} is not installed.", f"Run: python -m pip install {name}")
    if choice.format == "seg-labelmap":
        text = "Few systems read segmentations of this kind yet."
        yield Check("Format", "warning", text, "Choose DICOM SEG unless yours is known to.")


def _of_series(study: StudyReader, choice: Choice, sending: bool) -> Iterator[Check]:
    if choice.format not in DICOM:
        return
    record = study.subject(choice.case).primary
    source: dict[str, Any] = (record.source if record is not None else None) or {}
    if not series_uid(source):
        yield Check("Source series", "error", "The case was not added from DICOM.", _FROM_DICOM)
        return
    count = len(source.get("sop_instance_uids") or ())
    yield Check("Source series", "ok", f"{count} {source.get('modality') or ''} images are known.".replace("  ", " "))
    for key, name in (("study_uid", "Study"), ("frame_of_reference_uid", "Frame of reference")):
        if source.get(key):
            yield Check(name, "ok", "Its UID is known.")
        else:
            yield Check(name, "error", "The source images name none.", _FROM_DICOM)
    yield from _of_images(study, choice, sending)


def _of_images(study: StudyReader, choice: Choice, sending: bool) -> Iterator[Check]:
    header = _one_header(study, choice)
    if header is not None:
        yield Check("Source images", "ok", "They are on this computer.")
        if not header.get("PatientID"):
            text = "The source images have no patient ID."
            yield Check("Patient", "warning", text, "Make sure that the PACS files the result under the right patient.")
    elif sending:
        text = "They are not on this computer; the PACS is asked for their headers."
        yield Check("Source images", "warning", text, "Name their folder if that fails.")
    else:
        yield Check("Source images", "error", "They are not on this computer any more.", "Name their folder.")


def _one_header(study: StudyReader, choice: Choice) -> Any:
    """Return the header of one of the case's source images, None where none is found."""
    record = study.subject(choice.case).primary
    wanted = set(((record.source if record is not None else None) or {}).get("sop_instance_uids") or ())
    pydicom = library("pydicom", needed_by="DICOM")
    with quiet_pydicom():
        for place in (*choice.sources, *places(study, choice.case)):
            for path in dicom_files(place):
                try:
                    header = pydicom.dcmread(
                        path, stop_before_pixels=True, specific_tags=["SOPInstanceUID", "PatientID"]
                    )
                except Exception:  # another file, of any kind
                    continue
                if str(header.get("SOPInstanceUID")) in wanted:
                    return header
    return None


def _of_grid(study: StudyReader, choice: Choice) -> Iterator[Check]:
    if choice.format in ("nrrd", "metaimage") and not study.grid(choice.case).orthogonal:
        text = "The axes are not perpendicular (gantry tilt), which the format cannot hold."
        yield Check("Grid", "error", text, "Choose NIfTI or DICOM.")

"""Export a case: its result, its source images, a format, a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from VQBEGALLib.delivery.formats import DICOM, Format, check_path, write
from VQBEGALLib.delivery.results import What, given, result
from VQBEGALLib.delivery.sources import HeaderServer, find_source
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.export.segmentation import Segment, Segmentation
from VQBEGALLib.export.source import SourceSeries
from VQBEGALLib.study import Study
from VQBEGALLib.study.reading import StudyReader
from VQBEGALLib.volumes import Volume


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a person wants to export of a case.

    Args:
        case: its name.
        format: of the export.
        what: which result of the study.
        labelmap: instead of a result, a labelmap on the case's grid.
        segments: what the labelmap's values mean; of a result, one segment to each of the study's organs, or none for
            the organs' own.
        creator: the clinician's name for DICOM objects, empty where she does not want it.
        sources: folders, or lists of files, that hold the source images.
    """

    case: str
    format: Format = "seg"
    what: What = "prediction"
    labelmap: Volume | None = None
    segments: Sequence[Segment] = ()
    creator: str = ""
    sources: Sequence[Path] = ()


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written: how many segments, on how many slices, in how many bytes."""

    segments: int
    slices: int
    size: int


def segmentation_of(study: StudyReader, choice: Choice) -> Segmentation:
    """Return what the choice exports.

    Raises:
        InputError: as :func:`VQBEGALLib.delivery.results.result` and :func:`~VQBEGALLib.delivery.results.given`.
        StudyError: a file of the study is damaged.
    """
    if choice.labelmap is not None:
        return given(study, choice.case, choice.labelmap, choice.segments, creator=choice.creator)
    return result(study, choice.case, what=choice.what, segments=choice.segments, creator=choice.creator)


def images_of(
    study: StudyReader, choice: Choice, server: HeaderServer | None = None
) -> tuple[SourceSeries, Volume | None]:
    """Return the source images' headers and, where the format needs them, their voxels.

    Raises:
        InputError, StudyError: as :func:`VQBEGALLib.delivery.sources.find_source`.
        ServerError: the server cannot be asked for the headers.
    """
    source = find_source(study, choice.case, given=choice.sources, server=server)
    return source, study.volume(choice.case) if choice.format == "sc" else None


def export(
    study: Study, choice: Choice, path: Path, *, reporter: Reporter, server: HeaderServer | None = None
) -> Exported:
    """Write a case's result to a file, or for ``sc`` to a new folder, and note it in the study's log.

    Raises:
        InputError, StudyError, ServerError: as :func:`segmentation_of` and :func:`images_of`; the segmentation is
            empty; a path that does not fit the format.
        StorageError: the disk is full or refuses; what was there before is intact.
        CancelledError: a person asked to stop.
    """
    check_path(choice.format, path)
    if path.resolve().is_relative_to(study.folder):
        raise InputError(f"{path} lies inside the study.", "Choose a place outside of it.")
    segmentation = segmentation_of(study, choice)
    segmentation.present()
    source, image = images_of(study, choice, server) if choice.format in DICOM else (None, None)
    size = write(choice.format, path, segmentation, source=source, image=image, reporter=reporter)
    study.log({"event": "exported", **described(choice, segmentation)})
    return Exported(segments=len(segmentation.segments), slices=len(segmentation.slices()), size=size)


def described(choice: Choice, segmentation: Segmentation) -> dict[str, object]:
    """Return what the study's log says of an export; nothing of the patient."""
    what = choice.what if choice.labelmap is None else "edited"
    return {"case": choice.case, "what": what, "format": choice.format, "round": segmentation.provenance.round}

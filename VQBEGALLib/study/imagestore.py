"""The images of a study: each is checked and copied once, and read back only where it is still the same."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.storage import TEMPORARY, flush_folder, inside, make_folder, sha256, storing, write_file
from VQBEGALLib.study.fields import REMEDY
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.study.occurrence import Occurrence
from VQBEGALLib.study.records import WHICH, Affine4, ImageRecord, Subject
from VQBEGALLib.study.sourcerecord import of_one_patient, read_with_source, source_of
from VQBEGALLib.volumes.dicom import is_dicom
from VQBEGALLib.volumes.reading import organ_labelmap, read_labelmap, read_volume
from VQBEGALLib.volumes.volume import Volume
from VQBEGALLib.volumes.writing import write_volume

CASES = "cases"
CACHE = "cache"
_COPIED = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha")
"""Formats of one file, kept byte for byte; all others become NIfTI."""


def import_subjects(
    members: Sequence[NewSubject], folder: Path, reporter: Reporter, *, organs: Sequence[str]
) -> dict[str, Subject]:
    """Fill ``folder/cases`` with the subjects' files.

    Args:
        members: their paths may lie anywhere and are only read.
        folder: a study, or a temporary folder that becomes part of one.
        reporter: told of each volume, and of organs that no reference shows.
        organs: of the study.

    Returns:
        The records by name, with paths relative to ``folder``.

    Raises:
        InputError: a file cannot be read, a reference is not a labelmap of the organs on its image's grid, or the
            references hold none of the organs' values.
        StorageError: the disk is full or refuses.
        CancelledError: a person asked to stop.
    """
    total = sum((member.primary is not None) + (member.auxiliary is not None) for member in members)
    subjects = {}
    occurrences: dict[str, Occurrence] = {which: Occurrence(which, organs) for which in WHICH}
    with reporter.stage("import", total, unit="volume") as stage:
        for member in members:
            make_folder(folder / CASES / member.name)
            records: dict[str, ImageRecord] = {}
            for which, image, labels, values, files in (
                (
                    "primary",
                    member.primary,
                    member.primary_reference,
                    member.primary_values,
                    member.primary_source,
                ),
                (
                    "auxiliary",
                    member.auxiliary,
                    member.auxiliary_reference,
                    member.auxiliary_values,
                    member.auxiliary_source,
                ),
            ):
                if image is not None:
                    records[which], grid = _import_image(image, folder, f"{CASES}/{member.name}/{which}")
                    _check_contrast(image, grid)
                    if files is not None:
                        records[which] = _with_source(records[which], grid, files, member.name, reporter)
                    if labels is not None:
                        target = f"{CASES}/{member.name}/{which}_reference.nii.gz"
                        labelmap = _reference(labels, grid, values, occurrences[which], len(organs))
                        write_volume(folder / target, labelmap)
                        absent = tuple(number for number, value in enumerate(values or (), start=1) if not value)
                        records[f"{which}_reference"] = replace(_record(folder, target, labelmap), absent=absent)
                    stage.advance()
            subjects[member.name] = Subject(member.name, member.patient, member.split, **records)
            _warn_of_strangers(member, reporter)
    for occurrence in occurrences.values():
        occurrence.check(reporter)
    return subjects


def add_subjects(
    members: Sequence[NewSubject], study: Path, reporter: Reporter, *, organs: Sequence[str]
) -> dict[str, Subject]:
    """Import into a study: aside first, then each subject's folder takes its place.

    What a killed import left in ``cases`` under one of the names is replaced; no record names it.

    Raises:
        InputError, StorageError, CancelledError: as :func:`import_subjects`; no file stays behind then.
    """
    aside = study / f"{TEMPORARY}{secrets.token_hex(6)}"
    try:
        make_folder(aside)
        subjects = import_subjects(members, aside, reporter, organs=organs)
        make_folder(study / CASES)
        with storing(study / CASES):
            for name in subjects:
                shutil.rmtree(study / CASES / name, ignore_errors=True)
                (aside / CASES / name).rename(study / CASES / name)
            flush_folder(study / CASES)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return subjects


def remove_files(study: Path, name: str) -> None:
    """Delete a subject's images and prepared slices; what the system keeps back is left, and no record names it."""
    shutil.rmtree(study / CASES / name, ignore_errors=True)
    prepared = re.compile(re.escape(name) + r"\.(primary|auxiliary)\.[0-9a-f]+\.npy")
    for path in (study / CACHE).glob("*.npy"):
        if prepared.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()


def grid_of(record: ImageRecord) -> Volume:
    """Return zeros (uint8, read-only, taking no memory) on a record's grid."""
    return Volume(np.broadcast_to(np.uint8(0), record.shape), np.array(record.affine))


def read_image(study: Path, record: ImageRecord, *, organs: int = 0) -> Volume:
    """Read an image of the study, or a labelmap of its organs, uint8 with 0 to ``organs``.

    Raises:
        StudyError: the file is missing, damaged, or not on the recorded grid.
    """
    path = inside(study, record.path)
    try:
        volume = organ_labelmap(read_labelmap(path), organs) if organs else read_volume(path)
    except InputError as error:
        raise StudyError(f"A file of the study cannot be used: {error.problem}", REMEDY) from error
    if not same_grid(volume, record):
        raise StudyError(f"{record.path} is not on the grid that study.json gives.", REMEDY)
    return volume


def same_grid(volume: Volume | ImageRecord, record: ImageRecord) -> bool:
    """Tell whether a volume, or another record's, lies on a record's grid but for rounding in file headers."""
    affine = np.asarray(volume.affine)
    return volume.shape == record.shape and bool(np.allclose(affine, record.affine, rtol=1e-5, atol=1e-3))


def _import_image(path: Path, folder: Path, stem: str) -> tuple[ImageRecord, Volume]:
    suffix = next((suffix for suffix in _COPIED if path.name.lower().endswith(suffix)), "")
    if path.is_file() and suffix:
        relative = f"{stem}{suffix}"
        copied = folder / relative
        _copy(path, copied)
        try:
            volume = read_volume(copied)
        except InputError as error:
            raise InputError(error.problem.replace(str(copied), str(path)), error.remedy) from error
        return _record(folder, relative, volume), volume
    relative = f"{stem}.nii.gz"
    volume, source = read_with_source(path) if is_dicom(path) else (read_volume(path), None)
    write_volume(folder / relative, volume)
    return _record(folder, relative, volume, source), volume


def _with_source(record: ImageRecord, volume: Volume, files: Path, name: str, reporter: Reporter) -> ImageRecord:
    """Note the DICOM series that another program made the volume of; where it is not that, warn and note nothing."""
    try:
        return replace(record, source=source_of(files, volume))
    except InputError as error:
        reporter.warn(
            f"{name} was added without its DICOM series, so that its result can become NIfTI or NRRD but no DICOM "
            f"object: {error}"
        )
        return record


def _warn_of_strangers(member: NewSubject, reporter: Reporter) -> None:
    """Warn where the two images of a case are DICOM and name different patients; which, is said nowhere."""
    places = [member.primary_source or member.primary, member.auxiliary_source or member.auxiliary]
    named = [place for place in places if place is not None and is_dicom(place)]
    if len(named) == 2 and not of_one_patient(*named):
        reporter.warn(f"The two images of {member.name} name different patients; make sure that they are a pair.")


def _check_contrast(path: Path, volume: Volume) -> None:
    """Refuse an image that shows nothing, before a study is built on it."""
    if volume.voxels.min() == volume.voxels.max():
        raise InputError(f"{path} has the same value everywhere.", "Check that the right series was exported.")


def _reference(path: Path, grid: Volume, values: Sequence[int] | None, occurrence: Occurrence, count: int) -> Volume:
    """Read labels of the study's ``count`` organs, and note what they show."""
    given = read_labelmap(path, grid=grid)
    try:
        labelmap = organ_labelmap(given, count, values=values)
    except InputError as error:
        raise InputError(f"{path}: {error.problem}", error.remedy) from error
    occurrence.note(given, labelmap, values)
    return labelmap


def _copy(source: Path, target: Path) -> None:
    try:
        stream = source.open("rb")
    except OSError as error:
        raise InputError(
            f"{source} cannot be read: {error.strerror}.", "Check the path and its permissions."
        ) from error
    with stream:

        def fill(temporary: Path) -> None:
            with temporary.open("xb") as copy:
                shutil.copyfileobj(stream, copy, 1 << 20)

        write_file(target, fill)


def _record(folder: Path, relative: str, volume: Volume, source: dict[str, Any] | None = None) -> ImageRecord:
    path = folder / relative
    affine = cast(Affine4, tuple(tuple(row) for row in volume.affine.tolist()))
    return ImageRecord(relative, sha256(path), path.stat().st_size, volume.shape, affine, source)

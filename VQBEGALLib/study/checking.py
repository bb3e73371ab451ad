"""Looks at every file of a study and says what is wrong, or merely left over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from VQBEGALLib.errors import VQBEGALError
from VQBEGALLib.storage import TEMPORARY, inside, sha256
from VQBEGALLib.study.encoderstore import weights
from VQBEGALLib.study.imagestore import CASES, grid_of, read_image, same_grid
from VQBEGALLib.study.labelstore import LABELS, index_path, read_index, read_labels
from VQBEGALLib.study.records import WHICH, ImageRecord, Subject, Which
from VQBEGALLib.study.roundstore import read_rounds
from VQBEGALLib.study.studyfile import read_state


@dataclass(frozen=True)
class Finding:
    """One thing that :func:`check_study` noticed.

    Args:
        level: ``error``: part of the study is lost or wrong; ``harmless``: a leftover that may be deleted.
        text: one sentence.
    """

    level: Literal["error", "harmless"]
    text: str


def check_study(folder: Path) -> list[Finding]:
    """Check that all files are there, unchanged and on their grids, and that all records make sense.

    Returns:
        Nothing where all is well. It raises no error of its own: what cannot be read is a finding.
    """
    try:
        config, subjects = read_state(folder)
    except VQBEGALError as error:
        return [Finding("error", str(error))]
    findings = []
    organs = len(config.organs)
    for subject in subjects.values():
        for field, record in subject.records().items():
            findings += _errors(_of_file(folder, subject, field, record, organs))
        for which in WHICH:
            findings += _errors(_of_labels(folder, subject, which, organs))
    findings += _errors(_of_rounds(folder, subjects))
    findings += _errors(_of_encoder(folder))
    return findings + [
        Finding("harmless", f"{path} is left over and may be deleted.") for path in _strays(folder, subjects)
    ]


def _errors(texts: Iterator[str]) -> list[Finding]:
    """Collect what a check yields; the error that ends it, if any, is a finding too."""
    found = []
    try:
        for text in texts:
            found.append(Finding("error", text))
    except VQBEGALError as error:
        found.append(Finding("error", str(error)))
    return found


def _of_file(folder: Path, subject: Subject, field: str, record: ImageRecord, organs: int) -> Iterator[str]:
    path = inside(folder, record.path)
    if sha256(path) != record.sha256 or path.stat().st_size != record.size:
        yield f"{record.path} has changed since it was taken into the study."
    if (reference := field.endswith("_reference")) and max(record.absent, default=0) > organs:
        yield f"{record.path} lacks an organ that the study does not have."
    read_image(folder, record, organs=organs if reference else 0)
    image = subject.image("auxiliary" if field.startswith("auxiliary") else "primary")
    if image is None or not same_grid(image, record):
        yield f"{record.path} is not on the grid of its image."


def _of_labels(folder: Path, subject: Subject, which: Which, organs: int) -> Iterator[str]:
    image, index = subject.image(which), read_index(folder, subject.name, which)
    if index is None:
        return
    if image is None:
        yield f"{subject.name} has labels of an {which} image that it does not have."
        return
    if sha256(inside(folder, index.path)) != index.sha256:
        yield f"{index.path} has changed since it was written."
    labels = read_labels(folder, subject.name, which, grid_of(image))
    if labels is None:
        return
    if (highest := int(labels.labelmap.voxels.max())) > organs:
        yield f"{index.path} holds {highest}, and the study's organs have 1 to {organs}."
    for annotation in labels.annotations.values():
        pixels = np.count_nonzero(labels.labelmap.voxels.take(annotation.slice, axis=labels.axis))
        if pixels != annotation.foreground_pixels:
            yield f"Slice {annotation.slice} of {index.path} has {pixels} pixels, not {annotation.foreground_pixels}."


def _of_rounds(folder: Path, subjects: Mapping[str, Subject]) -> Iterator[str]:
    read_rounds(folder, subjects)
    yield from ()


def _of_encoder(folder: Path) -> Iterator[str]:
    weights(folder)
    yield from ()


def _strays(folder: Path, subjects: Mapping[str, Subject]) -> list[str]:
    """Return temporary files, and files of cases and labels that no record names."""
    known = {record.path for subject in subjects.values() for record in subject.records().values()}
    for name in subjects:
        for which in WHICH:
            known.add(index_path(folder, name, which).relative_to(folder).as_posix())
            with suppress(VQBEGALError):
                index = read_index(folder, name, which)
                known |= {index.path} if index else set()
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        listed = relative.parts[0] in (CASES, LABELS) and relative.as_posix() not in known
        if path.is_file() and (listed or any(part.startswith(TEMPORARY) for part in relative.parts)):
            found.append(relative.as_posix())
    return found

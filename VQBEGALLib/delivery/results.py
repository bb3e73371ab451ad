"""What a study has to export of a case: the network's labelmap, a person's, or the one corrected by the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.export.codes import coded
from VQBEGALLib.export.segmentation import Method, Provenance, Segment, Segmentation
from VQBEGALLib.study.labelstore import Labels
from VQBEGALLib.study.reading import StudyReader
from VQBEGALLib.volumes import Volume, on_grid, read_labelmap

What = Literal["prediction", "annotation", "corrected"]
WHATS: tuple[What, ...] = ("prediction", "annotation", "corrected")
METHOD: dict[What, Method] = {"prediction": "AUTOMATIC", "annotation": "MANUAL", "corrected": "SEMIAUTOMATIC"}

_UNKNOWN = ((128, 128, 128), (86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (213, 94, 0))
"""Colours of structures that are not common, in turn: grey, then Okabe and Ito's, which the colour-blind tell apart."""


def result(
    study: StudyReader, case: str, *, what: What = "prediction", segments: Sequence[Segment] = (), creator: str = ""
) -> Segmentation:
    """Return a case's organs on the grid of its primary image.

    Args:
        study: has the case.
        case: its name.
        what: ``prediction`` of the newest network; ``annotation``, of the annotated slices alone; ``corrected``, the
            prediction with the annotated slices in place of its own.
        segments: name, colour and code of each organ; default those of the study's organs, where they are common ones.
        creator: the clinician's name, for DICOM objects.

    Raises:
        InputError: there is no such case, no prediction of it, or nothing annotated; not one segment to each organ.
        StudyError: a file of the study is damaged.
    """
    grid = study.grid(case)
    labels = None if what == "prediction" else _labels(study, case)
    if what == "annotation":
        round_, voxels = None, _annotated(labels, np.zeros(grid.shape, dtype=np.uint8))
    else:
        round_, labelmap = _prediction(study, case, grid)
        voxels = labelmap.voxels if labels is None else _annotated(labels, labelmap.voxels.copy())
    made = tuple(segments) or organ_segments(study.config.organs, METHOD[what])
    if sorted(segment.value for segment in made) != list(range(1, len(study.config.organs) + 1)):
        raise InputError(
            f"The segments do not stand for the study's organs: {', '.join(study.config.organs)}.",
            "Describe one segment to each, with the values 1, 2, … in their order.",
        )
    return Segmentation(
        labelmap=grid.with_voxels(voxels),
        segments=made,
        provenance=Provenance(round=round_, description=_description(what, round_, labels), creator=creator),
    )


def given(
    study: StudyReader, case: str, labelmap: Volume, segments: Sequence[Segment], *, creator: str = ""
) -> Segmentation:
    """Return a labelmap from elsewhere, such as a scene, on the grid of a case's primary image.

    Raises:
        InputError: there is no such case, the labelmap is on another grid, or a value of it has no segment.
    """
    placed = on_grid(labelmap, study.grid(case))
    if placed.voxels.min() < 0 or placed.voxels.max() > 255:
        raise InputError("The labelmap holds values beyond 0 to 255.", "Export at most 255 segments, from 1 on.")
    return Segmentation(
        labelmap=placed.with_voxels(placed.voxels.astype(np.uint8)),
        segments=tuple(segments),
        provenance=Provenance(description="VQ-BEGAL, edited segmentation", creator=creator),
    )


def organ_segments(organs: Sequence[str], method: Method) -> tuple[Segment, ...]:
    """Return the segments of a study's organs, with the values 1, 2, …; one that is not common has no code."""
    made: list[Segment] = []
    for value, organ in enumerate(organs, start=1):
        color = _UNKNOWN[(value - 1) % len(_UNKNOWN)]
        plain = Segment(value=value, name=organ[:64], color=color, type=None, method=method)
        known = coded(organ, value=value, method=method) or plain
        taken = {segment.name for segment in made}
        made.append(known if known.name not in taken else replace(known, name=plain.name))
    return tuple(made)


def _prediction(study: StudyReader, case: str, grid: Volume) -> tuple[int, Volume]:
    newest = study.predictions().get(case)
    if newest is None:
        raise InputError(f"There is no prediction of {case} yet.", "Segment the case first.")
    try:
        return newest.round, read_labelmap(newest.path, grid=grid)
    except InputError as error:
        raise StudyError(f"The prediction of {case} is damaged.", "Segment the case again.") from error


def _labels(study: StudyReader, case: str) -> Labels:
    labels = study.labels(case)
    if labels is None:
        raise InputError(f"Nothing is annotated on {case} yet.", "Annotate slices first, or export the prediction.")
    return labels


def _annotated(labels: Labels | None, voxels: np.ndarray) -> np.ndarray:
    """Put the annotated slices into an array (K, J, I) and return it."""
    if labels is not None:
        index: list[slice | list[int]] = [slice(None)] * 3
        index[labels.axis] = sorted(labels.annotations)
        voxels[tuple(index)] = labels.labelmap.voxels[tuple(index)]
    return voxels


def _description(what: What, round_: int | None, labels: Labels | None) -> str:
    count = 0 if labels is None else len(labels.annotations)
    if what == "annotation":
        return f"Annotation of {count} slices"
    corrected = f", {count} slices corrected" if what == "corrected" else ""
    return f"VQ-BEGAL, prediction of round {round_}{corrected}"

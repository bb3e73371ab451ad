"""The labels of a study: per case one labelmap and the list of its annotated slices, committed as one.

``labels/<name>.json`` names the labelmap's file and lists the annotations. A change writes a new labelmap under
the next number, then replaces the JSON: that is the commit. Only then does the older labelmap go. Labels of an
auxiliary image lie in ``labels/auxiliary/``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.storage import flush_folder, inside, make_folder, read_json, sha256, storing, write_json
from VQBEGALLib.study.fields import REMEDY, Fields
from VQBEGALLib.study.records import ROLES, Annotation, Which
from VQBEGALLib.volumes.reading import GRID_TOLERANCE, read_labelmap
from VQBEGALLib.volumes.volume import Volume
from VQBEGALLib.volumes.writing import write_volume

LABELS = "labels"
_ATTEMPTS = 5
"""A reader that meets a writer looks again: the file that the JSON named may just have been replaced."""


@dataclass(frozen=True)
class Labels:
    """What a person has annotated on one image.

    Args:
        labelmap: uint8 on the image's grid, each organ with its number; only annotated slices mean anything.
        annotations: by slice index.
        axis: array axis of (K, J, I) that the slices are counted along.
    """

    labelmap: Volume
    annotations: dict[int, Annotation]
    axis: int = 0


@dataclass(frozen=True)
class LabelIndex:
    """The JSON beside a labelmap, without its voxels."""

    path: str
    sha256: str
    counter: int
    axis: int
    annotations: dict[int, Annotation]


def index_path(study: Path, name: str, which: Which) -> Path:
    """Return where a case's label index lies."""
    return study / LABELS / ("" if which == "primary" else which) / f"{name}.json"


def read_index(study: Path, name: str, which: Which) -> LabelIndex | None:
    """Read which slices are annotated, without the voxels; None where nothing is.

    Raises:
        StudyError: the file is damaged or nonsense.
    """
    path = index_path(study, name, which)
    if not path.exists():
        return None
    where = str(path.relative_to(study))
    read = Fields(read_json(path), where)
    items = [Annotation.from_json(item, f"{where}, annotation {n}") for n, item in enumerate(read.items("annotations"))]
    annotations = {item.slice: item for item in items}
    if len(annotations) < len(items):
        raise StudyError(f"{where} lists a slice twice.", REMEDY)
    axis = read.whole("axis", 0)
    if axis > 2:
        raise read.wrong("axis")
    return LabelIndex(read.text("labelmap"), read.text("sha256"), read.whole("counter", 1), axis, annotations)


def read_labels(study: Path, name: str, which: Which, grid: Volume) -> Labels | None:
    """Read a case's labels; None where nothing is annotated.

    Args:
        study: the study's folder.
        name: the case.
        which: of the image.
        grid: a volume on the image's grid.

    Raises:
        StudyError: index or labelmap are damaged, missing, or do not fit the image.
    """
    for attempt in range(_ATTEMPTS):
        index = read_index(study, name, which)
        if index is None:
            return None
        path = inside(study, index.path)
        if not path.is_file() and attempt + 1 < _ATTEMPTS:
            continue
        if sum(annotation.slice >= grid.shape[index.axis] for annotation in index.annotations.values()):
            raise StudyError(f"The labels of {name!r} name slices that the image does not have.", REMEDY)
        try:
            labelmap = read_labelmap(path, grid=grid)
        except InputError as error:
            if attempt + 1 < _ATTEMPTS and not path.is_file():
                continue
            raise StudyError(f"The labels of {name!r} cannot be used: {error.problem}", REMEDY) from error
        return Labels(labelmap, index.annotations, index.axis)
    return None


def commit_labels(study: Path, name: str, which: Which, labels: Labels) -> None:
    """Replace a case's labels in one step; without annotations they are removed.

    Raises:
        StorageError: the disk is full or refuses; the old labels are intact.
    """
    path = index_path(study, name, which)
    if not labels.annotations:
        with storing(path):
            path.unlink(missing_ok=True)
            flush_folder(path.parent)
        _remove_others(path, "")
        return
    make_folder(path.parent)
    index = read_index(study, name, which)
    counter = index.counter + 1 if index else 1
    labelmap = path.with_name(f"{name}.{counter}.nii.gz")
    write_volume(labelmap, labels.labelmap)
    write_json(path, _index_json(study, labelmap, counter, labels.axis, labels.annotations))
    _remove_others(path, labelmap.name)


def _index_json(
    study: Path, labelmap: Path, counter: int, axis: int, annotations: Mapping[int, Annotation]
) -> dict[str, Any]:
    return {
        "labelmap": labelmap.relative_to(study).as_posix(),
        "sha256": sha256(labelmap),
        "counter": counter,
        "axis": axis,
        "annotations": [annotations[index].to_json() for index in sorted(annotations)],
    }


def _remove_others(path: Path, keep: str) -> None:
    """Remove the labelmaps of earlier commits, and those of commits that a kill cut short."""
    pattern = re.compile(re.escape(path.name[: -len(".json")]) + r"\.\d+\.nii\.gz")
    for other in path.parent.iterdir():
        if pattern.fullmatch(other.name) and other.name != keep:
            with suppress(OSError):
                other.unlink()


def merged(
    old: Labels,
    labelmap: Volume,
    slices: Sequence[int],
    *,
    round: int,
    roles: Mapping[int, str],
    axis: int,
    organs: int = 1,
) -> Labels:
    """Return the old labels with some slices replaced by a labelmap's.

    Raises:
        InputError: another grid or axis than the old labels', values other than 0 to ``organs``, a slice out of range,
            or an unknown role.
    """
    tolerance = GRID_TOLERANCE * min(old.labelmap.spacing)
    if not labelmap.same_grid(old.labelmap, tolerance=tolerance):
        raise InputError("The labelmap is not on the image's grid.", "Export it with the image as reference.")
    if not np.isin(labelmap.voxels, range(organs + 1)).all():
        if organs == 1:
            raise InputError("The labelmap holds other values than 0 and 1.", "Export the organ alone as 0 and 1.")
        raise InputError(
            f"The labelmap holds other values than 0 to {organs}.", "Export the organs with their numbers in the study."
        )
    if axis not in (0, 1, 2) or (old.annotations and axis != old.axis):
        raise InputError(
            f"The slices are counted along axis {axis}, the annotated ones along axis {old.axis}.",
            "Annotate all slices of a case in the same orientation.",
        )
    voxels = old.labelmap.voxels.astype(np.uint8)
    annotations = dict(old.annotations)
    for index in sorted(set(slices)):
        if not 0 <= index < voxels.shape[axis]:
            raise InputError(
                f"There is no slice {index}; the image has slices 0 to {voxels.shape[axis] - 1}.", "Correct the list."
            )
        role = roles.get(index, "all")
        if role not in ROLES or round < 0:
            raise InputError(f"Slice {index} has role {role!r} in round {round}.", f"Roles are {', '.join(ROLES)}.")
        place = (slice(None),) * axis + (index,)
        voxels[place] = labelmap.voxels[place]
        annotations[int(index)] = Annotation(int(index), int(round), role, int(np.count_nonzero(voxels[place])))
    return Labels(old.labelmap.with_voxels(voxels), annotations, axis)


def without(old: Labels, slices: Sequence[int]) -> Labels:
    """Return labels with some annotations taken back."""
    voxels = old.labelmap.voxels.copy()
    for index in set(slices) & old.annotations.keys():
        voxels[(slice(None),) * old.axis + (index,)] = 0
    kept = {index: item for index, item in old.annotations.items() if index not in set(slices)}
    return Labels(old.labelmap.with_voxels(voxels), kept, old.axis)

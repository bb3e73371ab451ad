"""Which files make up a study: pairs images and labels by name, and splits by patient."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.storage import read_json
from VQBEGALLib.study.membership import NewSubject, check_patients, checked
from VQBEGALLib.study.records import SPLITS, Split

__all__ = ["NewSubject", "check_patients", "from_table", "gather"]

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr", ".hdr.gz")
"""Endings of volume files; a labelmap's may have ``.seg`` before it."""

_SHARES = (0.6, 0.2)
"""Of the patients, for training and validation; the rest are for testing."""


def gather(
    primary: Path,
    auxiliary: Path | None = None,
    *,
    primary_labels: Path | None = None,
    auxiliary_labels: Path | None = None,
    primary_values: Sequence[int] | None = None,
    auxiliary_values: Sequence[int] | None = None,
    split: Path | None = None,
    seed: int = 0,
) -> list[NewSubject]:
    """Pair files by name.

    Args:
        primary: a folder of volume files or of folders with one DICOM series each; or a single file.
        auxiliary: the same for the other modality; files without a primary of their name become subjects too.
        primary_labels: labelmaps by the same names; not every image needs one.
        auxiliary_labels: the same for the other modality.
        primary_values: value of each organ of the study in the primary labels, 0 for one that they do not know.
        auxiliary_values: the same for the other modality.
        split: a JSON file that says who trains, validates and tests; without it 60, 20 and 20 % by the seed.
        seed: of the split.

    Raises:
        InputError: nothing found, two files of one name, labels without an image, or a split that does not fit.
    """
    found = [_volumes(folder) for folder in (primary, auxiliary, primary_labels, auxiliary_labels)]
    for images, labels, folder in ((found[0], found[2], primary_labels), (found[1], found[3], auxiliary_labels)):
        if lost := sorted(labels.keys() - images.keys()):
            raise InputError(
                f"Labels in {folder} have no image of the same name: {_listed(lost)}.",
                "Name each labelmap like its image, or take it out of the folder.",
            )
    if not found[0]:
        raise InputError(f"{primary} holds no volume.", "Give a folder of NIfTI, NRRD, MetaImage or DICOM volumes.")
    names = sorted(found[0].keys() | found[1].keys())
    pools = [sorted(found[0]), sorted(found[1].keys() - found[0].keys())]
    splits = _read_split(split, names) if split else _drawn(pools, np.random.default_rng(seed))
    return checked(
        NewSubject(
            name,
            name,
            splits[name],
            primary=found[0].get(name),
            auxiliary=found[1].get(name),
            primary_reference=found[2].get(name),
            auxiliary_reference=found[3].get(name),
            primary_values=tuple(primary_values) if primary_values and name in found[2] else None,
            auxiliary_values=tuple(auxiliary_values) if auxiliary_values and name in found[3] else None,
        )
        for name in names
    )


def from_table(table: Path, *, seed: int = 0) -> list[NewSubject]:
    """Read a CSV file with one subject a line.

    Columns: case; primary or auxiliary or both (a volume's file, a DICOM series' folder, or a .txt file that lists the
    files of one series, where a folder holds several); optional primary_labels, auxiliary_labels, primary_values and
    auxiliary_values (value of each organ of the study in these labels, for example 6 2 3; 0 for an organ that they do
    not know), patient (the case where empty), primary_source and auxiliary_source (the DICOM files that the image was
    made of: their folder, or a list in a .txt file) and split (train, validation or test; drawn by the seed where the
    column is missing). Paths are relative to the table.

    Raises:
        InputError: a column, file or split is missing or wrong, or a patient is in two splits.
    """
    rows = _rows(table)
    columns = ("primary", "auxiliary", "primary_labels", "auxiliary_labels", "primary_source", "auxiliary_source")
    files = [{key: _path(table, row.get(key, "")) for key in columns} for row in rows]
    patients = {row["case"]: row.get("patient") or row["case"] for row in rows}
    if len(patients) < len(rows):
        names = [row["case"] for row in rows]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"{table} names cases twice: {_listed(twice)}.", "Give each case one line.")
    given = [row.get("split", "") for row in rows]
    if not any(given):
        with_primary = {patients[row["case"]] for row, paths in zip(rows, files, strict=True) if paths["primary"]}
        pools = [sorted(with_primary), sorted(set(patients.values()) - with_primary)]
        drawn = _drawn(pools, np.random.default_rng(seed))
        given = [drawn[patients[row["case"]]] for row in rows]
    for row, word in zip(rows, given, strict=True):
        if word not in SPLITS:
            raise InputError(
                f"{table}: the split of {row['case']!r} is {word!r}.", f"Write one of {', '.join(SPLITS)}."
            )
    return checked(
        NewSubject(
            row["case"],
            patients[row["case"]],
            cast(Split, word),
            primary=paths["primary"],
            auxiliary=paths["auxiliary"],
            primary_reference=paths["primary_labels"],
            auxiliary_reference=paths["auxiliary_labels"],
            primary_source=paths["primary_source"],
            auxiliary_source=paths["auxiliary_source"],
            primary_values=_values(table, row, "primary_values"),
            auxiliary_values=_values(table, row, "auxiliary_values"),
        )
        for row, paths, word in zip(rows, files, given, strict=True)
    )


def _volumes(folder: Path | None) -> dict[str, Path]:
    """Return the volumes of a folder by name."""
    if folder is None:
        return {}
    if not folder.exists():
        raise InputError(f"{folder} does not exist.", "Check the path.")
    try:
        entries = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}.", "Check its permissions.") from error
    found: dict[str, Path] = {}
    for path in entries:
        name = volume_name(path)
        if path.name.startswith(".") or name is None:
            continue
        if name in found:
            raise InputError(
                f"{found[name].name} and {path.name} in {folder} have the same name.", "Keep one of them, or rename it."
            )
        found[name] = path
    if not found and any(path.name.lower().endswith(".dcm") for path in entries):
        found[folder.stem if folder.is_file() else folder.name] = folder
    return found


def volume_name(path: Path) -> str | None:
    """Return a volume's name without its endings, None for what is no volume; a folder's name is its own.

    Examples:
        >>> volume_name(Path("liver_01.seg.nrrd"))
        'liver_01'
    """
    if path.is_dir():
        return path.name if any(not item.name.startswith(".") for item in path.iterdir()) else None
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            name = path.name[: -len(suffix)]
            return name[:-4] if name.lower().endswith(".seg") else name
    return None


def _read_split(path: Path, names: Sequence[str]) -> dict[str, Split]:
    """Read ``{"train": [names], …}``, or one such table for each modality."""
    remedy = 'Write {"train": [names], "validation": [names], "test": [names]}.'
    try:
        data = read_json(path)
    except StudyError as error:
        raise InputError(f"The split file cannot be used: {error.problem}", remedy) from error
    tables = [data] if isinstance(data, Mapping) and data.keys() & set(SPLITS) else []
    tables = tables or (list(data.values()) if isinstance(data, Mapping) else [data])
    splits: dict[str, Split] = {}
    for table in tables:
        if not isinstance(table, Mapping) or table.keys() - set(SPLITS):
            raise InputError(f"{path} is not a split.", remedy)
        for split, members in table.items():
            if not isinstance(members, list) or not all(isinstance(name, str) for name in members):
                raise InputError(f"{path}: {split} is not a list of names.", remedy)
            for name in members:
                if splits.setdefault(name, split) != split:
                    raise InputError(f"{path} has {name!r} in {splits[name]} and in {split}.", "Name it once.")
    if lost := sorted(splits.keys() - set(names)):
        raise InputError(f"{path} names subjects without a file: {_listed(lost)}.", "Take them out, or add the files.")
    if missing := sorted(set(names) - splits.keys()):
        raise InputError(f"{path} leaves out subjects: {_listed(missing)}.", "Add them to one of the splits.")
    return splits


def _drawn(pools: Iterable[Sequence[str]], generator: np.random.Generator) -> dict[str, Split]:
    """Split each pool of patients about 60, 20 and 20 %, with at least one for training."""
    splits: dict[str, Split] = {}
    for pool in pools:
        count = len(pool)
        validation = round(_SHARES[1] * count) if count > 2 else 0
        train = max(1, round(_SHARES[0] * count)) if count > 2 else 1
        for place, index in enumerate(generator.permutation(count)):
            splits[pool[index]] = "train" if place < train else "validation" if place < train + validation else "test"
    return splits


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{table} cannot be read as a table.", "Save it as CSV in UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        rows = [{(key or "").strip(): (value or "").strip() for key, value in row.items()} for row in reader]
    except (csv.Error, AttributeError):
        raise InputError(f"{table} is not a table of equally long lines.", "Check its commas and quotes.") from None
    header = {name.strip() for name in reader.fieldnames or ()}
    if "case" not in header or not header & {"primary", "auxiliary"}:
        raise InputError(f"{table} lacks columns.", "It needs case, and primary or auxiliary.")
    if not rows:
        raise InputError(f"{table} has no lines.", "Add one line a case.")
    return rows


def _values(table: Path, row: Mapping[str, str], column: str) -> tuple[int, ...] | None:
    if not row.get(column):
        return None
    try:
        return numbers(row[column])
    except ValueError:
        raise InputError(
            f"{table}: the {column} of {row['case']!r} are {row[column]!r}.", "Write whole numbers, for example 6 2 3."
        ) from None


def numbers(text: str) -> tuple[int, ...]:
    """Read whole numbers with commas, semicolons or blanks between; a ValueError where it is something else.

    Examples:
        >>> numbers("6, 2,3")
        (6, 2, 3)
    """
    return tuple(int(part) for part in re.split(r"\s*[,;]\s*|\s+", text.strip()))


def _path(table: Path, text: str) -> Path | None:
    if not text:
        return None
    path = table.parent / text
    if not path.exists():
        raise InputError(f"{table} names {text}, which does not exist.", "Give paths relative to the table.")
    return path


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")

"""The rounds of a study: ``rounds/NNN/round.json``, numbered from 0 without a gap, and what lies beside it."""

from __future__ import annotations

import csv
import math
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from VQBEGALLib.errors import StudyError
from VQBEGALLib.slices.frame import SliceFrame
from VQBEGALLib.storage import flush_folder, make_folder, read_json, storing, write_json
from VQBEGALLib.study.fields import REMEDY
from VQBEGALLib.study.imagestore import grid_of
from VQBEGALLib.study.records import ImageRecord, Round, Subject

ROUNDS = "rounds"
ROUND_FILE = "round.json"
SCORES = "scores.csv"
"""Value of every slice of the pool that the round was chosen from."""
MODEL = "model.safetensors"
"""The network that the round trained."""
CHECKPOINT = "training.safetensors"
"""Where an interrupted training goes on from."""


def round_folder(study: Path, index: int) -> Path:
    """Return where a round lies."""
    return study / ROUNDS / f"{index:03d}"


def read_rounds(study: Path, subjects: Mapping[str, Subject]) -> list[Round]:
    """Read all rounds; a folder without ``round.json`` is none yet.

    Raises:
        StudyError: a round is damaged or missing, or asks for a slice that the study does not have.
    """
    names = sorted((path.parent.name for path in (study / ROUNDS).glob(f"*/{ROUND_FILE}")), key=_order)
    rounds = []
    for index, name in enumerate(names):
        where = f"{ROUNDS}/{name}/{ROUND_FILE}"
        if name != f"{index:03d}":
            raise StudyError(f"{where} is there, but round {index} is missing.", REMEDY)
        found = Round.from_json(read_json(study / where), where)
        if found.index != index:
            raise StudyError(f"{where} says that it is round {found.index}.", REMEDY)
        for problem in problems(found, subjects):
            raise StudyError(f"{where}: {problem}", REMEDY)
        rounds.append(found)
    return rounds


def write_round(study: Path, subjects: Mapping[str, Subject], round: Round) -> None:
    """Write a round in one step.

    Raises:
        StudyError: its index leaves a gap, or it asks for a slice that the study does not have.
        StorageError: the disk is full or refuses; the old round is intact.
    """
    for problem in problems(round, subjects):
        raise StudyError(f"Round {round.index}: {problem}", "Select the round again.")
    if round.index < 0 or (round.index and not (round_folder(study, round.index - 1) / ROUND_FILE).is_file()):
        raise StudyError(f"Round {round.index} cannot come before round {round.index - 1}.", "Save that one first.")
    folder = round_folder(study, round.index)
    make_folder(folder)
    write_json(folder / ROUND_FILE, round.to_json())


def remove_round(study: Path, index: int) -> None:
    """Remove a round and all that it keeps; what the system keeps back is left, and is no round any more.

    Raises:
        StorageError: the system refuses.
    """
    folder = round_folder(study, index)
    with storing(folder):
        (folder / ROUND_FILE).unlink(missing_ok=True)
        flush_folder(folder)
    shutil.rmtree(folder, ignore_errors=True)


def problems(round: Round, subjects: Mapping[str, Subject]) -> Iterator[str]:
    """Yield what a round's requests name that the study does not have, one sentence each."""
    seen = set()
    for request in round.requests:
        case, partner = subjects.get(request.case), subjects.get(request.partner or request.case)
        if case is None or case.primary is None:
            yield f"it asks for {request.case!r}, which is not a case of the study."
        elif request.slice >= _slices(case.primary):
            yield f"it asks for slice {request.slice} of {request.case!r}, which has fewer."
        elif (request.case, request.slice) in seen:
            yield f"it asks for slice {request.slice} of {request.case!r} twice."
        elif request.partner and (partner is None or partner.auxiliary is None):
            yield f"it names {request.partner!r} as partner, which has no auxiliary image."
        elif partner and partner.auxiliary and (request.partner_slice or 0) >= _slices(partner.auxiliary):
            yield f"it names slice {request.partner_slice} of partner {request.partner!r}, which has fewer."
        seen.add((request.case, request.slice))


def _slices(image: ImageRecord) -> int:
    return SliceFrame.of(grid_of(image)).count


def read_scores(study: Path, index: int) -> dict[str, dict[int, float]]:
    """Read the scores of the pool that a round was chosen from, by case and slice; nothing where there are none.

    Raises:
        StudyError: the table is damaged.
    """
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for case, number, value in read_table(round_folder(study, index) / SCORES, "score"):
        found[case][number] = value
    return dict(found)


def read_table(path: Path, column: str) -> list[tuple[str, int, float]]:
    """Read a table of slices: case (empty where the table is of one), slice and the number in a column of each row.

    A missing file has no rows.

    Raises:
        StudyError: the table cannot be read, or a slice or number in it is none.
    """
    rows = []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream, strict=True):
                number, value = int(row["slice"]), float(row[column])
                if number < 0 or not math.isfinite(value):
                    raise ValueError(column)
                rows.append((row.get("case") or "", number, value))
    except FileNotFoundError:
        return []
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        raise StudyError(f"{path} cannot be read as a table of slices.", REMEDY) from None
    return rows


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """Return the folders of rounds with their numbers, in order."""
    found = [(_order(path.name)[0], path) for path in folder.glob("*")]
    return sorted((index, path) for index, path in found if index >= 0)


def _order(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isdecimal() else (-1, name)

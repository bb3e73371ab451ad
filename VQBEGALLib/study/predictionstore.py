"""What the networks made of the cases: ``rounds/NNN/predictions/<case>.nii.gz``, by the round that trained the network.

``<case>.csv`` beside a labelmap says how unsure the network was on each slice. It is written first: where the
labelmap is, the prediction is whole. So is ``attention/<case>.nii.gz``, which a network that can tell writes: how much
it took from the other modality, place by place.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from VQBEGALLib.storage import flush_folder, make_folder, storing, temporary_sibling, write_bytes
from VQBEGALLib.study.roundstore import ROUNDS, numbered, read_table, round_folder
from VQBEGALLib.volumes.volume import Volume
from VQBEGALLib.volumes.writing import write_volume

PREDICTIONS = "predictions"
ATTENTION = "attention"
SUFFIX = ".nii.gz"


@dataclass(frozen=True)
class Prediction:
    """A case as a network segmented it.

    Args:
        round: the round whose network it was.
        path: labelmap, uint8 on the grid of the case's primary image, each organ with its number.
    """

    round: int
    path: Path

    @property
    def attention(self) -> Path | None:
        """Volume on the same grid, uint8: percent taken from the other modality at each place; or None."""
        path = _attention(self.path)
        return path if path.is_file() else None


def place(study: Path, index: int, case: str) -> Prediction:
    """Return where a round's prediction of a case lies, whether it is there or not."""
    return Prediction(index, round_folder(study, index) / PREDICTIONS / f"{case}{SUFFIX}")


def newest(study: Path, cases: Collection[str]) -> dict[str, Prediction]:
    """Return the newest prediction of each case that has one."""
    found = {}
    for index, folder in numbered(study / ROUNDS):
        with suppress(OSError):  # the round has none, or they are just being replaced
            for path in sorted((folder / PREDICTIONS).iterdir()):
                name = path.name.removesuffix(SUFFIX)
                if name != path.name and name in cases:
                    found[name] = Prediction(index, path)
    return found


def write_prediction(
    study: Path,
    index: int,
    case: str,
    labelmap: Volume,
    uncertainty: Iterable[float],
    attention: Volume | None = None,
) -> Prediction:
    """Write a prediction, its uncertainty by slice and its attention; a kill leaves the whole prediction or none.

    Raises:
        StorageError: the disk is full or refuses.
    """
    made = place(study, index, case)
    make_folder(made.path.parent)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["slice", "uncertainty"])
    writer.writerows([number, repr(float(value))] for number, value in enumerate(uncertainty))
    write_bytes(_table(made.path), text.getvalue().encode())
    if attention is not None:
        make_folder(_attention(made.path).parent)
        write_volume(_attention(made.path), attention)
    write_volume(made.path, labelmap)
    return made


def read_uncertainty(labelmap: Path) -> dict[int, float]:
    """Read the uncertainty by slice that lies beside a labelmap; nothing where it does not.

    Raises:
        StudyError: the table is damaged.
    """
    return {number: value for _, number, value in read_table(_table(labelmap), "uncertainty")}


def drop_round(study: Path, index: int) -> None:
    """Remove a round's predictions, all in one step, because its network is about to be another.

    Raises:
        StorageError: the system refuses.
    """
    folder = round_folder(study, index) / PREDICTIONS
    if folder.is_dir():
        aside = temporary_sibling(folder)
        with storing(folder):
            folder.rename(aside)
            flush_folder(folder.parent)
        shutil.rmtree(aside, ignore_errors=True)


def drop_case(study: Path, case: str) -> None:
    """Remove the predictions that all rounds made of a case.

    Raises:
        StorageError: the system refuses.
    """
    for index, _ in numbered(study / ROUNDS):
        path = place(study, index, case).path
        with storing(path):
            for each in (path, _table(path), _attention(path)):
                each.unlink(missing_ok=True)


def _table(labelmap: Path) -> Path:
    return labelmap.with_name(labelmap.name.removesuffix(SUFFIX) + ".csv")


def _attention(labelmap: Path) -> Path:
    # a folder of its own: beside the labelmap it could pass for another case's
    return labelmap.parent / ATTENTION / labelmap.name

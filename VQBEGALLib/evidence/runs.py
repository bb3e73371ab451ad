"""The runs of a results folder: one study a cohort, arm and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from VQBEGALLib.errors import StudyError
from VQBEGALLib.study import Study
from VQBEGALLib.study.records import Round
from VQBEGALLib.study.roundstore import MODEL, round_folder

RUNS = "runs"
SEED = "seed"


@dataclass(frozen=True)
class Run:
    """One run of a benchmark.

    Args:
        cohort: name.
        arm: name.
        seed: its seed.
        study: its study, open for reading.
        rounds: the trained ones, in order.
    """

    cohort: str
    arm: str
    seed: int
    study: Study
    rounds: Sequence[Round]

    @property
    def networks(self) -> list[Round]:
        """The rounds whose network is still there."""
        return [item for item in self.rounds if (round_folder(self.study.folder, item.index) / MODEL).is_file()]

    def budget(self, round_: Round) -> float:
        """Return the share of the training pool that was labelled for a round, per cent; 0 where it is not known."""
        pool = round_.figures.get("pool")
        return 100 * round_.figures.get("labelled", 0) / pool if pool else 0.0


def find_runs(results: Path) -> tuple[list[Run], list[str]]:
    """Return the runs of a results folder, by cohort, arm and seed, and a sentence on each that cannot be read."""
    runs, notes = [], []
    for folder in sorted(results.glob(f"{RUNS}/*/*/{SEED}*"), key=_order):
        number = folder.name.removeprefix(SEED)
        if not number.isdecimal():
            continue
        cohort, arm = folder.parts[-3:-1]
        try:
            study = Study.open(folder)
            rounds = [item for item in study.rounds() if item.trained]
        except StudyError as error:
            notes.append(f"The run {cohort}, {arm}, seed {number} cannot be read. {error}")
            continue
        runs.append(Run(cohort, arm, int(number), study, rounds))
    return runs, notes


def _order(folder: Path) -> tuple[str, str, int, str]:
    number = folder.name.removeprefix(SEED)
    cohort, arm, name = folder.parts[-3:]
    return cohort, arm, int(number) if number.isdecimal() else 0, name

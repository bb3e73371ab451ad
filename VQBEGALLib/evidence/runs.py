"""The runs of a results folder: one study a cohort, arm and seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from VQBEGALLib.benchmark import Plan, read_plan
from VQBEGALLib.benchmark.folder import PLAN, RUNS, ResultsFolder
from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.study import Study
from VQBEGALLib.study.records import Round
from VQBEGALLib.study.roundstore import MODEL, round_folder

SEED = "seed"


@dataclass(frozen=True)
class RunStudy:
    """The study of one run of a benchmark.

    Args:
        cohort: name.
        arm: name.
        seed: its seed.
        study: its study, open for reading.
        rounds: the trained ones, in order.
        budgets: the plan's, per cent of the training pool; empty where they are not known.
    """

    cohort: str
    arm: str
    seed: int
    study: Study
    rounds: Sequence[Round]
    budgets: Sequence[float] = ()

    @property
    def networks(self) -> list[Round]:
        """The rounds whose network is still there."""
        return [item for item in self.rounds if (round_folder(self.study.folder, item.index) / MODEL).is_file()]

    def budget(self, round_: Round) -> float:
        """Return a round's budget by the plan, per cent of the training pool; without plan the share that was labelled.

        0 where neither is known.
        """
        if round_.index < len(self.budgets):
            return self.budgets[round_.index]
        pool = round_.figures.get("pool")
        return 100 * round_.figures.get("labelled", 0) / pool if pool else 0.0


@dataclass(frozen=True)
class _Place:
    cohort: str
    arm: str
    seed: int
    folder: Path
    budgets: Sequence[float] = ()


def plan_of(results: Path) -> Plan | None:
    """Return the plan of a results folder; None where there is none that can be read."""
    try:
        return read_plan(results / PLAN)
    except InputError:
        return None


def find_runs(results: Path) -> tuple[list[RunStudy], list[str]]:
    """Return the runs of a results folder, by cohort, arm and seed, and a sentence on each that cannot be read.

    Where the folder has its plan, only runs that the plan names count.
    """
    runs, notes = [], []
    plan = plan_of(results)
    places = _found(results) if plan is None else _planned(results, plan)
    for place in sorted(places, key=lambda place: (place.cohort, place.arm, place.seed)):
        try:
            study = Study.open(place.folder)
            rounds = [item for item in study.rounds() if item.trained]
        except StudyError as error:
            notes.append(f"The run {place.cohort}, {place.arm}, seed {place.seed} cannot be read. {error}")
            continue
        runs.append(RunStudy(place.cohort, place.arm, place.seed, study, rounds, place.budgets))
    return runs, notes


def _planned(results: Path, plan: Plan) -> Iterator[_Place]:
    """Yield the runs of a plan that have begun."""
    for run in plan.runs():
        folder = ResultsFolder(results).run(run)
        if folder.exists():
            yield _Place(run.cohort.name, run.arm.name, run.seed, folder, run.arm.budgets)


def _found(results: Path) -> Iterator[_Place]:
    """Yield every folder that looks like a run's."""
    for folder in results.glob(f"{RUNS}/*/*/{SEED}*"):
        number = folder.name.removeprefix(SEED)
        if number.isdecimal():
            cohort, arm = folder.parts[-3:-1]
            yield _Place(cohort, arm, int(number), folder)

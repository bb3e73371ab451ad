"""The results folder of a benchmark: where everything lies, and studies that share their images."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from VQBEGALLib.benchmark import purpose
from VQBEGALLib.benchmark.plan import Cohort, Plan, Run
from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.rounds import Material
from VQBEGALLib.storage import TEMPORARY, make_folder, storing, temporary_sibling, write_bytes
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import NewSubject, gather
from VQBEGALLib.study.imagestore import CACHE, CASES
from VQBEGALLib.study.locking import HOLDER, LOCK
from VQBEGALLib.study.records import Split

PLAN = "plan.toml"
CANCEL = "cancel"
"""A file whose existence asks every task to stop after its step."""
EVALUATIONS = "benchmark.json"
"""What a round of a run cost and reached; beside its ``round.json``."""

RUNS = "runs"
SEEDS = "seeds"
"""First rounds, each shared by all runs that it is the same for."""
BASE = "base"
"""A prepared study a cohort."""


class ResultsFolder:
    """A folder that every worker sees under the same path.

    Args:
        path: where.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def cancel_file(self) -> Path:
        """The file that asks tasks to stop."""
        return self.path / CANCEL

    def run(self, run: Run, part: str = RUNS) -> Path:
        """Return where a run's study lies."""
        return self.path / part / run.name

    def base(self, cohort: Cohort) -> Path:
        """Return where a cohort's prepared study lies."""
        return self.path / BASE / cohort.name

    def open(self, plan: Plan) -> None:
        """Make the folder, or take it up again with the same plan or one that has grown.

        Copies that an earlier call left half made are removed.

        Raises:
            StudyError: it holds something else, or what it holds of a cohort or run of the plan was made for another
                plan; nothing is changed then.
        """
        if self.path.exists() and any(self.path.iterdir()) and not (self.path / PLAN).exists():
            raise StudyError(f"{self.path} is not empty and holds no benchmark.", "Choose another folder.")
        for cohort in plan.cohorts:
            if self.base(cohort).exists():
                _check(self.base(cohort), f"The cohort {cohort.name}", purpose.of_cohort(plan, cohort))
        for run in plan.runs():
            _check(self.run(run), f"The run {run.name}", purpose.of_run(plan, run))
        make_folder(self.path)
        for part, depth in ((BASE, ""), (RUNS, "*/*/"), (SEEDS, "*/*/")):
            for left in self.path.glob(f"{part}/{depth}{TEMPORARY}*"):
                shutil.rmtree(left, ignore_errors=True)
        self.cancel_file.unlink(missing_ok=True)
        write_bytes(self.path / PLAN, plan.text.encode())

    def finished_rounds(self, run: Run, part: str = RUNS) -> int:
        """Return how many rounds of a run are trained and evaluated."""
        return len(list((self.run(run, part) / "rounds").glob(f"*/{EVALUATIONS}")))

    def prepare(self, plan: Plan, cohort: Cohort, reporter: Reporter) -> Path:
        """Make a cohort's prepared study, whose images and slices all its runs share.

        Raises:
            InputError: images or labels are missing or cannot be used, or a split that is evaluated has nobody.
            StudyError: it was made with other settings of slices.
        """
        folder, config = self.base(cohort), plan.base(cohort)
        if folder.exists():
            study = Study.open(folder)
            if study.config.slices != config.slices:
                raise StudyError(
                    f"{folder} was prepared with other settings of slices.", "Choose another results folder."
                )
            _require_splits(plan, cohort, {each.split for each in study.cases()})
            return folder
        members = _members(plan, cohort)
        temporary = temporary_sibling(folder)
        make_folder(folder.parent)
        try:
            study = Study.create(temporary, config, members, reporter=reporter)
            with study.writing("prepare"):
                Material(study, reporter)
            purpose.note(temporary, purpose.of_cohort(plan, cohort))
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return folder

    def start(self, plan: Plan, run: Run, part: str = RUNS) -> Study:
        """Return a run's study: a copy of the cohort's, or of the first round that it shares where that is done.

        Raises:
            StudyError: it was begun for something else than the plan says now.
        """
        folder = self.run(run, part)
        if not folder.exists():
            self._begin(plan, run, part)
        if part == RUNS:  # the name of a shared first round says what it is made for
            wanted = purpose.of_run(plan, run)
            _check(folder, f"The run {run.name}", wanted)
            purpose.note(folder, wanted)
        return Study.open(folder)

    def _begin(self, plan: Plan, run: Run, part: str) -> None:
        folder, source = self.run(run, part), self.base(run.cohort)
        first = plan.seed_round(run)
        if part == RUNS and first is not None and self.finished_rounds(first, SEEDS):
            source = self.run(first, SEEDS)
        temporary = temporary_sibling(folder)
        make_folder(folder.parent)
        try:
            clone(source, temporary)
            Study.open(temporary).configure(purpose.every_setting(plan.config(run)))
            if part == RUNS:
                purpose.note(temporary, purpose.of_run(plan, run))
            temporary.replace(folder)
        except OSError:
            if not folder.exists():  # else a worker that was taken for dead has made it meanwhile
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _check(folder: Path, what: str, wanted: Mapping[str, Any]) -> None:
    """Refuse a folder that was made for something else.

    Raises:
        StudyError: it was.
    """
    if found := purpose.differences(folder, wanted):
        raise StudyError(
            f"{what} was begun with other settings than the plan gives now: {', '.join(found)}.",
            f"Give it another name in the plan, or remove {folder}.",
        )


def _members(plan: Plan, cohort: Cohort) -> list[NewSubject]:
    """Return whom a cohort consists of.

    Raises:
        InputError: images or labels are missing or cannot be used, or a split that is evaluated has nobody.
    """

    def path(named: Path | None) -> Path | None:
        return None if named is None else plan.folder / named

    members = gather(
        plan.folder / cohort.primary,
        path(cohort.auxiliary),
        primary_labels=path(cohort.primary_labels),
        auxiliary_labels=path(cohort.auxiliary_labels),
        primary_values=cohort.primary_values or None,
        auxiliary_values=cohort.auxiliary_values or None,
        split=path(cohort.split),
    )
    cases = [each for each in members if each.primary is not None]
    if lost := [each.name for each in cases if each.primary_reference is None]:
        raise InputError(
            f"The cohort {cohort.name!r} has no labels of {', '.join(lost[:8])}.", "A benchmark needs them all."
        )
    _require_splits(plan, cohort, {each.split for each in cases})
    return members


def _require_splits(plan: Plan, cohort: Cohort, there: set[Split]) -> None:
    if empty := [split for split in plan.splits if split not in there]:
        raise InputError(
            f"The cohort {cohort.name!r} has nobody in its {empty[0]} split.",
            "Correct the split, or leave it out of the plan's splits.",
        )


def clone(source: Path, target: Path) -> None:
    """Copy a study; its images and prepared slices, which nothing ever changes, become hard links where they can."""
    shared = {CASES, CACHE}

    def copy(origin: str, copied: str) -> str:
        if shared & set(Path(origin).relative_to(source).parts):
            with suppress(OSError):
                os.link(origin, copied)
                return copied
        return shutil.copy2(origin, copied)

    with storing(target):
        shutil.copytree(
            source,
            target,
            copy_function=copy,
            ignore=shutil.ignore_patterns(LOCK, HOLDER, purpose.FILE, f"{TEMPORARY}*"),
        )

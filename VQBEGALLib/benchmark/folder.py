"""The results folder of a benchmark: where everything lies, and studies that share their images."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from VQBEGALLib.benchmark.plan import Cohort, Plan, Run
from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.rounds import Material
from VQBEGALLib.storage import make_folder, storing, temporary_sibling, write_bytes
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import gather
from VQBEGALLib.study.imagestore import CACHE, CASES
from VQBEGALLib.study.locking import HOLDER, LOCK

PLAN = "plan.toml"
CANCEL = "cancel"
"""A file whose existence asks every task to stop after its step."""
EVALUATIONS = "benchmark.json"
"""What a round of a run cost and reached; beside its ``round.json``."""


RUNS = "runs"
SEEDS = "seeds"
"""First rounds, each shared by all runs that it is the same for."""


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
        return self.path / "base" / cohort.name

    def open(self, plan: Plan) -> None:
        """Make the folder, or take it up again where it was made for the same plan.

        Raises:
            StudyError: it holds results of another plan, or something else.
        """
        if self.path.exists() and any(self.path.iterdir()) and not (self.path / PLAN).exists():
            raise StudyError(f"{self.path} is not empty and holds no benchmark.", "Choose another folder.")
        make_folder(self.path)
        self.cancel_file.unlink(missing_ok=True)
        write_bytes(self.path / PLAN, plan.text.encode())

    def finished_rounds(self, run: Run, part: str = RUNS) -> int:
        """Return how many rounds of a run are trained and evaluated."""
        return len(list((self.run(run, part) / "rounds").glob(f"*/{EVALUATIONS}")))

    def prepare(self, plan: Plan, cohort: Cohort, reporter: Reporter) -> Path:
        """Make a cohort's prepared study, whose images and slices all its runs share.

        Raises:
            InputError: images or labels are missing or cannot be used.
            StudyError: it was made with other settings of slices.
        """
        folder, config = self.base(cohort), plan.base(cohort)
        if folder.exists():
            if Study.open(folder).config.slices != config.slices:
                raise StudyError(
                    f"{folder} was prepared with other settings of slices.", "Choose another results folder."
                )
            return folder
        members = gather(
            cohort.primary,
            cohort.auxiliary,
            primary_labels=cohort.primary_labels,
            auxiliary_labels=cohort.auxiliary_labels,
            split=cohort.split,
        )
        lost = [each.name for each in members if each.primary is not None and each.primary_reference is None]
        if lost:
            raise InputError(
                f"The cohort {cohort.name!r} has no labels of {', '.join(lost[:8])}.", "A benchmark needs them all."
            )
        temporary = temporary_sibling(folder)
        make_folder(folder.parent)
        try:
            study = Study.create(temporary, config, members, reporter=reporter)
            with study.writing("prepare"):
                Material(study, reporter)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return folder

    def start(self, plan: Plan, run: Run, part: str = RUNS) -> Study:
        """Return a run's study: a copy of the cohort's, or of the first round that it shares where that is done.

        Raises:
            StudyError: it was begun with other settings than the plan gives now.
        """
        folder, config = self.run(run, part), plan.config(run)
        if not folder.exists():
            source = self.base(run.cohort)
            first = plan.seed_round(run)
            if part == RUNS and first is not None and self.finished_rounds(first, SEEDS):
                source = self.run(first, SEEDS)
            temporary = temporary_sibling(folder)
            make_folder(folder.parent)
            try:
                clone(source, temporary)
                Study.open(temporary).configure(_every_setting(config))
                temporary.replace(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        study = Study.open(folder)
        for name in ("seed", "slices", "network", "training"):
            if getattr(study.config, name) != getattr(config, name):
                raise StudyError(
                    f"{run.name} was begun with other settings of {name} than the plan gives now.",
                    f"Give the arm another name, or remove {folder}.",
                )
        return study


def _every_setting(config: Config) -> dict[str, object]:
    """Return a configuration as changes by name."""
    found: dict[str, object] = {}
    for name, value in config.to_json().items():
        found |= {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
    return found


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
        shutil.copytree(source, target, copy_function=copy, ignore=shutil.ignore_patterns(LOCK, HOLDER, ".*.tmp"))

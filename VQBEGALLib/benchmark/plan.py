"""What a benchmark compares, read from a TOML file: cohorts × arms × seeds × budgets."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from VQBEGALLib.benchmark.conditions import find_condition
from VQBEGALLib.benchmark.fields import Fields, is_number
from VQBEGALLib.benchmark.plan_checks import check
from VQBEGALLib.config import PRESETS, Config, preset
from VQBEGALLib.errors import InputError
from VQBEGALLib.rounds.evaluation import Auxiliary
from VQBEGALLib.study.records import Split

_SPLITS = ("validation", "test")
_AUXILIARY = ("none", "own", "any")


@dataclass(frozen=True)
class Cohort:
    """Images with reference labels.

    Args:
        name: short, for folders and tables.
        primary, auxiliary, primary_labels, auxiliary_labels: folders, as the plan writes them; see
            :func:`VQBEGALLib.study.cohort.gather`.
        split: JSON file that says who trains, validates and tests; as the plan writes it.
        settings: changes of settings that this cohort needs, for example ``primary_modality``.
        primary_values, auxiliary_values: value of each organ in the files of labels, in the order of ``organ``; 0 where
            they lack it, empty where they hold 1, 2, … in that order.
    """

    name: str
    primary: Path
    auxiliary: Path | None
    primary_labels: Path
    auxiliary_labels: Path | None
    split: Path | None
    settings: Mapping[str, object] = field(default_factory=dict)
    primary_values: tuple[int, ...] = ()
    auxiliary_values: tuple[int, ...] = ()


@dataclass(frozen=True)
class Arm:
    """One line of a comparison: a strategy and what it changes of the common settings.

    Args:
        name: short, for folders and tables.
        strategy: how rounds after the first are picked.
        settings: changes of settings.
        seeds: instead of the plan's.
        budgets: instead of the plan's, percent of the training pool, rising.
        cohorts: names of the cohorts that it runs on; empty for all.
        boundary_noise: displacement of the oracle's contours, mm.
    """

    name: str
    strategy: str
    settings: Mapping[str, object]
    seeds: tuple[int, ...]
    budgets: tuple[float, ...]
    cohorts: tuple[str, ...] = ()
    boundary_noise: float = 0.0


@dataclass(frozen=True)
class Robustness:
    """Under which conditions trained networks are evaluated again.

    Args:
        arms: whose networks.
        budgets: of which rounds; empty for the last.
        conditions: levels by name, see :mod:`VQBEGALLib.benchmark.conditions`.
    """

    arms: tuple[str, ...] = ()
    budgets: tuple[float, ...] = ()
    conditions: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def applies(self, arm: Arm, budget: float) -> bool:
        """Tell whether a round of an arm is evaluated under the conditions."""
        return arm.name in self.arms and budget in (self.budgets or arm.budgets[-1:])


@dataclass(frozen=True)
class Run:
    """One cohort, arm and seed: a sequence of rounds that depend on each other."""

    cohort: Cohort
    arm: Arm
    seed: int

    @property
    def name(self) -> str:
        """Cohort, arm and seed in one word."""
        return f"{self.cohort.name}/{self.arm.name}/seed{self.seed}"


@dataclass(frozen=True)
class Plan:
    """A whole comparison. It is valid once built.

    Args:
        text: the file's own text.
        folder: what its relative paths start from.
        preset: settings that everything starts from.
        settings: changes of them.
        cohorts, arms: what is compared.
        splits: parts that each round is evaluated on.
        auxiliary: auxiliary images given at evaluation, see :data:`VQBEGALLib.rounds.evaluation.Auxiliary`.
        robustness: further evaluations.
        reference: the arm that the report compares all others with; empty for ``random_foreground``.
    """

    text: str
    folder: Path
    preset: str
    settings: Mapping[str, object]
    cohorts: tuple[Cohort, ...]
    arms: tuple[Arm, ...]
    splits: tuple[Split, ...]
    auxiliary: tuple[Auxiliary, ...]
    robustness: Robustness
    reference: str = ""

    def runs(self) -> list[Run]:
        """Return all runs; every arm's first seed comes before any second, so that partial results compare."""
        seeds = sorted({seed for arm in self.arms for seed in arm.seeds})
        return [
            Run(cohort, arm, seed)
            for seed in seeds
            for cohort in self.cohorts
            for arm in self.arms
            if seed in arm.seeds and (not arm.cohorts or cohort.name in arm.cohorts)
        ]

    def base(self, cohort: Cohort) -> Config:
        """Return the settings of a cohort's prepared study."""
        return preset(self.preset, {**self.settings, **cohort.settings})

    def seed_round(self, run: Run) -> Run | None:
        """Return the run that does a run's first round, which all runs of equal network, training and seed share.

        The first round is the same for all of them, whatever their strategy: ``cold_start`` picks it. None for a
        run whose first round is evaluated under other conditions than theirs.
        """
        arm, first = run.arm, run.arm.budgets[0]
        if self.robustness.applies(arm, first):
            return None
        config = self.config(run)
        shared = [config.organ, config.slices, config.network, config.training, config.inference]
        shared += [getattr(config, config.network.architecture, None)]  # the section of a related system
        done = [config.rounds.cold_start, first, arm.boundary_noise, self.splits, self.auxiliary]
        # a setting that came later: at its default the folders that there are keep their names
        text = repr([*shared, *done]).replace(", registered='auto'", "")
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return Run(run.cohort, replace(arm, name=digest, budgets=(first,)), run.seed)

    def config(self, run: Run) -> Config:
        """Return the settings of a run; its rounds stop at the budgets alone."""
        return self.base(run.cohort).replace({**run.arm.settings, "seed": run.seed, "plateau_rounds": 0})


def read_plan(path: Path) -> Plan:
    """Read a plan; paths in it are relative to the file.

    Raises:
        InputError: the file is missing, not TOML, or names what there is not.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The plan {path} cannot be read.", "Check the path; docs/BENCHMARK.md shows one.") from error
    return parse_plan(text, path.parent)


def parse_plan(text: str, folder: Path) -> Plan:
    """Build a plan from TOML text.

    Args:
        text: contents of the file.
        folder: what relative paths start from.

    Raises:
        InputError: the text is not TOML, or names what there is not.
    """
    read = Fields(_toml(text), "The plan")
    chosen = read.text("preset", "small")
    if chosen not in PRESETS:
        raise InputError(f"The plan's preset is {chosen!r}.", f"Choose one of {', '.join(PRESETS)}.")
    seeds, budgets = _seeds(read, (0,)), _budgets(read, ())
    arms = [Arm(name, name, {}, seeds, budgets) for name in read.texts("strategies", ())]
    arms += [_arm(part, seeds, budgets) for part in read.tables("arms")]
    robust = read.table("robustness")
    plan = Plan(
        text,
        folder,
        chosen,
        read.mapping("settings"),
        tuple(_cohort(name, part) for name, part in read.named_tables("cohorts")),
        tuple(arms),
        cast("tuple[Split, ...]", read.choices("splits", _SPLITS, _SPLITS)),
        cast("tuple[Auxiliary, ...]", read.choices("auxiliary", _AUXILIARY, ("none",))),
        Robustness(
            robust.texts("arms", ()),
            robust.numbers("budgets", ()),
            {name: tuple(levels) for name, levels in _conditions(robust)},
        ),
        read.text("reference", ""),
    )
    robust.close()
    read.close()
    check(plan)
    return plan


def _toml(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"The plan is not TOML: {error}.", "docs/BENCHMARK.md shows one.") from error


def _cohort(name: str, read: Fields) -> Cohort:
    def path(key: str) -> Path | None:
        text = read.text(key, "")
        return Path(text) if text else None

    primary, labels = path("primary"), path("primary_labels")
    if primary is None or labels is None:
        raise InputError(
            f"The cohort {name!r} lacks primary or primary_labels.", "Name the folders of its images and their labels."
        )
    found = Cohort(
        name,
        primary,
        path("auxiliary"),
        labels,
        path("auxiliary_labels"),
        path("split"),
        read.mapping("settings"),
        _values(read, "primary_values"),
        _values(read, "auxiliary_values"),
    )
    read.close()
    return found


def _arm(read: Fields, seeds: tuple[int, ...], budgets: tuple[float, ...]) -> Arm:
    name = read.text("name", "")
    found = Arm(
        name,
        read.text("strategy", name),
        read.mapping("settings"),
        _seeds(read, seeds),
        _budgets(read, budgets),
        read.texts("cohorts", ()),
        read.number("boundary_noise", 0.0),
    )
    read.close()
    return found


def _seeds(read: Fields, default: tuple[int, ...]) -> tuple[int, ...]:
    numbers = read.numbers("seeds", default)
    if not numbers or any(not math.isfinite(each) or each != int(each) or each < 0 for each in numbers):
        raise InputError(f"{read.where} has seeds that are no whole numbers.", "Write for example seeds = [0, 1].")
    return tuple(int(number) for number in numbers)


def _values(read: Fields, name: str) -> tuple[int, ...]:
    values = read.numbers(name, ())
    if any(not math.isfinite(each) or each != int(each) or each < 0 for each in values):
        raise InputError(f"{read.where}: {name} are no whole numbers from 0 on.", "Write for example [6, 2, 3].")
    return tuple(int(value) for value in values)


def _budgets(read: Fields, default: tuple[float, ...]) -> tuple[float, ...]:
    budgets = read.numbers("budgets", default)
    if list(budgets) != sorted(set(budgets)) or any(not 0 < each <= 100 for each in budgets):
        raise InputError(
            f"{read.where} has budgets that do not rise within 0 to 100 percent.", "Write for example [1, 2, 5, 10]."
        )
    return budgets


def _conditions(read: Fields) -> Iterator[tuple[str, tuple[float, ...]]]:
    for name, levels in read.mapping("conditions").items():
        condition = find_condition(name)
        if not isinstance(levels, list) or not all(map(is_number, levels)):
            raise InputError(f"The levels of {name!r} are no list of numbers.", f"Write {name} = [0.1, 0.2].")
        for level in levels:
            condition.check(level)
        yield name, tuple(float(level) for level in levels or condition.levels)

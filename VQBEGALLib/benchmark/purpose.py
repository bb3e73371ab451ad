"""What a folder of a benchmark was made for, kept in it, so that a plan that changes under its name mixes nothing."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from VQBEGALLib.benchmark.plan import Cohort, Plan, Run
from VQBEGALLib.config import Architecture, Config
from VQBEGALLib.storage import read_json, write_json

FILE = "made_for.json"
_BUDGETS = {"rounds.seed_budget", "rounds.round_budget", "rounds.total_budget"}
"""Settings that a run takes from its arm's budgets."""


def of_run(plan: Plan, run: Run) -> dict[str, Any]:
    """Return all that a run's numbers depend on but its cohort's images, by name; plain JSON values."""
    arm, robust, config = run.arm, plan.robustness, plan.config(run)
    asked = arm.name in robust.arms
    unused = _BUDGETS | {name for name in every_setting(config) if _of_another_system(name, config)}
    return {
        "strategy": arm.strategy,
        "boundary_noise": arm.boundary_noise,
        "budgets": list(arm.budgets),
        "splits": list(plan.splits),
        "auxiliary": list(plan.auxiliary),
        "robustness.budgets": list(robust.budgets) if asked else [],
        "robustness.conditions": {name: list(levels) for name, levels in robust.conditions.items()} if asked else {},
        **{name: value for name, value in every_setting(config).items() if name not in unused},
    }


def _of_another_system(name: str, config: Config) -> bool:
    """Tell whether a setting is of a related system that a configuration does not use."""
    section = name.partition(".")[0]
    return section in typing.get_args(Architecture) and section != config.network.architecture


def of_cohort(plan: Plan, cohort: Cohort) -> dict[str, Any]:
    """Return which images and labels a cohort is made of, by the paths in the plan, and who trains and tests.

    Raises:
        StudyError: the split's file is missing or no JSON.
    """
    names = ("primary", "auxiliary", "primary_labels", "auxiliary_labels", "split")
    paths: dict[str, Path | None] = {name: getattr(cohort, name) for name in names}
    who = None if cohort.split is None else read_json(plan.folder / cohort.split)
    values = {"primary_values": cohort.primary_values, "auxiliary_values": cohort.auxiliary_values}
    return {
        **{name: path and path.as_posix() for name, path in paths.items()},
        **{name: list(each) for name, each in values.items() if each},
        "contents of split": who,
    }


def every_setting(config: Config) -> dict[str, object]:
    """Return a configuration as changes by name."""
    found: dict[str, object] = {}
    for name, value in config.to_json().items():
        found |= {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
    return found


def note(folder: Path, purpose: Mapping[str, Any]) -> None:
    """Keep in a folder what it is made for.

    Raises:
        StorageError: the disk is full or refuses.
    """
    write_json(folder / FILE, purpose)


def differences(folder: Path, purpose: Mapping[str, Any]) -> list[str]:
    """Return the names of what a folder was made otherwise for; budgets may have been added at the end.

    A folder that does not tell (of an earlier version) is taken as it is; settings that were not there yet when it was
    made have their defaults.

    Raises:
        StudyError: what it tells cannot be read.
    """
    if not (folder / FILE).exists():
        return []
    known: dict[str, Any] = {**_defaults(purpose), **read_json(folder / FILE)}
    budgets = known.get("budgets", [])
    now = {**purpose, **({"budgets": purpose["budgets"][: len(budgets)]} if "budgets" in purpose else {})}
    return sorted(name for name in known.keys() | now.keys() if known.get(name) != now.get(name))


def _defaults(purpose: Mapping[str, Any]) -> dict[str, object]:
    """Return the defaults of the settings that a purpose names."""
    return {name: value for name, value in every_setting(Config()).items() if name in purpose}

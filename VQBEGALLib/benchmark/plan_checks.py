"""What of a plan would fail hours later, or mean nothing, is refused when it is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from VQBEGALLib.errors import InputError
from VQBEGALLib.rounds.annotation import taught
from VQBEGALLib.selection import strategy

if TYPE_CHECKING:
    from VQBEGALLib.benchmark.plan import Arm, Cohort, Plan, Run
    from VQBEGALLib.config import Config

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def check(plan: Plan) -> None:
    """Make sure that every run of a plan can be done and every part of it means something.

    Raises:
        InputError: see the sentences below.
    """
    _names("cohort", [each.name for each in plan.cohorts])
    _names("arm", [each.name for each in plan.arms])
    for cohort in plan.cohorts:
        _values(plan, cohort)
    for arm in plan.arms:
        _arm(plan, arm)
    _robustness(plan)
    if plan.reference and plan.reference not in {arm.name for arm in plan.arms}:
        raise InputError(
            f"The plan's reference is {plan.reference!r}, which none of its arms is called.",
            "Name one of the arms, or leave reference out.",
        )
    for run in plan.runs():
        config = plan.config(run)
        if config.organ != plan.base(run.cohort).organ:
            raise InputError(
                f"The arm {run.arm.name!r} changes the organs of its cohort.",
                "Set organ for the whole plan or for the cohort, whose labels all arms share.",
            )
        if run.arm.strategy.startswith("mc_dropout") and config.network.dropout == 0:
            raise InputError(
                f"The arm {run.arm.name!r} needs dropout, and its network has none.",
                "Give it for example settings = { dropout = 0.2 }.",
            )
        _taught(run, config)


def _names(kind: str, names: list[str]) -> None:
    if not names:
        raise InputError(f"The plan has no {kind}.", "docs/BENCHMARK.md shows a plan.")
    folded = [name.casefold() for name in names]
    for name in names:
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r} cannot be the name of a folder.", f"Give the {kind} a name of letters.")
        if folded.count(name.casefold()) > 1:  # one folder on many file systems
            raise InputError(
                f"Two parts of the plan are called {name!r}, or differ only in case.", f"Give each {kind} its own name."
            )


def _values(plan: Plan, cohort: Cohort) -> None:
    """Make sure that a cohort's labels name a value for each organ, or no values at all."""
    organs = plan.base(cohort).organs
    for name, values in (("primary_values", cohort.primary_values), ("auxiliary_values", cohort.auxiliary_values)):
        if values and len(values) != len(organs):
            raise InputError(
                f"The cohort {cohort.name!r} has {len(values)} {name} for {len(organs)} organs.",
                f"Name the value of each of {', '.join(organs)}; 0 for one that the labels lack.",
            )


def _taught(run: Run, config: Config) -> None:
    """Make sure that no arm trains an organ, which its cohort's labels lack, as background."""
    values = run.cohort.primary_values or (1,) * len(config.organs)
    lacking = {organ for organ, value in zip(config.organs, values, strict=True) if not value}
    if lost := sorted(lacking & taught(config, "primary")):
        raise InputError(
            f"The primary labels of the cohort {run.cohort.name!r} lack {', '.join(lost)}, and the arm "
            f"{run.arm.name!r} would learn that it is background.",
            'Leave it out of organ, or out of CIML\'s primary_tasks with supervise = "both".',
        )


def _arm(plan: Plan, arm: Arm) -> None:
    strategy(arm.strategy)
    if not arm.budgets:
        raise InputError(f"The arm {arm.name!r} has no budgets.", "Write for example budgets = [1, 2, 5, 10].")
    if not 0 <= arm.boundary_noise < float("inf"):
        raise InputError(
            f"The arm {arm.name!r} has a boundary_noise of {arm.boundary_noise:g} mm.", "Give 0 or a positive number."
        )
    if lost := set(arm.cohorts) - {each.name for each in plan.cohorts}:
        raise InputError(
            f"The arm {arm.name!r} names cohorts that there are not: {', '.join(sorted(lost))}.", "Correct their names."
        )


def _robustness(plan: Plan) -> None:
    robust = plan.robustness
    arms = {arm.name: arm for arm in plan.arms}
    if lost := set(robust.arms) - set(arms):
        raise InputError(
            f"robustness names arms that there are not: {', '.join(sorted(lost))}.", "Correct their names."
        )
    there = {budget for name in robust.arms for budget in arms[name].budgets}
    if unknown := set(robust.budgets) - there:
        budgets = ", ".join(f"{each:g}" for each in sorted(unknown))
        raise InputError(
            f"robustness names budgets that none of its arms has: {budgets}.",
            "Choose out of theirs, or leave budgets out for the last.",
        )
    if robust.arms and robust.conditions and "test" not in plan.splits:
        raise InputError(
            "robustness is evaluated on the test split, which the plan's splits leave out.",
            'Add "test" to splits, or leave robustness out.',
        )

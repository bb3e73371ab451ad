"""A benchmark's results as its report sees them: the tables, and which arm plays which part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from VQBEGALLib.benchmark import Plan, comparisons, statistics
from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError
from VQBEGALLib.evidence.plotting import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from VQBEGALLib.evidence.runs import plan_of

OURS = "vq_begal"
AUXILIARY_WORDS = {
    "none": "without auxiliary images",
    "own": "with the patients' own auxiliary images",
    "any": "with auxiliary images",
}
OTHERS = 5
"""Arms that a panel shows beside ours and the reference."""


@dataclass(frozen=True)
class Style:
    """How an arm is drawn; no two arms of a panel share colour, marker or line."""

    colour: str
    marker: str
    line: str | tuple[int, tuple[int, ...]] = "-"
    width: float = 1.3

    @property
    def highlighted(self) -> bool:
        """Whether the arm is ours or the reference."""
        return self.width > 2


OURS_STYLE = Style(BLUE, "o", "-", 2.6)
REFERENCE_STYLE = Style(VERMILION, "s", (0, (6, 2)), 2.6)
OTHER_STYLES = (
    Style(ORANGE, "^", "-"),
    Style(GREEN, "v", (0, (4, 1))),
    Style(PURPLE, "D", (0, (1, 1))),
    Style(SKY, "P", (0, (4, 1, 1, 1))),
    Style(GREY, "X", (0, (8, 3))),
)


@dataclass(frozen=True)
class Benchmark:
    """The tables of a results folder.

    Args:
        patients: the table ``patients``, means over the organs where there are several.
        rounds: the table ``rounds``.
        ours: the arm that is put to the test.
        reference: the arm that all are compared with.
        ceiling: the arm with all slices annotated.
        plan: what was compared; None where it is not known.
        by_organ: the table ``patients`` of each organ by itself; empty where there is one.
    """

    patients: pd.DataFrame
    rounds: pd.DataFrame
    ours: str = OURS
    reference: str = comparisons.REFERENCE
    ceiling: str = comparisons.CEILING
    plan: Plan | None = None
    by_organ: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def read(cls, results: Path) -> Benchmark:
        """Read the tables of a results folder, as far as the runs have come.

        Raises:
            InputError: a table is missing or damaged, or holds nothing yet.
        """
        patients, rounds = (statistics.read_table(results, name) for name in ("patients", "rounds"))
        plan, whole = plan_of(results), patients["organ"] == ""
        reference = (plan and plan.reference) or comparisons.REFERENCE
        found = cls(patients[whole], rounds, reference=reference, plan=plan, by_organ=patients[~whole])
        if not (found.patients["condition"] == "clean").any():
            raise InputError(f"No round of {results} is evaluated yet.", "Wait for the first one, and run this again.")
        return found

    @cached_property
    def cohorts(self) -> list[str]:
        """All cohorts, by name."""
        return sorted(self.patients["cohort"].unique())

    @cached_property
    def split(self) -> str:
        """The split that is reported: test, or validation where no test patient has been evaluated."""
        clean = self.patients[self.patients["condition"] == "clean"]
        return "test" if "test" in set(clean["split"]) else "validation"

    @cached_property
    def auxiliaries(self) -> list[str]:
        """What networks were given at evaluation, the one that the main tables show first."""
        clean = self.patients[(self.patients["split"] == self.split) & (self.patients["condition"] == "clean")]
        found = set(clean["auxiliary"])
        return [name for name in AUXILIARY_WORDS if name in found]

    def view(self, auxiliary: str | None = None) -> pd.DataFrame:
        """Return the clean evaluations of the reported split; of the main tables' input where none is named."""
        return statistics.view(self.patients, split=self.split, auxiliary=auxiliary or self.auxiliaries[0])

    def arms(self, cohort: str) -> list[str]:
        """Return the arms of a cohort: ours, the reference, the others by name; without the ceiling."""
        found = set(self.patients.loc[self.patients["cohort"] == cohort, "arm"]) - {self.ceiling}
        first = [arm for arm in (self.ours, self.reference) if arm in found]
        return [*first, *sorted(found - set(first))]

    @cached_property
    def strategies(self) -> dict[str, str]:
        """The strategy of each arm."""
        planned = {} if self.plan is None else {arm.name: arm.strategy for arm in self.plan.arms}
        return planned | dict(zip(self.rounds["arm"], self.rounds["strategy"], strict=True))

    @cached_property
    def by_settings(self) -> bool:
        """Whether settings are compared, not strategies: the reference is an arm that changes some, as methods do."""
        return self.strategies.get(self.reference, self.reference) != self.reference

    def ablations(self, cohort: str) -> list[str]:
        """Return the arms that are no rivals.

        Where strategies are compared they change settings: their name is not their strategy's. Where settings are,
        their slices were chosen by another strategy than the reference's.
        """
        others = [arm for arm in self.arms(cohort) if arm != self.reference]
        if self.by_settings:
            return [arm for arm in others if self.strategies[arm] != self.strategies[self.reference]]
        return [arm for arm in others if self.strategies[arm] != arm and arm != self.ours]

    def rivals(self, cohort: str) -> list[str]:
        """Return the other arms, ours and the reference among them."""
        ablations = set(self.ablations(cohort))
        return [arm for arm in self.arms(cohort) if arm not in ablations]

    def config(self, cohort: str, arm: str) -> Config | None:
        """Return the settings of an arm, but for its seed; None where no plan names it."""
        if self.plan is None:
            return None
        runs = [run for run in self.plan.runs() if (run.cohort.name, run.arm.name) == (cohort, arm)]
        return self.plan.config(runs[0]) if runs else None

    @cached_property
    def other_networks(self) -> dict[str, set[str]]:
        """By cohort the arms whose settings give them another network or other slices than ours, as the plan has it.

        None where settings are what is compared.
        """
        if self.by_settings:
            return {cohort: set() for cohort in self.cohorts}
        found = {}
        for cohort in self.cohorts:
            known = {arm: self.config(cohort, arm) for arm in [*self.arms(cohort), self.ceiling]}
            shapes = {arm: (config.network, config.slices) for arm, config in known.items() if config}
            base = shapes.get(self.ours) or shapes.get(self.reference)
            found[cohort] = {arm for arm, shape in shapes.items() if base and shape != base}
        return found

    def panels(self, arms: Sequence[str]) -> list[dict[str, Style]]:
        """Return which arms share a panel, with their looks; ours and the reference are in each."""
        fixed = {self.ours: OURS_STYLE, self.reference: REFERENCE_STYLE}
        always = {arm: style for arm, style in fixed.items() if arm in arms}
        others = [arm for arm in arms if arm not in fixed]
        parts = [others[start : start + OTHERS] for start in range(0, len(others), OTHERS)] or [[]]
        return [always | dict(zip(part, OTHER_STYLES, strict=False)) for part in parts]

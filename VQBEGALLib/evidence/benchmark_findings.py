"""What a benchmark's report states, computed once: curves, areas, tests and slices to reach the ceiling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from VQBEGALLib.benchmark import comparisons, statistics
from VQBEGALLib.benchmark.comparisons import Pairing
from VQBEGALLib.evidence.benchmark_data import Benchmark

FOCUS = 10.0
"""Budget, per cent, that is looked at patient by patient where there is one."""


@dataclass(frozen=True)
class Findings:
    """Statistics of one input at evaluation.

    Args:
        benchmark: the tables.
        auxiliary: what the networks were given.
    """

    benchmark: Benchmark
    auxiliary: str

    @cached_property
    def patients(self) -> pd.DataFrame:
        """The rows that all is computed from."""
        return self.benchmark.view(self.auxiliary)

    @cached_property
    def budgets(self) -> dict[str, list[float]]:
        """The budgets that areas are taken over, by cohort."""
        return statistics.common_budgets(self.patients, reference=self.benchmark.reference)

    def measures(self, cohort: str) -> dict[str, str]:
        """Return the measures of a whole curve by name and in words: one for two budgets, none for fewer.

        The mean of two budgets is the area under their curve, whatever counts the same.
        """
        budgets = self.budgets.get(cohort, [])
        if len(budgets) == 2:
            return {"area": f"mean of {budgets[0]:g} and {budgets[1]:g}\N{NARROW NO-BREAK SPACE}%"}
        words = {"area": "every per cent counts the same", "area_log2": "every doubling counts the same"}
        return words if len(budgets) > 2 else {}

    @cached_property
    def points(self) -> pd.DataFrame:
        """The learning curves."""
        return statistics.curve(self.patients)

    @cached_property
    def areas(self) -> pd.DataFrame:
        """The areas under them."""
        return statistics.area(self.patients, self.budgets)

    @cached_property
    def tests(self) -> pd.DataFrame:
        """Paired tests over seeds; rivals and ablations (``family``) are corrected for each by themselves."""
        return self._tests("seed")

    @cached_property
    def patient_tests(self) -> pd.DataFrame:
        """The same over patients."""
        return self._tests("patient")

    def _tests(self, over: Pairing) -> pd.DataFrame:
        return self._by_family(
            lambda patients, arms: comparisons.paired_tests(
                patients, reference=self.benchmark.reference, over=over, arms=arms, budgets=self.budgets
            )
        )

    @cached_property
    def reach(self) -> pd.DataFrame:
        """The slices that each arm needs to come within one point of the ceiling, by ``family`` like the tests."""
        benchmark = self.benchmark
        return self._by_family(
            lambda patients, arms: comparisons.slices_to_reach(
                patients, ceiling=benchmark.ceiling, reference=benchmark.reference, arms=arms
            )
        )

    def _by_family(self, compare: Callable[[pd.DataFrame, Sequence[str]], pd.DataFrame]) -> pd.DataFrame:
        """Compare the rivals of every cohort, and its ablations by themselves.

        ``other_network`` marks arms of another network or other slices; they count in the correction all the same.
        """
        parts = []
        for cohort in self.benchmark.cohorts:
            mine = self.patients[self.patients["cohort"] == cohort]
            families = {"rivals": self.benchmark.rivals(cohort), "ablations": self.benchmark.ablations(cohort)}
            for family, arms in families.items():
                part = compare(mine, arms)
                others = part["arm"].isin(self.benchmark.other_networks[cohort])
                parts.append(part.assign(family=family, other_network=others))
        return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)

    def above_ceiling(self, cohort: str) -> pd.Series | None:
        """Return what is farthest above the arm with all slices, on common seeds; None where nothing is.

        Returns:
            arm, budget, slices, dice, top and top_slices (of the ceiling on the same seeds), seeds (how many).
        """
        seeds = statistics.by_seed(self.patients[self.patients["cohort"] == cohort])
        whole = seeds["arm"] == self.benchmark.ceiling
        tops = seeds[whole & (seeds["budget"] == seeds.loc[whole, "budget"].max())]
        tops = tops.set_index("seed")[["dice", "slices"]].rename(columns={"dice": "top", "slices": "top_slices"})
        means = (
            seeds[~whole]
            .join(tops, on="seed", how="inner")
            .groupby(["arm", "budget"], as_index=False)
            .agg(
                {"slices": "mean", "dice": "mean", "top": "mean", "top_slices": "mean", "seed": "nunique"},
            )
            .rename(columns={"seed": "seeds"})
        )
        gain = means["dice"] - means["top"]
        return means.loc[gain.idxmax()] if (gain > 0).any() else None

    def focus(self, cohort: str) -> float:
        """Return the budget of a cohort that is looked at patient by patient."""
        rows = self.patients[(self.patients["cohort"] == cohort) & (self.patients["arm"] != self.benchmark.ceiling)]
        found = self.budgets.get(cohort) or sorted(float(budget) for budget in rows["budget"].unique())
        if not found:
            return FOCUS
        return FOCUS if FOCUS in found else found[len(found) // 2]


def worse_inputs(benchmark: Benchmark) -> pd.DataFrame:
    """Return :func:`VQBEGALLib.benchmark.statistics.robustness` of the reported split: a row a condition, arm, level.

    Of each cohort's condition: the largest budget that has it, and the input with auxiliary images where it was tried.
    """
    split = benchmark.patients[benchmark.patients["split"] == benchmark.split]
    found = statistics.robustness(split)
    given = found["auxiliary"] != "none"
    place = ["cohort", "condition"]
    found = found[given == given.groupby([found[name] for name in place]).transform("max")]
    return found[found["budget"] == found.groupby(place)["budget"].transform("max")]

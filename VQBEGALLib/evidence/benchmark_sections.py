"""The parts of a benchmark's report."""

from __future__ import annotations

import pandas as pd

from VQBEGALLib.benchmark.statistics import by_seed
from VQBEGALLib.evidence import benchmark_curves as curves
from VQBEGALLib.evidence import benchmark_differences as differences
from VQBEGALLib.evidence import benchmark_tables as tables
from VQBEGALLib.evidence.benchmark_budgets import FEW, budget_dots
from VQBEGALLib.evidence.benchmark_data import AUXILIARY_WORDS
from VQBEGALLib.evidence.benchmark_findings import Findings
from VQBEGALLib.evidence.numerals import counted, finite
from VQBEGALLib.evidence.section import Card, Section
from VQBEGALLib.evidence.tables import Table


def learning(found: Findings, others: list[Findings]) -> Section:
    """Return the learning curves with their tables; other inputs at evaluation are folded."""
    benchmark = found.benchmark
    section = Section("Learning curves")
    section.text.append(
        f"Dice on the {benchmark.split} patients, {AUXILIARY_WORDS[found.auxiliary]}: mean over patients, then over "
        "seeds. Bands and bars: one standard deviation over seeds; small dots: seeds. Below or beside it the "
        "difference on common seeds, with its 95 % interval where there are at least three. A dashed line across is "
        "what all slices give. "
        "Where a table counts 2–4 seeds, not all of an arm's runs are finished, and its points rest on different ones."
    )
    for cohort in benchmark.cohorts:
        points = of_cohort(found.points, cohort)
        section.cards.append(_curves(found, cohort, benchmark.rivals(cohort), "learning"))
        arms, top = benchmark.rivals(cohort), benchmark.ceiling
        caption = f"{cohort}: Dice{_ceiling(points, top)}"
        section.tables.append(captioned(found, cohort, caption, tables.by_budget(points, arms, tables.dice_cell)))
        for words, cell in (("Dice of the median patient", tables.median_cell), ("HD95, mm", tables.distance_cell)):
            shown = tables.by_budget(points, [*arms, top], cell)
            section.folded.append(captioned(found, cohort, f"{cohort}: {words}", shown))
        for other in others:
            shown = tables.by_budget(of_cohort(other.points, cohort), [*arms, top], tables.dice_cell)
            section.folded.append(captioned(found, cohort, f"{cohort}: Dice {AUXILIARY_WORDS[other.auxiliary]}", shown))
    return section


def _ceiling(points: pd.DataFrame, arm: str) -> str:
    """Return in words what all slices give; nothing where that is not known."""
    top = points[points["arm"] == arm]
    if top.empty:
        return ""
    row = top.iloc[-1]
    return f"; all slices give {tables.spread(row['dice'], row['dice_sd'])} ({counted(row['seeds'], 'seed')})"


def captioned(found: Findings, cohort: str, caption: str, table: Table) -> tuple[str, Table]:
    """Return caption and table, in which arms with another network are marked."""
    benchmark = found.benchmark
    marked = tables.marked(table, benchmark.other_networks[cohort])
    note = f"; {tables.MARK}: other network or slices than {benchmark.ours}"
    return caption + (note if marked != table else ""), marked


def of_cohort(table: pd.DataFrame, cohort: str) -> pd.DataFrame:
    """Return the rows of a cohort."""
    return table[table["cohort"] == cohort]


def _curves(found: Findings, cohort: str, arms: list[str], name: str) -> Card:
    """Return the learning curves of some arms; where there are few budgets, these side by side."""
    benchmark = found.benchmark
    points, tests = of_cohort(found.points, cohort), of_cohort(found.tests, cohort)
    how: dict[str, str] = {"reference": benchmark.reference, "title": cohort, "name": f"{name}_{cohort}"}
    if points.loc[points["arm"].isin(arms), "budget"].nunique() <= FEW:
        seeds = by_seed(of_cohort(found.patients, cohort))
        picture = budget_dots(seeds, tests, arms, ours=benchmark.ours, **how)
    else:
        picture = curves.learning_curves(points, tests, benchmark.panels(arms), ceiling=benchmark.ceiling, **how)
    others = [arm for arm in arms if arm in benchmark.other_networks[cohort]]
    line = f"Other network or slices than {benchmark.ours}: {', '.join(others)}."
    return Card(picture, cohort, [line] if others else [])


def against_reference(found: Findings) -> Section:
    """Return the tests against the reference arm, over seeds and over patients."""
    benchmark = found.benchmark
    section = Section(f"Against {benchmark.reference}")
    section.text += [
        "Differences of Dice on the same seeds, and of its mean over the budgets. Over seeds: Student's paired t test, "
        "two-sided. p is corrected by Holm's procedure for the rivals of a cohort at a budget; intervals are not. Arms "
        "with fewer than three common seeds, and those that equal the reference in every seed, have no p.",
        "Over patients: Wilcoxon's signed-rank test on each patient's mean over seeds. With few patients it cannot "
        "give a small p: at best 0.063 for five, 0.031 for six, before correction.",
    ]
    if not benchmark.by_settings:
        section.text.append(
            f"Arms that train another network or on other slices ({tables.MARK}) differ by more than what they pick; "
            "they count as rivals, which makes the correction stricter."
        )
    for cohort in benchmark.cohorts:
        tests = of_cohort(found.tests, cohort)
        tests = tests[tests["family"] == "rivals"]
        if tests.empty:
            section.notes.append(f"{cohort}: nothing to compare with {benchmark.reference} yet.")
            continue
        arms = benchmark.rivals(cohort)
        if (tests["measure"] != "dice").any():
            measures = found.measures(cohort)
            names = {"ours": benchmark.ours, "reference": benchmark.reference}
            picture = differences.forest(tests, measures, **names, title=cohort, name=f"forest_{cohort}")
            section.cards.append(Card(picture, cohort, ["n: common seeds. p: corrected. Hollow: too few seeds."]))
            areas = tables.areas(of_cohort(found.areas, cohort), tests, arms, measures)
            section.tables.append(captioned(found, cohort, f"{cohort}: mean Dice over the budgets", areas))
        shown = _differences(tests, arms)
        section.tables.append(captioned(found, cohort, f"{cohort}: difference over seeds (p)", shown))
        own = of_cohort(found.patient_tests, cohort)
        caption = f"{cohort}: difference over patients (p)"
        shown = _differences(own[own["family"] == "rivals"], arms, "patients")
        section.folded.append(captioned(found, cohort, caption, shown))
    return section


def _differences(tests: pd.DataFrame, arms: list[str], pairs: str = "seeds") -> Table:
    at_budgets = tests[tests["measure"] == "dice"].rename(columns={"n": "seeds"})
    return tables.by_budget(at_budgets, arms, tables.difference_cell, counted=pairs)


def reaching(found: Findings) -> Section:
    """Return how few slices each arm needs."""
    benchmark = found.benchmark
    section = Section("Slices to come within one point of all slices")
    section.text.append(
        "The fewest annotated slices at which the learning curve first comes within 0.01 of the Dice that all slices "
        "give, by linear interpolation between neighbouring budgets; on the mean curve and on every seed's own. Only "
        "seeds count that are complete in the arm and in the reference; ratios are to the reference on the same seeds. "
        "A seed that never comes counts as infinitely many in the median, and leaves the mean ratio unknown. ≤: there "
        "at the first budget already, so that fewer might do, and no ratio is taken."
    )
    for cohort in benchmark.cohorts:
        reach = of_cohort(found.reach, cohort)
        if reach.empty:
            section.notes.append(f"{cohort}: the arm {benchmark.ceiling} is not there, so no ceiling is known.")
            continue
        top = reach.iloc[0]
        caption = (
            f"{cohort}: to reach {finite(top['target'])}, where all slices give {finite(top['ceiling'])}; "
            f"ratios to the slices of {benchmark.reference}"
        )
        section.tables.append(captioned(found, cohort, caption, tables.reaching(reach, benchmark.arms(cohort))))
    return section


def by_patient(found: Findings) -> Section:
    """Return every patient's Dice at one budget."""
    benchmark = found.benchmark
    section = Section("Patient by patient")
    for cohort in benchmark.cohorts:
        budget = found.focus(cohort)
        rows = of_cohort(found.patients, cohort)
        dice = rows[rows["budget"] == budget].pivot_table(index="patient", columns="arm", values="dice")
        dice = dice[[arm for arm in benchmark.rivals(cohort) if arm in dice.columns]].dropna()
        if dice.empty:
            section.notes.append(f"{cohort}: no budget has been evaluated yet.")
            continue
        styles = benchmark.panels(benchmark.rivals(cohort))[0]
        title = f"{cohort}, {budget:g} % of the slices"
        picture = differences.patient_dots(dice, styles, title=title, name=f"patients_{cohort}")
        lines = [f"at {budget:g} % of the slices. The patients that are hardest for the reference come first."]
        section.cards.append(Card(picture, cohort, lines))
    return section


def ablations(found: Findings) -> Section:
    """Return the arms that are no rivals: those that change settings, or, where settings are compared, the strategy."""
    benchmark = found.benchmark
    section = Section("Other strategies" if benchmark.by_settings else "Ablations and switches")
    for cohort in benchmark.cohorts:
        arms = benchmark.ablations(cohort)
        if not arms:
            what = "another strategy" if benchmark.by_settings else "settings"
            section.notes.append(f"{cohort}: no arm changes {what}.")
            continue
        beside = benchmark.rivals(cohort) if benchmark.by_settings else [benchmark.ours, benchmark.reference]
        shown = [arm for arm in benchmark.arms(cohort) if arm in {*beside, *arms}]
        section.cards.append(_curves(found, cohort, shown, "ablations"))
        points, tests = of_cohort(found.points, cohort), of_cohort(found.tests, cohort)
        dice = tables.by_budget(points, shown, tables.dice_cell)
        section.tables.append(captioned(found, cohort, f"{cohort}: Dice", dice))
        caption = f"{cohort}: difference from {benchmark.reference} over seeds (p)"
        compared = _differences(tests[tests["family"] == "ablations"], arms)
        section.tables.append(captioned(found, cohort, caption, compared))
    return section


def robustness(found: Findings, worse: pd.DataFrame, words: dict[str, str]) -> Section:
    """Return Dice under worse inputs.

    Args:
        found: for the names of cohorts and arms.
        worse: of :func:`VQBEGALLib.evidence.benchmark_findings.worse_inputs`.
        words: what each condition does.
    """
    section = Section("Robustness")
    if worse.empty:
        section.notes.append("No network has been evaluated on degraded inputs.")
        return section
    section.text.append(
        "Networks as they were trained, evaluated on worse inputs. Bars: standard deviation over seeds."
    )
    section.text += [f"{name}: {words[name]}." for name in sorted(set(worse["condition"])) if name in words]
    for cohort in found.benchmark.cohorts:
        points = of_cohort(worse, cohort)
        if points.empty:
            section.notes.append(f"{cohort}: no network has been evaluated on degraded inputs.")
            continue
        titles = {name: _title(group) for name, group in points.groupby("condition")}
        panels = found.benchmark.panels([arm for arm in found.benchmark.arms(cohort) if arm in set(points["arm"])])
        for index, styles in enumerate(panels):
            name = f"robustness_{cohort}_{index + 1}"
            picture = curves.robustness_curves(points, titles, styles, title=cohort, name=name)
            section.cards.append(Card(picture, cohort))
        dice = tables.conditions(points, found.benchmark.arms(cohort))
        section.tables.append(captioned(found, cohort, f"{cohort}: Dice", dice))
    return section


def _title(points: pd.DataFrame) -> str:
    row = points.iloc[0]
    return f"{row['condition']}, at {row['budget']:g} %\n{AUXILIARY_WORDS[row['auxiliary']]}"


def finished(found: Findings) -> Section:
    """Return how far the runs have come."""
    benchmark = found.benchmark
    section = Section("Runs that these numbers rest on")
    section.text.append("How many seeds have been trained and evaluated at each budget.")
    for cohort in benchmark.cohorts:
        arms = [*benchmark.arms(cohort), benchmark.ceiling]
        shown = tables.finished_runs(of_cohort(benchmark.rounds, cohort), arms)
        section.tables.append(captioned(found, cohort, cohort, shown))
    return section

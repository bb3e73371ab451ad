"""What each arm takes: seconds, parameters and memory, beside those of our arm."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from VQBEGALLib.evidence.benchmark_findings import Findings
from VQBEGALLib.evidence.benchmark_sections import captioned, of_cohort
from VQBEGALLib.evidence.numerals import finite
from VQBEGALLib.evidence.section import Section
from VQBEGALLib.evidence.tables import Table

SIZES = {
    "parameters": ("parameters that segment", 0),
    "parameters_trained": ("parameters trained", 0),
    "train_seconds": ("training, s", 1),
    "train_memory_mib": ("memory of training, MiB", 0),
}
"""Columns of the table ``rounds`` that are compared with our arm's; heading and decimals."""


def spending(found: Findings, costs: pd.DataFrame) -> Section:
    """Return what each arm takes (:func:`VQBEGALLib.benchmark.statistics.costs`)."""
    benchmark = found.benchmark
    section = Section("Cost")
    section.text.append("Wall-clock time on the computers that the runs had, which may have shared their processors.")
    if "parameters" in costs and costs["parameters"].notna().any():
        section.text.append(
            "Parameters that segment: the weights that a slice's mask depends on, its partner's part included where "
            "the arm has partners. Trained: those that training moved, helpers as the discriminator included. Memory: "
            "the most that a round's training took beyond what the process (on a GPU: PyTorch) held before, sampled. "
            f"×: ratio to {benchmark.ours}."
        )
    for cohort in benchmark.cohorts:
        own, arms = of_cohort(costs, cohort), [*benchmark.arms(cohort), benchmark.ceiling]
        section.tables.append(captioned(found, cohort, cohort, seconds(own, arms)))
        shown = sizes(own, arms, benchmark.ours)
        if shown.rows:
            section.tables.append(captioned(found, cohort, f"{cohort}: networks", shown))
    return section


def seconds(found: pd.DataFrame, arms: Sequence[str]) -> Table:
    """Return how long each arm takes (see :func:`VQBEGALLib.benchmark.statistics.costs`)."""
    lines = {row["arm"]: row for row in found.to_dict("records")}
    rows = [
        [
            arm,
            lines[arm]["strategy"],
            str(int(lines[arm]["runs"])),
            str(int(lines[arm]["rounds"])),
            *(finite(lines[arm][f"{step}_seconds"], 1) for step in ("select", "train", "evaluate")),
            finite(lines[arm]["total_seconds"] / 60, 1),
        ]
        for arm in arms
        if arm in lines
    ]
    columns = ["arm", "strategy", "runs", "rounds", "selecting, s", "training, s", "evaluating, s", "in all, min"]
    groups = [("", 2), ("finished", 2), ("mean of a round", 3), ("mean of a run", 1)]
    return Table(columns, rows, groups=groups, words=frozenset({0, 1}))


def sizes(found: pd.DataFrame, arms: Sequence[str], ours: str) -> Table:
    """Return parameters, seconds and memory of each arm's training, with the ratio to our arm's where it is there.

    Args:
        found: a cohort's rows of :func:`VQBEGALLib.benchmark.statistics.costs`; arms of which neither parameters nor
            memory are known, as in tables of earlier versions, are left out.
        arms: in order.
        ours: the arm that the ratios are taken to.
    """
    known = found[found[["parameters", "train_memory_mib"]].notna().any(axis=1)].set_index("arm")
    base = known.loc[ours] if ours in known.index else None
    rows = []
    for arm in [arm for arm in arms if arm in known.index]:
        cells = [arm]
        for name, (_, decimals) in SIZES.items():
            value = known.loc[arm, name]
            cells.append(finite(value, decimals))
            if base is not None:
                cells.append(finite(value / base[name], 2) if base[name] else finite(None))
        rows.append(cells)
    ratio = [] if base is None else ["×"]
    columns = [heading for words, _ in SIZES.values() for heading in (words, *ratio)]
    return Table(["arm", *columns], rows)

"""A benchmark's results folder made by formula, so that every number in its report is known beforehand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

POOL = 1000
"""Slices of the training pool; a budget of 1 % is 10 of them."""
BUDGETS = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
OF_SEED = (0.01, -0.01, 0.004, -0.004)
"""What each seed adds to every Dice; nothing on average, and nothing to a paired difference."""
OF_PATIENT = {"p1": 0.02, "p2": 0.01, "p3": 0.0, "p4": -0.01, "p5": -0.02}
CURVES: dict[str, tuple[float, ...]] = {
    "vq_begal": (0.70, 0.80, 0.88, 0.92, 0.94, 0.95),
    "egal": (0.70, 0.79, 0.86, 0.90, 0.93, 0.945),
    "random": (0.70, 0.77, 0.84, 0.89, 0.92, 0.94),
    "random_foreground": (0.70, 0.78, 0.85, 0.90, 0.93, 0.945),
}
WOBBLE = {"vq_begal": (0.002, -0.002, 0.001, -0.001), "egal": (0.001, 0.0, -0.001, 0.0)}
"""What an arm adds to each seed's Dice besides; nothing on average."""


def patients_table(
    curves: Mapping[str, Sequence[float]],
    *,
    budgets: Sequence[float] = BUDGETS,
    seeds: int = 4,
    cohort: str = "ct",
    wobble: Mapping[str, Sequence[float]] = {},
    **fixed: Any,
) -> pd.DataFrame:
    """Return the table of patients: Dice = the arm's curve + seed + patient + the arm's own wobble at that seed."""
    rows = [
        {
            "cohort": cohort,
            "arm": arm,
            "seed": seed,
            "budget": budget,
            "slices": round(POOL * budget / 100),
            "split": "test",
            "auxiliary": "none",
            "condition": "clean",
            "level": 0.0,
            "patient": patient,
            "dice": dice + OF_SEED[seed] + of_patient + wobble.get(arm, (0.0,) * 4)[seed],
            "hd95": 100 * (1 - dice),
            "assd": 20 * (1 - dice),
            "volume_difference": 0.0,
            "failed": False,
        }
        | fixed
        for arm, curve in curves.items()
        for seed in range(seeds)
        for budget, dice in zip(budgets, curve, strict=True)
        for patient, of_patient in OF_PATIENT.items()
    ]
    return pd.DataFrame(rows)


def rounds_table(patients: pd.DataFrame, strategies: Mapping[str, str] = {}) -> pd.DataFrame:
    """Return the table of rounds that belongs to a table of patients; training takes 60 s, selecting 2 s."""
    keys = ["cohort", "arm", "seed", "budget", "slices"]
    found = patients[patients["condition"] == "clean"][keys].drop_duplicates().sort_values(keys, ignore_index=True)
    return found.assign(
        strategy=found["arm"].map(lambda arm: strategies.get(arm, arm)),
        pool=POOL,
        round=found.groupby(["cohort", "arm", "seed"]).cumcount(),
        select_seconds=2.0,
        train_seconds=60.0,
        evaluate_seconds=8.0,
        codes_primary=10,
        codes_auxiliary=9,
        codes_shared=5,
        discriminator_right=0.8,
        score_spread=0.3,
        foreground_picked=0.5,
    )


def noisy(patients: pd.DataFrame, arms: Sequence[str], levels: Sequence[float]) -> pd.DataFrame:
    """Return rows of the largest budget under noise: each level takes itself off the Dice."""
    last = patients[(patients["budget"] == patients["budget"].max()) & patients["arm"].isin(arms)]
    return pd.concat(
        [last.assign(condition="noise_primary", level=level, dice=last["dice"] - level) for level in levels],
        ignore_index=True,
    )


def write_results(folder: Path, patients: pd.DataFrame, rounds: pd.DataFrame) -> Path:
    """Write a results folder: tables as CSV, plan and environment, no runs."""
    folder.mkdir(parents=True, exist_ok=True)
    patients.to_csv(folder / "patients.csv", index=False)
    rounds.to_csv(folder / "rounds.csv", index=False)
    (folder / "plan.toml").write_text('seeds = [0, 1, 2, 3]\n\n[arms.vq_begal]\nstrategy = "vq_begal"\n', "utf-8")
    (folder / "environment.json").write_text(json.dumps([{"python": "3.11", "packages": {"torch": "2.6"}}]), "utf-8")
    return folder


def whole_benchmark() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return patients and rounds of two cohorts with rivals, an ablation, the ceiling and a noisy condition."""
    curves = CURVES | {"strict": tuple(value - 0.005 for value in CURVES["vq_begal"])}
    clean = patients_table(curves, wobble=WOBBLE)
    parts = [
        clean,
        noisy(clean, ["vq_begal", "random_foreground"], [0.05, 0.1]),
        patients_table({"all": (0.95,)}, budgets=(100.0,)),
        patients_table({arm: CURVES[arm] for arm in ("vq_begal", "random_foreground")}, seeds=2, cohort="mr"),
        patients_table({"vq_begal": CURVES["vq_begal"]}, auxiliary="any"),
    ]
    patients = pd.concat(parts, ignore_index=True)
    return patients, rounds_table(patients[patients["auxiliary"] == "none"], {"strict": "vq_begal", "all": "random"})

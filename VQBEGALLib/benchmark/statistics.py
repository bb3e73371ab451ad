"""What a benchmark's table of patients says about each arm: means over seeds, learning curves and their areas.

Every function takes the table ``patients`` of a results folder (one row per cohort, arm, seed, budget, split,
auxiliary, condition, level and patient; of one organ or of the mean over all) or a part of it. A budget is a share of
the training pool's slices in per cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.integrate import trapezoid

from VQBEGALLib.errors import InputError

CELL = ["cohort", "arm", "budget", "split", "auxiliary", "condition", "level"]
"""What one point of a curve is about."""
KEYS = ["cohort", "arm", "seed", "budget", "split", "auxiliary", "condition", "level"]
"""What one network's evaluation is about."""
AREAS = ("area", "area_log2")
_WORDS = ["cohort", "arm", "strategy", "split", "auxiliary", "condition", "patient", "organ", "case", "role"]


def read_table(results: Path, name: str) -> pd.DataFrame:
    """Read a table of a results folder, ``patients``, ``rounds`` or ``picks``: Parquet, or CSV where there is none.

    The rows of patients tell the organ; it is empty in those of the mean over the organs, which are all that tables of
    earlier versions have.

    Raises:
        InputError: the table is missing or cannot be read.
    """
    parquet, plain = results / f"{name}.parquet", results / f"{name}.csv"
    path = parquet if parquet.is_file() else plain
    if not path.is_file():
        raise InputError(
            f"{results} has no table of {name}.", "Name the folder that vqbegal benchmark wrote to, or run it first."
        )
    try:
        found = pd.read_parquet(path) if path == parquet else _read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read: {error}.", "Run vqbegal benchmark again; it writes the tables."
        ) from error
    return found.assign(organ=found["organ"].fillna("") if "organ" in found else "") if name == "patients" else found


def _read_csv(path: Path) -> pd.DataFrame:
    words: dict[str, type] = dict.fromkeys(_WORDS, str)
    return pd.read_csv(path, dtype=words, keep_default_na=False, na_values=["", "nan", "NaN"])


def view(
    patients: pd.DataFrame,
    *,
    split: str = "test",
    auxiliary: str = "none",
    condition: str = "clean",
    organ: str = "",
) -> pd.DataFrame:
    """Return the rows of one split, what the network was given, one condition, and one organ or the mean over all.

    Raises:
        InputError: a column is missing, or a patient is there twice for the same network.
    """
    needed = {*KEYS, "patient", "slices", "dice", "hd95", "failed"}
    if missing := sorted(needed - set(patients.columns)):
        raise InputError(f"The table of patients lacks {', '.join(missing)}.", "Run vqbegal benchmark again.")
    patients = patients if "organ" in patients else patients.assign(organ="")
    if patients.duplicated([*KEYS, "patient", "organ"]).any():
        raise InputError("The table of patients counts a patient twice.", "Run vqbegal benchmark again.")
    wanted = (patients["split"] == split) & (patients["auxiliary"] == auxiliary) & (patients["condition"] == condition)
    return patients[wanted & (patients["organ"] == organ)]


def by_seed(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over patients of each network's evaluation.

    Returns:
        :data:`KEYS` with slices, patients (how many), dice, dice_median, hd95 (mm) and failed (how many).
    """
    return patients.groupby(KEYS, as_index=False).agg(
        slices=("slices", "first"),
        patients=("patient", "nunique"),
        dice=("dice", "mean"),
        dice_median=("dice", "median"),
        hd95=("hd95", "mean"),
        failed=("failed", "sum"),
    )


def complete(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the seeds that have come to every budget that any seed of their cohort and arm has."""
    arms = ["cohort", "arm"]
    own = patients.groupby([*arms, "seed"])["budget"].transform("nunique")
    return patients[own == patients.groupby(arms)["budget"].transform("nunique")]


def curve(patients: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over seeds (n − 1; NaN for one seed) at every budget.

    Returns:
        :data:`CELL` with seeds (how many), slices (mean), patients, dice, dice_sd, hd95, hd95_sd, failed (a mean over
        seeds) and dice_median: the median over patients, each taken as its mean over seeds.
    """
    found = (
        by_seed(patients)
        .groupby(CELL)
        .agg(
            seeds=("seed", "nunique"),
            slices=("slices", "mean"),
            patients=("patients", "max"),
            dice=("dice", "mean"),
            dice_sd=("dice", "std"),
            hd95=("hd95", "mean"),
            hd95_sd=("hd95", "std"),
            failed=("failed", "mean"),
        )
    )
    each = patients.groupby([*CELL, "patient"])["dice"].mean()
    return found.join(each.groupby(level=CELL).median().rename("dice_median")).reset_index()


def common_budgets(patients: pd.DataFrame, *, reference: str = "random_foreground") -> dict[str, list[float]]:
    """Return, by cohort, the budgets over which areas are taken, so that all arms have the same.

    They are those of the reference arm; where a cohort has none, those that most of its arms with a curve have.
    """
    found = {}
    for cohort, rows in patients.groupby("cohort"):
        mine = rows.loc[rows["arm"] == reference, "budget"].unique()
        if len(mine) < 2:
            arms = rows.groupby("arm")["budget"].agg(lambda budgets: tuple(sorted(budgets.unique())))
            curves = arms[arms.map(len) > 1]
            mine = (
                max(curves.value_counts().items(), key=lambda item: (item[1], len(item[0])))[0] if len(curves) else []
            )
        found[str(cohort)] = sorted(float(budget) for budget in mine)
    return found


def areas_under(
    patients: pd.DataFrame, budgets: Mapping[str, Sequence[float]], keys: Sequence[str] = ("cohort", "arm", "seed")
) -> pd.DataFrame:
    """Return the area under the learning curve, divided by its width: a mean Dice over the budgets.

    Trapezoids over the budget in per cent (``area``) and over its binary logarithm (``area_log2``), in which 1 to 2 %
    counts as much as 20 to 40 %.

    Args:
        patients: rows of one split, auxiliary and condition.
        budgets: the same for all arms of a cohort (:func:`common_budgets`); who lacks one of them has no area.
        keys: what one area belongs to; with "patient" each patient has its own.

    Returns:
        ``keys`` with area and area_log2; without rows for cohorts with fewer than two budgets.
    """
    keys = list(keys)
    parts = []
    for cohort, rows in patients.groupby("cohort"):
        grid = np.asarray(budgets.get(str(cohort), ()), dtype=np.float64)
        if len(grid) < 2:
            continue
        means = rows.pivot_table(index=keys, columns="budget", values="dice", aggfunc="mean")
        means = means.reindex(columns=grid).dropna()
        axes = {"area": grid, "area_log2": np.log2(grid)}
        part = {
            name: trapezoid(means.to_numpy(), x, axis=1) / (x[-1] - x[0]) if len(means) else np.empty(0)
            for name, x in axes.items()
        }
        parts.append(pd.DataFrame(part, index=means.index).reset_index())
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*keys, *AREAS])


def area(patients: pd.DataFrame, budgets: Mapping[str, Sequence[float]] | None = None) -> pd.DataFrame:
    """Return mean and standard deviation over seeds of the area under the learning curve (:func:`areas_under`).

    Returns:
        cohort, arm, seeds (with all budgets), area, area_sd, area_log2, area_log2_sd.
    """
    each = areas_under(patients, common_budgets(patients) if budgets is None else budgets)
    return each.groupby(["cohort", "arm"], as_index=False).agg(
        seeds=("seed", "nunique"),
        area=("area", "mean"),
        area_sd=("area", "std"),
        area_log2=("area_log2", "mean"),
        area_log2_sd=("area_log2", "std"),
    )


def robustness(patients: pd.DataFrame) -> pd.DataFrame:
    """Return :func:`curve` for every condition but clean, each from level 0 on, which is what clean reached."""
    found = curve(patients)
    clean, worse = found[found["condition"] == "clean"], found[found["condition"] != "clean"]
    place = ["cohort", "arm", "budget", "split", "auxiliary"]
    asked = worse[[*place, "condition"]].drop_duplicates()
    with_zero = worse.loc[worse["level"] == 0, [*place, "condition"]].drop_duplicates()
    lacking = asked.merge(with_zero, how="left", indicator=True).query("_merge == 'left_only'").drop(columns="_merge")
    zero = lacking.merge(clean.drop(columns="condition").assign(level=0.0), on=place)
    order = ["cohort", "condition", "arm", "budget", "split", "auxiliary", "level"]
    return pd.concat([worse, zero], ignore_index=True).sort_values(order, ignore_index=True)


def costs(rounds: pd.DataFrame) -> pd.DataFrame:
    """Return what each arm takes.

    Args:
        rounds: the table ``rounds``: one row per cohort, arm, seed and budget.

    Returns:
        cohort, arm, strategy, runs, rounds (of all runs), select_seconds, train_seconds and evaluate_seconds (means a
        round that was timed; NaN where none was), parameters, parameters_trained and train_memory_mib (likewise; NaN in
        tables of earlier versions) and total_seconds (a run's sum, mean over runs; of the rounds that are there). The
        first round, which no strategy picks, may have no select_seconds.
    """
    steps = ["select_seconds", "train_seconds", "evaluate_seconds"]
    sizes = ["parameters", "parameters_trained", "train_memory_mib"]
    timed = rounds.reindex(columns=[*rounds.columns, *(name for name in sizes if name not in rounds)])
    timed = timed.astype(dict.fromkeys([*steps, *sizes], float))
    timed = timed.assign(total_seconds=timed[steps].sum(axis=1))
    runs = timed.groupby(["cohort", "arm", "seed"], as_index=False)["total_seconds"].sum()
    found = timed.groupby(["cohort", "arm"]).agg(
        strategy=("strategy", "first"),
        runs=("seed", "nunique"),
        rounds=("round", "size"),
        **{name: (name, "mean") for name in [*steps, *sizes]},
    )
    return found.join(runs.groupby(["cohort", "arm"])["total_seconds"].mean()).reset_index()

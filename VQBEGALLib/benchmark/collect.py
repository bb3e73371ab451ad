"""The tables of a benchmark, gathered from the folders of its runs: every patient's values, as CSV and Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pyarrow  # noqa: F401 – pandas writes Parquet with it; that it is missing must show before anything is computed

from VQBEGALLib.benchmark.environment import write_environments
from VQBEGALLib.benchmark.folder import EVALUATIONS, ResultsFolder
from VQBEGALLib.benchmark.plan import Plan, Run
from VQBEGALLib.storage import read_json, write_bytes
from VQBEGALLib.study import Study
from VQBEGALLib.study.records import Round
from VQBEGALLib.study.roundstore import round_folder

COSTS = ("parameters", "parameters_trained", "train_memory_mib")
"""Columns that rounds of earlier versions have nothing in."""
PATIENTS = (
    *("cohort", "arm", "seed", "budget", "slices", "split", "auxiliary", "condition", "level", "patient", "organ"),
    *("dice", "hd95", "assd", "volume_difference", "failed"),
)
ROUNDS = (
    *("cohort", "arm", "strategy", "seed", "budget", "slices", "pool", "round"),
    *("select_seconds", "train_seconds", "evaluate_seconds"),
    *COSTS,
    *("codes_primary", "codes_auxiliary", "codes_shared", "discriminator_right", "score_spread", "foreground_picked"),
)
PICKS = (*("cohort", "arm", "seed", "budget", "round", "case", "slice", "position", "score", "role", "foreground"),)
MEASURED = {"select_seconds", "score", *COSTS}
"""Columns in which a whole table may have nothing."""
TABLES = {"patients": PATIENTS, "rounds": ROUNDS, "picks": PICKS}


def collect(results: ResultsFolder, plan: Plan) -> dict[str, pandas.DataFrame]:
    """Gather all finished rounds and write ``patients``, ``rounds`` and ``picks`` as CSV and Parquet.

    The machines that they were computed on go to ``environment.json``.

    Args:
        results: folder of the benchmark; unfinished runs give the rounds that they have.
        plan: the comparison.

    Returns:
        The tables by name; the columns are :data:`TABLES`.

    Raises:
        StorageError: the disk is full or refuses; the old tables are intact.
    """
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    environments: list[dict[str, Any]] = []
    for run, round_, found in _finished(results, plan):
        _round(rows, run, round_, found)
        environments += [found["environment"]] if "environment" in found else []
    tables = {}
    for name, columns in TABLES.items():
        table = pandas.DataFrame(rows[name], columns=list(columns))
        tables[name] = table.astype(dict.fromkeys(MEASURED.intersection(columns), float))
        write_table(results.path / name, tables[name])
    write_environments(results.path, environments)
    return tables


def _finished(results: ResultsFolder, plan: Plan) -> Iterator[tuple[Run, Round, dict[str, Any]]]:
    """Yield every evaluated round of the plan's runs with what its evaluation found."""
    for run in plan.runs():
        if results.finished_rounds(run):
            study = Study.open(results.run(run))
            for round_ in study.rounds():
                path = round_folder(study.folder, round_.index) / EVALUATIONS
                if path.exists():
                    yield run, round_, read_json(path)


def write_table(stem: Path, table: pandas.DataFrame) -> None:
    """Write a table as CSV and as Parquet, each in one step."""
    write_bytes(stem.with_name(f"{stem.name}.csv"), table.to_csv(index=False, lineterminator="\n").encode())
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    write_bytes(stem.with_name(f"{stem.name}.parquet"), stream.getvalue())


def _round(rows: dict[str, list[dict[str, Any]]], run: Run, round_: Round, found: dict[str, Any]) -> None:
    key = {"cohort": run.cohort.name, "arm": run.arm.name, "seed": run.seed, "budget": found["budget"]}
    slices = round_.figures["labelled"]
    for evaluation in found["evaluations"]:
        where = {name: evaluation[name] for name in ("split", "auxiliary", "condition", "level")}
        for patient, values in evaluation["cases"].items():
            whom = {**key, "slices": slices, **where, "patient": patient}
            each = {
                "": values,
                **values.get("organs", {}),
            }  # the mean over the organs, and each where there are several
            rows["patients"] += [{**whom, "organ": organ, **_scores(scores)} for organ, scores in each.items()]
    picks = found["picks"]
    rows["picks"] += [{**key, "round": round_.index, **pick} for pick in picks]
    rows["rounds"].append({**key, "strategy": run.arm.strategy, "round": round_.index, **_costs(round_, found)})


def _scores(values: dict[str, Any]) -> dict[str, Any]:
    names = {"dice": "dice", "hd95": "hd95_mm", "assd": "assd_mm", "volume_difference": "volume_difference_ml"}
    return {**{name: values[key] for name, key in names.items()}, "failed": values["failed"]}


def _costs(round_: Round, found: dict[str, Any]) -> dict[str, Any]:
    figures = round_.figures
    holding = [pick["foreground"] for pick in found["picks"]]
    return {
        "slices": figures["labelled"],
        "pool": figures["pool"],
        "select_seconds": found["select_seconds"],
        "train_seconds": found.get("train_seconds", figures.get("train_seconds")),
        "evaluate_seconds": found["evaluate_seconds"],
        **{name: found.get(name) for name in COSTS},
        **_diagnosis(figures.get("diagnosis") or {}),
        "foreground_picked": sum(holding) / len(holding) if holding else None,
    }


def _diagnosis(found: dict[str, Any]) -> dict[str, Any]:
    """Return what codebook and discriminator did, by the names of the columns."""
    codebook, quartiles = found.get("codebook") or {}, found.get("uncertainty_quartiles")
    return {
        **{f"codes_{name}": codebook.get(name) for name in ("primary", "auxiliary", "shared")},
        "discriminator_right": found.get("discriminator_right"),
        "score_spread": quartiles[3] - quartiles[1] if quartiles else None,
    }

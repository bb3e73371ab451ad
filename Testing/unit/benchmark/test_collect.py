"""Tables and the list of machines, from what rounds wrote; also rounds of an earlier version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from VQBEGALLib.benchmark import parse_plan
from VQBEGALLib.benchmark.collect import collect
from VQBEGALLib.benchmark.environment import FILE, without_places, write_environments
from VQBEGALLib.benchmark.folder import EVALUATIONS, ResultsFolder
from VQBEGALLib.config import preset
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import gather
from VQBEGALLib.study.records import Request, Round

PLAN = 'strategies = ["random"]\nbudgets = [10]\n[cohorts.ct]\nprimary = "ct"\nprimary_labels = "ct_liver"'
SCORES = {"dice": 0.5, "hd95_mm": 9.0, "assd_mm": 2.0, "volume_difference_ml": -3.0, "failed": False}
MACHINE = {"date": "2026-01-02", "processor": "one", "device": "GPU"}


@pytest.fixture
def results(cohort: Path, tmp_path: Path) -> ResultsFolder:
    """One run with one trained round, whose evaluation is still to be written."""
    plan = parse_plan(PLAN, cohort)
    found = ResultsFolder(tmp_path / "results")
    study = Study.create(found.run(plan.runs()[0]), preset("tiny"), gather(cohort / "ct", split=cohort / "split.json"))
    figures: dict[str, Any] = {"labelled": 3, "pool": 28, "train_seconds": 7.5}
    study.save_round(Round(0, "random", (Request(0, "s0", 4),), trained=True, figures=figures))
    return found


def evaluated(results: ResultsFolder, cohort: Path, **more: Any) -> dict[str, pandas.DataFrame]:
    """The tables, with one patient and more entries of the round's evaluation."""
    plan = parse_plan(PLAN, cohort)
    where = {"split": "test", "auxiliary": "none", "condition": "clean", "level": 0.0}
    found: dict[str, Any] = {
        "budget": 10.0,
        "evaluations": [{**where, "cases": {"s3": SCORES}}],
        "select_seconds": None,
        "evaluate_seconds": 1.5,
        "picks": [{"case": "s0", "slice": 4, "position": 0.3, "score": None, "role": "all", "foreground": True}],
        **more,
    }
    path = results.run(plan.runs()[0]) / "rounds" / "000" / EVALUATIONS
    path.write_text(json.dumps(found), encoding="utf-8")
    return collect(results, plan)


def test_every_value_stands_in_its_column(results, cohort):
    tables = evaluated(results, cohort, train_seconds=4.0, environment=MACHINE)
    patient, round_, pick = (tables[name].iloc[0] for name in ("patients", "rounds", "picks"))
    assert patient[["arm", "seed", "slices", "patient"]].tolist() == ["random", 0, 3, "s3"]
    assert patient[["dice", "hd95", "assd", "volume_difference"]].tolist() == [0.5, 9, 2, -3]
    assert round_[["slices", "pool", "train_seconds", "evaluate_seconds", "foreground_picked"]].tolist() == [
        3,
        28,
        4,
        1.5,
        1,
    ]
    assert pick[["case", "slice", "position"]].tolist() == ["s0", 4, 0.3]
    assert json.loads((results.path / FILE).read_text(encoding="utf-8")) == [MACHINE]


def test_costs_and_organs_have_their_columns(results, cohort):
    costs = {"parameters": 10, "parameters_trained": 12, "train_memory_mib": 3.5}
    organs = {"liver": {**SCORES, "dice": 0.9}, "spleen": {**SCORES, "dice": 0.1}}
    where = {"split": "test", "auxiliary": "none", "condition": "clean", "level": 0.0}
    tables = evaluated(results, cohort, **costs, evaluations=[{**where, "cases": {"s3": {**SCORES, "organs": organs}}}])
    assert tables["patients"].set_index("organ")["dice"].to_dict() == {"": 0.5, "liver": 0.9, "spleen": 0.1}
    assert tables["rounds"].iloc[0][list(costs)].to_dict() == costs


def test_a_table_without_any_score_or_selection_keeps_its_numbers(results, cohort):
    evaluated(results, cohort, train_seconds=4.0)
    for name, column in (("picks", "score"), ("rounds", "select_seconds"), ("rounds", "parameters")):
        table = pandas.read_parquet(results.path / f"{name}.parquet")
        assert table[column].dtype == float and table[column].isna().all()


def test_rounds_of_an_earlier_version_are_gathered(results, cohort):
    assert evaluated(results, cohort, select_seconds=0.5)["rounds"].train_seconds.tolist() == [7.5]


def test_a_machine_is_listed_once_with_its_first_day(tmp_path):
    other = {**MACHINE, "processor": "two"}
    write_environments(tmp_path, [{**MACHINE, "date": "2026-01-05"}, other])
    write_environments(tmp_path, [MACHINE, {**MACHINE, "date": "2026-01-03"}])
    assert json.loads((tmp_path / FILE).read_text(encoding="utf-8")) == [other, MACHINE]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('split = "/home/doe/split.json"', 'split = "…/split.json"'),
        ("primary = '/home/doe/ct'", "primary = '…/ct'"),
        (r"primary = 'C:\Users\Doe\ct'", "primary = '…/ct'"),
        (r"primary = '\\server\doe\ct'", "primary = '…/ct'"),
        ('primary = "../data/ct"', 'primary = "../data/ct"'),
        ('preset = "small"\nseeds = [0]', 'preset = "small"\nseeds = [0]'),
    ],
)
def test_a_plan_is_shown_without_where_data_lie(text, shown):
    assert without_places(text) == shown

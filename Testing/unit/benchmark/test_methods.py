"""One plan over all training methods, with two organs: equal labels, costs, robustness, a row an organ."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from VQBEGALLib.benchmark import Plan, parse_plan, read_plan
from VQBEGALLib.benchmark.collect import collect
from VQBEGALLib.benchmark.folder import ResultsFolder
from VQBEGALLib.benchmark.task import run_task
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.volumes import read_labelmap, write_volume

METHODS = ("plain", "cmc", "ciml", "cmems")
PLAN = """
preset = "tiny"
budgets = [20, 40]
reference = "plain"
[settings]
organ = "liver, spleen"
supervise = "both"
size = 32
base_channels = 4
codes = 16
code_dim = 8
steps = 1
batch_size = 2
unlabelled_per_step = 1
[cohorts.ct]
primary = "ct"
auxiliary = "mr"
primary_labels = "ct_organs"
auxiliary_labels = "mr_organs"
primary_values = [6, 2]
auxiliary_values = [1, 3]
split = "split.json"
[[arms]]
name = "plain_primary"
strategy = "random"
settings = { method = "plain", pairing = "none" }
[robustness]
arms = ["cmc", "ciml", "cmems"]
conditions = { missing_auxiliary = [1] }
""" + "".join(
    f'[[arms]]\nname = "{method}"\nstrategy = "random"\nsettings = {{ method = "{method}" }}\n' for method in METHODS
)


@pytest.fixture(scope="module")
def two_organs(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort with labels of two organs, the liver's halves, numbered differently in CT and MR."""
    folder = tmp_path_factory.mktemp("organs")
    for name in ("ct", "mr", "split.json"):
        (folder / name).symlink_to(cohort / name)
    for modality, (one, other) in {"ct": (6, 2), "mr": (1, 3)}.items():
        (folder / f"{modality}_organs").mkdir()
        for path in (cohort / f"{modality}_liver").iterdir():
            labels = read_labelmap(path)
            places = np.nonzero(labels.voxels)
            left = places[2] < np.median(places[2])
            voxels = np.zeros_like(labels.voxels)
            voxels[places] = np.where(left, one, other)
            write_volume(folder / f"{modality}_organs" / path.name, replace(labels, voxels=voxels))
    return folder


@pytest.fixture(scope="module")
def compared(two_organs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, dict[str, pd.DataFrame]]:
    """The plan and the tables of all its runs."""
    plan = parse_plan(PLAN, two_organs)
    results = ResultsFolder(tmp_path_factory.mktemp("methods") / "results")
    results.open(plan)
    results.prepare(plan, plan.cohorts[0], Reporter())
    for run in plan.runs():
        run_task(results, plan, run, device=torch.device("cpu"), reporter=Reporter())
    return plan, collect(results, plan)


def test_every_arm_of_a_seed_has_the_same_slices_annotated(compared):
    picks = compared[1]["picks"]
    slices = {arm: set(rows[["round", "case", "slice"]].itertuples(index=False)) for arm, rows in picks.groupby("arm")}
    assert len(slices["plain"]) == 11  # 40 % of 28
    assert set(slices) == {"plain_primary", *METHODS}
    assert all(found == slices["plain"] for found in slices.values())


def test_every_organ_has_its_row_beside_the_mean(compared):
    patients = compared[1]["patients"]
    clean = patients[patients["condition"] == "clean"]
    assert sorted(clean["organ"].unique()) == ["", "liver", "spleen"]
    keys = ["arm", "budget", "split", "patient"]
    wide = clean.pivot(index=keys, columns="organ", values="dice")
    assert len(wide) == 5 * 2 * 2
    assert np.allclose(wide[""], (wide["liver"] + wide["spleen"]) / 2)


def test_related_methods_are_evaluated_on_worse_input(compared):
    worse = compared[1]["patients"].query("condition == 'missing_auxiliary' and organ == ''")
    assert set(worse["arm"]) == {"cmc", "ciml", "cmems"}
    assert set(worse["level"]) == {0.0, 1.0}
    cmems = worse[worse["arm"] == "cmems"].set_index("level")["dice"]
    assert cmems[0.0] == cmems[1.0]  # it never looks at the auxiliary


def test_every_round_tells_what_its_network_costs(compared):
    rounds = compared[1]["rounds"].groupby("arm")[["parameters", "parameters_trained", "train_memory_mib"]].first()
    assert rounds.notna().all(axis=None)
    assert (rounds["parameters"] > 1000).all()
    assert (rounds["train_memory_mib"] >= 0).all()
    assert rounds.loc["plain_primary", "parameters"] < rounds.loc["plain", "parameters"]
    assert rounds.loc["cmems", "parameters_trained"] > 1.5 * rounds.loc["plain_primary", "parameters_trained"]


def test_first_rounds_are_shared_by_settings_of_the_method_in_use_alone(two_organs):
    base = parse_plan(PLAN, two_organs)
    other = parse_plan(PLAN.replace("steps = 1", "steps = 1\nconfidence = 0.9"), two_organs)
    first = [{run.arm.name: plan.seed_round(run) for run in plan.runs()} for plan in (base, other)]
    changed = {arm for arm in METHODS if (a := first[0][arm]) and (b := first[1][arm]) and a.name != b.name}
    assert changed == {"cmems"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('reference = "plain"', 'reference = "plane"', "reference is 'plane'"),
        ("primary_values = [6, 2]", "primary_values = [6, 2, 3]", "3 primary_values for 2 organs"),
        ("primary_values = [6, 2]", "primary_values = [6, 2.5]", "no whole numbers"),
        ("primary_values = [6, 2]", "primary_values = [6, -2]", "no whole numbers"),
        ("primary_values = [6, 2]", "primary_values = [6, 0]", "labels of the cohort 'ct' lack spleen.*is background"),
        ('pairing = "none"', 'pairing = "none", organ = "liver"', "changes the organs"),
    ],
)
def test_what_is_wrong_with_methods_or_organs_is_told_at_once(two_organs, old, new, said):
    assert old in PLAN
    with pytest.raises(InputError, match=said):
        parse_plan(PLAN.replace(old, new), two_organs)


@pytest.mark.parametrize(
    ("settings", "fits"),
    [
        ('method = "ciml", primary_tasks = "liver"', True),
        ('method = "ciml", primary_tasks = "spleen"', False),
        ('method = "ciml", primary_tasks = "liver", supervise = "primary"', False),
        ('method = "cmc", primary_tasks = "liver"', False),
    ],
)
def test_labels_may_lack_an_organ_that_is_not_the_primarys_task(two_organs, settings, fits):
    head = PLAN[: PLAN.index("[[arms]]")].replace("primary_values = [6, 2]", "primary_values = [6, 0]")
    text = head.replace('reference = "plain"', "")
    text += f'[[arms]]\nname = "one"\nstrategy = "random"\nsettings = {{ {settings} }}\n'
    if fits:
        assert len(parse_plan(text, two_organs).runs()) == 1
        return
    with pytest.raises(InputError, match="lack spleen"):
        parse_plan(text, two_organs)


def test_a_task_refuses_labels_that_lack_an_organ_before_it_trains(two_organs, tmp_path):
    plan = parse_plan(PLAN, two_organs)
    results = ResultsFolder(tmp_path / "results")
    results.open(plan)
    base = results.prepare(plan, plan.cohorts[0], Reporter())
    state = json.loads((base / "study.json").read_text())
    for subject in state["subjects"]:
        subject["primary_reference"]["absent"] = [2]
    (base / "study.json").write_text(json.dumps(state))
    run = plan.runs()[0]
    with pytest.raises(InputError, match="do not know spleen"):
        run_task(results, plan, run, device=torch.device("cpu"), reporter=Reporter())
    assert not list(results.run(run).glob("labels/*"))


@pytest.mark.parametrize("name", ["ct", "mr", "methods", "organs"])
def test_the_plans_of_the_evidence_can_be_read(name):
    assert read_plan(Path(__file__).parents[3] / "docs" / "evidence" / f"{name}.toml").runs()

"""The benchmark's report where settings are compared, as methods on the same slices are; organs and costs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import image as images

from Testing.benchmark_results import patients_table, rounds_table, write_results
from VQBEGALLib.benchmark import statistics
from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence import benchmark_costs, benchmark_headlines, benchmark_sections, plotting
from VQBEGALLib.evidence import benchmark_report as report
from VQBEGALLib.evidence.benchmark_budgets import budget_dots
from VQBEGALLib.evidence.benchmark_data import Benchmark
from VQBEGALLib.evidence.benchmark_findings import Findings
from VQBEGALLib.evidence.benchmark_organs import organs
from VQBEGALLib.evidence.section import Section

CURVES = {"plain": (0.86, 0.88), "vq_begal": (0.85, 0.87), "ciml": (0.88, 0.90)}
COMBINED = {"ciml_badge": (0.89, 0.91)}
WOBBLE = {"ciml": (0.001, -0.001, 0.002, -0.002), "vq_begal": (0.002, -0.001, 0.0, -0.001)}
PLAN = """
seeds = [0, 1, 2, 3]
budgets = [5, 10]
reference = "plain"
[cohorts.ct]
primary = "a"
primary_labels = "b"
[[arms]]
name = "plain"
strategy = "random"
settings = { method = "plain" }
[[arms]]
name = "vq_begal"
strategy = "random"
[[arms]]
name = "ciml"
strategy = "random"
settings = { method = "ciml" }
[[arms]]
name = "ciml_badge"
strategy = "badge"
settings = { method = "ciml" }
seeds = [0]
"""
THIN = "\N{NARROW NO-BREAK SPACE}"


def tables(offsets: dict[str, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Patients and rounds; each organ's Dice is the mean's and an offset."""
    parts = []
    for organ, offset in offsets.items():
        for curves, seeds in ((CURVES, 4), (COMBINED, 1)):
            moved = {arm: tuple(dice + offset for dice in curve) for arm, curve in curves.items()}
            parts.append(patients_table(moved, budgets=(5.0, 10.0), seeds=seeds, wobble=WOBBLE, organ=organ))
    patients = pd.concat(parts, ignore_index=True)
    strategies = {arm: "random" for arm in CURVES} | {"ciml_badge": "badge"}
    rounds = rounds_table(patients[patients["organ"] == ""], strategies)
    sizes = {"plain": 100, "vq_begal": 125, "ciml": 200, "ciml_badge": 200}
    weights = rounds["arm"].map(sizes)
    return patients, rounds.assign(parameters=weights, parameters_trained=2 * weights, train_memory_mib=weights / 10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder of methods and two organs, with its report."""
    made = write_results(tmp_path_factory.mktemp("methods") / "r", *tables({"": 0.0, "liver": 0.05, "spleen": -0.05}))
    (made / "plan.toml").write_text(PLAN, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_diagnostics", lambda *_: [Section("Inside the networks")])
        report.write_benchmark_report(made, reporter=Reporter())
    return made


@pytest.fixture(scope="module")
def found(folder: Path) -> Findings:
    return Findings(Benchmark.read(folder), "none")


def test_the_plan_names_the_reference_and_arms_of_its_strategy_are_the_rivals(found):
    benchmark = found.benchmark
    assert benchmark.reference == "plain" and benchmark.by_settings
    assert benchmark.rivals("ct") == ["vq_begal", "plain", "ciml"]
    assert benchmark.ablations("ct") == ["ciml_badge"]
    assert benchmark.other_networks == {"ct": set()}


def test_organs_do_not_count_as_patients(found):
    assert len(found.patients) == (3 * 4 + 1) * 2 * 5
    assert set(found.patients["organ"]) == {""}
    row = found.tests.query("arm == 'ciml' and budget == 5").iloc[0]
    assert (row["n"], row["difference"]) == (4, pytest.approx(0.02))


def test_every_method_is_told_of_and_two_budgets_are_no_curve(found):
    said = benchmark_headlines.headline(found, "ct")
    assert len(said) == 2
    assert "over 5 and 10 % of the slices, the mean Dice of ciml minus that of plain is +0.020" in said[1]
    assert said[1].endswith(": ahead.") and said[0].endswith(": behind.")
    assert benchmark_headlines.tiles(found)[1] == ("+0.020", "ct: Dice of ciml minus plain at 10 %, 4 common seeds")
    assert found.measures("ct") == {"area": f"mean of 5 and 10{THIN}%"}
    area = found.areas.set_index("arm").loc["ciml"]
    assert area["area"] == pytest.approx(0.89) == area["area_log2"]


def test_the_page_is_about_methods(folder):
    text = (folder / "report.html").read_text("utf-8")
    assert "r: methods compared" in text
    assert "random chooses the slices, the same for all of them at a seed" in text
    assert "Slices to come within" not in text  # no arm has all slices
    assert "other network or slices" not in text
    assert "Other strategies" in text
    names = {path.name for path in (folder / "figures").iterdir()}
    assert {"learning_ct.png", "forest_ct.png", "ablations_ct.svg"} <= names


def test_each_organ_has_a_column_in_the_order_of_the_table(found):
    (section,) = organs(found)
    caption, table = section.tables[0]
    assert caption == f"ct, 5{THIN}%: Dice"
    assert list(table.columns) == ["arm", "mean", "liver", "spleen"]
    cells = {row[0]: row[1:] for row in table.rows}
    assert [cell[:5] for cell in cells["plain"]] == ["0.860", "0.910", "0.810"]
    assert cells["ciml_badge"][0] == "0.900"  # one seed, which adds 0.01
    differences = {row[0]: row for row in section.folded[1][1].rows}
    assert all(cell.startswith("+0.020") for cell in differences["ciml"][1:])
    assert "plain" not in differences


def test_one_organ_has_no_section():
    patients, rounds = tables({"": 0.0})
    assert organs(Findings(Benchmark(patients, rounds, reference="plain"), "none")) == []


def test_costs_are_set_beside_those_of_our_arm(found):
    costs = statistics.costs(found.benchmark.rounds)
    table = benchmark_costs.sizes(costs, ["vq_begal", "plain", "ciml"], "vq_begal")
    cells = {row[0]: row[1:] for row in table.rows}
    assert cells["ciml"] == ["200", "1.60", "400", "1.60", "60.0", "1.00", "20", "1.60"]
    assert cells["plain"][:2] == ["100", "0.80"]
    without = benchmark_costs.sizes(costs[costs["arm"] != "vq_begal"], ["plain", "ciml"], "vq_begal")
    assert [row for row in without.rows if row[0] == "ciml"] == [["ciml", "200", "400", "60.0", "20"]]
    old = statistics.costs(
        found.benchmark.rounds.drop(columns=["parameters", "parameters_trained", "train_memory_mib"])
    )
    assert benchmark_costs.sizes(old, ["plain"], "vq_begal").rows == []
    assert len(benchmark_costs.spending(found, old).tables) == 1


def test_a_row_of_dots_lies_where_its_dice_is():
    patients = patients_table({"vq_begal": (0.2,), "plain": (0.8,)}, budgets=(5.0,))
    seeds = statistics.by_seed(patients)
    tests = Findings(Benchmark(patients, rounds_table(patients), reference="plain"), "none").tests
    names = {"ours": "vq_begal", "reference": "plain", "title": "", "name": "dots"}
    picture = budget_dots(seeds, tests, ["vq_begal", "plain", "absent"], **names)
    left = images.imread(io.BytesIO(picture.png))[..., :3]
    left = left[:, : left.shape[1] // 2]
    places = {}
    for arm, colour in (("vq_begal", plotting.BLUE), ("plain", plotting.VERMILION)):
        wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        places[arm] = np.argwhere(np.abs(left - wanted).max(axis=-1) < 0.02).mean(axis=0)
    assert places["vq_begal"][0] < places["plain"][0]  # the first arm is on top
    assert places["vq_begal"][1] < places["plain"][1]  # and worse


def test_more_budgets_become_curves(found, monkeypatch):
    drawn = []
    monkeypatch.setattr(benchmark_sections, "budget_dots", lambda *_, **names: drawn.append(names["name"]))
    monkeypatch.setattr(benchmark_sections.curves, "learning_curves", lambda *_, **names: drawn.append("curves"))
    benchmark_sections._curves(found, "ct", ["plain", "ciml"], "learning")
    monkeypatch.setattr(benchmark_sections, "FEW", 1)
    benchmark_sections._curves(found, "ct", ["plain", "ciml"], "learning")
    assert drawn == ["learning_ct", "curves"]

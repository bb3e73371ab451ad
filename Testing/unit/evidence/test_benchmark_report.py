"""The benchmark's report on results made by formula: its numbers, partial results, and what is missing."""

from __future__ import annotations

import builtins
import io
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib import image as images
from scipy.integrate import trapezoid

from Testing.benchmark_results import (
    BUDGETS,
    CURVES,
    noisy,
    patients_table,
    rounds_table,
    whole_benchmark,
    write_results,
)
from VQBEGALLib.benchmark import comparisons, parse_plan, statistics
from VQBEGALLib.errors import InputError, MissingDependencyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence import (
    benchmark_curves,
    benchmark_differences,
    benchmark_headlines,
    benchmark_sections,
    benchmark_tables,
    plotting,
)
from VQBEGALLib.evidence import benchmark_report as report
from VQBEGALLib.evidence.benchmark_data import OTHER_STYLES, OURS_STYLE, REFERENCE_STYLE, Benchmark
from VQBEGALLib.evidence.benchmark_findings import Findings, worse_inputs
from VQBEGALLib.evidence.section import Section
from VQBEGALLib.evidence.tables import Table

THIN = "\N{NARROW NO-BREAK SPACE}"


@pytest.fixture(scope="module")
def benchmark() -> Benchmark:
    return Benchmark(*whole_benchmark())


@pytest.fixture(scope="module")
def found(benchmark: Benchmark) -> Findings:
    return Findings(benchmark, "none")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on one cohort with two arms, an ablation, the ceiling and noise; a mark instead of the diagnostics."""
    budgets = (1.0, 5.0, 10.0)
    curves = {"vq_begal": (0.7, 0.9, 0.94), "random_foreground": (0.7, 0.85, 0.92), "strict": (0.7, 0.89, 0.93)}
    wobble = {"vq_begal": (0.002, -0.002, 0.001, -0.001)}
    clean = patients_table(curves, budgets=budgets, wobble=wobble)
    ceiling = patients_table({"all": (0.95,)}, budgets=(100.0,))
    patients = pd.concat([clean, ceiling, noisy(clean, ["vq_begal"], [0.1])], ignore_index=True)
    folder = write_results(
        tmp_path_factory.mktemp("benchmark") / "<results>",
        patients,
        rounds_table(patients, {"strict": "vq_begal", "all": "random"}),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_diagnostics", lambda *_: [Section("Inside the networks")])
        assert report.write_benchmark_report(folder, reporter=Reporter()) == folder / "report.html"
    return folder


def rows(table: Table) -> dict[str, list[str]]:
    """The cells of each row by its first."""
    return {row[0]: list(row[1:]) for row in table.rows}


def amount(png: bytes, colour: str) -> int:
    """How many pixels of a picture have a colour."""
    picture = images.imread(io.BytesIO(png))[..., :3]
    wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return int((np.abs(picture - wanted).max(axis=-1) < 0.02).sum())


def test_the_page_needs_nothing_else_and_escapes_names(written):
    text = (written / "report.html").read_text("utf-8")
    assert "&lt;results&gt;: strategies compared" in text
    assert "<results>" not in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert "strategy = &#34;vq_begal&#34;" in text  # the plan
    assert "torch = 2.6" in text  # the environment
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles[:2] == ["Learning curves", "Against random_foreground"]
    assert titles[-2:] == ["Inside the networks", "Runs that these numbers rest on"]


def test_the_page_says_what_came_out(written):
    text = (written / "report.html").read_text("utf-8")
    assert "vq_begal needs 100 slices (10.0 % of the pool); random_foreground needs more than it was given." in text
    assert "0.940 : 0.920" in text
    assert "ahead." in text


def test_figures_lie_beside_the_page_as_pixels_and_vectors(written):
    stems = {"learning_ct", "forest_ct", "patients_ct", "ablations_ct", "robustness_ct_1"}
    found = sorted(path.name for path in (written / "figures").iterdir())
    assert found == sorted(f"{stem}.{kind}" for stem in stems for kind in ("png", "svg"))
    for stem in stems:
        root = ElementTree.parse(written / "figures" / f"{stem}.svg").getroot()
        assert root.tag.endswith("svg")
        width = float(root.attrib["width"].removesuffix("pt"))
        png = images.imread(written / "figures" / f"{stem}.png")
        assert png.shape[1] == pytest.approx(2 * width * 96 / 72, abs=1)


def test_tables_lie_beside_the_page_as_csv(written):
    tests = pd.read_csv(written / "tables" / "tests_over_seeds.csv")
    row = tests.query("arm == 'vq_begal' and budget == 5").iloc[0]
    assert row["difference"] == pytest.approx(0.05)
    assert (row["family"], row["auxiliary"]) == ("rivals", "none")
    assert set(tests.query("family == 'ablations'")["arm"]) == {"strict"}
    names = {path.stem for path in (written / "tables").iterdir()}
    expected = {"curves", "areas", "tests_over_seeds", "tests_over_patients", "slices_to_reach", "robustness", "costs"}
    assert names == expected


def test_markdown_has_the_same_numbers(written):
    text = report.markdown_tables(written)
    assert "| vq_begal | 4 | 0.700 ± 0.011 | 0.900 ± 0.011 | 0.940 ± 0.011 |" in text
    assert "**ct: Dice; all slices give 0.950 ± 0.009 (4 seeds)**" in text
    assert "| random_foreground | not reached | – | – | 0 of 4 |" in text
    assert "| vq_begal | vq_begal | 4 | 12 | 2.0 | 60.0 | 8.0 | 3.5 |" in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_arms_are_told_apart_by_what_they_change(benchmark):
    assert benchmark.cohorts == ["ct", "mr"]
    assert benchmark.rivals("ct") == ["vq_begal", "random_foreground", "egal", "random"]
    assert benchmark.ablations("ct") == ["strict"]
    assert benchmark.ablations("mr") == []
    assert benchmark.auxiliaries == ["none", "any"]


def test_no_panel_has_more_than_seven_lines_or_two_that_look_alike(benchmark):
    arms = ["vq_begal", "random_foreground", *(f"arm{number}" for number in range(12))]
    panels = benchmark.panels(arms)
    assert [len(panel) for panel in panels] == [7, 7, 4]
    assert {arm for panel in panels for arm in panel} == set(arms)
    looks = [OURS_STYLE, REFERENCE_STYLE, *OTHER_STYLES]
    for what in ("colour", "marker"):
        assert len({getattr(style, what) for style in looks}) == 7
    assert len({style.line for style in OTHER_STYLES}) == 5
    assert benchmark.panels(["b", "a"])[0].keys() == {"a", "b"}


def test_rivals_and_ablations_are_corrected_for_by_themselves(found):
    at = found.tests.query("cohort == 'ct' and budget == 5").set_index("arm")
    assert at.loc["egal", "p_holm"] == pytest.approx(comparisons.holm(at.loc[["egal", "vq_begal"], "p"])[0])
    assert set(at.index) == {"egal", "random", "vq_begal", "strict"}
    assert found.reach.query("arm == 'strict'")["family"].tolist() == ["ablations"]


def test_the_table_by_budget_counts_seeds_and_leaves_gaps():
    part = patients_table({"a": (0.5, 0.6)}, budgets=(1.0, 2.0), seeds=3)
    part = part[~((part["seed"] == 2) & (part["budget"] == 2))]
    other = patients_table({"b": (0.7,)}, budgets=(2.0,), seeds=1)
    points = statistics.curve(pd.concat([part, other]))
    table = benchmark_tables.by_budget(points, ["a", "b", "absent"], benchmark_tables.dice_cell)
    assert table.columns == ["arm", "seeds", f"1{THIN}%", f"2{THIN}%"]
    assert rows(table)["b"] == ["1", "–", "0.710"]
    assert rows(table)["a"][:2] == ["2–3", "0.501 ± 0.010"]
    assert set(rows(table)) == {"a", "b"}


def test_the_table_of_areas_has_difference_interval_and_p(found):
    areas, tests = (table[table["cohort"] == "ct"] for table in (found.areas, found.tests))
    cells = rows(
        benchmark_tables.areas(
            areas, tests[tests["family"] == "rivals"], ["vq_begal", "random_foreground"], found.measures("ct")
        )
    )
    log2 = [np.log2(budget) for budget in BUDGETS]
    gain = trapezoid(np.subtract(CURVES["vq_begal"], CURVES["random_foreground"]), log2) / log2[-1]
    assert cells["vq_begal"][6] == f"+{gain:.3f}"
    assert re.fullmatch(r"\+0\.\d{3} to \+0\.\d{3}", cells["vq_begal"][7])
    assert cells["random_foreground"][2:5] == ["–", "–", "–"]


def test_the_table_of_slices_bounds_the_ratio_where_only_the_reference_fails():
    patients = pd.concat(
        [
            patients_table({"vq_begal": (0.8, 0.95), "random_foreground": (0.8, 0.9)}, budgets=(10.0, 20.0)),
            patients_table({"all": (0.95,)}, budgets=(100.0,)),
        ]
    )
    found = comparisons.slices_to_reach(patients, within=0.05 + 1e-9)
    assert rows(benchmark_tables.reaching(found, ["vq_begal"]))["vq_begal"][:3] == ["167", "16.7", "0.83"]
    found = comparisons.slices_to_reach(patients, within=0.03)
    cells = rows(benchmark_tables.reaching(found, ["random_foreground", "vq_begal"]))
    assert list(cells) == ["random_foreground", "vq_begal"]
    assert cells["random_foreground"][:3] == ["not reached", "–", "–"]
    assert cells["vq_begal"][:3] == ["180", "18.0", "<0.90"]


def test_headlines_follow_the_numbers_either_way(benchmark, found):
    ahead = " ".join(benchmark_headlines.headline(found, "ct"))
    assert ": ahead." in ahead
    assert "vq_begal needs 200 slices" in ahead
    swapped = Benchmark(benchmark.patients, benchmark.rounds, ours="random_foreground", reference="vq_begal")
    assert ": behind." in " ".join(benchmark_headlines.headline(Findings(swapped, "none"), "ct"))
    few = " ".join(benchmark_headlines.headline(found, "mr"))
    assert "on 2 seeds: too few seeds for a test." in few
    assert "no ceiling is known" in few


def told(curves: dict[str, tuple[float, ...]], top: float, *, seeds: int = 4, plan: str = "") -> Findings:
    """Findings of an arm, the reference and the ceiling."""
    patients = patients_table(curves, budgets=(10.0, 20.0), seeds=seeds)
    patients = pd.concat([patients, patients_table({"all": (top,)}, budgets=(100.0,), seeds=seeds)])
    read = parse_plan(plan, Path()) if plan else None
    return Findings(Benchmark(patients, rounds_table(patients), plan=read), "none")


def test_a_ratio_is_a_tile_only_with_its_interval_and_one_seed_is_no_plural(found):
    assert benchmark_headlines.tiles(found)[1][0] == "3 of 4 seeds"
    all_reach = told({"vq_begal": (0.8, 0.97), "random_foreground": (0.8, 0.95)}, 0.93)
    row = all_reach.reach.query("arm == 'vq_begal'").iloc[0]
    ratio = benchmark_headlines.tiles(all_reach)[1]
    assert ratio[0] == f"{row['ratio_seeds']:.2f} ×"
    assert f"95 % interval {row['ratio_low']:.2f} to {row['ratio_high']:.2f}, 4 seeds" in ratio[1]
    alone = told({"vq_begal": (0.8, 0.95), "random_foreground": (0.8, 0.9)}, 0.95, seeds=1)
    dice, reached = benchmark_headlines.tiles(alone)
    assert dice == ("0.810 : 0.810", "ct: Dice of vq_begal and random_foreground at 10 %, 1 common seed")
    assert reached[0] == "1 of 1 seed"
    assert reached[1].endswith("random_foreground: 0")
    assert "on 1 seed: too few" in benchmark_headlines.headline(alone, "ct")[0]


def test_what_the_first_budget_reaches_is_needed_at_most():
    found = told({"vq_begal": (0.95, 0.96), "random_foreground": (0.9, 0.96)}, 0.96)
    said = benchmark_headlines.headline(found, "ct")[1]
    assert "of 4 seeds complete in both arms, vq_begal needs at most 100 slices" in said
    assert "random_foreground needs 183 slices" in said
    assert rows(benchmark_tables.reaching(found.reach, ["vq_begal"]))["vq_begal"][:3] == ["≤100", "10.0", "–"]


PLAN = """
budgets = [10, 20]
seeds = [0, 1, 2, 3]
strategies = ["vq_begal", "random_foreground"]
[settings]
steps = 100
batch_size = 8
[cohorts.ct]
primary = "a"
primary_labels = "b"
[[arms]]
name = "all"
strategy = "random"
budgets = [100]
[[arms]]
name = "mc_dropout"
strategy = "mc_dropout"
settings = { dropout = 0.2 }
[[arms]]
name = "longer"
strategy = "vq_begal"
settings = { steps = 200 }
"""


def test_a_ceiling_that_is_none_is_said_with_how_often_each_slice_was_seen():
    curves = {"vq_begal": (0.9, 0.97), "random_foreground": (0.9, 0.95)}
    said = benchmark_headlines.headline(told(curves, 0.96, plan=PLAN), "ct")[-1]
    assert "on 4 common seeds vq_begal has 0.970 at 20 %, all slices 0.960." in said
    assert said.endswith("less often: 0.8 times, not 4.0.")  # 100 steps of 8 slices: of 1000, and of 200
    assert told(curves, 0.975).above_ceiling("ct") is None
    longer = {"longer": (0.9, 0.98), **curves}
    said = benchmark_headlines.headline(told(longer, 0.96, plan=PLAN), "ct")[-1]
    assert "longer has 0.980" in said and "steps" not in said


def test_arms_of_another_network_are_marked_and_stay_in_the_family():
    curves = {arm: (0.9, 0.95) for arm in ("vq_begal", "random_foreground", "mc_dropout", "longer")}
    found = told(curves, 0.96, plan=PLAN)
    assert found.benchmark.other_networks == {"ct": {"mc_dropout"}}
    assert found.tests.query("other_network")["arm"].unique().tolist() == ["mc_dropout"]
    assert found.tests.query("other_network")["family"].unique().tolist() == ["rivals"]
    caption, table = benchmark_sections.learning(found, []).tables[0]
    assert list(rows(table)) == ["vq_begal", "random_foreground", "longer", "mc_dropout †"]
    assert caption.endswith("†: other network or slices than vq_begal")
    assert benchmark_sections.finished(told(curves, 0.96)).tables[0][0] == "ct"


def test_a_ratio_of_one_is_said_to_be_no_difference():
    patients = patients_table(CURVES, wobble={"vq_begal": (0.05, -0.05, 0.04, -0.04)})
    found = Findings(Benchmark(patients, rounds_table(patients)), "none")
    assert ": no difference shown." in benchmark_headlines.headline(found, "ct")[0]


def test_robustness_takes_the_input_that_suffers_and_the_largest_budget(benchmark):
    extra = noisy(benchmark.patients[benchmark.patients["auxiliary"] == "any"], ["vq_begal"], [0.2])
    both = Benchmark(pd.concat([benchmark.patients, extra]), benchmark.rounds)
    found = worse_inputs(both)
    assert set(found["auxiliary"]) == {"any"}
    assert found["dice"].tolist() == pytest.approx([0.95, 0.75])
    alone = worse_inputs(benchmark)
    assert set(alone["auxiliary"]) == {"none"}
    assert set(alone["budget"]) == {40.0}
    assert set(alone["arm"]) == {"vq_begal", "random_foreground"}


def test_our_arm_and_the_ceiling_are_seen_in_the_learning_curves(found, benchmark):
    points, tests = (table[table["cohort"] == "ct"] for table in (found.points, found.tests))
    picture = benchmark_curves.learning_curves(
        points,
        tests,
        benchmark.panels(benchmark.rivals("ct")),
        ceiling="all",
        reference="random_foreground",
        title="a$_b$",
        name="curves",
    )
    for colour in (plotting.BLUE, plotting.VERMILION, plotting.ORANGE, plotting.GREEN):
        assert amount(picture.png, colour) > 500
    assert amount(picture.png, plotting.PURPLE) == 0
    assert picture.svg.startswith(b"<?xml")


def test_one_arm_at_one_budget_by_one_seed_can_be_drawn(benchmark):
    one = patients_table({"vq_begal": (0.5,)}, budgets=(5.0,), seeds=1)
    picture = benchmark_curves.learning_curves(
        statistics.curve(one),
        comparisons.paired_tests(one),
        benchmark.panels(["vq_begal"]),
        ceiling="all",
        reference="random_foreground",
        title="",
        name="one",
    )
    assert amount(picture.png, plotting.BLUE) > 100


def test_every_patient_gets_a_row_and_the_hardest_come_first_where_there_are_too_many(benchmark, monkeypatch):
    dice = pd.DataFrame({"vq_begal": [0.9, 0.4], "random_foreground": [0.8, 0.5]}, index=["easy", "hard"])
    styles = benchmark.panels(["vq_begal", "random_foreground"])[0]
    both = benchmark_differences.patient_dots(dice, styles, title="", name="dots")
    monkeypatch.setattr(benchmark_differences, "PATIENTS", 1)
    one = benchmark_differences.patient_dots(dice, styles, title="", name="dots")
    assert one.png == benchmark_differences.patient_dots(dice.loc[["hard"]], styles, title="", name="dots").png
    assert one.png != both.png


def test_a_report_can_be_written_after_the_first_round_of_the_first_run(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_diagnostics", lambda *_: [])
    patients = patients_table({"random": (0.5,)}, budgets=(1.0,), seeds=1, split="validation")
    folder = write_results(tmp_path / "early", patients, rounds_table(patients))
    (folder / "environment.json").write_text("{", "utf-8")
    (folder / "plan.toml").unlink()
    text = report.write_benchmark_report(folder, reporter=Reporter()).read_text("utf-8")
    assert "Dice on the validation patients" in text
    assert "nothing to compare with random_foreground yet" in text
    assert "No network has been evaluated on degraded inputs." in text
    assert "is damaged: it is not JSON" in text
    assert "nan" not in re.sub(r'src="[^"]*"', "", text).lower().replace("finan", "")


def test_the_diagnostics_are_part_of_the_report(tmp_path):
    (section,) = report._diagnostics(tmp_path, None, Reporter())
    assert section.notes == ["There is no run to look into yet."]


def test_no_results_and_no_evaluation_yet_are_said(tmp_path):
    with pytest.raises(InputError, match="no table of patients"):
        report.write_benchmark_report(tmp_path, reporter=Reporter())
    patients = patients_table({"random": (0.5,)}, budgets=(1.0,))
    write_results(tmp_path, patients.head(0), rounds_table(patients).head(0))
    with pytest.raises(InputError, match="evaluated yet"):
        report.markdown_tables(tmp_path)


def test_without_pandas_the_report_says_which_extra_brings_it(tmp_path, monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "pandas":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "pandas")
    with pytest.raises(MissingDependencyError, match=r"vqbegal\[benchmark\]"):
        report.write_benchmark_report(tmp_path, reporter=Reporter())


def test_markdown_names_groups_and_keeps_bars_inside_cells():
    table = Table(["a", "b"], [["x|y", "1"]], [["sum", "1"]], [("", 1), ("many", 1)])
    assert benchmark_tables.markdown(table) == "| a | many: b |\n| --- | ---: |\n| x\\|y | 1 |\n| sum | 1 |\n"

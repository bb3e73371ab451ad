"""The diagnostic sections of a benchmark run for a moment, whole, in part and damaged."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import image as images

from VQBEGALLib.errors import CancelledError
from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence import diagnosed_choices as choices
from VQBEGALLib.evidence import diagnosed_networks as networks
from VQBEGALLib.evidence import diagnostics as module
from VQBEGALLib.evidence.diagnostics import diagnostics
from VQBEGALLib.evidence.runs import find_runs
from VQBEGALLib.evidence.section import Section
from VQBEGALLib.evidence.view import View
from VQBEGALLib.study.roundstore import MODEL

CPU = torch.device("cpu")
QUIET = Reporter()
Part = Callable[[View], Section]
EXPECTED: dict[Part, str] = {
    networks.modalities: "Do the modalities share features?",
    networks.discriminator: "What the discriminator sees",
    choices.codebook: "Codebook",
    networks.noise: "Uncertainty under noise",
    networks.meaning: "What the entropy picks",
    choices.places: "Where each strategy picks",
}


def drawn(section) -> Iterator[np.ndarray]:
    for picture in section.pictures():
        yield images.imread(io.BytesIO(picture.png), format="png")


@pytest.fixture(scope="module")
def section(benchmark_made: Path) -> Callable[[Part], Section]:
    """Makes one section of the benchmark, each once."""

    @cache
    def make(part: Part) -> Section:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "PARTS", (part,))
            (made,) = diagnostics(benchmark_made, device=CPU, reporter=QUIET)
        return made

    return make


def test_the_report_has_all_parts():
    assert set(module.PARTS) == set(EXPECTED)


@pytest.mark.parametrize("part", EXPECTED, ids=lambda part: part.__name__)
def test_each_part_has_pictures_and_a_full_table(section, part):
    made = section(part)
    assert made.title == EXPECTED[part]
    assert made.picture is not None and made.picture.svg.startswith(b"<?xml")
    for pixels in drawn(made):
        assert pixels.std() > 0.02
    (_, table) = made.tables[0]
    assert table.rows and {len(row) for row in table.rows} == {len(table.columns)}


def test_networks_are_named_and_counted(section):
    rows = section(networks.modalities).tables[0][1].rows
    assert [row[0] for row in rows] == ["VQ-BEGAL, first round", "VQ + random", "VQ-BEGAL"]
    assert [row[2] for row in rows] == ["2", "1", "2"]


def test_an_arm_without_codebook_is_left_out(section):
    assert [row[0] for row in section(choices.codebook).tables[0][1].rows] == ["vq_begal"]


def test_a_strategy_that_lacks_its_network_is_said(section):
    assert any("mc_dropout" in note for note in section(networks.noise).notes)


def test_picks_after_the_first_round_are_counted(section):
    rows = section(choices.places).tables[0][1].rows
    assert [row[:2] for row in rows] == [["vq_begal", "8"], ["random", "4"], ["whole pool", "–"]]
    assert rows[-1][3:] == ["0.50", "0.29"]  # evenly spread: SD 1 / √12


def test_two_cohorts_are_told_apart(results, monkeypatch):
    monkeypatch.setattr(module, "PARTS", (choices.places,))
    shutil.copytree(results / "runs" / "ct" / "vq_begal", results / "runs" / "mr" / "vq_begal")
    head, *rows = (results / "picks.csv").read_text(encoding="utf-8").splitlines()
    mine = [row.replace("ct,", "mr,", 1) for row in rows if ",vq_begal," in row]
    (results / "picks.csv").write_text("\n".join([head, *rows, *mine]), encoding="utf-8")
    sections = diagnostics(results, device=CPU, reporter=QUIET)
    assert [each.title for each in sections] == [f"Where each strategy picks, {cohort}" for cohort in ("ct", "mr")]
    assert [each.picture.name for each in sections] == ["picked_ct", "picked_mr"]
    assert [len(each.tables[0][1].rows) for each in sections] == [3, 2]


def test_missing_networks_tables_and_arms_are_said(results):
    for path in results.glob(f"runs/*/*/*/rounds/*/{MODEL}"):
        path.unlink()
    (results / "picks.csv").unlink()
    (results / "runs" / "ct" / "random" / "seed0" / "study.json").write_text("{", encoding="utf-8")
    notes, *sections = diagnostics(results, device=CPU, reporter=QUIET)
    assert "ct, random, seed 0" in notes.notes[0]
    by_title = {section.title: section for section in sections}
    assert by_title["Codebook"].picture is not None  # what was written down is still there
    for title in set(EXPECTED.values()) - {"Codebook"}:
        assert by_title[title].picture is None and by_title[title].notes


def test_a_damaged_network_is_passed_over(results, monkeypatch):
    (results / "runs" / "ct" / "vq_begal" / "seed0" / "rounds" / "001" / MODEL).write_bytes(b"nothing")
    monkeypatch.setattr(module, "PARTS", (networks.modalities,))
    (first,) = diagnostics(results, device=CPU, reporter=QUIET)
    assert any("seed 0" in note for note in first.notes)
    assert [row[2] for row in first.tables[0][1].rows] == ["2", "1", "1"]


def test_no_run_is_said(tmp_path):
    (section,) = diagnostics(tmp_path, device=CPU, reporter=QUIET)
    assert section.notes == ["There is no run to look into yet."]


def test_a_person_can_stop_it(benchmark_made, tmp_path):
    asked = tmp_path / "cancel"
    asked.touch()
    with pytest.raises(CancelledError):
        diagnostics(benchmark_made, device=CPU, reporter=Reporter(cancel_file=asked))


def test_runs_come_by_seed_and_other_folders_are_none(results):
    shutil.copytree(results / "runs" / "ct" / "vq_begal" / "seed1", results / "runs" / "ct" / "vq_begal" / "seed10")
    (results / "runs" / "ct" / "vq_begal" / "seed2.part").mkdir()
    runs, notes = find_runs(results)
    assert [each.seed for each in runs if each.arm == "vq_begal"] == [0, 1, 10]
    assert notes == []
    assert runs[-1].budget(runs[-1].rounds[1]) == pytest.approx(100 * 10 / 28)


def test_a_plan_says_which_runs_count_and_what_their_budgets_are(results):
    plan = """
    budgets = [20, 35]
    seeds = [0, 1]
    strategies = ["vq_begal"]
    [cohorts.ct]
    primary = "a"
    primary_labels = "b"
    """
    (results / "plan.toml").write_text(plan, encoding="utf-8")
    runs, notes = find_runs(results)
    assert [(each.arm, each.seed) for each in runs] == [("vq_begal", 0), ("vq_begal", 1)]  # the folder of random stays
    assert notes == []
    assert [runs[0].budget(round_) for round_ in runs[0].rounds] == [20, 35]

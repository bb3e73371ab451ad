"""The report of a study run for a moment: all parts, missing parts, and text that would be markup."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import image as images

from VQBEGALLib.config import preset
from VQBEGALLib.errors import CancelledError, MissingDependencyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence.report import write_report
from VQBEGALLib.rounds import Material, Oracle, evaluate_round, run
from VQBEGALLib.study import Study
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.volumes import write_volume
from VQBEGALLib.volumes.phantom import make_subject

CPU = torch.device("cpu")
SPLITS = ["train", "train", "validation", "test"]
SETTINGS = {
    "size": 32,
    "steps": 8,
    "base_channels": 4,
    "codes": 16,
    "batch_size": 4,
    "unlabelled_per_step": 2,
    "seed_budget": 4,
    "round_budget": 4,
}
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Reads a page and fails where a tag is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.pictures: list[bytes] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.bold: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "src" and value.startswith("data:image/png;base64,"):
                self.pictures.append(base64.b64decode(value.partition(",")[2], validate=True))
            elif name in ("src", "href"):
                self.links.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["b"]:
            self.bold.append(data)
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def report_of(study: Study) -> Page:
    path = write_report(study, device=CPU, reporter=Reporter())
    return Page(path.read_text(encoding="utf-8"))


def subjects(folder: Path, *, auxiliary: bool = True, labels: bool = True, test: bool = True) -> list[NewSubject]:
    """Write four people's volumes, 32 × 32 in 8 slices."""
    folder.mkdir()
    found = []
    for number, split in enumerate(SPLITS if test else SPLITS[:3]):
        person = make_subject(number, ct_size=32, ct_slices=8, mr_size=32, mr_slices=6)
        paths = {}
        for name, volume, wanted in (
            ("primary", person.ct, True),
            ("auxiliary", person.mr, auxiliary),
            ("primary_reference", person.ct_labels, labels or split == "train"),
            ("auxiliary_reference", person.mr_labels, auxiliary),
        ):
            if wanted:
                paths[name] = folder / f"{number}_{name}.nii.gz"
                write_volume(paths[name], volume)
        found.append(NewSubject(f"case {number}", f"secret patient {number}", split, **paths))
    return found


def run_study(
    folder: Path, members: list[NewSubject], *, rounds: int = 2, strategy: str = "vq_begal", **changes
) -> Study:
    study = Study.create(folder, preset("tiny", {**SETTINGS, **changes}), members)
    run(study, strategy_name=strategy, rounds=rounds, oracle=Oracle(), device=CPU, reporter=Reporter())
    return study


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Study:
    """A study with two rounds, evaluated on the test split."""
    folder = tmp_path_factory.mktemp("report")
    study = run_study(folder / "a study", subjects(folder / "files"))
    with study.writing("evaluate"):
        evaluate_round(Material(study, Reporter()), 1, "test", device=CPU, reporter=Reporter())
    return study


@pytest.fixture(scope="module")
def written(finished, tmp_path_factory) -> Path:
    """Its report, in another folder."""
    path = tmp_path_factory.mktemp("written") / "deeper" / "summary.html"
    assert write_report(finished, path, device=CPU, reporter=Reporter()) == path
    return path


@pytest.fixture(scope="module")
def page(written) -> Page:
    return Page(written.read_text(encoding="utf-8"))


@pytest.fixture
def copy(finished, tmp_path) -> Study:
    shutil.copytree(finished.folder, tmp_path / "copy")
    return Study.open(tmp_path / "copy")


def edit(study: Study, index: int, change) -> None:
    """Change a round's file by hand."""
    path = study.folder / "rounds" / f"{index:03d}" / "round.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def test_the_report_has_every_part_and_every_case(finished, page):
    for title in ("Learning curve", "Results by patient", "Segmentations", "Chosen slices", "Codebook", "Annotation"):
        assert title in page.text
    for case in finished.subjects:
        assert case in page.text
    newest = finished.rounds()[1]
    for request in newest.requests:
        assert f"CT {request.case}, slice {request.slice}" in page.text
        assert f"entropy {request.score:.3f}" in page.text
    for found in (newest.metrics["validation"], *newest.metrics["test"].values()):
        for score in found["cases"].values():
            assert f"{score['dice']:.3f}" in page.text
            assert f"{score['hd95_mm']:.1f}" in page.text
    assert "8 of 16" in page.text
    assert "For research only" in page.text
    assert "not a medical device" in page.text


def test_the_report_needs_nothing_from_elsewhere_and_names_no_patient(finished, page):
    assert page.links == []
    assert "script" not in page.tags
    assert "secret patient" not in page.text
    assert str(finished.folder.parent) not in page.text


def test_figures_are_in_the_page_and_beside_it(written, page):
    files = {path.stem: path.read_bytes() for path in (written.parent / "figures").iterdir()}
    assert set(files.values()) == set(page.pictures)
    assert {"learning_curve", "losses", "scores", "codebook", "segmentation_0", "chosen_00", "chosen_03"} <= set(files)
    for png in page.pictures:
        pixels = images.imread(io.BytesIO(png), format="png")
        assert pixels.shape[0] > 20
        assert np.ptp(pixels[..., :3]) > 0


def test_the_report_stands_in_the_study_and_changes_no_other_file(copy):
    before = {path: path.read_bytes() for path in copy.folder.rglob("*") if path.is_file()}
    assert write_report(copy, device=CPU, reporter=Reporter()) == copy.folder / "report.html"
    assert {path: path.read_bytes() for path in before} == before
    assert not [finding for finding in copy.check() if finding.level == "error"]


def test_markup_in_names_is_shown_as_text(copy):
    def rename(data):
        found = data["metrics"]["validation"]
        found["cases"] = {'<b>bold</b> & "quoted"': found["cases"]["case 2"]}

    edit(copy, 1, rename)
    copy.log({"event": "command", "command": "vqbegal run <script>alert(1)</script>"})
    page = report_of(copy)
    assert '<b>bold</b> & "quoted"' in page.text
    assert "<script>alert(1)</script>" in page.text
    assert "script" not in page.tags
    assert "bold" not in page.bold


def test_an_empty_segmentation_is_a_failure_in_words(copy):
    def fail(data):
        data["metrics"]["test"]["without"]["cases"]["case 3"].update(dice=0.0, failed=True, volume_difference_ml=-900.0)
        data["metrics"]["test"]["without"]["summary"]["failures"] = 1

    edit(copy, 1, fail)
    page = report_of(copy)
    assert "CT alone: failed: nothing found" in page.text
    assert "CT alone: 1 of 1 failed" in page.text


def test_a_study_without_rounds_says_so(tmp_path):
    study = Study.create(tmp_path / "study", preset("tiny", SETTINGS), subjects(tmp_path / "files"))
    page = report_of(study)
    assert page.pictures == []
    assert page.text.count("No round is trained yet") == 3
    assert "No slice has been chosen yet." in page.text
    assert "No slice is annotated yet." in page.text


def test_a_study_without_auxiliary_codebook_references_and_scores_says_so(tmp_path):
    members = subjects(tmp_path / "files", auxiliary=False, labels=False, test=False)
    study = run_study(tmp_path / "study", members, strategy="random", quantize="false")
    page = report_of(study)
    for sentence in (
        "no auxiliary images",
        "No round has been evaluated",
        "No validation patient has been evaluated after this round.",
        "No test patient has been evaluated after this round.",
        "There are no reference labels.",
        "No round has scored the slices",
        "no slice had a partner in MR",
    ):
        assert sentence in page.text
    assert (study.folder / "figures" / "segmentation_0.png").is_file()


def test_a_network_without_codebook_still_shows_its_discriminator(tmp_path):
    study = run_study(tmp_path / "study", subjects(tmp_path / "files"), rounds=1, quantize="false")
    page = report_of(study)
    assert "The network has no codebook" in page.text
    assert "discriminator right" in page.text


@pytest.mark.parametrize("name", ["model.safetensors", "scores.csv"])
def test_a_damaged_file_costs_its_part_only(copy, name):
    (copy.folder / "rounds" / "001" / name).write_text("damaged")
    warnings = []
    path = write_report(
        copy,
        device=CPU,
        reporter=Reporter(lambda event: warnings.append(event) if event["event"] == "warning" else None),
    )
    assert "cannot be shown" in Page(path.read_text(encoding="utf-8")).text
    assert [name in event["text"] for event in warnings] == [True]


def test_a_figure_of_an_older_report_is_not_left_behind(copy):
    folder = copy.folder / "figures"
    folder.mkdir()
    for name in ("losses.png", "segmentation_9.png", "mine.png"):
        (folder / name).write_bytes(b"old")
    edit(copy, 1, lambda data: data["figures"].pop("history"))
    write_report(copy, device=CPU, reporter=Reporter())
    assert not (folder / "losses.png").exists()
    assert not (folder / "segmentation_9.png").exists()
    assert (folder / "mine.png").read_bytes() == b"old"
    assert (folder / "learning_curve.png").is_file()


def test_cancelling_leaves_no_report(copy, tmp_path):
    flag = tmp_path / "cancel"
    flag.touch()
    with pytest.raises(CancelledError):
        write_report(copy, device=CPU, reporter=Reporter(cancel_file=flag))
    assert not (copy.folder / "report.html").exists()


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_library_is_named_with_what_to_install(finished, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf'(?i){package}.*pip install "vqbegal\[report\]"'):
        write_report(finished, tmp_path / "report.html", device=CPU, reporter=Reporter())

"""Two organs from the references to scores: rounds, the oracle's noise, evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from VQBEGALLib.config import preset
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.metrics import dice, score, score_organs
from VQBEGALLib.rounds import Material, Oracle, evaluate_round, run
from VQBEGALLib.rounds.annotation import displaced
from VQBEGALLib.rounds.evaluation import segment_case
from VQBEGALLib.rounds.steps import load_round
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import NewSubject, gather
from VQBEGALLib.volumes import Volume, read_labelmap, write_volume
from VQBEGALLib.volumes.phantom import make_subject

CPU = torch.device("cpu")
QUIET = Reporter()
NAMES = ("spleen", "liver")
METRICS = ("dice", "hd95_mm", "assd_mm", "volume_difference_ml")


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small phantoms with the labels of two organs: s0 and s1 to train, s2 to validate, s3 to test."""
    folder = tmp_path_factory.mktemp("organs")
    for number in range(4):
        subject = make_subject(number, ct_size=48, ct_slices=14, mr_size=48, mr_slices=10, organs=NAMES)
        volumes = {"ct": subject.ct, "mr": subject.mr, "ct_organs": subject.ct_labels, "mr_organs": subject.mr_labels}
        for kind, volume in volumes.items():
            (folder / kind).mkdir(exist_ok=True)
            write_volume(folder / kind / f"s{number}.nii.gz", volume)
    split = {"train": ["s0", "s1"], "validation": ["s2"], "test": ["s3"]}
    (folder / "split.json").write_text(json.dumps(split), encoding="utf-8")
    return folder


@pytest.fixture
def create(tmp_path: Path, organs: Path, study_settings: dict[str, object]) -> Callable[..., Study]:
    """Makes studies of the two organs, in the order liver, spleen."""

    def make(
        *, primary_values: tuple[int, ...] = (2, 1), auxiliary_values: tuple[int, ...] = (2, 1), **changes
    ) -> Study:
        members = gather(
            organs / "ct",
            organs / "mr",
            primary_labels=organs / "ct_organs",
            auxiliary_labels=organs / "mr_organs",
            primary_values=primary_values,
            auxiliary_values=auxiliary_values,
            split=organs / "split.json",
        )
        settings = {**study_settings, "organ": "liver, spleen", **changes}
        return Study.create(tmp_path / "study", preset("small", settings), members)

    return make


def test_two_rounds_of_two_organs(create, organs):
    study = create(supervise="both")
    run(study, strategy_name="badge", rounds=2, oracle=Oracle(), device=CPU, reporter=QUIET)
    labels, reference = study.labels("s0"), study.reference("s0")
    given = read_labelmap(organs / "ct_organs" / "s0.nii.gz").voxels
    assert np.array_equal(reference.voxels == 1, given == 2) and np.array_equal(reference.voxels == 2, given == 1)
    slices = sorted(labels.annotations)
    assert np.array_equal(labels.labelmap.voxels[slices], reference.voxels[slices])
    examples = Material(study, QUIET).examples()
    assert set(np.unique([example.mask for example in examples])) == {0, 1, 2}
    partners = [example.auxiliary_mask for example in examples if example.auxiliary_mask is not None]
    assert set(np.unique(partners)) == {0, 1, 2}
    assert load_round(study, 1)[0].classes == 2
    assert study.check() == []
    with study.writing("evaluate"):
        found = evaluate_round(Material(study, QUIET), 1, "test", device=CPU, reporter=QUIET)
    for part in found.values():
        case = part["cases"]["s3"]
        assert list(case["organs"]) == ["liver", "spleen"] == list(part["summary"]["organs"])
        for metric in METRICS:
            assert case[metric] == pytest.approx(np.mean([scores[metric] for scores in case["organs"].values()]))
            assert part["summary"]["organs"]["spleen"][metric]["mean"] == case["organs"]["spleen"][metric]
        assert case["failed"] == any(scores["failed"] for scores in case["organs"].values())
    json.dumps(study.rounds()[1].to_json(), allow_nan=False)


def test_a_network_learns_two_organs_the_right_way_round(tmp_path, study_settings):
    generator, (y, x) = np.random.default_rng(0), np.mgrid[:32, :32]
    labels = np.zeros((20, 32, 32), np.uint8)
    for plane in labels:
        first, second = generator.uniform((8, 6), (24, 11)), generator.uniform((8, 21), (24, 26))
        plane[np.hypot(y - first[0], x - first[1]) < 6] = 5
        plane[np.hypot(y - second[0], x - second[1]) < 5] = 3
    image = np.choose(labels // 2, [-60, 40, 200]) + generator.normal(0, 20, labels.shape)  # of 0, 3 and 5
    for name, voxels in (("image", image.astype(np.int16)), ("labels", labels)):
        write_volume(tmp_path / f"{name}.nii.gz", Volume(voxels, np.eye(4)))
    member = NewSubject("a", "a", "train", tmp_path / "image.nii.gz", primary_reference=tmp_path / "labels.nii.gz")
    settings = {**study_settings, "organ": "dark, bright", "steps": 80, "seed_budget": 20, "learning_rate": 1e-2}
    member = replace(member, primary_values=(3, 5))
    study = Study.create(tmp_path / "study", preset("small", settings), [member])
    run(study, strategy_name="random", rounds=1, oracle=Oracle(), device=CPU, reporter=QUIET)
    model, material = load_round(study, 0)[0], Material(study, QUIET)
    found = segment_case(material, model, study.config, "a", "own", device=CPU, reporter=QUIET)
    scores = score_organs(found, study.reference("a"), study.config.organs)
    assert min(scores["dark"].dice, scores["bright"].dice) > 0.35
    assert max(dice(found.voxels == 1, labels == 5), dice(found.voxels == 2, labels == 3)) < 0.1


def test_an_organ_that_the_labels_do_not_know_is_left_out_of_the_mean(create):
    study = create(steps=20)
    run(study, strategy_name="random", rounds=1, oracle=Oracle(), device=CPU, reporter=QUIET)
    state = json.loads((study.folder / "study.json").read_text())
    for subject in state["subjects"]:
        subject["primary_reference"]["absent"] = [2]
    (study.folder / "study.json").write_text(json.dumps(state))
    study = Study.open(study.folder)
    with study.writing("evaluate"):
        material = Material(study, QUIET)
        found = evaluate_round(material, 0, "test", device=CPU, reporter=QUIET)
    part = found["with"] if "with" in found else next(iter(found.values()))
    case = part["cases"]["s3"]
    assert list(case["organs"]) == ["liver"] == list(part["summary"]["organs"])
    assert {name: case[name] for name in METRICS} == {name: case["organs"]["liver"][name] for name in METRICS}
    with pytest.raises(InputError, match=r"labels of s0 do not know spleen"):
        Oracle().check(study)


def test_partners_whose_labels_lack_an_organ_are_not_labelled(create):
    study = create(supervise="both", auxiliary_values=(2, 0))
    run(study, strategy_name="random", rounds=1, oracle=Oracle(), device=CPU, reporter=QUIET)
    assert study.labels("s0") is not None and study.labels("s0", "auxiliary") is None


@pytest.mark.parametrize(("tasks", "labelled"), [("liver", True), ("", False), ("spleen", False)])
def test_partners_are_labelled_where_they_know_all_that_ciml_asks_of_them(create, tasks, labelled):
    study = create(supervise="both", auxiliary_values=(2, 0), method="ciml", auxiliary_tasks=tasks)
    run(study, strategy_name="random", rounds=1, oracle=Oracle(), device=CPU, reporter=QUIET)
    assert any(study.labels(name, "auxiliary") is not None for name in ("s0", "s1")) == labelled


@pytest.mark.parametrize(
    ("changes", "auxiliary_values", "answers"),
    [
        ({"primary_tasks": "liver"}, (2, 1), True),
        ({"primary_tasks": "liver"}, (2, 0), False),  # the auxiliary stays unlabelled: the primary's labels stand in
        ({"primary_tasks": "liver", "auxiliary_tasks": "spleen"}, (0, 1), True),
        ({"primary_tasks": "liver", "supervise": "primary"}, (2, 1), False),
        ({"primary_tasks": "liver", "cold_start": "exemplar"}, (2, 1), False),
        ({"primary_tasks": "spleen"}, (2, 1), False),
        ({}, (2, 1), False),
    ],
)
def test_the_oracle_need_not_know_what_is_only_the_auxiliarys_task(create, changes, auxiliary_values, answers):
    settings = {"supervise": "both", "method": "ciml", **changes}
    study = create(primary_values=(2, 0), auxiliary_values=auxiliary_values, **settings)
    if answers:
        Oracle().check(study)
        return
    with pytest.raises(InputError, match=r"labels of s0 do not know spleen"):
        Oracle().check(study)


def test_one_organ_has_no_scores_by_organ(make):
    study = make()
    run(study, strategy_name="random", rounds=1, oracle=Oracle(), device=CPU, reporter=QUIET)
    validation = study.rounds()[0].metrics["validation"]
    assert "organs" not in validation["summary"]
    case = validation["cases"]["s2"]
    assert set(case) == {*METRICS, "failed"}
    material = Material(study, QUIET)
    model = load_round(study, 0)[0]
    made = segment_case(material, model, study.config, "s2", validation["auxiliary"], device=CPU, reporter=QUIET)
    assert {**vars(score(made, study.reference("s2")))} == case


def plane() -> np.ndarray:
    """Two organs side by side, and one apart."""
    y, x = np.mgrid[:80, :100]
    labels = np.zeros((80, 100), np.uint8)
    labels[np.hypot(y - 35, x - 30) < 18] = 1
    labels[(np.hypot(y - 35, x - 62) < 20) & (labels == 0)] = 2
    labels[np.hypot(y - 70, x - 15) < 7] = 3
    return labels


def test_each_organs_contour_moves_by_its_own_field_and_none_overlap():
    labels = plane()
    found = displaced(labels, (1.0, 1.0), 2.0, (5,))
    assert found.dtype == np.uint8 and set(np.unique(found)) == {0, 1, 2, 3}
    assert np.array_equal(found, displaced(labels, (1.0, 1.0), 2.0, (5,)))
    for value in (1, 2, 3):
        alone = displaced((labels == value) * np.uint8(value), (1.0, 1.0), 2.0, (5,)) == value
        assert not ((found == value) & ~alone).any()  # what one loses, a neighbour took
        lost = alone & (found != value)
        assert (found[lost] > 0).all()
        distance = ndimage.distance_transform_edt(labels != value)
        assert 0 < distance[found == value].max() < 9
    shifts = [displaced((labels == 1) * np.uint8(value), (1.0, 1.0), 2.0, (5,)) > 0 for value in (1, 2)]
    assert (shifts[0] != shifts[1]).any()  # not one field for all


def test_overlap_goes_to_the_contour_that_is_deeper():
    labels = plane()
    parts = [displaced((labels == value) * np.uint8(value), (1.0, 1.0), 4.0, (2,)) > 0 for value in (1, 2)]
    both = parts[0] & parts[1]
    assert both.sum() > 5
    found = displaced(labels, (1.0, 1.0), 4.0, (2,))
    assert set(np.unique(found[both])) <= {1, 2}
    assert np.array_equal(found[parts[0] & ~both] == 1, np.ones((parts[0] & ~both).sum(), bool))


def test_noisy_oracle_labels_organs_without_overlap(create):
    study = create()
    run(study, strategy_name="random", rounds=1, oracle=Oracle(4.0), device=CPU, reporter=QUIET)
    labels, reference = study.labels("s0").labelmap.voxels, study.reference("s0").voxels
    slices = sorted(study.labels("s0").annotations)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert (labels[slices] != reference[slices]).any()

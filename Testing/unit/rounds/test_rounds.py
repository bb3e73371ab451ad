"""Rounds: what is selected, taken, trained and evaluated, when a run stops, and what the oracle answers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy import ndimage

from VQBEGALLib.config import RoundSettings
from VQBEGALLib.errors import CancelledError, InputError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network.storage import save_model
from VQBEGALLib.rounds import (
    Material,
    Oracle,
    check_networks,
    evaluate_round,
    load_round,
    newest_trained,
    run,
    select,
    train_round,
    validate,
)
from VQBEGALLib.rounds.annotation import displaced
from VQBEGALLib.rounds.run import plateaued, stop_reason
from VQBEGALLib.study import Study
from VQBEGALLib.study.records import Round

CPU = torch.device("cpu")
QUIET = Reporter()
SLICES = 14
PLACES = [(0, "s0"), (1, "s1")]


def go(study: Study, *, rounds: int = 2, strategy: str = "vq_begal", oracle: Oracle | None = None, **more) -> str:
    options = {"device": CPU, "reporter": QUIET, **more}
    return run(study, strategy_name=strategy, rounds=rounds, oracle=oracle or Oracle(), **options)


def choose(study: Study, strategy: str = "random") -> Round:
    with study.writing("select"):
        return select(Material(study, QUIET), strategy, device=CPU, reporter=QUIET)


def learn(study: Study) -> Round:
    with study.writing("train"):
        material = Material(study, QUIET)
        return validate(material, train_round(material, device=CPU, reporter=QUIET), device=CPU, reporter=QUIET)


def places(round_: Round) -> list[tuple[str, int]]:
    return [(item.case, item.slice) for item in round_.requests]


def outcome(study: Study) -> dict[str, bytes]:
    """Selections, metrics, scores, weights and labels, byte by byte."""
    files = [path for name in ("round.json", "scores.csv") for path in study.folder.glob(f"rounds/*/{name}")]
    found = {str(path.relative_to(study.folder)): path.read_bytes() for path in files}
    for round_ in study.rounds():
        state = weights(study, round_.index)
        found |= {f"{round_.index} {name}": tensor.numpy().tobytes() for name, tensor in state.items()}
    for case in study.cases():
        labels = study.labels(case.name)
        found[case.name] = b"" if labels is None else labels.labelmap.voxels.tobytes()
    return found


def weights(study: Study, index: int) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in load_round(study, index)[0].state_dict().items()}


# Selecting and training ----------------------------------------------------------------------------------------


def test_the_first_round_is_drawn_evenly_from_the_training_patients(make):
    first = choose(make(), "vq_begal")
    assert (first.index, first.strategy, len(first.requests)) == (0, "stratified_random", 6)
    assert sorted(item.case for item in first.requests) == ["s0"] * 3 + ["s1"] * 3
    assert {item.role for item in first.requests} == {"all"} and {item.status for item in first.requests} == {"open"}


def test_later_rounds_ask_for_other_slices_with_roles_and_scores(make):
    study = make()
    go(study, rounds=2)
    first, second = study.rounds()
    assert len(second.requests) == 4 and not set(places(first)) & set(places(second))
    assert sorted(item.role for item in second.requests) == ["decoder", "decoder", "encoder", "encoder"]
    high = [item.score for item in second.requests if item.role == "decoder"]
    low = [item.score for item in second.requests if item.role == "encoder"]
    assert min(high) >= max(low)
    table = (study.folder / "rounds" / "001" / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 1 + 2 * SLICES - 6, "every slice of the pool has its score"
    assert [item.rank for item in second.requests] == [0, 1, 2, 3]


def test_roles_travel_into_the_labels(make):
    study = make()
    go(study, rounds=2)
    for item in study.rounds()[1].requests:
        labels = study.labels(item.case)
        assert labels is not None
        assert labels.annotations[item.slice].role == item.role and labels.annotations[item.slice].round == 1


def test_next_before_training_is_refused(make):
    study = make()
    choose(study)
    with pytest.raises(StudyError, match="Round 0 is not trained"):
        choose(study)
    assert len(study.rounds()) == 1


def test_training_before_selecting_or_labelling_is_refused(make):
    study = make()
    with pytest.raises(StudyError, match="no round yet"):
        learn(study)
    choose(study)
    with pytest.raises(InputError, match="no labelled slice"):
        learn(study)
    assert not study.rounds()[0].trained


def test_a_misspelt_strategy_is_told_before_anything_is_written(make):
    study = make()
    for attempt in (choose, lambda study, name: go(study, strategy=name)):
        with pytest.raises(InputError, match="no strategy 'luck'"):
            attempt(study, "luck")
    assert not study.rounds()


def test_fewer_labels_than_asked_are_enough_and_the_rest_may_be_asked_again(make, by_hand):
    study = make(round_budget=2 * SLICES)
    first = choose(study)
    done = [place for place in places(first) if place[0] == "s0"]
    by_hand(study, "s0", [index for _, index in done])
    trained = learn(study)
    assert trained.trained and trained.figures["labelled"] == 3
    assert study.ledger()["budget"]["used"] == 3
    second = choose(study)
    assert set(places(first)) - set(done) <= set(places(second))
    assert not set(done) & set(places(second))


def test_skipped_slices_are_never_asked_for_again(make, by_hand):
    study = make(round_budget=2 * SLICES)
    first = choose(study)
    by_hand(study, "s0", [index for case, index in places(first) if case == "s0"])
    skipped = [place for place in places(first) if place[0] == "s1"]
    study.set_status(0, skipped, "skipped")
    learn(study)
    second = choose(study)
    assert len(second.requests) == 2 * SLICES - 6 and not set(skipped) & set(places(second))


def test_slices_that_were_not_asked_for_train_everything_and_count(make, by_hand):
    study = make()
    first = choose(study)
    extra = next(index for index in range(SLICES) if ("s0", index) not in places(first))
    by_hand(study, "s0", [extra])
    assert learn(study).figures["labelled"] == 1
    labels = study.labels("s0")
    assert labels is not None and labels.annotations[extra].role == "all"
    assert study.ledger()["budget"]["used"] == 1


def test_labels_of_test_patients_train_nothing_and_cost_nothing(make):
    study = make()
    choose(study)
    reference = study.reference("s3")
    assert reference is not None
    study.put_labels("s3", reference, [3, 4], round=0)
    assert study.ledger()["budget"]["used"] == 0
    with pytest.raises(InputError, match="no labelled slice"):
        learn(study)


def test_training_again_takes_the_new_labels(make, by_hand):
    study = make()
    first = choose(study)
    by_hand(study, "s0", [index for case, index in places(first) if case == "s0"])
    before = learn(study)
    old = weights(study, 0)
    by_hand(study, "s1", [index for case, index in places(first) if case == "s1"])
    after = learn(study)
    assert (before.figures["labelled"], after.figures["labelled"]) == (3, 6)
    assert any(not torch.equal(old[name], tensor) for name, tensor in weights(study, 0).items())


def test_every_training_slice_is_in_labels_or_pool(make):
    study = make()
    go(study, rounds=2)
    material = Material(study, QUIET)
    examples = material.examples()
    labelled = {(example.pair.case, example.pair.slice) for example in examples}
    pool = {(pair.case, pair.slice) for pair in material.unlabelled(examples)}
    assert len(labelled) == 10 and not labelled & pool
    assert labelled | pool == {(case, index) for case in ("s0", "s1") for index in range(SLICES)}


@pytest.mark.parametrize("warm", [False, True])
def test_warm_start_begins_with_the_last_rounds_weights(make, warm):
    study = make(learning_rate=1e-8, weight_decay=0, warm_start=warm)
    go(study, rounds=1)
    model, path = load_round(study, 0)
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight.add_(0.5)  # far from the seed's initial weights; this learning rate keeps them where they are
    save_model(path, model, study.config)
    go(study, rounds=2)
    earlier, later = weights(study, 0), weights(study, 1)
    gap = max(float((earlier[name] - later[name]).abs().max()) for name in earlier if name.startswith("decoder."))
    assert gap < 1e-3 if warm else gap > 0.4


# Budget and stop -----------------------------------------------------------------------------------------------


def test_a_run_stops_when_its_rounds_are_done(make):
    study = make()
    assert go(study, rounds=1) == "All 1 rounds are done."
    assert go(study, rounds=1) == "All 1 rounds are done." and len(study.rounds()) == 1
    assert go(study, rounds=3) == "All 3 rounds are done." and len(study.rounds()) == 3


def test_a_run_of_no_rounds_is_refused(make):
    with pytest.raises(InputError, match="at least one round"):
        go(make(), rounds=0)


def test_a_run_stops_when_the_budget_is_spent_and_the_last_round_takes_what_is_left(make):
    study = make(total_budget=9)
    assert go(study, rounds=9) == "The budget of 9 slices is spent."
    assert [len(item.requests) for item in study.rounds()] == [6, 3]
    assert sorted(item.role for item in study.rounds()[1].requests) == ["decoder", "decoder", "encoder"]
    with pytest.raises(StudyError, match="budget of 9 slices is spent"):
        choose(study)


def test_a_total_budget_below_the_first_rounds_is_kept(make):
    study = make(total_budget=3)
    assert go(study, rounds=5) == "The budget of 3 slices is spent."
    assert [len(item.requests) for item in study.rounds()] == [3]


def test_a_run_stops_when_the_pool_is_empty(make):
    study = make(seed_budget=20, round_budget=20, total_budget=500)
    assert go(study, rounds=9, strategy="random") == "No slice is left to annotate."
    assert [len(item.requests) for item in study.rounds()] == [20, 2 * SLICES - 20]
    with pytest.raises(StudyError, match="No slice is left"):
        choose(study)


def with_curve(*curve: float | None) -> list[Round]:
    return [
        Round(
            index,
            "random",
            trained=True,
            metrics=None if dice is None else {"validation": {"summary": {"dice": {"mean": dice}}}},
        )
        for index, dice in enumerate(curve)
    ]


@pytest.mark.parametrize(
    ("curve", "stops"),
    [
        ([0.5], False),
        ([0.5, 0.5], False),
        ([0.5, 0.5, 0.5], True),
        ([0.5, 0.5, 0.51], False),
        ([0.5, 0.51, 0.5], False),
        ([0.6, 0.5, 0.4], True),
        ([0.5, 0.505, 0.509], True),
        ([0.2, 0.9, 0.9, 0.9], True),
        ([0.2, 0.9, 0.9, 0.92], False),
    ],
)
def test_a_plateau_is_no_gain_over_the_best_before(curve, stops):
    assert plateaued(curve, RoundSettings(plateau_delta=0.01, plateau_rounds=2)) is stops
    assert not plateaued(curve, RoundSettings(plateau_delta=0.01, plateau_rounds=0))


def test_a_run_stops_at_a_plateau(make):
    study = make(plateau_rounds=2, plateau_delta=0.01)
    material = Material(study, QUIET)
    assert stop_reason(with_curve(0.5, 0.5), 9, study, material) == ""
    assert "gained less than 0.01 over 2 rounds" in stop_reason(with_curve(0.5, 0.5, 0.5), 9, study, material)


def test_a_round_that_was_only_tested_does_not_count_for_the_plateau(make):
    study = make(plateau_rounds=1)
    tested = replace(with_curve(None)[0], metrics={"test": {}})
    assert stop_reason([tested, *with_curve(None, 0.5)], 9, study, Material(study, QUIET)) == ""


def test_a_whole_run_stops_at_a_plateau(make):
    study = make(plateau_rounds=1, plateau_delta=1)
    assert "gained less than 1 over 1 rounds" in go(study, rounds=9)
    assert len(study.rounds()) == 2


# Evaluation ----------------------------------------------------------------------------------------------------


def test_validation_is_noted_and_told(make):
    study, told = make(), []
    go(study, rounds=1, reporter=Reporter(told.append))
    validation = study.rounds()[0].metrics["validation"]
    assert list(validation["cases"]) == ["s2"] and validation["summary"]["n"] == 1
    event = next(event for event in told if event["event"] == "round")
    assert event["round"] == 0 and event["labelled"] == 6
    assert event["dice"]["mean"] == validation["summary"]["dice"]["mean"]


def test_a_study_without_validation_cases_runs_too(make, tmp_path):
    split = tmp_path / "split.json"
    split.write_text('{"train": ["s0", "s1", "s2"], "test": ["s3"]}', encoding="utf-8")
    study = make(split=split)
    assert go(study) == "All 2 rounds are done."
    assert [item.metrics for item in study.rounds()] == [None, None]


def test_evaluation_is_by_patient_without_and_with_the_auxiliary(make):
    study = make()
    go(study, rounds=1)
    with study.writing("evaluate"):
        found = evaluate_round(Material(study, QUIET), 0, "test", device=CPU, reporter=QUIET)
    assert set(found) == {"without", "with"}
    assert all(list(part["cases"]) == ["s3"] for part in found.values())
    assert (found["without"]["auxiliary"], found["with"]["auxiliary"]) == ("none", "any")
    noted = study.rounds()[0].metrics
    assert noted["test"] == found and "validation" in noted


def test_evaluating_another_split_leaves_the_round_as_it_is(make):
    study = make()
    go(study, rounds=1)
    before = study.rounds()[0]
    with study.writing("evaluate"):
        evaluate_round(Material(study, QUIET), 0, "train", device=CPU, reporter=QUIET)
    assert study.rounds()[0] == before


def test_evaluation_needs_a_trained_round_and_references(make):
    study = make(references=False)
    with pytest.raises(StudyError, match="Round 0 has no trained network"):
        load_round(study, 0)
    with pytest.raises(StudyError, match="No round"):
        newest_trained(study)
    choose(study)
    study.put_labels("s0", study.grid("s0"), [0, 1], round=0)
    learn(study)
    with study.writing("evaluate"), pytest.raises(StudyError, match="No case of the test split"):
        evaluate_round(Material(study, QUIET), 0, "test", device=CPU, reporter=QUIET)


def test_networks_are_checked(make):
    study = make()
    go(study, rounds=2)
    assert check_networks(study) == []
    path = study.folder / "rounds" / "001" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    findings = check_networks(study)
    assert [finding.level for finding in findings] == ["error"] and "Round 1" in findings[0].text


def test_a_network_of_other_settings_is_refused(make):
    study, other = make(), make("other", ct_window="-200,300")
    go(study, rounds=1)
    go(other, rounds=1)
    file = Path("rounds/000/model.safetensors")
    shutil.copy(other.folder / file, study.folder / file)
    with pytest.raises(StudyError, match="other settings"):
        load_round(study, 0)


def test_the_diagnosis_is_kept_with_the_round(make):
    study = make()
    go(study, rounds=1)
    diagnosis = study.rounds()[0].figures["diagnosis"]
    assert 0 <= diagnosis["discriminator_right"] <= 1
    assert diagnosis["codebook"]["entries"] == 16 == len(diagnosis["codebook"]["counts_primary"])
    assert diagnosis["codebook"]["shared"] <= min(diagnosis["codebook"]["primary"], diagnosis["codebook"]["auxiliary"])


# The ledger ----------------------------------------------------------------------------------------------------


def test_the_ledger_counts_slices_patients_and_pixels(make):
    study = make()
    go(study, rounds=2)
    ledger = study.ledger()
    asked = [place for round_ in study.rounds() for place in places(round_)]
    pixels = sum(int(np.count_nonzero(study.reference(case).voxels[index])) for case, index in asked)
    assert ledger["splits"]["train"] == {"slices": 10, "patients": 2, "foreground_pixels": pixels}
    assert {index: part["slices"] for index, part in ledger["rounds"].items()} == {"0": 6, "1": 4}
    assert ledger["budget"] == {"total": 512, "used": 10, "left": 502}


# The oracle ----------------------------------------------------------------------------------------------------


def test_the_oracle_copies_the_reference_on_the_slices_that_were_asked_for(make):
    study = make()
    go(study, rounds=1)
    for case in ("s0", "s1"):
        labels, reference = study.labels(case), study.reference(case)
        assert labels is not None and reference is not None
        for index in labels.annotations:
            assert np.array_equal(labels.labelmap.voxels[index], reference.voxels[index])
    assert all(item.status == "done" for item in study.rounds()[0].requests)


def test_the_oracle_needs_every_training_reference_before_it_begins(make):
    study = make(references=False)
    with pytest.raises(InputError, match="no reference labels of s0, s1"):
        go(study)
    assert not study.rounds()


def test_the_oracle_labels_partners_where_both_are_supervised(make):
    study, alone = make(supervise="both"), make("alone")
    go(study, rounds=1)
    go(alone, rounds=1)
    partners = {(item.partner, item.partner_slice) for item in study.rounds()[0].requests}
    found = {(case, index) for case in ("s0", "s1") for index in study.labels(case, "auxiliary").annotations}
    assert found == partners
    assert alone.labels("s0", "auxiliary") is None
    examples = Material(study, QUIET).examples()
    assert all(example.auxiliary_mask is not None for example in examples)


@pytest.mark.parametrize("noise", [-1.0, 51.0, float("nan"), float("inf")])
def test_a_boundary_noise_that_makes_no_sense_is_refused(noise):
    with pytest.raises(InputError, match="boundary noise"):
        Oracle(noise)


def disc(size: int = 160, radius: float = 45) -> np.ndarray:
    y, x = np.indices((size, size)) - (size - 1) / 2
    return (np.hypot(y, x) <= radius).astype(np.uint8)


@pytest.mark.parametrize("millimetres", [0.5, 1.0, 2.0, 4.0])
def test_boundary_noise_moves_the_contour_by_about_its_size(millimetres):
    mask, pixel = disc(), (0.8, 0.8)
    angle = np.arctan2(*(np.indices(mask.shape) - 79.5))
    sector = np.digitize(angle, np.linspace(-np.pi, np.pi, 49)) - 1
    radius = 45 * pixel[0]
    squares = []
    for seed in range(12):
        moved = displaced(mask, pixel, millimetres, (seed,))
        areas = [np.bincount(sector[each > 0], minlength=48) for each in (mask, moved)]
        squares.append(((np.sqrt(areas[1] / areas[0]) - 1) * radius) ** 2)  # a thin sector's area gives its radius
    assert 0.6 * millimetres < np.sqrt(np.mean(squares)) < 1.3 * millimetres


def test_boundary_noise_keeps_the_size_on_average():
    mask = disc()
    areas = [displaced(mask, (1, 1), 2.0, (seed,)).sum() for seed in range(30)]
    assert abs(np.mean(areas) / mask.sum() - 1) < 0.03


def test_boundary_noise_is_in_millimetres_along_both_axes():
    mask = disc()
    fine = displaced(mask, (1, 1), 2.0, (0,))
    coarse = displaced(mask, (4, 4), 2.0, (0,))
    assert (fine != mask).sum() > 2 * (coarse != mask).sum() > 0


def test_boundary_noise_moves_only_the_contour():
    mask = disc()
    changed = displaced(mask, (1, 1), 1.0, np.random.default_rng(0)) != mask
    depth = ndimage.distance_transform_edt(mask) + ndimage.distance_transform_edt(mask == 0)
    assert changed.any() and depth[changed].max() < 6


@pytest.mark.parametrize("value", [0, 1])
def test_boundary_noise_leaves_empty_and_full_slices(value):
    mask = np.full((20, 20), value, np.uint8)
    assert np.array_equal(displaced(mask, (1, 1), 3.0, np.random.default_rng(0)), mask)


def test_a_noisy_oracle_errs_alike_every_time(make):
    first, second = make("first", seed_budget=2 * SLICES), make("second", seed_budget=2 * SLICES)
    for study in (first, second):
        go(study, rounds=1, oracle=Oracle(3.0))
    assert outcome(first) == outcome(second)
    changed = 0
    for case in ("s0", "s1"):
        labels, reference = first.labels(case), first.reference(case)
        assert labels is not None and reference is not None
        for plane, truth in zip(labels.labelmap.voxels, reference.voxels, strict=True):
            assert plane.any() == truth.any() or truth.sum() < 40, "an empty slice stays empty"
            changed += int((plane != truth).sum())
    assert changed > 0


def test_two_cases_with_the_same_contour_are_disturbed_differently(make):
    study = make()
    contour = np.repeat(disc(48, 12)[None], SLICES, axis=0)
    first = choose(study).requests[0]
    alike = [replace(first, rank=rank, case=case, slice=5, partner=None, partner_slice=None) for rank, case in PLACES]
    round_ = Round(0, "random", tuple(alike))
    study.save_round(round_)
    with patch.object(Study, "reference", lambda self, case, which="primary": self.grid(case).with_voxels(contour)):
        Oracle(8.0).answer(study, round_, QUIET)
    planes = [study.labels(case).labelmap.voxels[5] for _, case in PLACES]
    assert planes[0].any() and not np.array_equal(planes[0], planes[1])


# Whole runs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["vq_begal", "random_foreground"])
def test_the_same_seed_gives_the_same_run_byte_by_byte(make, strategy):
    studies = [make(name, seed=3) for name in ("first", "second")]
    for study in studies:
        go(study, strategy=strategy)
    assert outcome(studies[0]) == outcome(studies[1])


def test_another_seed_gives_another_run(make):
    studies = [make(name, seed=seed) for seed, name in enumerate(("first", "second"))]
    for study in studies:
        go(study, rounds=1)
    assert places(studies[0].rounds()[0]) != places(studies[1].rounds()[0])


def test_a_run_in_two_parts_is_the_run_in_one(make):
    whole, parts = make("whole"), make("parts")
    go(whole, rounds=3)
    for rounds in (1, 2, 3):
        go(Study.open(parts.folder), rounds=rounds)
    assert outcome(whole) == outcome(parts)


def test_the_global_random_state_does_not_matter_and_stays(make):
    first, second = make("first"), make("second")
    go(first)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 (the point of the test)
    state = torch.random.get_rng_state()
    go(second)
    assert outcome(first) == outcome(second)
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_run_that_is_cancelled_goes_on_to_the_same_end(make, tmp_path):
    whole, broken = make("whole", checkpoint_seconds=0), make("broken", checkpoint_seconds=0)
    go(whole)
    stop, heard = tmp_path / "stop", []

    def listen(event: dict) -> None:
        heard.append(event["event"])
        if len(heard) in (3, 6, 9, 14):
            stop.touch()

    cancelled = 0
    while True:
        try:
            go(Study.open(broken.folder), reporter=Reporter(listen, cancel_file=stop))
            break
        except CancelledError:
            cancelled += 1
            stop.unlink()
    assert cancelled >= 3
    assert outcome(whole) == outcome(broken)


def test_a_person_may_finish_what_the_oracle_began(make, by_hand):
    study = make()
    go(study, rounds=1)
    second = choose(study)
    case = second.requests[0].case
    by_hand(study, case, [item.slice for item in second.requests if item.case == case])
    assert go(Study.open(study.folder), rounds=2) == "All 2 rounds are done."
    assert all(item.status == "done" for item in study.rounds()[1].requests)


def test_a_trained_round_is_not_labelled_further_by_a_run(make, by_hand):
    study = make()
    first = choose(study)
    by_hand(study, "s0", [item.slice for item in first.requests if item.case == "s0"])
    with study.writing("train"):
        train_round(Material(study, QUIET), device=CPU, reporter=QUIET)  # killed ahead of its validation
    go(Study.open(study.folder), rounds=1)
    assert study.rounds()[0].metrics is not None
    assert [item.status for item in study.rounds()[0].requests if item.case == "s1"] == ["open"] * 3


def test_networks_hold_their_settings_and_nothing_that_runs(make):
    study = make()
    go(study, rounds=1)
    with safe_open(study.folder / "rounds" / "000" / "model.safetensors", framework="np") as stream:
        assert json.loads(stream.metadata()["vqbegal"])["config"] == study.config.to_json()
    assert not (study.folder / "rounds" / "000" / "training.safetensors").exists()

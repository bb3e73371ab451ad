"""A study that begins from one annotated slice or case: trained at once, by CMEMS, and then as any other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from VQBEGALLib.errors import CancelledError, InputError, StorageError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.related.cmems import CMEMS
from VQBEGALLib.rounds import (
    Advance,
    Material,
    Oracle,
    advance,
    begin_with,
    check_networks,
    estimate,
    load_round,
    run,
    select,
    train_round,
)
from VQBEGALLib.rounds.exemplar import is_begun
from VQBEGALLib.study import Study, labelstore

CPU = torch.device("cpu")
QUIET = Reporter()


def go(study: Study, strategy: str = "vq_begal", **more) -> Advance:
    return advance(study, strategy_name=strategy, **{"device": CPU, "reporter": QUIET, **more})


def begun(study: Study, slices: list[int] | None = None) -> Study:
    reference = study.reference("s1")
    assert reference is not None
    begin_with(study, "s1", reference, slices)
    return study


@pytest.mark.parametrize("slices", [None, [6]])
def test_one_press_trains_on_the_exemplar_and_asks_for_the_next_slices(make, slices):
    study = begun(make(), slices)
    found = go(study)
    assert (found.round, found.trained, found.requests, found.stopped) == (1, True, 4, None)
    first, second = study.rounds()
    assert (first.strategy, first.requests, first.figures["labelled"]) == ("exemplar", (), 14 if slices is None else 1)
    assert second.strategy == "vq_begal"
    assert first.metrics is not None, "validated like any round"
    scores = [value for of_case in study.scores(1).values() for value in of_case.values()]
    assert np.isfinite(scores).all()
    assert len(scores) == 28 - first.figures["labelled"]
    assert study.check() == [] and check_networks(study) == []


def test_round_0_is_cmems_and_later_rounds_are_the_study_s(make):
    study, told = begun(make(warm_start=True)), []
    go(study)
    assert type(load_round(study, 0)[0]) is CMEMS
    for item in study.rounds()[1].requests:
        reference = study.reference(item.case)
        assert reference is not None
        study.put_labels(item.case, reference, [item.slice], round=1)
    go(study, reporter=Reporter(told.append))
    assert type(load_round(study, 1)[0]) is VQBEGAL
    texts = [event["text"] for event in told if event["event"] == "message" and "new weights" in event["text"]]
    assert texts == ["Round 0 was trained by cmems, round 1 is by vq_begal and begins with new weights."]


@pytest.mark.parametrize("method", ["plain", "primary-only", "cmc", "ciml"])
def test_a_study_of_any_method_may_begin_from_an_exemplar(make, method):
    study = begun(make(method=method), [6, 7])
    assert go(study).round == 1
    assert all(np.isfinite(list(found.values())).all() for found in study.scores(1).values())
    assert check_networks(study) == []


def test_a_study_of_cmems_goes_on_from_the_exemplar_s_weights(make):
    study, told = begun(make(method="cmems", warm_start=True, steps=1, learning_rate=1e-8, weight_decay=0.0)), []
    go(study)
    old = load_round(study, 0)[0]
    material = Material(study, QUIET)
    study.put_labels("s0", study.grid("s0"), [0], round=1)
    train_round(material, device=CPU, reporter=Reporter(told.append))
    new = load_round(study, 1)[0]
    assert not [event for event in told if "new weights" in event.get("text", "")]
    for part in ("encoder_c", "peer", "decoder"):
        pairs = zip(getattr(old, part).parameters(), getattr(new, part).parameters(), strict=True)
        assert all(torch.allclose(one, other, atol=1e-6) for one, other in pairs)


def test_without_labels_slices_of_one_case_are_asked_for(make):
    study = make(cold_start="exemplar", seed_budget=4)
    found = go(study)
    assert (found.round, found.trained, found.requests) == (0, False, 4)
    assert len({item.case for item in study.rounds()[0].requests}) == 1
    with pytest.raises(StudyError, match="No slice of round 0 is annotated yet"):
        go(study)


def test_an_oracle_s_run_begins_with_either(make):
    labelled, bare = begun(make("labelled")), make("bare", cold_start="exemplar")
    for study, asked, used in ((labelled, 0, 14), (bare, 6, 6)):
        run(study, strategy_name="random", rounds=2, oracle=Oracle(), device=CPU, reporter=QUIET)
        first, second = study.rounds()
        assert (len(first.requests), first.figures["labelled"]) == (asked, used)
        assert second.trained and second.figures["labelled"] == used + 4
        assert type(load_round(study, 0)[0]) is CMEMS and type(load_round(study, 1)[0]) is VQBEGAL


def test_selecting_and_training_by_steps_do_the_same(make):
    one, other = begun(make("one")), begun(make("other"))
    material = Material(one, QUIET)
    assert select(material, "random", device=CPU, reporter=QUIET).requests == ()
    train_round(material, device=CPU, reporter=QUIET)
    train_round(Material(other, QUIET), device=CPU, reporter=QUIET)  # writes round 0 itself
    weights = [load_round(study, 0)[0].state_dict() for study in (one, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_training_alone_begins_as_well(make):
    found = go(begun(make()), select=False)
    assert (found.round, found.trained, found.requests) == (0, True, 0)


def test_the_exemplar_s_network_stays_loadable_when_the_setting_changes(make):
    study = begun(make())
    go(study, select=False)
    study.configure({"cold_start": "diversity"})
    assert type(load_round(study, 0)[0]) is CMEMS


def test_labels_without_the_setting_do_not_begin_a_study(make):
    study = make()
    study.put_labels("s0", study.grid("s0"), [0], round=0)
    assert go(study).requests == 6
    assert study.rounds()[0].strategy == "stratified_random"


def test_a_corrected_exemplar_is_trained_again(make):
    study = begun(make(), [5, 6])
    go(study, select=False)
    assert not go(study, select=False).trained
    study.put_labels("s1", study.grid("s1"), [5], round=0)
    assert go(study, select=False).trained
    assert type(load_round(study, 0)[0]) is CMEMS


def test_what_cannot_begin_a_study_is_refused_and_changes_nothing(make):
    study = make()
    grid = study.grid("s1")
    for arguments, words in (
        (("s3", study.grid("s3")), "does not serve training"),
        (("s1", grid, [99]), "There is no slice 99"),
        (("s1", grid, []), "No slice is named"),
        (("s1", grid), "shows no liver"),
        (("s1", study.reference("s1"), [0]), "shows no liver"),
        (("s1", grid.with_voxels(np.full(grid.shape, 7, np.uint8))), "7|values"),
        (("nobody", grid), "nobody"),
    ):
        with pytest.raises(InputError, match=words):
            begin_with(study, *arguments)
    assert study.config.rounds.cold_start == "stratified_random"
    assert study.ledger()["slices"] == 0
    go(study)
    with pytest.raises(StudyError, match="begun already"):
        begin_with(study, "s1", grid)


def test_further_slices_may_be_empty_once_one_shows_the_organ(make):
    study = begun(make(), [6])
    assert begin_with(study, "s0", study.grid("s0"), [0]) == [0]
    assert study.ledger()["slices"] == 2


def cancelled(study: Study) -> Study:
    """A study whose first training was cancelled."""
    cancel = study.folder.parent / "cancel"
    cancel.touch()
    with pytest.raises(CancelledError):
        go(study, reporter=Reporter(cancel_file=cancel))
    assert [(item.requests, item.trained) for item in study.rounds()] == [((), False)]
    return study


def test_a_study_whose_exemplar_is_taken_back_begins_anew(make):
    study = cancelled(begun(make(), [5, 6]))
    study.remove_labels("s1", [5])
    assert len(study.rounds()) == 1, "one slice is left to train on"
    study.remove_labels("s1", [6])
    assert study.rounds() == [] and not study.ledger()["slices"]
    assert study.check() == []
    found = go(begun(study, [6]))
    assert (found.round, found.trained) == (1, True)


def test_a_kill_while_the_exemplar_is_taken_back_leaves_a_study_to_begin(make, monkeypatch):
    study = cancelled(begun(make(), [6]))

    def killed(*_arguments):
        raise StorageError("Killed.")

    monkeypatch.setattr(labelstore, "commit_labels", killed)
    with pytest.raises(StorageError):
        study.remove_labels("s1", [6])
    assert study.rounds() == [] and is_begun(study)


def test_other_rounds_stay_when_labels_are_taken_back(make, by_hand):
    study = begun(make(), [6])
    go(study, select=False)
    study.remove_labels("s1", [6])
    assert len(study.rounds()) == 1, "it is trained"
    asked = make("asked")
    go(asked)
    item = asked.rounds()[0].requests[0]
    by_hand(asked, item.case, [item.slice])
    asked.remove_labels(item.case, [item.slice])
    assert len(asked.rounds()) == 1, "it asks for slices"


def test_the_estimate_is_of_cmems_before_an_exemplar_s_first_training(make, monkeypatch):
    from VQBEGALLib.rounds import estimating

    seen = []
    train = estimating.train

    def spy(*arguments, **more):
        seen.append(arguments[3].network.architecture)
        return train(*arguments, **more)

    monkeypatch.setattr(estimating, "train", spy)
    monkeypatch.setattr(estimating, "PATIENCE", 0.0)
    study = begun(make(steps=1))
    estimate(study, device=CPU, reporter=QUIET)
    go(study)
    estimate(study, device=CPU, reporter=QUIET)
    assert seen == ["cmems", "vq_begal"]

"""One call does what comes before the next annotation, whatever of it was done before."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from VQBEGALLib.errors import CancelledError, InputError, OutOfMemoryError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.rounds import Advance, advance, advancing
from VQBEGALLib.study import Study

CPU = torch.device("cpu")
QUIET = Reporter()


def go(study: Study, strategy: str = "random", **more) -> Advance:
    return advance(study, strategy_name=strategy, **{"device": CPU, "reporter": QUIET, **more})


@pytest.fixture
def answer(by_hand) -> Callable[..., None]:
    """Labels the open slices of the newest round, of one case or of all."""

    def put(study: Study, *cases: str) -> None:
        asked = [item for item in study.rounds()[-1].requests if item.status == "open"]
        for case in cases or sorted({item.case for item in asked}):
            by_hand(study, case, [item.slice for item in asked if item.case == case])

    return put


def asked_cases(study: Study) -> set[str]:
    return {item.case for item in study.rounds()[-1].requests}


def by_round(study: Study) -> dict[str, int]:
    return {case: found.round for case, found in study.predictions().items()}


def test_the_path_of_one_button(make, answer):
    study = make()
    first = go(study, "vq_begal")
    assert (first.round, first.trained, first.requests, first.stopped, first.advice) == (0, False, 6, None, None)
    assert first.seconds > 0 and study.predictions() == {}
    answer(study)
    second = go(study, "vq_begal")
    assert (second.round, second.trained, second.requests) == (1, True, 4)
    assert study.rounds()[0].metrics is not None, "the trained round is validated"
    assert by_round(study) == dict.fromkeys(asked_cases(study), 0)
    assert study.scores(1) and study.check() == []


def test_a_round_without_a_label_asks_to_annotate_first(make, answer):
    study = make()
    go(study)
    for select in (True, False):
        with pytest.raises(
            StudyError, match=r"No slice of round 0 is annotated yet\. Annotate at least one of the slices"
        ):
            go(study, select=select)
    answer(study)
    go(study)
    before = study.rounds()
    with pytest.raises(StudyError, match="round 1 is annotated"):
        go(study)
    assert study.rounds() == before


def test_fewer_labels_than_asked_are_enough_and_the_rest_is_told(make, answer):
    study, told = make(), []
    go(study)
    answer(study, "s0")
    assert go(study, reporter=Reporter(told.append)).round == 1
    messages = [event["text"] for event in told if event["event"] == "message"]
    assert "Round 0: 3 slices without annotation may be asked for again." in messages
    assert study.rounds()[0].figures["labelled"] == 3


def test_a_round_that_was_skipped_altogether_may_be_passed(make, answer):
    study = make()
    go(study)
    answer(study)
    go(study)
    study.set_status(1, [(item.case, item.slice) for item in study.rounds()[1].requests], "skipped")
    assert go(study).round == 2 and study.rounds()[1].trained


def test_only_train_selects_nothing_and_shows_all_cases_that_serve_the_training(make, answer):
    study = make()
    with pytest.raises(StudyError, match="no round yet"):
        go(study, select=False)
    go(study)
    answer(study, "s0")
    trained = go(study, select=False)
    assert (trained.round, trained.trained, trained.requests, trained.stopped) == (0, True, 0, None)
    assert by_round(study) == {"s0": 0, "s1": 0, "s2": 0}
    assert len(study.rounds()) == 1
    assert not go(study, select=False).trained, "there is nothing new to learn"
    answer(study, "s1")
    again = go(study)
    assert again.trained and again.round == 1, "labels that came after the training are learnt too"
    assert study.rounds()[0].figures["labelled"] == 6


def test_a_corrected_label_is_something_new(make, answer):
    study = make()
    go(study)
    answer(study)
    go(study, select=False)
    item = study.rounds()[0].requests[0]
    study.put_labels(item.case, study.grid(item.case), [item.slice], round=0)
    assert go(study, select=False).trained


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"total_budget": 6}, "The budget of 6 slices is spent."), ({"seed_budget": 28}, "No slice is left to annotate.")],
)
def test_the_end_is_a_result_with_all_cases_segmented(make, answer, changes, reason):
    study = make(**changes)
    go(study)
    answer(study)
    for trained in (True, False):
        found = go(study)
        assert (found.round, found.trained, found.requests, found.stopped) == (0, trained, 0, reason)
    assert by_round(study) == {"s0": 0, "s1": 0, "s2": 0}
    assert study.events("stopped")[-1]["reason"] == reason


def test_a_flat_curve_gives_advice_and_stops_nothing(make, answer):
    study = make(plateau_rounds=1, plateau_delta=1)
    for _ in range(2):
        assert go(study).advice is None
        answer(study)
    found = go(study)
    assert found.advice == "Validation Dice gained less than 1 over 1 rounds. More slices may no longer pay."
    assert found.requests == 4 and found.stopped is None


def test_what_cannot_begin_changes_nothing(make):
    study = make()
    with pytest.raises(InputError, match="no strategy 'luck'"):
        go(study, "luck")
    empty = Study.create(study.folder.with_name("empty"), study.config, [])
    with pytest.raises(StudyError, match="no training case yet"):
        go(empty)
    assert not study.rounds()


def test_a_cancelled_call_goes_on_to_the_same_end(make, answer, tmp_path):
    whole, broken = make("whole", checkpoint_seconds=0), make("broken", checkpoint_seconds=0)
    for study in (whole, broken):
        go(study, "vq_begal")
        answer(study)
    expected = go(whole, "vq_begal")
    stop, heard, cancelled = tmp_path / "stop", 0, 0

    def listen(event: dict) -> None:
        nonlocal heard
        heard += 1
        if heard > 4 + cancelled:  # later each time: a selection that was cancelled begins again
            stop.touch()

    while True:
        try:
            heard = 0
            found = go(Study.open(broken.folder), "vq_begal", reporter=Reporter(listen, cancel_file=stop))
            break
        except CancelledError:
            cancelled += 1
            stop.unlink()
    assert cancelled >= 3 and (found.round, found.requests) == (expected.round, expected.requests)
    assert broken.rounds() == whole.rounds() and by_round(broken) == by_round(whole)
    assert [broken.uncertainty(case) for case in sorted(asked_cases(whole))] == [
        whole.uncertainty(case) for case in sorted(asked_cases(whole))
    ]


# A device that is too small ------------------------------------------------------------------------------------


@pytest.fixture
def small_gpu(monkeypatch) -> list[str]:
    """A step that computes on anything but the processor fails; the list holds the names of those that tried."""
    tried = []

    def failing(name: str) -> Callable:
        real = getattr(advancing, name)

        def step(*words, device: torch.device, **more):
            if device.type != "cpu":
                tried.append(name)
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
            return real(*words, device=device, **more)

        return step

    for name in ("train_round", "choose", "segment_cases"):
        monkeypatch.setattr(advancing, name, failing(name))
    return tried


def test_the_processor_takes_over_where_a_gpu_is_too_small(make, answer, small_gpu):
    study, told = make(), []
    go(study)
    answer(study)
    gpu = {"device": torch.device("cuda"), "reporter": Reporter(told.append)}
    with pytest.raises(torch.cuda.OutOfMemoryError):
        go(study, **gpu)
    assert go(study, **gpu, fallback=True).requests == 4
    warnings = [event["text"] for event in told if event["event"] == "warning"]
    assert len(warnings) == 1 and "cuda device has too little memory" in warnings[0]
    assert small_gpu == ["train_round", "train_round"], "the rest is left to the processor at once"


def test_selecting_alone_falls_back_too(make, small_gpu):
    study = make()
    assert go(study, device=torch.device("cuda"), fallback=True).requests == 6
    assert small_gpu == ["choose"]


def test_other_errors_and_a_full_processor_are_not_repeated(make, answer, monkeypatch):
    study, calls = make(), []
    go(study)
    answer(study)

    def step(*words, device: torch.device, **more):
        calls.append(device.type)
        raise OutOfMemoryError("Too large.") if device.type == "cpu" else ValueError("no memory involved")

    monkeypatch.setattr(advancing, "train_round", step)
    with pytest.raises(OutOfMemoryError):
        go(study, fallback=True)
    with pytest.raises(ValueError, match="no memory"):
        go(study, device=torch.device("cuda"), fallback=True)
    assert calls == ["cpu", "cuda"]

"""Events tell what a job does; a cancel file ends it at the next step."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import VQBEGALLib.events
from VQBEGALLib.errors import CancelledError
from VQBEGALLib.events import OWNER_INTERVAL, PROGRESS_INTERVAL, Event, Reporter, json_lines, plural


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def reporter(events: list[Event], clock: Clock) -> Reporter:
    return Reporter(events.append, clock=clock)


def progress(events: list[Event]) -> list[Event]:
    return [event for event in events if event["event"] == "progress"]


def test_a_stage_announces_itself_and_its_last_unit(reporter, events, clock):
    with reporter.stage("train", 3) as stage:
        for _ in range(3):
            stage.advance()
    assert events[0] == {"event": "stage", "stage": "train", "total": 3, "unit": "step", "done": 0}
    assert len(progress(events)) == 1
    assert progress(events)[0]["done"] == 3


def test_progress_is_sent_at_most_once_an_interval(reporter, events, clock):
    with reporter.stage("score", 100) as stage:
        for _ in range(100):
            clock.now += PROGRESS_INTERVAL / 10
            stage.advance()
    assert 9 <= len(progress(events)) <= 11


def test_time_left_follows_the_pace_so_far(reporter, events, clock):
    with reporter.stage("train", 10) as stage:
        clock.now = 4.0
        stage.advance(2)
    assert events[1]["seconds"] == 4.0
    assert events[1]["seconds_left"] == 16.0


def test_a_resumed_stage_does_not_count_earlier_units_into_its_pace(reporter, events, clock):
    with reporter.stage("train", 10, done=8) as stage:
        clock.now = 3.0
        stage.advance()
    assert events[0]["done"] == 8
    assert (events[1]["done"], events[1]["seconds_left"]) == (9, 3.0)


def test_an_empty_stage_has_no_time_left_to_tell(reporter, events):
    with reporter.stage("score", 0):
        pass
    assert progress(events)[0]["seconds_left"] is None


def test_figures_travel_with_the_progress(reporter, events, clock):
    with reporter.stage("train", 2) as stage:
        clock.now = 1.0
        stage.advance(loss=0.25)
    assert events[1]["loss"] == 0.25


def test_a_failing_stage_does_not_claim_progress(reporter, events):
    with pytest.raises(ValueError, match="broken"), reporter.stage("train", 2):
        raise ValueError("broken")
    assert progress(events) == []


def test_messages_and_warnings_keep_their_text(reporter, events):
    reporter.message("ready")
    reporter.warn("few slices")
    assert events == [{"event": "message", "text": "ready"}, {"event": "warning", "text": "few slices"}]


def test_a_cancel_file_stops_the_stage_at_its_next_step(tmp_path: Path, events, clock):
    cancel = tmp_path / "cancel"
    reporter = Reporter(events.append, cancel_file=cancel, clock=clock)
    with pytest.raises(CancelledError), reporter.stage("train", 5) as stage:
        stage.advance()
        cancel.touch()
        stage.advance()
        pytest.fail("the step after the cancel file was reached")


def test_a_cancel_file_from_before_keeps_a_stage_from_beginning(tmp_path: Path, events):
    cancel = tmp_path / "cancel"
    cancel.touch()
    with pytest.raises(CancelledError), Reporter(events.append, cancel_file=cancel).stage("train", 5):
        pytest.fail("the stage began")
    assert events == []


def test_a_job_ends_with_the_process_that_it_is_done_for(events, clock):
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    reporter = Reporter(events.append, owner=owner.pid, clock=clock)
    with pytest.raises(CancelledError, match="has ended"), reporter.stage("train", 5) as stage:
        stage.advance()
        owner.communicate()
        stage.advance()  # looked a moment ago
        clock.now += OWNER_INTERVAL
        stage.advance()
        pytest.fail("the step after the owner's end was reached")


def test_a_silent_reporter_stops_for_the_same_reasons(tmp_path, events, monkeypatch):
    cancel = tmp_path / "cancel"
    reporter = Reporter(events.append, cancel_file=cancel, owner=os.getpid())
    with reporter.silent().stage("segment", 1) as stage:
        stage.advance()
    monkeypatch.setattr(VQBEGALLib.events, "alive", lambda pid: False)
    with pytest.raises(CancelledError):
        reporter.silent().check_cancelled()
    monkeypatch.undo()
    cancel.touch()
    with pytest.raises(CancelledError):
        reporter.silent().check_cancelled()
    assert events == []


def test_without_a_cancel_file_nothing_is_cancelled(reporter):
    reporter.check_cancelled()


def test_json_lines_are_one_object_a_line_in_plain_unicode():
    stream = io.StringIO()
    reporter = Reporter(json_lines(stream))
    reporter.message("Größe\nzwei")
    reporter.emit("result", dice=0.5)
    lines = stream.getvalue().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"event": "message", "text": "Größe\nzwei"},
        {"event": "result", "dice": 0.5},
    ]
    assert "Größe" in lines[0]


def test_json_lines_refuse_values_that_json_does_not_have():
    with pytest.raises(ValueError, match="JSON"):
        Reporter(json_lines(io.StringIO())).emit("result", dice=float("nan"))


@pytest.mark.parametrize(("count", "text"), [(0, "0 slices"), (1, "1 slice"), (2, "2 slices")])
def test_numbers_of_things_agree_with_their_names(count, text):
    assert plural(count, "slice") == text

"""The command line as a person and as the panel use it."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import VQBEGALLib.network.device
import VQBEGALLib.rounds
from VQBEGALLib import __version__
from VQBEGALLib.cli.parser import build_parser
from VQBEGALLib.cli.tables import slice_numbers
from VQBEGALLib.cli.terminal import TextOutput
from VQBEGALLib.errors import InputError, MissingDependencyError, OutOfMemoryError, StorageError, as_told
from VQBEGALLib.events import Reporter
from VQBEGALLib.study import Study
from VQBEGALLib.volumes import read_volume

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CPU = ("--device", "cpu")
KINDS = {"device", "stage", "progress", "message", "warning", "round", "result", "error"}
SENTENCES = re.compile(r"vqbegal: .+\..*\n")


def one_sentence(told) -> bool:
    """One line for a person: problem and remedy, no traceback, nothing on standard output."""
    last = told.err.splitlines(keepends=True)[-1] if told.err else ""
    return bool(SENTENCES.fullmatch(last)) and "Traceback" not in told.err and not told.out


def parsers(parser: argparse.ArgumentParser, name: str = "") -> dict[str, argparse.ArgumentParser]:
    """Every command's parser by name, subcommands included."""
    found = {name: parser} if name else {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, part in action.choices.items():
                found |= parsers(part, f"{name} {word}".strip())
    return found


COMMANDS = parsers(build_parser())


# The path by hand ----------------------------------------------------------------------------------------------


def test_the_whole_path_by_hand(call, create, label, cohort, tmp_path):
    study = tmp_path / "study"
    made = call("study", "create", study, *create(cohort))
    assert made.code == 0 and "select the first slices" in made.out

    for round_, asked in enumerate((6, 4)):
        told = call("next", study, *CPU)
        assert told.code == 0 and f"Round {round_} asks for {asked} slices" in told.out
        status = json.loads(call("status", study, "--json").out)
        assert status["open"] == asked == sum(map(len, status["open_slices"].values()))
        label(study)
        assert json.loads(call("status", study, "--json").out)["open"] == 0
        told = call("train", study, *CPU)
        assert told.code == 0 and f"Round {round_} is trained." in told.out

    source = cohort / "ct" / "s3.nii.gz"
    for name, words in (("alone.nii.gz", ()), ("both.nrrd", ("--auxiliary", cohort / "mr" / "s3.nii.gz"))):
        told = call("predict", study, "--primary", source, *words, "-o", tmp_path / name, *CPU)
        assert told.code == 0, told.err
        labelmap = read_volume(tmp_path / name)
        assert labelmap.same_grid(read_volume(source)) and set(np.unique(labelmap.voxels)) <= {0, 1}

    told = call("evaluate", study, *CPU)
    assert told.code == 0 and "without auxiliary" in told.out and "with auxiliary" in told.out and "s3" in told.out
    status = call("status", study)
    assert status.code == 0 and "annotated  10 slices" in status.out and "validation Dice" in status.out
    checked = call("check", study)
    assert (checked.code, checked.out) == (0, "The study is whole.\n")


def test_label_reports_what_is_empty_unasked_or_of_another_split(call, trained, cohort):
    assert call("next", trained, *CPU).code == 0
    asked = {(item.case, item.slice) for item in Study.open(trained).rounds()[-1].requests}
    extra = next(place for place in range(14) if ("s0", place) not in asked)
    labels = cohort / "ct_liver"
    told = call("label", trained, "s0", labels / "s0.nii.gz", "--slices", extra)
    assert told.code == 0 and f"did not ask for slices {extra}" in told.err
    told = call("label", trained, "s3", labels / "s3.nii.gz", "--slices", "0")
    assert told.code == 0 and "is in the test split" in told.err and "no liver on slices 0" in told.err
    told = call("label", trained, "s0", cohort / "mr_liver" / "s0.nii.gz", "--slices", 5, "--which", "auxiliary")
    assert told.code == 0 and "supervise=both" in told.err


def test_status_shows_which_slices_wait(call, new, cohort):
    call("next", new, *CPU)
    requests = Study.open(new).rounds()[0].requests
    case = requests[0].case
    slices = sorted(item.slice for item in requests if item.case == case)
    assert f"open       {case}: {', '.join(map(str, slices))}" in call("status", new).out


def test_next_and_evaluate_print_json(call, new, trained):
    requests = json.loads(call("next", trained, "--json", *CPU).out)
    assert requests["index"] == 1 and {"case", "slice", "role", "score"} <= requests["requests"][0].keys()
    scores = json.loads(call("evaluate", trained, "--split", "validation", "--json", *CPU).out)
    assert scores["split"] == "validation" and 0 <= scores["with"]["summary"]["dice"]["mean"] <= 1


def test_advance_does_all_between_two_annotations(call, new, label):
    assert "Round 0 asks for 6 slices." in call("advance", new, *CPU).out
    label(new)
    events = call("advance", new, "--strategy", "random", "--events", "json", *CPU).events
    assert {key: events[-1][key] for key in ("round", "trained", "requests", "stopped", "advice")} == {
        "round": 1,
        "trained": True,
        "requests": 4,
        "stopped": None,
        "advice": None,
    }
    assert {"train", "evaluate validation", "segment"} <= {event.get("stage") for event in events}
    told = call("advance", new, *CPU)
    assert told.code == 4 and one_sentence(told) and "Annotate at least one" in told.err
    label(new)
    assert call("advance", new, "--only-train", *CPU).out == "Round 1 is trained.\n"
    assert call("study", "set", new, "total_budget=10").code == 0
    assert call("advance", new, *CPU).out == "The budget of 10 slices is spent.\n"


def test_estimate_says_what_a_round_costs(call, new, monkeypatch, digest):
    monkeypatch.setattr(VQBEGALLib.rounds.estimating, "PATIENCE", 0.1)
    before = digest(new)
    result = call("estimate", new, "--events", "json", *CPU).events[-1]
    assert {"seconds", "memory_mb", "available_mb", "device", "basis"} <= result.keys() and result["memory_mb"] > 0
    assert "A round takes about" in call("estimate", new, *CPU).out
    assert digest(new) == before


def test_auto_falls_back_to_the_processor(call, trained, monkeypatch):
    monkeypatch.setattr(VQBEGALLib.network.device, "choose_device", lambda name, **more: torch.device("cuda"))
    real = VQBEGALLib.rounds.segment_cases

    def on_processor_only(*words, device: torch.device, **more):
        if device.type != "cpu":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return real(*words, device=device, **more)

    monkeypatch.setattr(VQBEGALLib.rounds, "segment_cases", on_processor_only)
    told = call("segment", trained, "s2")
    assert told.code == 0 and "Warning: The cuda device has too little memory" in told.err
    told = call("segment", trained, "s2", "--device", "cuda")
    assert told.code == 7 and one_sentence(told)


def test_segment_keeps_labelmaps_in_the_study(call, trained, new):
    told = call("segment", trained, "s2", *CPU)
    assert told.code == 0 and "s2.nii.gz (network of round 0)" in told.out
    assert call("segment", trained, "--events", "json", *CPU).events[-1]["predictions"].keys() == {
        f"s{number}" for number in range(4)
    }
    assert Study.open(trained).predictions().keys() == {"s0", "s1", "s2", "s3"}
    for words in ((trained, "nobody"), (new,)):
        told = call("segment", *words, *CPU)
        assert told.code in (3, 4) and one_sentence(told)


def test_test_cases_can_be_added_alone(call, new, cohort, tmp_path):
    (tmp_path / "more").mkdir()
    shutil.copy(cohort / "ct" / "s3.nii.gz", tmp_path / "more" / "late.nii.gz")
    (tmp_path / "split.json").write_text('{"test": ["late"]}', encoding="utf-8")
    told = call("study", "add", new, "--primary", tmp_path / "more", "--split", tmp_path / "split.json")
    assert told.code == 0, told.err
    assert Study.open(new).subjects["late"].split == "test"


def test_a_study_may_begin_without_cases_and_says_what_it_lacks(call, create, cohort, tmp_path):
    study, options = tmp_path / "study", create(cohort)
    made = call("study", "create", study, *options[options.index("--set") :])
    assert made.code == 0 and "add a case" in made.out, made.err
    for words in (("next",), ("train",), ("run", "--rounds", "1")):
        told = call(words[0], study, *words[1:], *CPU)
        assert told.code == 4 and one_sentence(told) and "no training case yet" in told.err
    assert call("check", study).out == "The study is whole.\n"
    assert call("study", "add", study, *options[: options.index("--set")]).code == 0
    assert call("next", study, *CPU).code == 0


def test_files_without_the_volumes_to_segment_make_no_study(call, cohort, tmp_path):
    told = call("study", "create", tmp_path / "study", "--auxiliary", cohort / "mr")
    assert told.code == 3 and one_sentence(told) and "--primary" in told.err
    assert not list(tmp_path.iterdir())


def test_cases_are_moved_and_removed_while_no_round_uses_them(call, new):
    assert call("study", "split", new, "s1", "test").code == 0
    assert call("study", "remove", new, "s2", "s3").code == 0
    assert {name: item.split for name, item in Study.open(new).subjects.items()} == {"s0": "train", "s1": "test"}
    assert call("advance", new, *CPU).code == 0
    for words in (("split", new, "s0", "test"), ("remove", new, "s1", "s0")):
        told = call("study", *words)
        assert told.code == 4 and one_sentence(told) and "Round 0 asks for slices of 's0'." in told.err
    told = call("study", "remove", new, "nobody")
    assert told.code == 3 and one_sentence(told)
    assert call("check", new).out == "The study is whole.\n"


# Runs ----------------------------------------------------------------------------------------------------------


def test_run_goes_on_only_when_told_to(call, new):
    assert call("run", new, "--rounds", 1, *CPU).code == 0
    told = call("run", new, "--rounds", 2, *CPU)
    assert told.code == 4 and "--resume" in told.err and one_sentence(told)
    assert len(Study.open(new).rounds()) == 1
    told = call("run", new, "--rounds", 2, "--resume", *CPU)
    assert told.code == 0 and "All 2 rounds are done." in told.out


def test_run_goes_on_after_a_test_without_validation(call, create, cohort, tmp_path):
    (tmp_path / "split.json").write_text('{"train": ["s0", "s1"], "test": ["s2", "s3"]}', encoding="utf-8")
    study = tmp_path / "study"
    assert call("study", "create", study, *create(cohort), "--split", tmp_path / "split.json").code == 0
    assert call("run", study, "--rounds", 1, *CPU).code == 0
    assert call("evaluate", study, *CPU).code == 0
    assert call("run", study, "--rounds", 2, "--resume", *CPU).code == 0


def test_the_seed_of_a_run_is_kept_and_cannot_change_later(call, new):
    assert call("run", new, "--rounds", 1, "--seed", 5, *CPU).code == 0
    assert Study.open(new).config.seed == 5
    told = call("run", new, "--rounds", 2, "--resume", "--seed", 6, *CPU)
    assert told.code == 4 and one_sentence(told)


def test_every_line_of_json_events_is_json_and_the_last_is_the_result(call, new):
    told = call("run", new, "--rounds", 2, "--events", "json", *CPU)
    assert told.code == 0 and not told.err
    events = told.events
    assert {event["event"] for event in events} == KINDS - {"error", "warning"}
    assert [event["event"] in ("result", "error") for event in events] == [False] * (len(events) - 1) + [True]
    progress = [event for event in events if event["event"] == "progress"]
    assert all(event["seconds_left"] is not None and event["seconds_left"] >= 0 for event in progress)
    assert {"train", "annotate"} <= {event["stage"] for event in progress}
    assert all(0 <= event["done"] <= event["total"] for event in progress)


def test_json_events_end_with_the_error(call, tmp_path):
    told = call("status", tmp_path / "none", "--events", "json")
    error = told.events[-1]
    assert told.code == 4 and not told.err
    assert error["event"] == "error" and error["code"] == 4 and error["problem"] and error["remedy"]


# Exit codes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("frobnicate",),
        ("study",),
        ("status",),
        ("status", "a", "b"),
        ("study", "create", "x", "--primary", "a", "--table", "b"),
        ("study", "create", "x", "--primary", "a", "--preset", "huge"),
        ("study", "create", "x", "--primary", "a", "--seed", "-1"),
        ("study", "remove", "x"),
        ("study", "split", "x", "a", "training"),
        ("phantom", "x", "--subjects", "0"),
        ("next", "x", "--threads", "-3"),
        ("next", "x", "--device", "tpu"),
        ("run", "x", "--rounds", "0"),
        ("evaluate", "x", "--split", "all"),
        ("evaluate", "x", "--round", "-1"),
        ("demo", "x", "--subjects", "2"),
    ],
)
def test_2_wrong_usage(call, words):
    told = call(*words)
    assert told.code == 2 and "usage: vqbegal" in told.err and "Traceback" not in told.err


def test_3_unusable_input(call, tmp_path):
    told = call("study", "create", tmp_path / "study", "--primary", tmp_path / "none")
    assert told.code == 3 and one_sentence(told)


@pytest.mark.parametrize(
    "command", ["status", "check", "next", "train", "evaluate", "run", "segment", "advance", "estimate"]
)
def test_4_no_study(call, tmp_path, command):
    told = call(command, tmp_path)
    assert told.code == 4 and one_sentence(told) and "is not a study" in told.err


@pytest.mark.parametrize("words", [("train",), ("evaluate",), ("predict",)])
def test_4_not_ready(call, new, cohort, tmp_path, words):
    more = ("--primary", cohort / "ct" / "s3.nii.gz", "-o", tmp_path / "p.nii.gz") if words == ("predict",) else ()
    told = call(*words, new, *more, *CPU)
    assert told.code == 4 and one_sentence(told)


def test_5_another_process_is_writing(call, start, create, cohort, tmp_path):
    study, stop = tmp_path / "study", tmp_path / "stop"
    assert call("study", "create", study, *create(cohort, steps=100000)).code == 0
    with start("run", study, "--events", "json", "--cancel-file", stop, *CPU) as writer:
        wait_for(writer, "progress", "train")
        told = call("train", study, *CPU)
        assert told.code == 5 and one_sentence(told)
        assert f"process {writer.pid}" in told.err and "(run, since" in told.err
        assert call("status", study).code == 0
        stop.touch()
        writer.communicate(timeout=60)
    assert writer.returncode == 130
    assert call("label", study, "s0", cohort / "ct_liver" / "s0.nii.gz", "--slices", "3").code == 0


def test_6_the_disk_is_full_on_creation(call, tiny_disk, cohort):
    told = call("study", "create", tiny_disk / "study", "--primary", cohort / "ct", "--auxiliary", cohort / "mr")
    assert told.code == 6 and one_sentence(told) and "disk is full" in told.err
    assert not list(tiny_disk.iterdir()), "a creation that is cut short leaves nothing"


def test_6_the_disk_is_full_in_training_and_with_room_it_goes_on(call, tiny_disk, digest, create, cohort):
    study = tiny_disk / "study"
    only = tiny_disk / "ct"
    only.mkdir()
    shutil.copy(cohort / "ct" / "s0.nii.gz", only)
    options = create(cohort, size=16, base_channels=2, codes=4, code_dim=4)
    options = options[options.index("--set") :]
    assert call("study", "create", study, "--primary", only, *options).code == 0
    shutil.rmtree(only)
    assert call("next", study, *CPU).code == 0
    assert call("label", study, "s0", cohort / "ct_liver" / "s0.nii.gz", "--slices", "0-13").code == 0
    with (tiny_disk / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError, match="No space"):
        while True:
            ballast.write(bytes(4096))
    before = digest(study)
    for words in (("train", study, *CPU), ("label", study, "s0", cohort / "ct_liver" / "s0.nii.gz", "--slices", "1")):
        told = call(*words)
        assert told.code == 6 and one_sentence(told) and "disk is full" in told.err
        assert digest(study) == before
    (tiny_disk / "ballast").unlink()
    assert call("train", study, *CPU).code == 0
    assert call("check", study).code == 0


def greedy(*_: object, **__: object) -> None:
    torch.empty(2**56)  # more than any computer has: torch's own complaint


def greedy_gpu(*_: object, **__: object) -> None:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def greedy_array(*_: object, **__: object) -> None:
    np.empty(2**56)


@pytest.mark.parametrize("step", [greedy, greedy_gpu, greedy_array])
def test_7_too_little_memory(call, trained, monkeypatch, step):
    monkeypatch.setattr(VQBEGALLib.rounds, "train_round", step)
    told = call("train", trained, *CPU)
    assert told.code == 7 and one_sentence(told) and "memory" in told.err


@pytest.mark.parametrize("trouble", ["ImportError('no library libc10')", "OSError('WinError 126')"])
def test_8_torch_is_missing(command, new, tmp_path, trouble):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text(f"raise {trouble}\n", encoding="utf-8")
    where = {"PYTHONPATH": str(tmp_path / "broken")}
    told = command("next", new, **where)
    assert told.code == 8 and one_sentence(told) and "pip install torch" in told.err
    assert command("status", new, **where).code == 0, "what needs no network needs no torch"


def test_check_without_torch_says_what_it_left_out(command, trained, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('gone', name='torch')\n", encoding="utf-8")
    told = command("check", trained, PYTHONPATH=str(tmp_path))
    assert told.code == 0 and "networks were not checked" in told.err


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ModuleNotFoundError("No module named 'safetensors'", name="safetensors.torch"), MissingDependencyError),
        (ImportError("DLL load failed"), MissingDependencyError),
        (MemoryError(), OutOfMemoryError),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), OutOfMemoryError),
        (PermissionError(13, "Permission denied", "x/cache"), StorageError),
    ],
)
def test_errors_of_others_are_told_in_sentences(error, kind):
    told = as_told(error)
    assert type(told) is kind and told.problem.endswith(".") and told.remedy


def test_the_readme_shows_every_exit_code_of_the_help(call):
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    text = call("run", "--help").out.partition("exit codes:")[2]
    assert table == {int(code) for code in re.findall(r"(?:^| {2,})(\d+) ", text)}


# Cancelling ----------------------------------------------------------------------------------------------------


def wait_for(process: subprocess.Popen[str], kind: str, stage: str) -> dict[str, Any]:
    """Read events until one of a kind and stage comes, and return it."""
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == kind and event["stage"] == stage:
            return event
    raise AssertionError(f"no {kind} of {stage}")


@pytest.mark.parametrize("by", ["file", "signal"])
def test_130_a_run_stops_between_two_steps_and_can_go_on(start, call, create, cohort, tmp_path, by):
    study, stop = tmp_path / "study", tmp_path / "stop"
    assert call("study", "create", study, *create(cohort, steps=100_000, checkpoint_seconds=0.1)).code == 0
    args = ("run", study, "--rounds", "1", "--resume", "--events", "json", "--cancel-file", stop, *CPU)
    with start(*args) as process:
        wait_for(process, "progress", "train")
        stop.touch() if by == "file" else process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)  # far less than the training would take
    assert process.returncode == 130 and not err
    assert json.loads(out.splitlines()[-1])["code"] == 130
    assert call("check", study).code == 0
    rounds = Study.open(study).rounds()
    assert len(rounds) == 1 and not rounds[0].trained
    stop.unlink(missing_ok=True)
    with start(*args) as process:
        began = wait_for(process, "stage", "train")
        stop.touch()
        process.communicate(timeout=120)
    assert began["done"] > 0, "the training goes on from its checkpoint"


def test_130_a_job_whose_owner_is_gone_stops_and_can_go_on(call, new, start, tmp_path):
    with start("status", new) as gone:
        gone.communicate(timeout=60)
    told = call("next", new, "--owner", gone.pid, *CPU)
    assert told.code == 130 and one_sentence(told) and not Study.open(new).rounds()
    assert call("next", new, "--owner", os.getpid(), *CPU).code == 0


@pytest.mark.parametrize(
    "command", ["next", "train", "evaluate", "run", "status", "check", "segment", "advance", "estimate"]
)
def test_130_a_cancel_file_that_is_there_already_stops_before_anything(call, new, tmp_path, digest, command):
    (tmp_path / "stop").touch()
    before = digest(new)
    told = call(command, new, "--cancel-file", tmp_path / "stop")
    assert told.code == 130 and one_sentence(told)
    assert digest(new) == before


def test_130_a_creation_that_is_cancelled_leaves_nothing(call, create, cohort, tmp_path):
    (tmp_path / "stop").touch()
    told = call("study", "create", tmp_path / "study", *create(cohort), "--cancel-file", tmp_path / "stop")
    assert told.code == 130 and [path.name for path in tmp_path.iterdir()] == ["stop"]


def test_130_ctrl_c(call, new, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Study, "open", interrupted)
    told = call("status", new)
    assert told.code == 130 and one_sentence(told) and "Cancelled" in told.err


# What is written -----------------------------------------------------------------------------------------------


def test_a_traceback_only_with_debug(call, new, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("what nobody foresaw")

    monkeypatch.setattr(Study, "open", broken)
    told = call("status", new)
    assert told.code == 1 and one_sentence(told) and "--debug" in told.err
    told = call("status", new, "--debug")
    assert told.code == 1 and "Traceback" in told.err and "in broken" in told.err


def test_a_reader_that_goes_away_is_no_error(start, trained):
    with start("run", trained, "--resume", "--rounds", "3", "--events", "json", *CPU) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert not err


def test_a_terminal_that_cannot_write_a_name_gets_an_escape(command, tmp_path):
    for events in ("text", "json"):
        told = command("status", tmp_path / "Übung", "--events", events, PYTHONIOENCODING="ascii")
        assert told.code == 4 and "Traceback" not in told.err
        assert ("Übung" in told.events[-1]["problem"]) if events == "json" else ("\\xdcbung" in told.err)


def test_a_terminal_shows_bars_with_the_time_left():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen, now = Terminal(), [0.0]
    output = TextOutput(io.StringIO(), screen)
    reporter = Reporter(output.listen, clock=lambda: now[0])
    with reporter.stage("train", 4) as stage:
        for _ in range(4):
            now[0] += 1
            stage.advance(seg=0.5)
            reporter.message("a line")
    output.close()
    assert "train" in screen.getvalue() and re.search(r"[1-4]/4 \[\d\d:\d\d<\d\d:\d\d", screen.getvalue())
    assert "a line" in screen.getvalue()


def test_without_a_terminal_there_are_no_bars(call, new):
    told = call("run", new, "--rounds", 1, *CPU)
    assert told.code == 0 and "\r" not in told.err + told.out
    assert "Round 0: selecting slices." in told.err and "Round 0" not in told.out


def test_a_device_that_is_not_there(call, trained, digest):
    if torch.cuda.is_available():
        pytest.skip("this computer has a CUDA device")
    before = digest(trained)
    told = call("next", trained, "--device", "cuda")
    assert told.code == 3 and one_sentence(told) and "cuda" in told.err and digest(trained) == before


# Help ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_explains_every_command_and_option(call, name):
    told = call(*name.split(), "--help")
    assert told.code == 0 and "usage: vqbegal" in told.out
    for action in COMMANDS[name]._actions:
        if not isinstance(action, argparse._SubParsersAction) and action.metavar != "STUDY":
            assert action.help, f"{name}: {action.dest} is not explained"


def test_the_help_and_the_version_of_the_whole(call):
    told = call("--help")
    assert told.code == 0 and all(name.split()[0] in told.out for name in COMMANDS)
    assert call("--version").out == f"vqbegal {__version__}\n"


GROUPS = ("study", "server")
"""Commands with actions of their own."""


def readme_commands() -> list[str]:
    text = README.replace("\\\n", " ")
    return re.findall(r"(?:^ {4}|`)(vqbegal [^`#\n]+)", text, re.MULTILINE)


def name_in(line: str) -> str:
    words = line.split()[1:]
    return " ".join(words[:2]) if words[0] in GROUPS else words[0]


def test_the_readme_names_only_commands_and_options_that_exist():
    found = readme_commands()
    assert len(found) > 10
    for line in found:
        words, name = line.split()[1:], name_in(line)
        assert name in COMMANDS, line
        known = {text for action in COMMANDS[name]._actions for text in action.option_strings}
        assert {word for word in words if word.startswith("-")} <= known, line


def test_the_readme_names_every_command():
    told = {name_in(line) for line in readme_commands()}
    assert told >= set(COMMANDS) - {*GROUPS, "study add", "demo"}


# Slices --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("12,13,4-9", [4, 5, 6, 7, 8, 9, 12, 13]),
        ("0", [0]),
        ("3,3,2-3", [2, 3]),
        (" 1 , 2 - 4", [1, 2, 3, 4]),
        ("0-19", list(range(20))),
    ],
)
def test_lists_of_slices(text, numbers):
    assert slice_numbers(text, 20) == numbers


@pytest.mark.parametrize(
    "text", ["", ",", "1,", "a", "4-", "-4", "9-4", "1..3", "1.5", "1-2-3", "0x1", "9" * 5000, "²"]
)
def test_texts_that_are_no_list_of_slices(text):
    with pytest.raises(InputError, match="not a list"):
        slice_numbers(text, 20)


@pytest.mark.parametrize("text", ["20", "3-20", "0-999999999"])
def test_slices_that_the_volume_does_not_have(text):
    with pytest.raises(InputError, match="slices 0 to 19"):
        slice_numbers(text, 20)


@pytest.mark.skipif(sys.platform == "win32", reason="a script of the shell")
def test_the_module_is_the_command(command):
    assert command("--version").out == f"vqbegal {__version__}\n"


@pytest.mark.parametrize(("words", "count"), [((), 14), (("--slices", "6"), 1)])
def test_a_study_begins_with_what_is_annotated_already(call, new, cohort, words, count):
    told = call("label", new, "s1", cohort / "ct_liver" / "s1.nii.gz", *words, "--events", "json")
    assert told.code == 0
    slices = "1 slice" if count == 1 else f"{count} slices"
    assert f"begins with {slices} of s1" in told.out
    assert f"annotated  {slices} in 1 patient;" in call("status", new).out and "Next: train" in call("status", new).out
    events = call("advance", new, "--events", "json", *CPU).events
    assert (events[-1]["round"], events[-1]["trained"], events[-1]["requests"]) == (1, True, 4)
    assert "exemplar: nothing was asked for, validation Dice" in call("status", new).out
    assert call("check", new).out == "The study is whole.\n"


@pytest.mark.parametrize(("total", "warned"), [(14, True), (13, True), (15, False)])
def test_a_case_that_uses_up_the_budget_is_warned_of(call, new, cohort, total, warned):
    assert call("study", "set", new, f"total_budget={total}").code == 0
    told = call("label", new, "s1", cohort / "ct_liver" / "s1.nii.gz", "--events", "json")
    texts = [event["text"] for event in told.events if event["event"] == "warning"]
    assert [f"uses up the budget of {total} slices" in text for text in texts] == [True] * warned
    assert all("vqbegal study set new total_budget=N" in text for text in texts)


@pytest.mark.parametrize(
    ("method", "freeze", "warned"), [("cmc", True, True), ("cmc", False, False), ("ciml", True, False)]
)
def test_frozen_encoders_without_weights_are_warned_of(call, create, cohort, tmp_path, method, freeze, warned):
    words = create(cohort, method=method, freeze_encoders=str(freeze).lower())
    told = call("study", "create", tmp_path / "study", *words, "--events", "json")
    assert told.code == 0
    texts = [event["text"] for event in told.events if event["event"] == "warning"]
    assert ["will stay random" in text for text in texts] == [True] * warned


def test_a_begun_study_goes_on_step_by_step(call, new, cohort):
    assert call("label", new, "s1", cohort / "ct_liver" / "s1.nii.gz").code == 0
    assert call("next", new, *CPU).out.startswith("Round 0 asks for nothing")
    assert "Round 0 is trained." in call("train", new, *CPU).out
    assert "Round 1 asks for 4 slices" in call("next", new, "--strategy", "random", *CPU).out

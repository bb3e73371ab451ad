"""The command line in several processes: torchrun starts them, process 0 leads, and they end together."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from VQBEGALLib.network.storage import load_model
from VQBEGALLib.study import Study

if TYPE_CHECKING:
    from Testing.conftest import Call

ROOT = Path(__file__).parents[3]
DEADLINE = 180
"""Seconds after which a test gives up, on however busy a computer."""


@pytest.fixture
def selected(new: Path, call: Call, label: Callable[[Path], None]) -> Path:
    """A study whose round 0 is annotated and not trained."""
    assert call("next", new, "--device", "cpu").code == 0
    label(new)
    return new


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def place(number: int, port: int) -> dict[str, str]:
    return {"RANK": str(number), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def rank(start: Callable[..., Any], number: int, port: int, *words: object) -> subprocess.Popen[str]:
    process: subprocess.Popen[str] = start(*words, **place(number, port))
    return process


def test_torchrun_trains_as_one_process_does(selected: Path, call: Call, tmp_path: Path) -> None:
    single = Path(shutil.copytree(selected, tmp_path / "single"))
    assert call("train", single, "--device", "cpu").code == 0
    words = ["--standalone", "--nproc-per-node", "2", "-m", "VQBEGALLib.cli", "train", str(selected), "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    assert "2 processes train together." in done.stderr
    assert done.stdout.count("Round 0 is trained.") == 1
    found, expected = (Study.open(study).rounds()[0] for study in (selected, single))
    assert found.requests == expected.requests
    assert [point["step"] for point in found.figures["history"]] == list(range(1, 13))
    first = found.figures["history"][0], expected.figures["history"][0]
    assert first[0] == pytest.approx(first[1], abs=1e-5)  # later AdamW makes steps of rounding
    last = found.figures["history"][-1]["seg"], expected.figures["history"][-1]["seg"]
    assert last[0] == pytest.approx(last[1], rel=0.1)
    load_model(selected / "rounds" / "000" / "model.safetensors")
    assert not (selected / "lock.json").exists()
    assert call("check", selected).code == 0


def test_a_cancel_file_stops_both_with_the_usual_code(
    selected: Path, call: Call, start: Callable[..., Any], tmp_path: Path
) -> None:
    assert call("study", "set", selected, "steps=100000", "checkpoint_seconds=0").code == 0
    words = ("train", selected, "--device", "cpu", "--cancel-file", tmp_path / "stop")
    port = free_port()
    both = [rank(start, number, port, *words) for number in (0, 1)]
    checkpoint = selected / "rounds" / "000" / "training.safetensors"
    _wait_for(checkpoint.exists, both)
    (tmp_path / "stop").touch()
    told = [process.communicate(timeout=DEADLINE) for process in both]
    assert [process.returncode for process in both] == [130, 130]
    assert "Cancelled" in told[0][1]
    assert told[1] == ("", "")
    assert checkpoint.exists()


def test_where_the_leader_is_killed_the_other_ends_and_a_single_process_goes_on(
    selected: Path, call: Call, start: Callable[..., Any]
) -> None:
    assert call("study", "set", selected, "steps=120", "checkpoint_seconds=0").code == 0
    port = free_port()
    both = [rank(start, number, port, "train", selected, "--device", "cpu") for number in (0, 1)]
    checkpoint = selected / "rounds" / "000" / "training.safetensors"
    _wait_for(checkpoint.exists, both)
    both[0].kill()
    killed = time.monotonic()
    out, err = both[1].communicate(timeout=DEADLINE)
    both[0].communicate()
    assert time.monotonic() - killed < 30
    assert (both[1].returncode, out) == (1, "")
    assert err.startswith("vqbegal: Process 1: Another process of this training has ended")
    assert len(err.splitlines()) == 1
    alone = call("train", selected, "--device", "cpu", "--events", "json")
    assert alone.code == 0
    assert next(event["done"] for event in alone.events if event.get("stage") == "train") > 0


def test_an_error_of_the_leader_ends_the_other_with_its_code(
    new: Path, call: Call, start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    other = rank(start, 1, port, "train", new, "--device", "cpu")
    for name, value in place(0, port).items():
        monkeypatch.setenv(name, value)
    told = call("train", new, "--device", "cpu", "--threads", torch.get_num_threads())
    assert told.code == 4
    assert "no round yet" in told.err
    assert other.communicate(timeout=DEADLINE) == ("", "")
    assert other.returncode == 4


def test_other_commands_are_refused_under_torchrun(new: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in place(0, 1).items():
        monkeypatch.setenv(name, value)
    assert call("status", new).code == 0
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    told = call("next", new)
    assert told.code == 3
    assert "Run this command without torchrun." in told.err


def _wait_for(there: Callable[[], bool], processes: list[subprocess.Popen[str]]) -> None:
    until = time.monotonic() + DEADLINE
    while not there():
        assert all(process.poll() is None for process in processes), [each.communicate() for each in processes]
        assert time.monotonic() < until
        time.sleep(0.05)

"""``kill -9`` at random instants of run, label, train and advance: nothing is lost, and the end is the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from VQBEGALLib.config import preset
from VQBEGALLib.events import Reporter
from VQBEGALLib.rounds import Oracle
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import gather

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="killing needs fork")

KILLS = {"run": 30, "by hand": 20, "advance": 15}
Live = Callable[[list[str], "float | None"], int]


@pytest.fixture
def live() -> Iterator[Live]:
    """Give commands to a process that runs each in a child and kills it in time."""
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("killing.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert server.stdin is not None and server.stdout is not None

    def give(args: list[str], seconds: float | None) -> int:
        server.stdin.write(json.dumps({"args": args, "seconds": seconds}) + "\n")
        server.stdin.flush()
        return int(server.stdout.readline())

    yield give
    server.stdin.close()
    server.wait(timeout=30)
    server.stdout.close()


@pytest.fixture
def make_study(cohort: Path, study_settings: dict[str, object]) -> Callable[[Path], Study]:
    """Creates a study of the phantoms."""
    settings = {**study_settings, "steps": 12, "checkpoint_seconds": 0}
    members = gather(
        cohort / "ct",
        cohort / "mr",
        primary_labels=cohort / "ct_liver",
        auxiliary_labels=cohort / "mr_liver",
        split=cohort / "split.json",
    )
    return lambda folder: Study.create(folder, preset("small", settings), members)


def outcome(folder: Path) -> dict[str, bytes]:
    """Return what must not depend on kills: every round, its scores, its network, and the labels."""
    names = ("round.json", "scores.csv", "model.safetensors", "predictions/*")
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for name in names
        for path in sorted(folder.glob(f"rounds/*/{name}"))
    }
    labels = {
        name: b"" if (found := Study.open(folder).labels(name)) is None else found.labelmap.voxels.tobytes()
        for name in Study.open(folder).subjects
    }
    return {**files, **labels}


def answer(study: Study) -> None:
    """Label what the newest round asks for from the references, as an oracle does."""
    Oracle().answer(study, study.rounds()[-1], Reporter())


def until_done(live: Live, args: list[str], study: Path, draws: random.Random, longest: float, most: int) -> int:
    """Repeat a command, killing it up to ``most`` times, until it ends by itself; return the kills."""
    kills = 0
    while True:
        code = live(args, draws.uniform(0.005, longest) if kills < most else None)
        damage = [finding for finding in Study.open(study).check() if finding.level == "error"]
        assert not damage, damage
        if code == 0:
            return kills
        assert code == -9, f"{args} ended with {code}"
        kills += 1


def test_run_survives_kills_and_ends_as_if_uninterrupted(
    tmp_path: Path, make_study: Callable[[Path], Study], live: Live
) -> None:
    args = ["run", "", "--rounds", "3", "--resume", "--device", "cpu"]
    whole = tmp_path / "whole"
    make_study(whole)
    args[1] = str(whole)
    assert live(args, None) == 0
    draws, kills, turn = random.Random(0), 0, 0
    while kills < KILLS["run"]:
        study = tmp_path / f"killed{turn}"
        make_study(study)
        args[1] = str(study)
        kills += until_done(live, args, study, draws, longest=0.6, most=KILLS["run"] - kills)
        assert outcome(study) == outcome(whole)
        turn += 1


def test_the_path_by_hand_survives_kills(
    tmp_path: Path, cohort: Path, make_study: Callable[[Path], Study], live: Live
) -> None:
    def walk(study: Path, step: Callable[[list[str]], None]) -> None:
        for _ in range(2):
            step(["next", str(study), "--device", "cpu"])
            for name in sorted({item.case for item in Study.open(study).rounds()[-1].requests}):
                asked = [str(item.slice) for item in Study.open(study).rounds()[-1].requests if item.case == name]
                file = str(cohort / "ct_liver" / f"{name}.nii.gz")
                step(["label", str(study), name, file, "--slices", ",".join(asked)])
            step(["train", str(study), "--device", "cpu"])

    def plainly(args: list[str]) -> None:
        assert live(args, None) == 0

    whole = tmp_path / "whole"
    make_study(whole)
    walk(whole, plainly)
    draws, kills = random.Random(1), 0

    def with_kills(args: list[str]) -> None:
        nonlocal kills
        rounds = len(Study.open(study).rounds())
        while (code := live(args, draws.uniform(0.005, 0.3) if kills < KILLS["by hand"] else None)) != 0:
            assert not [finding for finding in Study.open(study).check() if finding.level == "error"]
            kills += code == -9
            if args[0] == "next" and len(Study.open(study).rounds()) > rounds:
                return  # killed after the requests were written: asking again would rightly be refused
            assert code == -9, f"{args} ended with {code}"

    turn = 0
    while kills < KILLS["by hand"]:
        study = tmp_path / f"killed{turn}"
        make_study(study)
        walk(study, with_kills)
        assert outcome(study) == outcome(whole)
        turn += 1


def test_advance_survives_kills_and_ends_as_if_uninterrupted(
    tmp_path: Path, make_study: Callable[[Path], Study], live: Live
) -> None:
    whole, args = make_study(tmp_path / "whole"), ["advance", "", "--device", "cpu"]
    args[1] = str(whole.folder)
    assert live(args, None) == 0
    answer(whole)
    begun = shutil.copytree(whole.folder, tmp_path / "begun")
    assert live(args, None) == 0
    draws, kills, turn = random.Random(2), 0, 0
    while kills < KILLS["advance"]:
        study = shutil.copytree(begun, tmp_path / f"killed{turn}")
        args[1] = str(study)
        while (code := live(args, draws.uniform(0.005, 0.5) if kills < KILLS["advance"] else None)) != 0:
            assert not [finding for finding in Study.open(study).check() if finding.level == "error"]
            if code == 4 and len(Study.open(study).rounds()) == 2:
                break  # killed after the last step: the next slices wait, and asking again is rightly refused
            assert code == -9, f"{args} ended with {code}"
            kills += 1
        assert outcome(study) == outcome(whole.folder)
        turn += 1

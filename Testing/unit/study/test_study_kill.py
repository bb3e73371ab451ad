"""A process that is killed while it writes leaves the state before or the state after, and locks nobody out.

This file is also the process that gets killed: run as a program it loads the library once and then forks a worker
for each line it reads, so that a kill costs milliseconds.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from VQBEGALLib.config import preset
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import NewSubject
from VQBEGALLib.study.records import Request, Round
from VQBEGALLib.volumes import Volume, read_volume, write_volume

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")

ROOT = Path(__file__).parents[2]
SHAPE = (4, 12, 12)
KILLS = 15
LONGEST = 0.1
"""Seconds that a worker lives at most."""


def pattern(number: int) -> Volume:
    """A mask that tells by itself which number it was written with."""
    voxels = np.random.default_rng(number).integers(0, 2, SHAPE, dtype=np.uint8)
    return Volume(voxels, np.diag((1.0, 1, 2, 1)))


def subject(source: Path, name: str) -> NewSubject:
    return NewSubject(name, name, "train", source / "image.nii", source / "image.nii", source / "mask.nii.gz")


def label(folder: Path) -> None:
    """Write labels and round n, then n + 1, …; labels go first."""
    study = Study.open(folder / "study")
    while True:
        with study.writing("label"):
            rounds, labels = study.rounds(), study.labels("a")
            saved = rounds[0].figures["n"] if rounds else 0
            number = labels.annotations[0].round if labels else 0
            if number == saved:  # else a kill came between the labels and their round
                number += 1
                study.put_labels("a", pattern(number), range(SHAPE[0]), round=number)
            study.save_round(Round(0, "random", (Request(0, "a", 1),), figures={"n": number, "pad": "x" * 5000}))
            study.log({"event": "labelled", "n": number})


def create(folder: Path) -> None:
    """Create one study after another."""
    subjects = [subject(folder, name) for name in ("a", "b")]
    for number in range(1000):
        target = folder / "studies" / f"{number:03d}"
        if not target.exists():
            Study.create(target, preset("tiny"), subjects)


def add(folder: Path) -> None:
    """Add one subject after another."""
    study = Study.open(folder / "study")
    while True:
        with study.writing("add"):
            study.add_subjects([subject(folder, f"s{len(study.subjects):03d}")])


JOBS = {"label": label, "create": create, "add": add}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    image = np.random.default_rng(0).integers(-100, 100, SHAPE, dtype=np.int16)
    write_volume(tmp_path / "image.nii", pattern(0).with_voxels(image))
    write_volume(tmp_path / "mask.nii.gz", pattern(0))
    Study.create(tmp_path / "study", preset("tiny"), [subject(tmp_path, "a")])
    (tmp_path / "studies").mkdir()
    return tmp_path


@contextmanager
def nursery() -> Iterator[subprocess.Popen[str]]:
    """The process that forks workers."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, __file__],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def kill_workers(job: str, folder: Path) -> Iterator[int]:
    """Start a worker, kill it at a random instant, yield; again and again."""
    instants = random.Random(job)
    with nursery() as process:
        assert process.stdin is not None and process.stdout is not None
        for kill in range(KILLS):
            process.stdin.write(f"{job} {folder}\n")
            process.stdin.flush()
            worker = int(process.stdout.readline())
            time.sleep(instants.uniform(0, LONGEST))
            os.kill(worker, signal.SIGKILL)
            with suppress(ProcessLookupError):
                while True:
                    os.kill(worker, 0)
                    time.sleep(0.001)
            yield kill


def errors(study: Study) -> list[str]:
    return [finding.text for finding in study.check() if finding.level == "error"]


def test_killed_labelling_leaves_the_labels_before_or_after(folder):
    seen = []
    for _ in kill_workers("label", folder):
        study = Study.open(folder / "study")
        assert errors(study) == []
        labels, rounds = study.labels("a"), study.rounds()
        written = rounds[0].figures["n"] if rounds else 0
        if labels is None:
            assert written == 0
            continue
        (number,) = {annotation.round for annotation in labels.annotations.values()}
        assert len(labels.annotations) == SHAPE[0]
        assert np.array_equal(labels.labelmap.voxels, pattern(number).voxels)
        assert number - written in (0, 1)
        seen.append(number)
    assert seen == sorted(seen)
    assert len(set(seen)) > 3, "the workers got nowhere; the test says nothing"
    study.put_labels("a", pattern(1), [0], round=10**6)
    assert sum(path.suffix == ".gz" for path in (folder / "study" / "labels").glob("a.*")) == 1


def test_a_killed_creation_leaves_no_half_study(folder):
    for _ in kill_workers("create", folder):
        for path in (folder / "studies").glob("[0-9]*"):
            study = Study.open(path)
            assert set(study.subjects) == {"a", "b"}
            assert errors(study) == []
        assert len(list((folder / "studies").glob(".tmp-*"))) <= 1
    Study.create(folder / "studies" / "last", preset("tiny"), [subject(folder, "a")])
    assert not list((folder / "studies").glob(".tmp-*"))
    assert len(list((folder / "studies").iterdir())) > 2, "the workers got nowhere; the test says nothing"


def test_killed_additions_leave_the_subjects_before_or_after(folder):
    count = 1
    for _ in kill_workers("add", folder):
        study = Study.open(folder / "study")
        assert sorted(study.subjects) == ["a", *(f"s{number:03d}" for number in range(1, len(study.subjects)))]
        assert len(study.subjects) >= count
        count = len(study.subjects)
    assert errors(study) == []
    assert count > 2, "the workers got nowhere; the test says nothing"


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:  # loads what the library loads late
        write_volume(Path(scratch) / "x.nii.gz", pattern(0))
        read_volume(Path(scratch) / "x.nii.gz")
        Study.create(Path(scratch) / "study", preset("tiny"), [])
    os.fsync = lambda handle: None  # a kill, unlike a power cut, loses nothing that was written; so workers get further
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        job, folder = line.strip().split(" ", 1)
        worker = os.fork()
        if not worker:
            JOBS[job](Path(folder))
            os._exit(0)
        print(worker, flush=True)


if __name__ == "__main__":
    main()

"""Benchmarks on a cluster of this computer: resumed, cancelled, killed, and with a cluster of somebody else's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import distributed
import pandas
import psutil
import pytest
import torch

from VQBEGALLib.benchmark import parse_plan, run_benchmark
from VQBEGALLib.benchmark.collect import TABLES
from VQBEGALLib.benchmark.folder import EVALUATIONS, ResultsFolder
from VQBEGALLib.benchmark.task import run_task
from VQBEGALLib.errors import CancelledError, InputError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.study import Study

CPU = torch.device("cpu")
PLAN = """
preset = "tiny"
strategies = ["random_foreground", "egal"]
budgets = [10, 20]
[settings]
size = 32
base_channels = 4
codes = 16
code_dim = 8
steps = {steps}
[cohorts.ct]
primary = "ct"
auxiliary = "mr"
primary_labels = "ct_liver"
auxiliary_labels = "mr_liver"
split = "{split}"
[robustness]
arms = ["egal"]
conditions = {{ missing_auxiliary = [1] }}
"""

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def text(cohort: Path, tmp_path: Path) -> Callable[..., str]:
    """Makes the text of a plan over the small phantoms; two train, one validates, one is for testing."""
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["s0", "s1"], "validation": ["s2"], "test": ["s3"]}), encoding="utf-8")
    return lambda steps=3: PLAN.format(steps=steps, split=split)


@pytest.fixture
def make_plan(cohort: Path, text: Callable[..., str]) -> Callable[..., object]:
    """Makes that plan."""
    return lambda **changes: parse_plan(text(**changes), cohort)


def run(plan, folder, **options):
    return run_benchmark(plan, folder, device=CPU, reporter=options.pop("reporter", Reporter()), **options)


def test_tables_hold_every_patient_of_every_round_and_a_second_call_does_nothing(make_plan, tmp_path):
    plan, events = make_plan(), []
    folder = tmp_path / "results"
    assert run(plan, folder, reporter=Reporter(events.append)) == []
    patients = pandas.read_csv(folder / "patients.csv")
    assert list(patients) == list(TABLES["patients"])
    clean = patients[patients.condition == "clean"]
    assert len(clean) == 2 * 2 * 2  # arms × budgets × patients
    assert set(clean.patient) == {"s2", "s3"}
    worse = patients[patients.condition == "missing_auxiliary"]
    assert list(worse.level) == [0.0, 1.0] and set(worse.arm) == {"egal"} and set(worse.budget) == {20.0}
    pandas.testing.assert_frame_equal(patients, pandas.read_parquet(folder / "patients.parquet"), check_dtype=False)
    rounds = pandas.read_csv(folder / "rounds.csv")
    pool = rounds.pool.iloc[0]
    assert list(rounds.slices) == [round(pool * 0.1), round(pool * 0.2)] * 2
    picks = pandas.read_csv(folder / "picks.csv")
    assert len(picks) == 2 * round(pool * 0.2)
    assert picks.position.between(0, 1).all()
    progress = [each for each in events if each["event"] == "progress" and each["stage"] == "benchmark"]
    assert (progress[-1]["done"], progress[-1]["total"]) == (4, 4)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("runs/**/model.safetensors")}
    assert run(plan, folder) == []
    assert before == {path: path.stat().st_mtime_ns for path in folder.glob("runs/**/model.safetensors")}


def test_arms_start_from_the_same_seed_set_and_share_their_images(make_plan, tmp_path):
    plan, folder = make_plan(), tmp_path / "results"
    results = ResultsFolder(folder)
    results.open(plan)
    results.prepare(plan, plan.cohorts[0], Reporter())
    studies = [results.start(plan, each) for each in plan.runs()]
    images = [next(study.folder.glob("cases/*/primary.*")) for study in studies]
    assert images[0].stat().st_ino == images[1].stat().st_ino
    for each in plan.runs():
        run_task(results, plan, each, device=CPU, reporter=Reporter())
    asked = [[(item.case, item.slice) for item in Study.open(each.folder).rounds()[0].requests] for each in studies]
    assert asked[0] == asked[1]


def test_a_plan_that_changed_under_its_results_is_refused(make_plan, tmp_path, cohort, text):
    folder = tmp_path / "results"
    results, plan = ResultsFolder(folder), make_plan()
    results.open(plan)
    results.prepare(plan, plan.cohorts[0], Reporter())
    results.start(plan, plan.runs()[0])
    with pytest.raises(StudyError, match="other settings"):
        results.start(parse_plan(text(steps=4), cohort), plan.runs()[0])
    with pytest.raises(StudyError, match="slices"):
        other = parse_plan(text().replace("size = 32", "size = 64"), cohort)
        results.prepare(other, other.cohorts[0], Reporter())


def test_a_folder_of_something_else_is_left_alone(make_plan, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StudyError, match="holds no benchmark"):
        run(make_plan(), tmp_path)


def test_missing_labels_are_told_before_anything_is_trained(cohort, tmp_path, text):
    labels = tmp_path / "labels"
    labels.mkdir()
    plan = parse_plan(text().replace('primary_labels = "ct_liver"', f'primary_labels = "{labels}"'), cohort)
    with pytest.raises(InputError, match="no labels of s0, s1"):
        run(plan, tmp_path / "results")
    assert not list(tmp_path.glob("results/base/*"))


def test_a_scheduler_that_is_not_there_is_told(make_plan, tmp_path, monkeypatch):
    monkeypatch.setattr("VQBEGALLib.benchmark.schedule.WAIT", 1.0)
    with pytest.raises(InputError, match="no Dask scheduler"):
        run(make_plan(), tmp_path / "results", scheduler="tcp://127.0.0.1:9")


def test_a_cancel_stops_the_workers_and_the_next_call_goes_on(make_plan, tmp_path):
    plan, folder = make_plan(steps=3), tmp_path / "results"
    asked = tmp_path / "cancel"

    def listen(event):
        if event["event"] == "progress" and event["stage"] == "benchmark":
            asked.touch()

    with pytest.raises(CancelledError):
        run(plan, folder, reporter=Reporter(listen, cancel_file=asked))
    done = len(list(folder.glob(f"runs/*/*/*/rounds/*/{EVALUATIONS}")))
    assert 1 <= done < 4
    assert len(pandas.read_csv(folder / "rounds.csv")) == done
    assert run(plan, folder) == []
    assert len(pandas.read_csv(folder / "rounds.csv")) == 4


def test_a_run_that_fails_is_told_and_the_others_are_done(make_plan, tmp_path):
    plan, folder = make_plan(), tmp_path / "results"
    blocked = folder / "runs" / "ct" / "egal" / "seed0"
    results = ResultsFolder(folder)
    results.open(plan)
    blocked.mkdir(parents=True)
    (blocked / "study.json").write_text("{")
    failures = run(plan, folder)
    assert [each.partition(":")[0] for each in failures] == ["ct/egal/seed0"]
    assert set(pandas.read_csv(folder / "rounds.csv").arm) == {"random_foreground"}


def test_a_killed_worker_costs_only_its_round(make_plan, tmp_path):
    """The other rounds' networks stay untouched, and the results are those of an undisturbed benchmark."""
    plan, folder = make_plan(steps=25), tmp_path / "results"
    killed = []

    def listen(event):
        if event["event"] == "progress" and event["stage"] == "benchmark" and 0 < event["done"] < 4 and not killed:
            workers = [each for each in psutil.Process().children(recursive=True) if _is_worker(each)]
            killed.append(max(workers, key=lambda each: each.memory_info().rss))
            killed[0].send_signal(signal.SIGKILL)

    assert run(plan, folder, reporter=Reporter(listen)) == []
    assert killed and not killed[0].is_running()
    assert run(plan, tmp_path / "calm") == []
    ours, calm = (pandas.read_csv(each / "patients.csv") for each in (folder, tmp_path / "calm"))
    pandas.testing.assert_frame_equal(ours, calm)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def test_a_cluster_of_somebody_else_does_the_work(make_plan, tmp_path):
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0
    ) as cluster:
        assert run(make_plan(), tmp_path / "results", scheduler=cluster.scheduler_address) == []
        assert cluster.scheduler.status.name == "running"
    assert len(pandas.read_csv(tmp_path / "results" / "rounds.csv")) == 4


def test_killing_the_command_leaves_no_worker_and_the_results_whole(cohort, tmp_path, text):
    plan, folder = cohort / f"plan-{tmp_path.name}.toml", tmp_path / "results"
    plan.write_text(text(steps=400), encoding="utf-8")
    command = [sys.executable, "-m", "VQBEGALLib.cli", "benchmark", str(plan), "-o", str(folder), "--workers", "1"]
    process = subprocess.Popen([*command, "--no-report"], env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        until = time.monotonic() + 200
        while not list(folder.glob("runs/*/*/*/rounds/000/round.json")):
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.1)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        assert not psutil.wait_procs(workers, timeout=30)[1]
    finally:
        process.kill()
    for found in folder.glob("runs/*/*/*"):
        assert not [each for each in Study.open(found).check() if each.level == "error"]

"""Benchmarks on a cluster of this computer: resumed, cancelled, killed, and with a cluster of somebody else's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import distributed
import pandas
import psutil
import pytest
import torch

from VQBEGALLib.benchmark import Plan, parse_plan, purpose, run_benchmark
from VQBEGALLib.benchmark.cluster import _has_worker, needed, worker_device
from VQBEGALLib.benchmark.collect import TABLES
from VQBEGALLib.benchmark.folder import EVALUATIONS, ResultsFolder, clone
from VQBEGALLib.benchmark.schedule import _digest, _in_words
from VQBEGALLib.benchmark.task import run_task
from VQBEGALLib.errors import CancelledError, InputError, StudyError, StudyLockedError
from VQBEGALLib.events import Reporter
from VQBEGALLib.storage import TEMPORARY
from VQBEGALLib.study import Study
from VQBEGALLib.study.roundstore import MODEL

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
split = "split.json"
[robustness]
arms = ["egal"]
conditions = {{ missing_auxiliary = [1] }}
"""

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def text(steps: int = 3) -> str:
    """The text of a plan over the small phantoms; two train, one validates, one is for testing."""
    return PLAN.format(steps=steps)


@pytest.fixture
def make_plan(cohort: Path) -> Callable[..., Plan]:
    """Makes that plan."""
    return lambda **changes: parse_plan(text(**changes), cohort)


@pytest.fixture(scope="module")
def begun_once(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> ResultsFolder:
    """A results folder whose runs are begun, with nothing computed; leave it as it is."""
    results, plan = ResultsFolder(tmp_path_factory.mktemp("begun") / "results"), parse_plan(text(), cohort)
    results.open(plan)
    results.prepare(plan, plan.cohorts[0], Reporter())
    for each in plan.runs():
        results.start(plan, each)
    return results


@pytest.fixture
def begun(begun_once: ResultsFolder, tmp_path: Path) -> ResultsFolder:
    """A copy of it to change."""
    return ResultsFolder(Path(shutil.copytree(begun_once.path, tmp_path / "begun")))


def run(plan, folder, **options):
    return run_benchmark(plan, folder, device=CPU, reporter=options.pop("reporter", Reporter()), **options)


def test_tables_hold_every_patient_of_every_round_and_a_second_call_does_nothing(make_plan, tmp_path):
    plan, events = make_plan(), []
    folder = tmp_path / "results"
    assert run(plan, folder, reporter=Reporter(events.append)) == []
    patients = pandas.read_csv(folder / "patients.csv", keep_default_na=False)
    assert list(patients) == list(TABLES["patients"])
    assert set(patients.organ) == {""}
    clean = patients[patients.condition == "clean"]
    assert len(clean) == 2 * 2 * 2  # arms × budgets × patients
    assert set(clean.patient) == {"s2", "s3"}
    worse = patients[patients.condition == "missing_auxiliary"]
    assert list(worse.level) == [0.0, 1.0] and set(worse.arm) == {"egal"} and set(worse.budget) == {20.0}
    pandas.testing.assert_frame_equal(patients, pandas.read_parquet(folder / "patients.parquet"), check_dtype=False)
    rounds = pandas.read_csv(folder / "rounds.csv")
    pool = rounds.pool.iloc[0]
    assert list(rounds.slices) == [round(pool * 0.1), round(pool * 0.2)] * 2
    assert list(rounds.select_seconds.notna()) == [False, True] * 2  # the first slices are not the strategy's
    assert (rounds.evaluate_seconds > 0).all() and (rounds.train_seconds > 0).all()
    machines = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    assert [(each["device"], each["packages"]["torch"]) for each in machines] == [
        ("processor, 1 thread", torch.__version__)
    ]
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


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps = 3", "steps = 4", "training.steps"),
        ("steps = 3", "steps = 3\ncoverage = 1", "rounds.coverage"),
        ("steps = 3", "steps = 3\ncold_start = 'diversity'", "rounds.cold_start"),
        ("steps = 3", "steps = 3\nthreshold = 0.4", "inference.threshold"),
        ("steps = 3", "steps = 3\norgan = 'spleen'", "organ"),
        ("[10, 20]", "[10, 25]", "budgets"),
        ("[10, 20]", "[10]", "budgets"),
        ("[10, 20]", "[10, 20]\nsplits = ['test']", "splits"),
        ("[10, 20]", "[10, 20]\nauxiliary = ['own']", "auxiliary"),
        ("[1]", "[0.5, 1]", "robustness.conditions"),
        (
            '["random_foreground", "egal"]',
            '["egal"]\n[[arms]]\nname = "random_foreground"\nstrategy = "random"',
            "strategy",
        ),
        ('primary = "ct"', 'primary = "elsewhere"', "cohort ct .* primary"),
    ],
)
def test_a_plan_that_changed_under_its_results_is_refused(begun_once, cohort, old, new, said):
    before = (begun_once.path / "plan.toml").read_bytes()
    changed = text().replace(old, new, 1)
    if "[[arms]]" in new:  # TOML wants the plan's own entries ahead of its tables
        head, arms = new.split("\n", 1)
        changed = text().replace(old, head, 1) + arms
    with pytest.raises(StudyError, match=f"other settings .*{said}|{said}"):
        begun_once.open(parse_plan(changed, cohort))
    assert (begun_once.path / "plan.toml").read_bytes() == before


def test_a_split_whose_file_changed_is_refused(begun_once, tmp_path):
    other = {"train": ["s0"], "validation": ["s1", "s2"], "test": ["s3"]}
    (tmp_path / "split.json").write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(StudyError, match="contents of split"):
        begun_once.open(parse_plan(text(), tmp_path))


def test_a_plan_may_grow_and_its_new_budgets_are_then_kept_to(begun, cohort):
    grown = parse_plan(text().replace("[10, 20]", "[10, 20, 30]\nseeds = [0, 1]"), cohort)
    begun.open(grown)
    begun.start(grown, grown.runs()[0])
    with pytest.raises(StudyError, match="budgets"):
        begun.open(parse_plan(text().replace("[10, 20]", "[10, 20, 40]"), cohort))


def test_a_run_of_an_earlier_version_is_taken_as_it_is(begun, cohort):
    for told in begun.path.glob(f"**/{purpose.FILE}"):
        told.unlink()
    begun.open(parse_plan(text(steps=4), cohort))


def test_settings_that_came_later_had_their_defaults(begun, cohort):
    for told in begun.path.glob(f"runs/**/{purpose.FILE}"):
        known = json.loads(told.read_text(encoding="utf-8"))
        del known["network.dropout"]
        told.write_text(json.dumps(known), encoding="utf-8")
    begun.open(parse_plan(text(), cohort))
    changed = text().replace("[settings]", "[settings]\ndropout = 0.1", 1)
    with pytest.raises(StudyError, match="dropout"):
        begun.open(parse_plan(changed, cohort))


def test_settings_of_a_related_system_count_only_where_it_is_used(begun, cohort):
    changed = text().replace("[settings]", "[settings]\nconfidence = 0.9", 1)
    begun.open(parse_plan(changed, cohort))
    used = changed.replace("[settings]", '[settings]\narchitecture = "cmems"', 1)
    with pytest.raises(StudyError, match=r"cmems\.confidence, network\.architecture"):
        begun.open(parse_plan(used, cohort))


def test_slices_prepared_otherwise_are_refused(begun_once, cohort):
    other = parse_plan(text().replace("size = 32", "size = 64"), cohort)
    with pytest.raises(StudyError, match="slices"):
        begun_once.prepare(other, other.cohorts[0], Reporter())


def test_half_made_copies_are_swept_and_not_copied(begun, make_plan):
    plan = make_plan()
    run_ = begun.run(plan.runs()[0])
    left = [run_.with_name(f"{TEMPORARY}1-seed0"), begun.path / "base" / f"{TEMPORARY}2-ct"]
    for folder in left:
        folder.mkdir()
    (begun.base(plan.cohorts[0]) / f"{TEMPORARY}3-x.json").touch()
    clone(begun.base(plan.cohorts[0]), begun.path / "copy")
    assert not list((begun.path / "copy").rglob(f"{TEMPORARY}*"))
    begun.open(plan)
    assert not any(folder.exists() for folder in left) and run_.exists()


def test_a_split_with_nobody_is_refused(cohort, tmp_path):
    split = {"train": ["s0", "s1"], "validation": ["s2", "s3"], "test": []}
    file = tmp_path / "split.json"
    file.write_text(json.dumps(split), encoding="utf-8")
    plan = parse_plan(text().replace('"split.json"', f'"{file.as_posix()}"'), cohort)
    with pytest.raises(InputError, match="nobody in its test split"):
        ResultsFolder(tmp_path / "fresh").prepare(plan, plan.cohorts[0], Reporter())


def test_a_study_that_is_held_is_waited_for(begun, make_plan, monkeypatch):
    plan, asked = make_plan(), []
    run_ = plan.runs()[0]

    class Watched(Reporter):
        def check_cancelled(self):
            asked.append(1)
            if len(asked) == 3:  # at the start of each task, and then while it waits
                held.close()

    with ExitStack() as held:
        held.enter_context(Study.open(begun.run(run_)).writing("an old worker"))
        monkeypatch.setattr("VQBEGALLib.benchmark.task.PATIENCE", 0.0)
        with pytest.raises(StudyLockedError):
            run_task(begun, plan, run_, device=CPU, reporter=Watched())
        monkeypatch.setattr("VQBEGALLib.benchmark.task.PATIENCE", 60.0)
        run_task(begun, plan, run_, device=CPU, reporter=Watched())
    assert begun.finished_rounds(run_) == 2


def test_a_folder_of_something_else_is_left_alone(make_plan, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StudyError, match="holds no benchmark"):
        run(make_plan(), tmp_path)


def test_missing_labels_are_told_before_anything_is_trained(cohort, tmp_path):
    labels = tmp_path / "labels"
    labels.mkdir()
    plan = parse_plan(text().replace('primary_labels = "ct_liver"', f'primary_labels = "{labels}"'), cohort)
    with pytest.raises(InputError, match="no labels of s0, s1"):
        run(plan, tmp_path / "results")
    assert not list(tmp_path.glob("results/base/*"))


def test_a_scheduler_that_is_not_there_is_told(make_plan, tmp_path, monkeypatch):
    monkeypatch.setattr("VQBEGALLib.benchmark.cluster.WAIT", 1.0)
    with pytest.raises(InputError, match="no Dask scheduler"):
        run(make_plan(), tmp_path / "results", scheduler="tcp://127.0.0.1:9")
    assert list(pandas.read_csv(tmp_path / "results" / "rounds.csv")) == list(TABLES["rounds"])


def test_the_first_error_is_the_one_that_is_told(make_plan, tmp_path, monkeypatch):
    def fail(*arguments):
        raise ValueError("the tables")

    monkeypatch.setattr("VQBEGALLib.benchmark.cluster.WAIT", 1.0)
    monkeypatch.setattr("VQBEGALLib.benchmark.schedule.collect", fail)
    with pytest.raises(InputError, match="no Dask scheduler"):
        run(make_plan(), tmp_path / "results", scheduler="tcp://127.0.0.1:9")


def test_unexpected_errors_of_a_run_are_told_without_their_words():
    told = _in_words("ct/egal/seed0", ValueError("patient Doe"))
    assert told.startswith("ct/egal/seed0: Something unexpected went wrong (ValueError).") and "Doe" not in told


def test_benchmarks_on_one_scheduler_share_no_task():
    assert len({_digest(text, path) for text in ("a", "b") for path in ("/x", "/y")}) == 4


def test_numbered_workers_take_the_gpus_in_turn_and_one_without_any_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [worker_device("cuda", name).index for name in (0, 1, 2, "3", "tcp://a")] == [0, 1, 0, 1, 0]
    assert worker_device("cpu", 1) == CPU
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="sees no GPU"):
        worker_device("cuda", 0)


def test_only_workers_with_what_a_task_needs_count():
    def client(*resources):
        workers = {number: {"resources": each} for number, each in enumerate(resources)}
        return SimpleNamespace(scheduler_info=lambda n_workers: {"workers": workers})

    gpu = needed(torch.device("cuda"))
    assert _has_worker(client({}, {"GPU": 2.0}), gpu) and _has_worker(client({}), needed(CPU))
    assert not _has_worker(client({}), gpu) and not _has_worker(client(), needed(CPU))


LONG = """
[[arms]]
name = "long"
strategy = "random"
settings = { steps = 1000000 }
"""


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_cancel_stops_the_workers_and_the_next_call_goes_on(cohort, tmp_path, interrupted):
    """One arm never ends by itself; the other worker's rounds are told of all the same."""
    whole, folder = parse_plan(text() + LONG, cohort), tmp_path / "results"
    asked = tmp_path / "cancel"

    def listen(event):
        if event["event"] == "progress" and event["stage"] == "benchmark":
            if interrupted:
                raise KeyboardInterrupt
            asked.touch()

    with pytest.raises(KeyboardInterrupt if interrupted else CancelledError):
        run(whole, folder, workers=2, reporter=Reporter(listen, cancel_file=asked))
    assert ResultsFolder(folder).cancel_file.exists()
    done = len(list(folder.glob(f"runs/*/*/*/rounds/*/{EVALUATIONS}")))
    assert done >= 1 and not (folder / "runs" / "ct" / "long").exists()
    assert len(pandas.read_csv(folder / "rounds.csv")) == done
    shorter = parse_plan(text() + LONG.replace("1000000", "4"), cohort)
    assert run(shorter, folder) == []
    assert len(pandas.read_csv(folder / "rounds.csv")) == 6


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
    killed, finished = [], {}

    def listen(event):
        if event["event"] == "progress" and event["stage"] == "benchmark" and 0 < event["done"] < 4 and not killed:
            finished.update(_networks(folder))
            workers = [each for each in psutil.Process().children(recursive=True) if _is_worker(each)]
            killed.append(max(workers, key=lambda each: each.memory_info().rss))
            killed[0].send_signal(signal.SIGKILL)

    assert run(plan, folder, reporter=Reporter(listen)) == []
    assert killed and not killed[0].is_running()
    assert finished and finished.items() <= _networks(folder).items()
    assert run(plan, tmp_path / "calm") == []
    ours, calm = (pandas.read_csv(each / "patients.csv") for each in (folder, tmp_path / "calm"))
    pandas.testing.assert_frame_equal(ours, calm)


def _networks(folder: Path) -> dict[Path, tuple[int, int]]:
    """File number and time of the networks of finished rounds."""
    files = [found.with_name(MODEL) for found in folder.glob(f"*/*/*/*/rounds/*/{EVALUATIONS}")]
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


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


def test_killing_the_command_leaves_no_worker_and_the_results_whole(cohort, tmp_path):
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

"""Runs a plan on Dask: on a cluster of this computer's own, or on one of many computers."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dask
import distributed
import torch

from VQBEGALLib.benchmark.collect import collect
from VQBEGALLib.benchmark.environment import write_environment
from VQBEGALLib.benchmark.folder import RUNS, SEEDS, ResultsFolder
from VQBEGALLib.benchmark.plan import Plan, Run, parse_plan
from VQBEGALLib.benchmark.task import run_task
from VQBEGALLib.errors import CancelledError, InputError, StudyError, VQBEGALError
from VQBEGALLib.events import Event, Reporter

TOPIC = "vqbegal"
"""Of the messages that workers send about finished rounds."""

DEATHS = 3
"""How often a task may lose its worker before it counts as the cause."""

WAIT = 30.0
"""Seconds for a scheduler to answer, for its first worker to come, and for tasks to stop after a cancel."""

INTERVAL = 1.0
"""Seconds between two looks at the tasks and for a request to cancel."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run_benchmark(
    plan: Plan,
    path: Path,
    *,
    scheduler: str | None = None,
    workers: int = 1,
    threads: int = 1,
    device: torch.device,
    reporter: Reporter,
) -> list[str]:
    """Bring all runs of a plan to their last budget and gather the tables; what is finished stays as it is.

    Args:
        plan: the comparison.
        path: results folder; with a scheduler of many computers, one that all see under this path.
        scheduler: address of a running Dask scheduler; None starts processes on this computer.
        workers: processes on this computer.
        threads: processor threads of one task.
        device: where each task computes; with several GPUs the workers take them in turn.
        reporter: receives progress in rounds.

    Returns:
        One sentence for each run that failed; all others are complete.

    Raises:
        InputError: images are missing or cannot be used, or the scheduler does not answer.
        StudyError: the folder holds something else, or no run could be done.
        StorageError: the disk is full or refuses.
        CancelledError: a person asked to stop; what is finished stays.
    """
    results = ResultsFolder(path.absolute())
    results.open(plan)
    for cohort in plan.cohorts:
        results.prepare(plan, cohort, reporter)
    write_environment(results.path, device)
    runs = plan.runs()
    left = [run for run in runs if results.finished_rounds(run) < len(run.arm.budgets)]
    failures: list[str] = []
    try:
        if left:
            with _client(scheduler, workers, threads, device) as client:
                failures = _Tasks(client, results, plan, threads, device).run(left, reporter)
    finally:
        collect(results, plan)
    if left and len(failures) == len(left):
        raise StudyError(f"No run could be done. {failures[0]}", "Mend the cause and run the same command again.")
    return failures


@contextmanager
def _client(scheduler: str | None, workers: int, threads: int, device: torch.device) -> Iterator[distributed.Client]:
    """Connect to a scheduler, or start one with workers on this computer and end it afterwards."""
    with dask.config.set(
        {
            "distributed.scheduler.allowed-failures": DEATHS,
            "distributed.comm.timeouts.connect": f"{WAIT:g}s",
            "distributed.worker.profile.enabled": False,
            # Dask's own gives memory back after every step, which makes a training take twice as long
            "distributed.nanny.pre-spawn-environ": dict.fromkeys(_THREADS, threads),
        }
    ):
        if scheduler is not None:
            with _connected(scheduler) as client:
                yield client
            return
        resources = {"GPU": 1.0} if device.type == "cuda" else {}
        with (
            distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                resources=resources,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


def _connected(scheduler: str) -> distributed.Client:
    """Connect to a running scheduler that has a worker.

    Raises:
        InputError: there is none.
    """
    try:
        client = distributed.Client(scheduler, timeout=WAIT)
        client.wait_for_workers(1, timeout=WAIT)
    except (OSError, ValueError) as error:
        raise InputError(
            f"There is no Dask scheduler with a worker at {scheduler} ({type(error).__name__}).",
            "Start `dask scheduler` and `dask worker`, or leave --scheduler out.",
        ) from error
    return client


class _Tasks:
    """Gives runs to a cluster and follows them.

    Args:
        client: of the cluster.
        results: where runs lie.
        plan: the comparison.
        threads: processor threads of one task.
        device: where each task computes.
    """

    def __init__(
        self, client: distributed.Client, results: ResultsFolder, plan: Plan, threads: int, device: torch.device
    ) -> None:
        self._client = client
        self._results = results
        self._plan = plan
        self._arguments = (plan.text, str(results.path), threads, device.type)
        self._resources = {"GPU": 1} if device.type == "cuda" else None

    def run(self, runs: list[Run], reporter: Reporter) -> list[str]:
        """Do the runs, in their order as far as there are workers; return what went wrong."""
        rounds: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._client.subscribe_topic(TOPIC, lambda event: rounds.put(event[1]))
        futures = self._submitted(runs)
        everything = self._plan.runs()
        total = sum(len(run.arm.budgets) for run in everything)
        done = self._done(everything)
        try:
            with reporter.stage("benchmark", total, unit="round", done=done) as stage:

                def told() -> None:
                    nonlocal done
                    if rounds.empty():
                        return
                    while not rounds.empty():
                        event = rounds.get()
                        reporter.message(f"{event['run']}: {event['budget']:g} %, Dice {event['dice']:.3f}.")
                    before, done = done, self._done(everything)  # a copied first round counts as well
                    stage.advance(done - before)

                return self._follow(futures, told, reporter)
        except CancelledError:
            self._results.cancel_file.touch()
            with suppress(TimeoutError):
                distributed.wait(list(futures), timeout=WAIT)
            raise

    def _done(self, runs: list[Run]) -> int:
        return sum(map(self._results.finished_rounds, runs))

    def _submitted(self, runs: list[Run]) -> dict[distributed.Future, Run]:
        """Give every run to the cluster, each after the first round that it shares with others."""
        firsts: dict[str, distributed.Future] = {}
        futures = {}
        for rank, run in enumerate(runs):
            shared = None if self._results.finished_rounds(run) else self._plan.seed_round(run)
            if shared is not None and shared.name not in firsts:
                firsts[shared.name] = self._submit(run, SEEDS, rank, None)
            futures[self._submit(run, RUNS, rank, firsts[shared.name] if shared else None)] = run
        return futures

    def _submit(self, run: Run, part: str, rank: int, after: distributed.Future | None) -> distributed.Future:
        return self._client.submit(
            _task,
            *self._arguments,
            run.name,
            part,
            after,
            key=f"{part}/{run.name}",
            resources=self._resources,
            priority=-rank,
        )

    def _follow(
        self, futures: dict[distributed.Future, Run], told: Callable[[], None], reporter: Reporter
    ) -> list[str]:
        failures = []
        waiting = set(futures)
        while waiting:
            with suppress(TimeoutError):
                distributed.wait(list(waiting), timeout=INTERVAL, return_when="FIRST_COMPLETED")
            told()
            reporter.check_cancelled()
            for future in [each for each in waiting if each.done()]:
                waiting.discard(future)
                error = future.exception()
                if error is not None:
                    failures.append(f"{futures[future].name}: {_in_words(error)}")
                    reporter.warn(failures[-1])
        told()
        return failures


def _task(text: str, path: str, threads: int, kind: str, name: str, part: str, after: None) -> None:
    """Do one run on a worker, or the first round that it shares; ``after`` is the task that comes before it."""
    worker = distributed.get_worker()
    results = ResultsFolder(Path(path))
    plan = parse_plan(text, Path())
    run = next(each for each in plan.runs() if each.name == name)
    first = plan.seed_round(run)
    torch.set_num_threads(threads)

    def listen(event: Event) -> None:
        if event["event"] == "budget" and part == RUNS:
            worker.log_event(TOPIC, event)

    reporter = Reporter(listen, cancel_file=results.cancel_file)
    if part == SEEDS and first is not None:
        run = first
    run_task(results, plan, run, part, device=_device(kind, worker.name), reporter=reporter)


def _device(kind: str, name: Any) -> torch.device:
    """Return a worker's device: workers of one computer, which are numbered, take its GPUs in turn."""
    if kind == "cuda" and str(name).isdigit():
        return torch.device(kind, int(name) % torch.cuda.device_count())
    return torch.device(kind)


def _in_words(error: BaseException) -> str:
    if isinstance(error, VQBEGALError):
        return str(error)
    if isinstance(error, distributed.KilledWorker):
        return f"its worker ended {DEATHS + 1} times, perhaps for lack of memory."
    return f"something unexpected went wrong ({type(error).__name__}: {error})."

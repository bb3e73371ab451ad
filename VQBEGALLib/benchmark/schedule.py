"""Runs a plan on Dask, run by run, and gathers what comes of it."""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import distributed
import torch

from VQBEGALLib.benchmark.cluster import DEATHS, INTERVAL, WAIT, connected, needed, worker_device
from VQBEGALLib.benchmark.collect import collect
from VQBEGALLib.benchmark.folder import RUNS, SEEDS, ResultsFolder
from VQBEGALLib.benchmark.plan import Plan, Run, parse_plan
from VQBEGALLib.benchmark.task import run_task
from VQBEGALLib.errors import CancelledError, StudyError, as_told
from VQBEGALLib.events import Event, Reporter


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
        StudyError: the folder holds something else, or was made for another plan; or no run could be done.
        StorageError: the disk is full or refuses.
        CancelledError: a person asked to stop; what is finished stays.
    """
    results = ResultsFolder(path.absolute())
    results.open(plan)
    for cohort in plan.cohorts:
        results.prepare(plan, cohort, reporter)
    left = [run for run in plan.runs() if results.finished_rounds(run) < len(run.arm.budgets)]
    failures: dict[str, BaseException] = {}
    try:
        if left:
            with connected(scheduler, workers, threads, device) as client:
                failures = _Tasks(client, results, plan, threads, device).run(left, reporter)
    except BaseException:
        with suppress(Exception):  # what stopped the runs is what to tell
            collect(results, plan)
        raise
    collect(results, plan)
    sentences = [_in_words(name, error) for name, error in failures.items()]
    if left and len(failures) == len(left):
        raise StudyError(
            f"No run could be done. {sentences[0]}", "Mend the cause and run the same command again."
        ) from next(iter(failures.values()))
    return sentences


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
        self._resources = needed(device) or None
        self._digest = _digest(plan.text, str(results.path))

    def run(self, runs: list[Run], reporter: Reporter) -> dict[str, BaseException]:
        """Do the runs, in their order as far as there are workers; return what went wrong."""
        rounds: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._client.subscribe_topic(_topic(self._digest), lambda event: rounds.put(event[1]))
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
        except (CancelledError, KeyboardInterrupt):
            self._results.cancel_file.touch()
            with suppress(distributed.TimeoutError):
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
            key=f"{part}/{run.name}/{self._digest}",
            resources=self._resources,
            priority=-rank,
        )

    def _follow(
        self, futures: dict[distributed.Future, Run], told: Callable[[], None], reporter: Reporter
    ) -> dict[str, BaseException]:
        failures = {}
        waiting = set(futures)
        while waiting:
            with suppress(distributed.TimeoutError):
                distributed.wait(list(waiting), timeout=INTERVAL, return_when="FIRST_COMPLETED")
            told()
            reporter.check_cancelled()
            for future in [each for each in waiting if each.done()]:
                waiting.discard(future)
                error = future.exception()
                if error is not None:
                    failures[futures[future].name] = error
                    reporter.warn(_in_words(futures[future].name, error))
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
            worker.log_event(_topic(_digest(text, path)), event)

    reporter = Reporter(listen, cancel_file=results.cancel_file)
    if part == SEEDS and first is not None:
        run = first
    run_task(results, plan, run, part, device=worker_device(kind, worker.name), reporter=reporter)


def _digest(text: str, path: str) -> str:
    """Return what tells a benchmark from the others on its scheduler."""
    return hashlib.sha256(f"{path}\0{text}".encode()).hexdigest()[:12]


def _topic(digest: str) -> str:
    """Return the topic of the messages that workers send about finished rounds."""
    return f"vqbegal-{digest}"


def _in_words(name: str, error: BaseException) -> str:
    """Return one or two sentences on a run that failed."""
    if isinstance(error, distributed.KilledWorker):
        return f"{name}: its worker ended {DEATHS + 1} times, perhaps for lack of memory."
    return f"{name}: {as_told(error)}"

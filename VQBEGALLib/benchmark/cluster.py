"""Where a benchmark's tasks are done: a Dask cluster of this computer's own, or a running one of many computers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
import distributed
import torch

from VQBEGALLib.errors import InputError

DEATHS = 3
"""How often a task may lose its worker before it counts as the cause."""

WAIT = 30.0
"""Seconds for a scheduler to answer, for a worker that can do the tasks to come, and for tasks to stop."""

INTERVAL = 1.0
"""Seconds between two looks at the tasks and for a request to cancel."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def connected(scheduler: str | None, workers: int, threads: int, device: torch.device) -> Iterator[distributed.Client]:
    """Connect to a scheduler, or start one with workers on this computer and end it afterwards."""
    with dask.config.set(
        {
            "distributed.scheduler.allowed-failures": DEATHS,
            "distributed.comm.timeouts.connect": f"{WAIT:g}s",
            "distributed.worker.profile.enabled": False,
            # Dask's own has MALLOC_TRIM_THRESHOLD_ too: memory goes back to the system after every step, and a training
            # takes twice as long
            "distributed.nanny.pre-spawn-environ": dict.fromkeys(_THREADS, threads),
        }
    ):
        if scheduler is not None:
            with _joined(scheduler, device) as client:
                yield client
            return
        with (
            distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                resources=needed(device),
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


def needed(device: torch.device) -> dict[str, float]:
    """Return what a task takes of a worker: a GPU does one at a time."""
    return {"GPU": 1.0} if device.type == "cuda" else {}


def _joined(scheduler: str, device: torch.device) -> distributed.Client:
    """Connect to a running scheduler that has a worker for the tasks.

    Raises:
        InputError: there is none.
    """
    try:
        client = distributed.Client(scheduler, timeout=WAIT)
    except (OSError, ValueError, distributed.TimeoutError) as error:
        raise InputError(
            f"There is no Dask scheduler at {scheduler} ({type(error).__name__}).",
            "Start `dask scheduler` and `dask worker`, or leave --scheduler out.",
        ) from error
    until = time.monotonic() + WAIT
    while not _has_worker(client, needed(device)):
        if time.monotonic() >= until:
            client.close()
            lack, more = (" with a GPU", " --resources GPU=1") if needed(device) else ("", "")
            raise InputError(
                f"The Dask scheduler at {scheduler} has no worker{lack}.",
                f"Start one with `dask worker {scheduler} --nthreads 1{more}`.",
            )
        time.sleep(INTERVAL)
    return client


def _has_worker(client: distributed.Client, wanted: dict[str, float]) -> bool:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return any(all(each["resources"].get(name, 0) >= count for name, count in wanted.items()) for each in workers)


def worker_device(kind: str, name: Any) -> torch.device:
    """Return a worker's device: workers of one computer, which are numbered, take its GPUs in turn.

    Raises:
        InputError: the worker sees no GPU.
    """
    if kind != "cuda":
        return torch.device(kind)
    if (count := torch.cuda.device_count()) == 0:
        raise InputError(
            f"The Dask worker {name} sees no GPU that PyTorch can use.",
            "Start it on a computer with one, without GPU=1 in its --resources, or use --device cpu.",
        )
    return torch.device(kind, int(name) % count if str(name).isdigit() else 0)

"""Several processes train one network: who they are, how they wait for work, and what they tell each other.

Process 0 runs the whole command; the others only take part in its trainings. They are started by torchrun, or by
anything that sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from VQBEGALLib.errors import CancelledError, InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network.device import choose_device
from VQBEGALLib.network.share import ALONE, PATIENCE, LostProcessError, Part, Share, answered

if TYPE_CHECKING:  # some builds of torch come without it
    from torch.distributed.distributed_c10d import Store

LOOK = 0.05
"""Seconds between two looks for work."""

FAREWELL = 5.0
"""Seconds that process 0 waits for the others to hear that it ends."""

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


class Team:
    """The processes that share each batch; here this one alone, which has nobody to tell anything."""

    rank = 0
    size = 1

    def share(self, pairs: int) -> Share:
        """Return what this process holds of a batch of ``pairs``."""
        return ALONE

    def check(self, batch_size: int) -> None:
        """Make sure that each process gets a labelled pair of each batch.

        Raises:
            InputError: there are too many processes.
        """

    def call(self, job: object) -> None:
        """Let the other processes begin a job with this one; process 0 calls it."""

    def goes_on(self, wish: bool = True) -> bool:
        """Tell whether another step follows: what process 0 wishes."""
        return wish

    def add_gradients(self, weights: Sequence[Tensor]) -> None:
        """Add up the gradients of all processes; one that is None in each of them stays None."""


ONE = Team()


class Ranks(Team):
    """Several processes, one of which is this one.

    Args:
        rank: number of this process; 0 leads.
        size: processes in all.
        device: where this one computes.
        store: what all can write to and read from, also while others compute.
    """

    def __init__(self, rank: int, size: int, device: torch.device, store: Store) -> None:
        self.rank, self.size, self.device = rank, size, device
        self._store = store
        self._calls = 0

    def share(self, pairs: int) -> Share:
        """See :meth:`Team.share`."""
        return Part(self.rank, self.size, pairs)

    def check(self, batch_size: int) -> None:
        """See :meth:`Team.check`."""
        if batch_size < self.size:
            raise InputError(
                f"A batch of {batch_size} labelled slices cannot be shared by {self.size} processes.",
                "Start fewer processes, or raise batch_size.",
            )

    def call(self, job: object) -> None:
        """See :meth:`Team.call`."""
        with answered():
            self._store.set(self._next(), "job")
            dist.broadcast_object_list([job], src=0, device=self.device)

    def wait(self) -> Any:
        """Wait, however long, for process 0: return its next job, or the exit code with which it ends."""
        key = self._next()
        with answered():
            while not self._store.check([key]):
                time.sleep(LOOK)  # short, so that the process can be interrupted
            said = self._store.get(key).decode()
            if said != "job":
                self._store.add("left", 1)
                return int(said)
            received: list[Any] = [None]
            dist.broadcast_object_list(received, src=0, device=self.device)
        return received[0]

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Let the other processes end as this one, process 0, leaves: with the exit code of its error, or 0."""
        try:
            yield
        except LostProcessError:  # the others notice it by themselves
            raise
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            self._dismiss(CancelledError.exit_code if stopped else getattr(error, "exit_code", 1))
            raise
        self._dismiss(0)

    def _dismiss(self, code: int) -> None:
        until = time.monotonic() + FAREWELL
        with suppress(RuntimeError):  # nobody is left to tell
            self._store.set(self._next(), str(code))
            while self._store.add("left", 0) < self.size - 1 and time.monotonic() < until:
                time.sleep(LOOK)

    def goes_on(self, wish: bool = True) -> bool:
        """See :meth:`Team.goes_on`."""
        word = torch.tensor([int(wish)], device=self.device)
        with answered():
            dist.broadcast(word, src=0)
            return bool(word.item())

    def add_gradients(self, weights: Sequence[Tensor]) -> None:
        """See :meth:`Team.add_gradients`."""
        there = torch.tensor([float(weight.grad is not None) for weight in weights], device=self.device)
        own = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        flat = torch.cat([*(gradient.flatten() for gradient in own), there])
        with answered():
            dist.all_reduce(flat)
        *parts, there = torch.split(flat, [*(weight.numel() for weight in weights), len(weights)])
        for weight, part, count in zip(weights, parts, there.tolist(), strict=True):
            weight.grad = torch.empty_like(weight).copy_(part.view(weight.shape)) if count else None

    def _next(self) -> str:
        self._calls += 1
        return f"call {self._calls}"


_team: Team = ONE


def current() -> Team:
    """Return the team that this process belongs to: itself alone outside of :func:`joined`."""
    return _team


@contextmanager
def joined(device_name: str, *, threads: int = 0) -> Iterator[Ranks]:
    """Be one of the processes that the environment tells of.

    Args:
        device_name: as for :func:`choose_device`; that of process 0 holds for all. With CUDA each process takes the
            GPU of its LOCAL_RANK.
        threads: processor threads of each process; 0 leaves it to torch.

    Raises:
        InputError: the device is not there, or cannot be used by several processes.
        LostProcessError: another process has not come in time.
    """
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    global _team
    patience = timedelta(minutes=PATIENCE)
    with answered():
        store, rank, size = next(rendezvous("env://", timeout=patience))
        if rank:
            device_name = store.get("device").decode()
    device = _own(choose_device(device_name, threads=threads, reporter=Reporter()), rank)
    with answered():
        if not rank:
            store.set("device", device.type)
        group = PrefixStore("group", store)
        dist.init_process_group(BACKENDS[device.type], store=group, rank=rank, world_size=size, timeout=patience)
    _team = team = Ranks(rank, size, device, store)
    clean = False
    try:
        yield team
        clean = True
    finally:
        _team = ONE
        if clean or device.type == "cpu":  # nccl would wait for peers that are gone
            dist.destroy_process_group()


def _own(device: torch.device, rank: int) -> torch.device:
    """Return the device of one process, and make its GPU the current one."""
    if device.type not in BACKENDS:
        raise InputError(
            f"Several processes cannot share this computer's {device.type} device.", "Add --device cpu, or start one."
        )
    if device.type == "cpu":
        return device
    number = int(os.environ.get("LOCAL_RANK", rank))
    if number >= torch.cuda.device_count():
        raise InputError(
            f"This computer has {torch.cuda.device_count()} GPUs, too few for process {number + 1} on it.",
            "Start as many processes as there are GPUs.",
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)

"""What a network costs: parameters that segment a slice, parameters that train, and the memory of its training."""

from __future__ import annotations

import copy
import ctypes
import gc
import sys
import threading
from contextlib import suppress
from types import TracebackType

import psutil  # type: ignore[import-untyped]
import torch
from torch import nn

from VQBEGALLib.config import Config
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.network.registry import build_network

INTERVAL = 0.005
"""Seconds between two looks at the memory of this process."""
MIB = 2**20


def parameters_used(model: VQBEGAL, config: Config) -> int:
    """Return how many weights a slice's mask depends on, its partner's part included where slices have partners.

    They are the weights that the mask logits have a derivative by, and the codebook where a slice passes through it:
    what only training needs, as the discriminator or a second network, does not count.

    Args:
        model: the network; it is left as it is.
        config: its configuration.
    """
    twin = copy.deepcopy(model).cpu().eval().requires_grad_(True)
    passed: list[nn.Module] = []
    if twin.codebook is not None:
        twin.codebook.register_forward_hook(lambda codebook, *_: passed.append(codebook))
    x = torch.zeros(1, 1, config.slices.size, config.slices.size)
    logits = twin.segment(x, None if config.slices.pairing == "none" else x)
    weights = list(twin.parameters())
    found = torch.autograd.grad(logits.sum(), weights, allow_unused=True)
    entries = {id(weight) for codebook in passed for weight in codebook.parameters()}
    return sum(
        weight.numel()
        for weight, slope in zip(weights, found, strict=True)
        if slope is not None or id(weight) in entries
    )


def parameters_trained(model: VQBEGAL, config: Config) -> int:
    """Return how many weights the training moved: by gradient, or the codebook's by a moving average.

    They are compared with the initial ones, so that those of a partner that never came do not count.

    Args:
        model: the trained network.
        config: its configuration, with the seed.
    """
    initial = dict(build_network(config, seed=config.seed).named_parameters())
    followed = set() if model.codebook is None else {id(weight) for weight in model.codebook.parameters()}
    return sum(
        weight.numel()
        for name, weight in model.named_parameters()
        if (weight.requires_grad or id(weight) in followed) and not torch.equal(weight.cpu(), initial[name])
    )


class TrainingMemory:
    """Watches the most memory that a block takes beyond what was held before it.

    On CUDA that is the device's memory as PyTorch counts it. Else it is the memory of this process without the files
    that it maps, looked at every few milliseconds by a thread of its own; what PyTorch and Python freed before is given
    back to the system first, where that can be done (glibc). A worker does one task at a time, so that nothing else
    grows meanwhile. Peaks shorter than the interval may be missed, and what the libraries keep from an earlier block
    lowers the figure: it is a lower bound.

    Args:
        device: where the block computes.

    Examples:
        >>> with TrainingMemory(torch.device("cpu")) as memory:
        ...     held = torch.ones(4 * 2**20)
        >>> memory.mib is not None and memory.mib > 15
        True
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._before = self._most = 0
        self.mib: float | None = None
        """The result, MiB; None before the end of the block, and on devices that do not tell."""

    def __enter__(self) -> TrainingMemory:
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
        elif self._device.type == "cpu":
            torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # loads 70 MiB of PyTorch once in a process
            _give_back()
            self._before = self._most = own_memory()
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._device.type == "cuda":
            self._most = torch.cuda.max_memory_allocated(self._device)
        elif self._device.type == "cpu":
            self._ended.set()
            self._thread.join()
        else:
            return
        self.mib = (self._most - self._before) / MIB

    def _watch(self) -> None:
        while True:
            ended = self._ended.wait(INTERVAL)
            self._most = max(self._most, own_memory())
            if ended:
                return


def own_memory() -> int:
    """Return the bytes of memory that this process holds, without mapped files where the system tells them apart."""
    held = psutil.Process().memory_info()
    return int(held.rss - getattr(held, "shared", 0))


def _give_back() -> None:
    """Ask glibc to return freed memory to the system; elsewhere nothing happens."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)

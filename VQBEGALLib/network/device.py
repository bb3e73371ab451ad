"""Where to compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from VQBEGALLib.errors import InputError, lacks_memory
from VQBEGALLib.events import Reporter

T = TypeVar("T")


def choose_device(name: str, *, threads: int = 0, reporter: Reporter) -> torch.device:
    """Return a device by name; ``auto`` takes a CUDA or Apple GPU where there is one, else the CPU.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        threads: processor threads; 0 leaves it to torch.
        reporter: told which device it is.

    Raises:
        InputError: the device asked for is not there.
    """
    if threads:
        torch.set_num_threads(threads)
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(candidate for candidate in ("cuda", "mps", "cpu") if there[candidate])
    if not there.get(name, False):
        raise InputError(f"This computer offers no {name} device to PyTorch.", "Use --device cpu or --device auto.")
    reporter.emit("device", device=name, threads=torch.get_num_threads())
    return torch.device(name)


class Compute:
    """Runs steps on a device and goes on without it, where it may, once its memory is too small.

    Args:
        device: where to compute first.
        reporter: warned when the processor takes over.
        fallback: whether it may.
    """

    def __init__(self, device: torch.device, reporter: Reporter, *, fallback: bool) -> None:
        self.device = device
        self._reporter = reporter
        self._fallback = fallback

    def run(self, step: Callable[[torch.device], T]) -> T:
        """Return what a step returns; it is repeated on the processor where the device has too little memory."""
        if not self._fallback or self.device.type == "cpu":
            return step(self.device)
        try:
            return step(self.device)
        except Exception as error:
            if not lacks_memory(error):
                raise
        self._reporter.warn(
            f"The {self.device.type} device has too little memory for the settings of this study; the processor takes "
            "over, which is slower."
        )
        if self.device.type == "cuda":
            torch.cuda.empty_cache()  # now that the error holds no tensor any more
        self.device = torch.device("cpu")
        return step(self.device)

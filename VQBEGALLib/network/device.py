"""Where to compute."""

from __future__ import annotations

import torch

from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter


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

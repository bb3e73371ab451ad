"""How much memory a computation takes, and where it computes, in words."""

from __future__ import annotations

import torch

from VQBEGALLib.processes import free_memory, peak_memory


class Memory:
    """Watches the memory that is used from now on: a CUDA device's own, else that of this process.

    Args:
        device: where the computation runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.free = free_memory()
        """Bytes that were free at the beginning; None where the system does not tell."""
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            self.free = torch.cuda.mem_get_info(device)[0]

    def peak(self) -> int:
        """Return the most bytes taken so far."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if self._device.type == "mps":  # shares the memory of the process
            return peak_memory() + torch.mps.driver_allocated_memory()
        return peak_memory()


def device_name(device: torch.device) -> str:
    """Return a device's name for a person."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    threads = torch.get_num_threads()
    return f"processor, {threads} thread{'' if threads == 1 else 's'}"

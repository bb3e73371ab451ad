"""What the next round costs, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

LONG = 600
"""Seconds; a round that is estimated to take longer asks before it starts."""


@dataclass(frozen=True)
class Estimate:
    """Time and memory, measured on this computer.

    Args:
        seconds: of the next round.
        memory_mb: that it needs.
        available_mb: that is free; 0 where that is not known.
        device: where it computes.
    """

    seconds: float
    memory_mb: float
    available_mb: float
    device: str

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Estimate:
        """Read the result of ``vqbegal estimate``."""
        return cls(result["seconds"], result["memory_mb"], result["available_mb"] or 0, result["device"])

    @property
    def is_large(self) -> bool:
        """Whether it needs more memory than is free."""
        return 0 < self.available_mb < self.memory_mb

    @property
    def is_worth_asking(self) -> bool:
        """Whether a person is asked before it starts."""
        return self.seconds > LONG or self.is_large

    def text(self) -> str:
        """Return one or two sentences."""
        text = _("The next round takes about {time} and {memory:.1f} GB on {device}.").format(
            time=duration(self.seconds), memory=self.memory_mb / 1024, device=self.device
        )
        if self.is_large:
            text += " " + _("Only {free:.1f} GB are free: close other programs or choose a smaller network.").format(
                free=self.available_mb / 1024
            )
        return text


def duration(seconds: float) -> str:
    """Return a time in words, as exact as a person wants it."""
    if seconds < 90:
        return _("{count} s").format(count=round(seconds))
    if seconds < 5400:
        return _("{count} min").format(count=round(seconds / 60))
    return _("{count:.1f} h").format(count=seconds / 3600)

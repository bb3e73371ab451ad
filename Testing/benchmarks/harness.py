"""Timing and the table that all benchmarks share. Import it before numpy or torch: it sets one thread.

Machines differ and are shared, so only ratios count: the callables take turns in one run, and medians are compared.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    ratio: float | None
    """Ours to the peer's; None where the peer is not installed."""
    target: float
    note: str = ""
    at_least: bool = False
    """Whether the ratio should reach the target (throughput) rather than stay below it (time, memory)."""

    @property
    def verdict(self) -> str:
        """met, missed or not measured."""
        if self.ratio is None:
            return "not measured"
        met = self.ratio >= self.target if self.at_least else self.ratio <= self.target
        return "met" if met else "missed"


def alternate(callables: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return each callable's median time in seconds; they take turns, after one turn that does not count."""
    times: dict[str, list[float]] = {name: [] for name in callables}
    for turn in range(repeats + 1):
        for name, call in callables.items():
            start = time.perf_counter()
            call()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def versions(*distributions: str) -> dict[str, str]:
    """Return the installed version of each distribution, or that it is not installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def print_table(rows: Sequence[Row], peers: Mapping[str, str]) -> None:
    """Print the rows, then the peers' versions."""
    head = ("what", "ratio", "target", "", "note")
    lines = [head]
    for row in rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append((row.name, ratio, f"{'>=' if row.at_least else '<='} {row.target:g}", row.verdict, row.note))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print("peers: " + ", ".join(f"{name} {version}" for name, version in peers.items()), flush=True)

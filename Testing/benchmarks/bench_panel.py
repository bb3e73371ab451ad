"""The panel on the stand-in host: pauses of the interface while a job trains, a long table, jumps between slices.

The numbers are milliseconds, not ratios: what a person feels. The job gets one thread, as a laptop would leave
one to the interface.
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing" / "host"), str(ROOT / "Testing" / "panel"), str(ROOT)]
os.environ["OMP_NUM_THREADS"] = "1"

import host  # noqa: E402  (first: it makes the application)

host.start()
host.load_module(ROOT / "VQBEGAL" / "VQBEGAL.py")

import driver  # noqa: E402
import qt  # noqa: E402
from harness import Row, print_table, versions  # noqa: E402
from support import PanelScenario  # noqa: E402
from VQBEGALPanel.estimate import Estimate  # noqa: E402

PAUSE, TABLE, JUMP, START = 50.0, 300.0, 100.0, 50.0
"""Milliseconds."""
ROWS = 5000
BEAT = 5
"""Milliseconds between two heartbeats."""


class Bench(PanelScenario):
    """A study with a round, driven as the scenarios drive it."""

    def runTest(self) -> None:  # noqa: N802
        """Fill :attr:`rows` with what was measured."""
        self.first_round()
        self.annotate(4)
        self.rows = [self.pauses(), self.jumps(), self.table()]

    def pauses(self) -> Row:
        """Train for ten seconds, and look for the longest gap between two heartbeats."""
        self.panel.session.configure({"steps": 100000})
        self.panel.session.estimate = Estimate(1, 1, 0, "cpu")  # so that it starts without a question
        driver.click(self.ui.trainOnly)
        driver.wait_until(self._trains, 120, "training to start")
        beats: list[float] = []
        timer = qt.QTimer()
        timer.setInterval(BEAT)
        timer.connect("timeout()", lambda: beats.append(time.perf_counter()))
        timer.start()
        driver.process(10)
        timer.stop()
        driver.click(self.ui.cancelJob)
        self.wait_for_job(10)
        gaps = [1000 * (later - earlier) for earlier, later in itertools.pairwise(beats)]
        return Row("longest pause while a job trains, ms", max(gaps), PAUSE, f"{len(beats)} heartbeats")

    def _trains(self) -> bool:
        work = self.panel.session.work
        return work is not None and work.progress.stage == "train"

    def jumps(self) -> Row:
        """Go back and forth between slices of loaded cases, until the views are drawn."""
        times = []
        for turn in range(20):
            start = time.perf_counter()
            driver.select_row(self.ui.requestsTable, turn % 4)
            if turn >= 4:  # by then every case is loaded
                times.append(1000 * (time.perf_counter() - start))
        return Row("jump to a slice of a loaded case, ms", statistics.median(times), JUMP, f"worst {max(times):.0f}")

    def table(self) -> Row:
        """Fill the table of requests."""
        request = self.panel.annotating.requests()[0]
        many = tuple(dataclasses.replace(request, rank=rank, score=0.5) for rank in range(ROWS))
        times = []
        for _turn in range(3):
            start = time.perf_counter()
            self.panel.slices._fill(many)
            times.append(1000 * (time.perf_counter() - start))
        return Row(f"fill a table of {ROWS} rows, ms", statistics.median(times), TABLE)


def start_up() -> Row:
    """Import VQBEGAL.py, as the application does with every module when it starts."""
    times = []
    for _turn in range(5):
        sys.modules.pop("VQBEGAL", None)
        start = time.perf_counter()
        importlib.import_module("VQBEGAL")
        times.append(1000 * (time.perf_counter() - start))
    return Row("import VQBEGAL.py, ms", max(times), START)


if __name__ == "__main__":
    bench = Bench()
    bench.debug()
    print_table([*bench.rows, start_up()], versions("slicer-core", "PySide6-Essentials"))

"""Eight tiny runs of a benchmark on two Dask workers against the same on one; the images are prepared before."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from harness import Row, print_table, versions  # first: it sets one thread

import torch  # isort: skip

from VQBEGALLib.benchmark import Plan, parse_plan, run_benchmark
from VQBEGALLib.benchmark.folder import ResultsFolder
from VQBEGALLib.events import Reporter
from VQBEGALLib.volumes.phantom import write_cohort

TARGET = 0.65
PLAN = """
preset = "tiny"
strategies = ["random"]
seeds = [0, 1, 2, 3, 4, 5, 6, 7]
budgets = [20]
[cohorts.phantoms]
primary = "ct"
auxiliary = "mr"
primary_labels = "ct_liver"
split = "split.json"
"""


def seconds(plan: Plan, prepared: Path, folder: Path, workers: int) -> float:
    """Return how long a benchmark takes in a fresh folder with the images prepared."""
    shutil.copytree(prepared, folder)
    started = time.perf_counter()
    run_benchmark(plan, folder, workers=workers, device=torch.device("cpu"), reporter=Reporter())
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cohort(folder / "cohort", subjects=6, seed=0, reporter=Reporter())
        plan = parse_plan(PLAN, folder / "cohort")
        results = ResultsFolder(folder / "prepared")
        results.open(plan)
        results.prepare(plan, plan.cohorts[0], Reporter())
        one, two = (seconds(plan, results.path, folder / f"workers{count}", count) for count in (1, 2))
    row = Row("8 tiny runs, 2 Dask workers", two / one, TARGET, f"{two:.0f} s against {one:.0f} s with one worker")
    print_table([row], versions("distributed", "torch"))


if __name__ == "__main__":
    main()

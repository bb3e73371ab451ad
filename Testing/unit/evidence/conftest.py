"""A benchmark run for a moment, for whatever looks into its networks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from VQBEGALLib.config import preset
from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence.snapshot import Snapshot, snapshot
from VQBEGALLib.network import build
from VQBEGALLib.rounds import Oracle, run
from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import gather
from VQBEGALLib.study.membership import NewSubject

CPU = torch.device("cpu")
QUIET = Reporter()
RUNS: dict[tuple[str, int], dict[str, object]] = {
    ("vq_begal", 0): {},
    ("vq_begal", 1): {},
    ("random", 0): {"quantize": False},
}
Changed = Callable[..., Snapshot]


def members(cohort: Path) -> list[NewSubject]:
    labels = {"primary_labels": cohort / "ct_liver", "auxiliary_labels": cohort / "mr_liver"}
    return gather(cohort / "ct", cohort / "mr", split=cohort / "split.json", **labels)


@pytest.fixture(scope="session")
def benchmark_made(tmp_path_factory: pytest.TempPathFactory, cohort: Path, study_settings: dict[str, object]) -> Path:
    """A benchmark's results folder of three runs of two rounds; the arm ``random`` has no codebook."""
    results = tmp_path_factory.mktemp("results")
    lines = ["cohort,arm,seed,budget,case,slice,position,score,role,foreground"]
    for (arm, seed), changes in RUNS.items():
        folder = results / "runs" / "ct" / arm / f"seed{seed}"
        study = Study.create(folder, preset("small", {**study_settings, **changes, "seed": seed}), members(cohort))
        run(study, strategy_name=arm, rounds=2, oracle=Oracle(), device=CPU, reporter=QUIET)
        for round_ in study.rounds():
            for item in round_.requests:
                frame = SliceFrame.of(study.grid(item.case))
                organ = frame.planes(study.reference(item.case).voxels)[item.slice].any()
                row = [item.case, item.slice, frame.height(item.slice), item.score or "", item.role, organ]
                lines.append(",".join(map(str, ["ct", arm, seed, (20, 35)[round_.index], *row])))
    (results / "picks.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return results


@pytest.fixture
def results(benchmark_made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(benchmark_made, tmp_path / "results"))


@pytest.fixture(scope="session")
def last(benchmark_made: Path) -> Snapshot:
    """The last network of the method's first run."""
    return snapshot(Study.open(benchmark_made / "runs" / "ct" / "vq_begal" / "seed0"), 1, device=CPU, reporter=QUIET)


@pytest.fixture
def with_network(last: Snapshot) -> Changed:
    """Makes snapshots of the same study with an untrained network of other settings."""

    def make(**changes: object) -> Snapshot:
        settings = last.study.config.replace(changes).network
        model = build(settings, seed=3).eval()
        return Snapshot(last.study, last.index, model, last.material, CPU, QUIET)

    return make

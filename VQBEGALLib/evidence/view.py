"""One cohort of a benchmark, as its diagnostic sections see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence.numerals import NOTHING, number
from VQBEGALLib.evidence.runs import RunStudy
from VQBEGALLib.evidence.section import Section
from VQBEGALLib.evidence.snapshot import Snapshot, snapshot
from VQBEGALLib.study.records import Round

OURS = "vq_begal"
COMPARED = {"VQ + random": ("vq_random", "random"), "VQ + EGAL": ("vq_egal", "egal"), "VQ-BEGAL": (OURS,)}
"""Networks of the paper's figure 3, and the arms that stand for each."""


@dataclass(frozen=True)
class View:
    """A cohort's runs.

    Args:
        results: the results folder.
        cohort: its name.
        several: whether there are other cohorts, so that headings name this one.
        runs: of the cohort, by arm and seed.
        device: where to compute.
        reporter: looked at for a request to cancel.
        seeds: runs of an arm that are looked at, at most.
    """

    results: Path
    cohort: str
    several: bool
    runs: Sequence[RunStudy]
    device: torch.device
    reporter: Reporter
    seeds: int

    @property
    def modalities(self) -> dict[str, str]:
        """Name of the modality behind ``primary`` and ``auxiliary``."""
        settings = self.runs[0].study.config.slices
        return {"primary": settings.primary_modality, "auxiliary": settings.auxiliary_modality}

    @property
    def arms(self) -> list[str]:
        """Names of the arms, the method itself first."""
        return sorted({run.arm for run in self.runs}, key=lambda arm: (arm != OURS, arm))

    def section(self, title: str) -> Section:
        """Return an empty section with a heading."""
        return Section(f"{title}, {self.cohort}" if self.several else title)

    def named(self, stem: str) -> str:
        """Return the stem of a figure's file, its own for each cohort."""
        return f"{stem}_{self.cohort}"

    def newest(self, arm: str) -> list[tuple[RunStudy, Round]]:
        """Return the last network of an arm, of all seeds that are as far as the farthest."""
        runs = [run for run in self.runs if run.arm == arm and run.networks][: self.seeds]
        last = max((run.networks[-1].index for run in runs), default=-1)
        return [(run, run.networks[-1]) for run in runs if run.networks[-1].index == last]

    def first(self, arm: str) -> list[tuple[RunStudy, Round]]:
        """Return the first network of an arm, of all seeds that have one before their last."""
        runs = [run for run in self.runs if run.arm == arm][: self.seeds]
        first = min((run.networks[0].index for run in runs if len(run.networks) > 1), default=-1)
        return [(run, item) for run in runs for item in run.networks[:-1] if item.index == first]

    def compared(self) -> dict[str, list[tuple[RunStudy, Round]]]:
        """Return the last networks of the arms of the paper's figure 3, by what they are called there."""
        found = {}
        for title, arms in COMPARED.items():
            known = [arm for arm in arms if self.newest(arm)]
            if known:
                found[title] = self.newest(known[0])
        return found

    def load(self, run: RunStudy, round_: Round) -> Snapshot:
        """Load a round's network; raises as :func:`VQBEGALLib.evidence.snapshot.snapshot`."""
        return snapshot(run.study, round_.index, device=self.device, reporter=self.reporter)


def labelled(run: RunStudy, round_: Round) -> str:
    """Return the labelled share of the pool as text."""
    return f"{run.budget(round_):.3g} %"


def mean_sd(values: Sequence[float], decimals: int = 2) -> str:
    """Return mean ± standard deviation of the values that are numbers, as text.

    Examples:
        >>> mean_sd([0.25, 0.75]), mean_sd([0.5]), mean_sd([float("nan")])
        ('0.50 ± 0.35', '0.50', '–')
    """
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return NOTHING
    text = number(float(np.mean(known)), decimals)
    return text if len(known) < 2 else f"{text} ± {number(float(np.std(known, ddof=1)), decimals)}"

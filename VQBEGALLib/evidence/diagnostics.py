"""Diagnostic pictures of a benchmark (paper, figs. 1B, 3 and 4, and more), as sections of its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence import diagnosed_choices, diagnosed_networks
from VQBEGALLib.evidence.runs import find_runs
from VQBEGALLib.evidence.section import Section
from VQBEGALLib.evidence.view import View

if TYPE_CHECKING:
    import torch

SEEDS = 4
"""Runs of an arm that are looked at."""
PARTS = (
    diagnosed_networks.modalities,
    diagnosed_networks.discriminator,
    diagnosed_choices.codebook,
    diagnosed_networks.noise,
    diagnosed_networks.meaning,
    diagnosed_choices.places,
)


def diagnostics(results: Path, *, device: torch.device, reporter: Reporter, seeds: int = SEEDS) -> list[Section]:
    """Look into the networks and choices of a results folder; what is not there yet is said in a note.

    Args:
        results: what ``vqbegal benchmark`` writes, whole or in part.
        device: where the networks compute.
        reporter: receives progress.
        seeds: runs of an arm that are looked at, lowest seeds first. The pictures show the lowest.

    Returns:
        Six sections a cohort; one with a note where there is no run.

    Raises:
        MissingDependencyError: matplotlib, scikit-learn or pandas is not installed.
        CancelledError: a person asked to stop.
    """
    runs, notes = find_runs(results)
    cohorts = sorted({run.cohort for run in runs})
    sections = []
    if notes or not runs:
        sections.append(Section("Diagnostics", notes=notes or ["There is no run to look into yet."]))
    with reporter.stage("diagnostics", len(PARTS) * len(cohorts), unit="part") as stage:
        for cohort in cohorts:
            mine = [run for run in runs if run.cohort == cohort]
            view = View(results, cohort, len(cohorts) > 1, mine, device, reporter, seeds)
            for part in PARTS:
                sections.append(part(view))
                stage.advance()
    return sections

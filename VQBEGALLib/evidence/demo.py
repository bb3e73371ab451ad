"""The main path on simulated abdomens, from nothing to a report: what ``make demo`` runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from VQBEGALLib.config import preset
from VQBEGALLib.errors import StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence.report import write_report
from VQBEGALLib.inference import predict
from VQBEGALLib.rounds import Material, Oracle, evaluate_round, load_round, newest_trained, run
from VQBEGALLib.storage import write_json
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import gather
from VQBEGALLib.volumes import read_volume, write_volume
from VQBEGALLib.volumes.phantom import write_cohort

SETTINGS: dict[str, object] = {
    "size": 96,
    "base_channels": 12,
    "codes": 256,
    "code_dim": 32,
    "steps": 150,
    "learning_rate": 1e-2,
    "batch_size": 12,
    "unlabelled_per_step": 4,
    "seed_budget": 24,
    "round_budget": 16,
    "total_budget": 200,
}
"""What the demonstration changes of the preset ``small``, to take minutes on two cores."""


def run_demo(
    folder: Path, *, subjects: int, rounds: int, seed: int, device: torch.device, reporter: Reporter
) -> tuple[dict[str, Any], str]:
    """Generate a cohort, run rounds with the oracle, segment an unseen phantom, write the report.

    Args:
        folder: new or empty; gets ``cohort``, ``study``, ``prediction.nii.gz``, ``report.html`` and ``demo.json``.
        subjects: simulated patients, at least three.
        rounds: rounds, the seed round included.
        seed: of cohort and study.
        device: where to compute.
        reporter: receives progress.

    Returns:
        The figures, and the same as text.

    Raises:
        StudyError: the folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StudyError(f"{folder} is not empty.", "Remove it, or choose another folder.")
    cohort = folder / "cohort"
    write_cohort(cohort, subjects=subjects, seed=seed, reporter=reporter)
    members = gather(
        cohort / "ct",
        cohort / "mr",
        primary_labels=cohort / "ct_liver",
        auxiliary_labels=cohort / "mr_liver",
        split=cohort / "split.json",
    )
    study = Study.create(folder / "study", preset("small", {**SETTINGS, "seed": seed}), members, reporter=reporter)
    run(study, strategy_name="vq_begal", rounds=rounds, oracle=Oracle(), device=device, reporter=reporter)
    with study.writing("evaluate"):
        material = Material(study, reporter)
        scores = evaluate_round(material, newest_trained(study), "test", device=device, reporter=reporter)
    case = study.cases("test")[0].name
    model, _ = load_round(study, newest_trained(study))
    volume = read_volume(cohort / "ct" / f"{case}.nii.gz")
    write_volume(folder / "prediction.nii.gz", predict(model, study.config, volume, device=device, reporter=reporter))
    report = write_report(study, folder / "report.html", device=device, reporter=reporter)
    dice = {name: part["summary"]["dice"]["mean"] for name, part in scores.items()}
    used = study.ledger()["budget"]["used"]
    text = (
        f"{used} annotated slices; Dice on unseen phantoms {dice['without']:.3f} from CT alone, "
        f"{dice['with']:.3f} with MR.\nReport: {report}"
    )
    figures = {"dice": dice, "slices": used}
    write_json(folder / "demo.json", figures)
    return {**figures, "report": str(report)}, text

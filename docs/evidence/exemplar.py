"""CMEMS from one exemplar against the same U-Net on that exemplar: ``exemplar.py DATA WORK OUT``.

DATA is a folder with ``cohort/ct``, ``cohort/ct_liver`` and ``split.json``. Four training patients serve in turn, once
with all their slices and once with the slice that shows most of the organ. WORK gets the prepared slices and a file
of every training under WORK/runs, so that a run that was cut short goes on; OUT gets their table, results.md, and their
scores, results.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from VQBEGALLib.config import preset
from VQBEGALLib.events import Reporter
from VQBEGALLib.rounds import Material, evaluate
from VQBEGALLib.slices import SliceFrame, prepare_masks
from VQBEGALLib.storage import write_bytes, write_json
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import gather
from VQBEGALLib.training import Example, Role, train

SETTINGS = {
    "size": 64,
    "base_channels": 8,
    "code_dim": 32,
    "batch_size": 8,
    "unlabelled_per_step": 4,
    "steps": 250,
    "pairing": "none",
    "mixed_precision": False,
}
ALONE = {"weight_image": 0, "weight_feature": 0}
ARMS: dict[str, dict[str, object]] = {
    "U-Net": {"method": "plain"},
    "U-Net, four times the steps": {"method": "plain", "steps": 1000},
    "CMEMS": {"method": "cmems"},
    "CMEMS without mutual learning": {"method": "cmems", **ALONE},
}
KINDS = {"volume": "all slices of one patient", "slice": "one slice"}


@dataclass(frozen=True)
class Run:
    """One training: an arm on a seed's exemplar, whole or a single slice."""

    kind: str
    arm: str
    seed: int

    def path(self, work: Path) -> Path:
        """Return where its result lies."""
        place = list(ARMS).index(self.arm)
        return work / "runs" / f"{self.kind}_{place}_{self.seed}.json"


def study_of(data: Path, work: Path) -> Study:
    """Return the study of the CT cohort, made at the first call."""
    folder = work / "study"
    if not (folder / "study.json").exists():
        work.mkdir(parents=True, exist_ok=True)
        split = work / "split.json"
        split.write_text(json.dumps(json.loads((data / "split.json").read_text(encoding="utf-8"))["ct"]), "utf-8")
        members = gather(data / "cohort" / "ct", primary_labels=data / "cohort" / "ct_liver", split=split)
        Study.create(folder, preset("small", SETTINGS), members)
    return Study.open(folder)


def exemplar(material: Material, run: Run) -> list[Example]:
    """Return the annotated slices of a run: its seed's patient, in an order drawn once."""
    study, config = material.study, material.config
    names = [case.name for case in study.cases("train")]
    case = names[np.random.default_rng(0).permutation(len(names))[run.seed % len(names)]]
    reference = study.reference(case)
    assert reference is not None
    areas = SliceFrame.of(reference).planes(reference.voxels).sum(axis=(1, 2))
    slices = [int(areas.argmax())] if run.kind == "slice" else list(range(len(areas)))
    masks = dict(zip(slices, prepare_masks(reference, config.slices, slices), strict=True))
    pairs = [pair for pair in material.pairs("train") if pair.case == case and pair.slice in masks]
    return [Example(pair, Role.ALL, masks[pair.slice]) for pair in pairs]


def score(material: Material, run: Run, reporter: Reporter) -> dict[str, Any]:
    """Train a run and return its test scores by patient."""
    config = material.config.replace({**ARMS[run.arm], "seed": run.seed})
    examples = exemplar(material, run)
    taken = {(example.pair.case, example.pair.slice) for example in examples}
    rest = [pair for pair in material.pairs("train") if (pair.case, pair.slice) not in taken]
    device = torch.device("cpu")
    found = train(examples, rest, material.reader, config, round_index=0, device=device, reporter=reporter)
    scores = evaluate(material, found.model, config, "test", auxiliary="none", device=device, reporter=reporter)
    return {
        "kind": run.kind,
        "arm": run.arm,
        "seed": run.seed,
        "exemplar": examples[0].pair.case,
        "slices": [example.pair.slice for example in examples],
        "steps": config.training.steps,
        "seconds": round(found.seconds, 1),
        "parameters": sum(weight.numel() for weight in found.model.parameters() if weight.requires_grad),
        "history": found.history[-1],
        **scores,
    }


def rows(results: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table: mean over the test patients, then mean and standard deviation over the seeds."""
    yield "| exemplar | arm | seeds | Dice | HD95, mm | Dice of each seed | training, s |"
    yield "|---|---|---|---|---|---|---|"
    for kind, words in KINDS.items():
        for arm in ARMS:
            mine = [each for each in results if (each["kind"], each["arm"]) == (kind, arm)]
            if mine:
                dice = np.array([each["summary"]["dice"]["mean"] for each in mine])
                distance = np.array([each["summary"]["hd95_mm"]["mean"] for each in mine])
                seconds = np.mean([each["seconds"] for each in mine])
                spread = f" ± {dice.std(ddof=1):.3f}" if len(dice) > 1 else ""
                each_one = ", ".join(f"{value:.3f}" for value in dice)
                yield (
                    f"| {words} | {arm} | {len(mine)} | {dice.mean():.3f}{spread} | {distance.mean():.1f} | {each_one} "
                    f"| {seconds:.0f} |"
                )


def main() -> None:
    """Train what is missing, then write table and scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    reporter = Reporter()
    material = Material(study_of(options.data, options.work), reporter)
    for seed in options.seeds:
        for run in [Run(kind, arm, seed) for kind in options.kinds for arm in options.arms]:
            path = run.path(options.work)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, score(material, run, reporter))
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((options.work / "runs").glob("*.json"))]
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "results.json", found)
    write_bytes(options.out / "results.md", ("\n".join(rows(found)) + "\n").encode())


if __name__ == "__main__":
    main()

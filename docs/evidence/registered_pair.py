"""CMC on a registered pair: ``registered_pair.py DATA OUT``.

DATA is a folder with one person's ``*_inphase.nii.gz``, ``*_outphase.nii.gz`` and ``*_liver.nii.gz`` on one grid. A few
slices are labelled, the others are unlabelled pairs; the networks are scored on those. Every training is noted in
OUT/registered_pair.json as it ends, so that a run that was cut short goes on; the tables are OUT/registered_pair.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from VQBEGALLib.config import preset
from VQBEGALLib.events import Reporter
from VQBEGALLib.related.cmc.losses import cac_loss
from VQBEGALLib.rounds import Material
from VQBEGALLib.slices import SlicePair, prepare_masks
from VQBEGALLib.storage import write_bytes, write_json
from VQBEGALLib.study import Study
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.training import Example, Role, Trained, train

SETTINGS = {
    "primary_modality": "MR",
    "auxiliary_modality": "MR",
    "size": 64,
    "base_channels": 8,
    "code_dim": 32,
    "batch_size": 8,
    "unlabelled_per_step": 4,
    "steps": 250,
    "mixed_precision": False,
}
ARMS: dict[str, dict[str, object]] = {
    "plain": {"method": "plain"},
    "CMC": {"method": "cmc"},
    "CMC without CAC": {"method": "cmc", "weight_cac": 0},
}
LABELS = {"both": "labels on both contrasts", "primary": "labels on the in-phase slices alone"}
CASES = ((0.05, "both"), (0.1, "both"), (0.1, "primary"))
"""Share of the slices that is labelled, and on which contrasts."""

SEEDS = range(4)
POINTS = (0.02, 0.25, 0.5, 0.75, 1.0)
MEASURES = {
    "in_phase": "in phase",
    "opposed_phase": "opposed phase",
    "in_phase_alone": "in phase alone",
    "opposed_phase_alone": "opposed phase alone",
    "agreement": "agreement",
    "agreement_alone": "agreement, each alone",
    "cac": "CAC, less is better",
}


@dataclass(frozen=True)
class Run:
    """One training."""

    arm: str
    labels: str
    share: float
    seed: int


def runs() -> Iterator[Run]:
    """Return all trainings, those of a seed one after the other."""
    for seed in SEEDS:
        for share, labels in CASES:
            yield from (Run(arm, labels, share, seed) for arm in ARMS)


def only(data: Path, kind: str) -> Path:
    """Return the one file of a kind."""
    (found,) = data.glob(f"*_{kind}.nii.gz")
    return found


def study_of(data: Path, folder: Path) -> Study:
    """Return a study of the one person."""
    liver = only(data, "liver")
    person = NewSubject("pair", "pair", "train", only(data, "inphase"), only(data, "outphase"), liver, liver)
    return Study.create(folder, preset("small", SETTINGS), [person])


def labelled(masks: npt.NDArray[np.uint8], run: Run) -> set[int]:
    """Draw the labelled slices: at random, again until one of them shows the organ; the same for all arms."""
    generator = np.random.default_rng((run.seed, round(1000 * run.share)))
    count = max(1, round(run.share * len(masks)))
    while True:
        chosen = generator.permutation(len(masks))[:count]
        if masks[chosen].any():
            return {int(index) for index in chosen}


def measured(material: Material, masks: npt.NDArray[np.uint8], run: Run) -> dict[str, Any]:
    """Train a run, and score its network on the slices without labels."""
    config = preset("small", {**SETTINGS, **ARMS[run.arm], "supervise": run.labels, "seed": run.seed})
    chosen, pairs = labelled(masks, run), material.pairs("train")
    examples = [
        Example(pair, Role.ALL, masks[pair.slice], masks[pair.slice] if run.labels == "both" else None)
        for pair in pairs
        if pair.slice in chosen
    ]
    rest = [pair for pair in pairs if pair.slice not in chosen]
    device = torch.device("cpu")
    trained = train(examples, rest, material.reader, config, round_index=0, device=device, reporter=Reporter())
    curve = {str(point): at(trained, point) for point in POINTS} if "cac" in trained.history[0] else None
    scores = scored(trained, material, rest, masks[[pair.slice for pair in rest]])
    return {
        **asdict(run),
        "labelled": sorted(chosen),
        "slices": len(pairs),
        **scores,
        "seconds": trained.seconds,
        "cac_in_training": curve,
    }


def at(trained: Trained, share: float) -> float:
    """Return the CAC term at the history's point nearest to a share of the steps."""
    steps = trained.history[-1]["step"]
    return min(trained.history, key=lambda point: abs(point["step"] - share * steps))["cac"]


@torch.inference_mode()
def scored(
    trained: Trained, material: Material, pairs: list[SlicePair], masks: npt.NDArray[np.uint8]
) -> dict[str, float]:
    """Return the Dice of both contrasts' masks, with the partner and alone, and how much they agree."""
    images = material.reader.read(pairs)
    first, second = (torch.from_numpy(each[:, None]) for each in (images.primary, images.auxiliary))
    truth, model = masks[:, None] > 0, trained.model
    logits = {
        "in_phase": model.segment(first, second),
        "opposed_phase": model.segment(second, first, auxiliary=True),
        "in_phase_alone": model.segment(first),
        "opposed_phase_alone": model.segment(second, auxiliary=True),
    }
    found = {name: each.numpy() > 0 for name, each in logits.items()}
    return {
        **{name: dice(mask, truth) for name, mask in found.items()},
        "agreement": dice(found["in_phase"], found["opposed_phase"]),
        "agreement_alone": dice(found["in_phase_alone"], found["opposed_phase_alone"]),
        "cac": float(cac_loss(logits["in_phase"], logits["opposed_phase"])),
    }


def dice(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """Return the Dice over all pixels of all slices; 1 where both are empty."""
    total = first.sum() + second.sum()
    return float(2 * (first & second).sum() / total) if total else 1.0


def spread(values: list[float]) -> str:
    """Return mean ± standard deviation over the seeds."""
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def tables(rows: list[dict[str, Any]]) -> str:
    """Return the Markdown page."""
    lines = [
        "# CMC on a registered pair",
        "",
        "One person, MR T1 in phase (primary) and opposed phase (auxiliary), one grid. Mean ± standard deviation over "
        "seeds, each with its own labelled slices, of the Dice over the slices without labels, on the network's grid "
        "of 64 × 64 pixels: of each contrast's mask with the other contrast as partner and alone. Agreement is the "
        "Dice between both contrasts' masks, two empty masks agreeing in full; CAC is the loss of that name. The "
        "slices without labels are those that CMC trains on as unlabelled pairs. All from `registered_pair.py`; no "
        "setting was chosen by them. One person allows no statement about others.",
    ]
    for share, labels in CASES:
        chosen = complete([row for row in rows if (row["labels"], row["share"]) == (labels, share)])
        if chosen:
            seeds = len(chosen) // len(ARMS)
            title = f"## {len(chosen[0]['labelled'])} of {chosen[0]['slices']} slices, {LABELS[labels]}, {seeds} seeds"
            lines += ["", title, "", *score_table(chosen), "", *curve_table(chosen)]
    return "\n".join(lines) + "\n"


def complete(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the seeds on which every arm is done."""
    done = [row["seed"] for row in rows]
    return [row for row in rows if done.count(row["seed"]) == len(ARMS)]


def score_table(rows: list[dict[str, Any]]) -> list[str]:
    """Return what each arm reached, and on how many seeds it lies above the plain network."""
    lines = [f"| arm | {' | '.join(MEASURES.values())} | seconds |", "|---" * (len(MEASURES) + 2) + "|"]
    by_arm = {arm: {row["seed"]: row for row in rows if row["arm"] == arm} for arm in ARMS}
    for arm, found in by_arm.items():
        cells = [spread([row[name] for row in found.values()]) for name in MEASURES]
        lines.append(f"| {arm} | {' | '.join(cells)} | {np.mean([row['seconds'] for row in found.values()]):.0f} |")
    for arm in list(ARMS)[1:]:
        wins = [sum(row[name] > by_arm["plain"][seed][name] for seed, row in by_arm[arm].items()) for name in MEASURES]
        lines.append(f"| {arm}, seeds above plain | {' | '.join(map(str, wins))} | |")
    return lines


def curve_table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the CAC term over the training, a mean over the seeds."""
    lines = [
        f"| CAC in training, at | {' | '.join(f'{point:.0%}' for point in POINTS)} |",
        "|---" * (len(POINTS) + 1) + "|",
    ]
    for arm in ARMS:
        curves = [row["cac_in_training"] for row in rows if row["arm"] == arm and row["cac_in_training"]]
        if curves:
            cells = [f"{np.mean([curve[str(point)] for curve in curves]):.3f}" for point in POINTS]
            lines.append(f"| {arm} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Do what is not done yet, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("out", type=Path, metavar="OUT")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "registered_pair.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"settings": SETTINGS, "runs": []}
    done = {(row["arm"], row["labels"], row["share"], row["seed"]) for row in found["runs"]}
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        study = study_of(options.data, Path(folder) / "study")
        material = Material(study, Reporter())
        liver = study.reference("pair")
        masks = prepare_masks(liver, study.config.slices, list(range(len(material.pairs("train")))))
        for run in runs():
            if (run.arm, run.labels, run.share, run.seed) not in done:
                found["runs"].append(measured(material, masks, run))
                found["torch"] = torch.__version__
                write_json(path, found)
    write_bytes(options.out / "registered_pair.md", tables(found["runs"]).encode())


if __name__ == "__main__":
    main()

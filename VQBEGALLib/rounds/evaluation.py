"""How good a trained round is: per patient, on the volume at its own resolution."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

import torch

from VQBEGALLib.config import Config
from VQBEGALLib.errors import StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.inference import Probabilities, segment_slices, to_labelmap
from VQBEGALLib.metrics import SegmentationScore, score, summarise
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.rounds.material import Material
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.slices.reader import SliceReader
from VQBEGALLib.study.records import Split
from VQBEGALLib.volumes import Volume

Auxiliary = Literal["none", "own", "any"]
"""Auxiliary given to the network: none; that of the patient where there is one; else one borrowed from the split."""


def evaluate(
    material: Material,
    model: VQBEGAL,
    config: Config,
    split: Split,
    *,
    auxiliary: Auxiliary,
    device: torch.device,
    reporter: Reporter,
    reader: SliceReader | None = None,
) -> dict[str, Any]:
    """Segment every case of a split that has a reference, and score it.

    Args:
        material: slices of the study, with those of the split.
        model: trained network.
        config: its configuration.
        split: whose cases.
        auxiliary: which partners the network is given.
        device: where to compute.
        reporter: receives progress.
        reader: gives the images in place of the study's own, for example degraded ones.

    Returns:
        ``cases`` with the scores by name and ``summary`` over them (see :func:`VQBEGALLib.metrics.summarise`).

    Raises:
        StudyError: no case of the split has a reference.
        CancelledError: a person asked to stop.
    """
    scores: dict[str, SegmentationScore] = {}
    cases = [item.name for item in material.study.cases(split) if item.primary_reference is not None]
    if not cases:
        raise StudyError(
            f"No case of the {split} split has reference labels.", "Add cases with reference labels to evaluate."
        )
    with reporter.stage(f"evaluate {split}", len(cases), unit="case") as stage:
        for case in cases:
            reference = material.study.reference(case)
            if reference is not None:
                prediction = segment_case(
                    material, model, config, case, auxiliary, device=device, reporter=reporter, reader=reader
                )
                scores[case] = score(prediction, reference)
                stage.advance(1, dice=scores[case].dice)
    return {
        "split": split,
        "auxiliary": auxiliary,
        "summary": summarise(scores),
        "cases": {case: asdict(value) for case, value in scores.items()},
    }


def segment_case(
    material: Material,
    model: VQBEGAL,
    config: Config,
    case: str,
    auxiliary: Auxiliary,
    *,
    device: torch.device,
    reporter: Reporter,
    reader: SliceReader | None = None,
) -> Volume:
    """Segment a case of the study from its prepared slices; uint8 labelmap on the primary volume's grid."""
    found = probabilities_of(material, model, case, auxiliary, device=device, reporter=reporter, reader=reader)
    return to_labelmap(found, material.study.grid(case), config)


def probabilities_of(
    material: Material,
    model: VQBEGAL,
    case: str,
    auxiliary: Auxiliary,
    *,
    device: torch.device,
    reporter: Reporter,
    reader: SliceReader | None = None,
) -> Probabilities:
    """Return the organ's probability on every slice of a case, from its prepared slices or from another reader."""
    subject = material.study.subjects[case]
    pairs = [pair for pair in material.pairs(subject.split) if pair.case == case]
    if auxiliary == "none" or (auxiliary == "own" and subject.auxiliary is None):
        pairs = [SlicePair(pair.case, pair.slice) for pair in pairs]
    return segment_slices(model, pairs, (reader or material.reader).read, device=device, reporter=reporter.silent())

"""How good a trained round is: per patient, on the volume at its own resolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import torch

from VQBEGALLib.config import Config
from VQBEGALLib.errors import StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.inference import Probabilities, segment_slices, to_labelmap
from VQBEGALLib.metrics import SegmentationScore, mean_score, score_organs, summarise
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
        ``cases`` with the scores by name and ``summary`` over them (see :func:`VQBEGALLib.metrics.summarise`). With
        several organs these are means over the organs that a case's reference tells of, and ``organs`` in each of them
        holds the same of every organ by its name.

    Raises:
        StudyError: no case of the split has a reference.
        CancelledError: a person asked to stop.
    """
    scores: dict[str, dict[str, SegmentationScore]] = {}
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
                record = material.study.subjects[case].primary_reference
                absent = () if record is None else record.absent
                scores[case] = score_organs(prediction, reference, config.organs, absent=absent)
                stage.advance(1, dice=mean_score(scores[case].values()).dice)
    return {"split": split, "auxiliary": auxiliary, **_told(scores, config.organs)}


def _told(scores: Mapping[str, Mapping[str, SegmentationScore]], organs: Sequence[str]) -> dict[str, Any]:
    """Return scores by case and organ as plain values, and a summary of them."""
    means = {case: mean_score(parts.values()) for case, parts in scores.items()}
    summary: dict[str, Any] = summarise(means)
    cases: dict[str, Any] = {case: asdict(value) for case, value in means.items()}
    if len(organs) > 1:
        for case, parts in scores.items():
            cases[case]["organs"] = {organ: asdict(value) for organ, value in parts.items()}
        found = {organ: {case: parts[organ] for case, parts in scores.items() if organ in parts} for organ in organs}
        summary["organs"] = {organ: summarise(parts) for organ, parts in found.items() if parts}
    return {"summary": summary, "cases": cases}


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
    """Segment a case of the study from its prepared slices; uint8 labelmap, 0 to C, on the primary volume's grid."""
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
) -> Iterator[Probabilities]:
    """Yield the organs' probabilities on every slice of a case, from its prepared slices or from another reader."""
    subject = material.study.subjects[case]
    pairs = [pair for pair in material.pairs(subject.split) if pair.case == case]
    if auxiliary == "none" or (auxiliary == "own" and subject.auxiliary is None):
        pairs = [SlicePair(pair.case, pair.slice) for pair in pairs]
    return segment_slices(model, pairs, (reader or material.reader).read, device=device, reporter=reporter.silent())

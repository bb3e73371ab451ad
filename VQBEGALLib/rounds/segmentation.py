"""What the newest network makes of a study's cases, kept in the study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from VQBEGALLib.events import Reporter
from VQBEGALLib.inference import Probabilities, to_labelmap, uncertainty
from VQBEGALLib.rounds.attention import attention_volume
from VQBEGALLib.rounds.evaluation import probabilities_of
from VQBEGALLib.rounds.material import Material
from VQBEGALLib.rounds.steps import load_round, newest_trained
from VQBEGALLib.study import Prediction
from VQBEGALLib.study.predictionstore import place


def segment_cases(
    material: Material, cases: Iterable[str], *, device: torch.device, reporter: Reporter
) -> list[Prediction]:
    """Segment cases with the newest trained network, each with its own auxiliary image where it has one.

    Cases that this network has segmented before are passed over.

    Args:
        material: slices of the study, with those of the cases' splits; the study is held for writing.
        cases: names; the order is kept, a name given twice counts once.
        device: where to compute.
        reporter: receives progress; looked at for a request to cancel between batches of slices.

    Returns:
        One prediction a case, also of those passed over.

    Raises:
        InputError: the study has no such case.
        StudyError: no round is trained yet.
        OutOfMemoryError: the device has too little memory.
        StorageError: the disk is full or refuses.
        CancelledError: a person asked to stop; predictions that are written are whole and stay.
    """
    study = material.study
    index = newest_trained(study)
    found = {case: place(study.folder, index, case) for case in cases}
    grids = {case: study.grid(case) for case in found}
    missing = [case for case, prediction in found.items() if not prediction.path.is_file()]
    if missing:
        model, _ = load_round(study, index)
        with reporter.stage("segment", len(missing), unit="case") as stage:
            for case in missing:
                bits: list[float] = []
                made = probabilities_of(material, model, case, "own", device=device, reporter=reporter)
                labelmap = to_labelmap(_measured(made, bits), grids[case], study.config)
                attention = attention_volume(material, model, case, device=device, reporter=reporter)
                study.put_prediction(index, case, labelmap, bits, attention)
                stage.advance()
    return list(found.values())


def _measured(slices: Iterable[Probabilities], bits: list[float]) -> Iterator[Probabilities]:
    """Pass probabilities on slice by slice; ``bits`` receives the uncertainty of each."""
    for image in slices:
        bits += uncertainty([image])
        yield image

"""A training from one annotated slice: every term falls, and the networks find the organ on slices never annotated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from VQBEGALLib.events import Reporter
from VQBEGALLib.metrics import dice
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.training import Trained, train

SETTINGS = {"stages": 2, "steps": 40, "batch_size": 2, "unlabelled_per_step": 2}


def trained(cohort: Any, annotated: int) -> Trained:
    return train(
        cohort.examples[:annotated],
        cohort.pairs[annotated:],
        cohort.reader,
        cohort.config,
        round_index=0,
        device=torch.device("cpu"),
        reporter=Reporter(),
    )


def dice_of(model: VQBEGAL, cohort: Any) -> float:
    """Return the mean Dice on the slices whose masks are known, the annotated first one left out."""
    held = cohort.examples[1:]
    images = torch.from_numpy(cohort.reader.read([example.pair for example in held]).primary[:, None])
    with torch.inference_mode():
        found = (model.segment(images) > 0)[:, 0].numpy()
    scores = [dice(mask, example.mask) for mask, example in zip(found, held, strict=True)]
    return sum(scores) / len(scores)


def test_one_slice_is_enough_for_discs(tiny_cohort: Callable[..., Any]) -> None:
    cohort = tiny_cohort(method="cmems", learning_rate=1e-2, **SETTINGS)
    found = trained(cohort, 1)
    first, last = found.history[0], found.history[-1]
    assert all(last[name] < 0.7 * first[name] for name in ("seg", "peer", "synthetic"))
    assert last["image"] > 0 and last["feature"] > 0, "pixels are confident by now"
    assert dice_of(found.model, cohort) > 0.7

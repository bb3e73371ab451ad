"""What annotation has cost so far: slices, patients, pixels; per split and per round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from VQBEGALLib.study.records import SPLITS, Annotation, Subject


def count(
    subjects: Mapping[str, Subject], annotations: Mapping[str, Sequence[Annotation]], budget: int
) -> dict[str, Any]:
    """Count annotations.

    Args:
        subjects: by name.
        annotations: by the subject's name.
        budget: slices that may be annotated for training in all.

    Returns:
        ``slices``, ``patients`` and ``foreground_pixels`` in all, the same in ``splits`` by split and in
        ``rounds`` by round (a text, as JSON wants), and ``budget`` with ``total``, ``used`` and ``left``; only
        slices of the training split use it.
    """
    items = [(subjects[name], item) for name, found in annotations.items() for item in found]
    splits = {split: _sums([pair for pair in items if pair[0].split == split]) for split in SPLITS}
    rounds = {
        str(index): _sums([pair for pair in items if pair[1].round == index])
        for index in sorted({item.round for _, item in items})
    }
    used = splits["train"]["slices"]
    spent = {"total": budget, "used": used, "left": max(0, budget - used)}
    return {**_sums(items), "splits": splits, "rounds": rounds, "budget": spent}


def _sums(items: Sequence[tuple[Subject, Annotation]]) -> dict[str, int]:
    return {
        "slices": len(items),
        "patients": len({subject.patient for subject, _ in items}),
        "foreground_pixels": sum(item.foreground_pixels for _, item in items),
    }

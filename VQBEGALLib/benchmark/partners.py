"""Another partner for a pair than the one it is given, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from VQBEGALLib.rounds import Material
from VQBEGALLib.slices import SliceFrame, SlicePair
from VQBEGALLib.study.records import Split


@dataclass(frozen=True)
class Lenders:
    """Auxiliary images of a split.

    Args:
        frames: frame of each, by subject.
        patients: patient of each, by subject.
    """

    frames: Mapping[str, SliceFrame]
    patients: Mapping[str, str]

    @classmethod
    def of(cls, material: Material, split: Split) -> Lenders:
        """Return those of a study."""
        subjects = material.study.auxiliaries(split)
        frames = {subject.name: material.frames["auxiliary"][subject.name] for subject in subjects}
        return cls(frames, {subject.name: subject.patient for subject in subjects})


Redraw = Callable[[SlicePair, Lenders, np.random.Generator], SlicePair]
"""(pair that has a partner, what there is to borrow, generator) → the pair with another partner or with none."""


def no_partner(pair: SlicePair, lenders: Lenders, generator: np.random.Generator) -> SlicePair:
    """Return the pair without its partner."""
    return SlicePair(pair.case, pair.slice)


def other_patient(pair: SlicePair, lenders: Lenders, generator: np.random.Generator) -> SlicePair:
    """Return the pair with a slice of another patient than its partner, at the partner's relative height."""
    partner, index = str(pair.partner), int(pair.partner_slice or 0)
    patient = lenders.patients[partner]
    others = [name for name in sorted(lenders.frames) if lenders.patients[name] != patient]
    chosen = others[generator.integers(len(others))]
    height = lenders.frames[partner].height(index)
    return replace(pair, partner=chosen, partner_slice=lenders.frames[chosen].at_height(height))


def other_height(pair: SlicePair, lenders: Lenders, generator: np.random.Generator) -> SlicePair:
    """Return the pair with another slice of the same volume; a volume of one slice has none."""
    count = lenders.frames[str(pair.partner)].count
    if count == 1:
        return pair
    index = int(generator.integers(count - 1))
    return replace(pair, partner_slice=index + (index >= int(pair.partner_slice or 0)))

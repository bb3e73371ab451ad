"""Slice pairs: which auxiliary slice stands beside which primary slice, without registration."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from VQBEGALLib.config import Pairing, SliceSettings
from VQBEGALLib.slices.frame import SliceFrame
from VQBEGALLib.volumes import Volume


@dataclass(frozen=True, order=True)
class SlicePair:
    """One primary slice and its auxiliary partner; slice numbers count along each volume's own array axis.

    Args:
        case: subject of the primary volume.
        slice: its slice.
        partner: subject of the auxiliary volume; None where there is none.
        partner_slice: its slice.
        aligned: both slices show the same anatomy, pixel by pixel: one subject, one grid.
    """

    case: str
    slice: int
    partner: str | None = None
    partner_slice: int | None = None
    aligned: bool = False


def show_the_same(primary: Volume, auxiliary: Volume, settings: SliceSettings) -> bool:
    """Tell whether slices of one number of a subject's two volumes show the same anatomy, pixel by pixel.

    Volumes on one grid do. The grid with spacing 1 mm and origin 0 says nothing: a file without a header has it,
    whatever it shows.
    """
    nameless = np.array_equal(np.abs(primary.affine), np.eye(4))  # NIfTI's axes are turned to LPS, which changes signs
    return settings.registered == "auto" and primary.same_grid(auxiliary) and not nameless


def pair_slices(
    primaries: Mapping[str, SliceFrame],
    auxiliaries: Mapping[str, SliceFrame],
    *,
    pairing: Pairing,
    generator: np.random.Generator,
    without: Collection[str] = (),
    aligned: Collection[str] = (),
) -> list[SlicePair]:
    """Pair every slice of every primary volume with an auxiliary slice of the same split.

    A subject that has an auxiliary volume of its own is paired with it; any other borrows the volume of a
    subject drawn at random (method.md, "pairs"). The slice lies at the same relative position along the body
    axis, or is drawn at random. With pairing ``none`` no slice has a partner.

    Args:
        primaries: frame of each primary volume by subject.
        auxiliaries: frame of each auxiliary volume by subject; may be empty.
        pairing: ``relative_position``, ``random`` or ``none``.
        generator: source of the draws; one generator seed gives one pairing.
        without: subjects that neither have a partner nor lend their auxiliary volume; where nobody borrows from them
            the pairs of all others stay as they are.
        aligned: subjects whose two volumes lie on one grid, so that slices of one number show the same anatomy.

    Returns:
        One pair a primary slice, by subject and slice.
    """
    lenders = [] if pairing == "none" else sorted(auxiliaries.keys() - set(without))
    pairs = []
    for case in sorted(primaries):
        frame = primaries[case]
        for index in range(frame.count):
            if not lenders:
                pairs.append(SlicePair(case, index))
                continue
            partner = case if case in auxiliaries else lenders[generator.integers(len(lenders))]
            other = auxiliaries[partner]
            position = other.at_height(frame.height(index)) if pairing == "relative_position" else None
            chosen = int(generator.integers(other.count)) if position is None else position
            same = partner == case and case in aligned and chosen == index
            pairs.append(SlicePair(case, index) if case in without else SlicePair(case, index, partner, chosen, same))
    return pairs


def without_partner(patients: Iterable[str], share: float, seed: int) -> set[str]:
    """Return the patients whose auxiliary is missing when only a share of them has one.

    Each patient's rank is drawn on its own, so that a smaller share takes the auxiliary from further patients and
    gives none back, and a patient who joins later moves no other's rank.

    Args:
        patients: names.
        share: of the patients that keep their auxiliary, 0 to 1; rounded to whole patients.
        seed: of the ranks.
    """
    rank = {name: np.random.default_rng((seed, zlib.crc32(name.encode()), 3)).random() for name in set(patients)}
    ordered = sorted(rank, key=lambda name: (rank[name], name))
    return set(ordered[round(share * len(ordered)) :])

"""Named ways to make a trained network's input worse when it is evaluated: the robustness study's conditions."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from VQBEGALLib.benchmark.degraded import Degrade, Image, blanked, blurred, noisy, shaded
from VQBEGALLib.benchmark.partners import Lenders, Redraw, no_partner, other_height, other_patient
from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.rounds import Material, evaluate
from VQBEGALLib.rounds.evaluation import Auxiliary
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.slices.preprocessing import Images
from VQBEGALLib.slices.reader import PairImages, SliceReader
from VQBEGALLib.study.records import Split, Which


@dataclass(frozen=True)
class Condition:
    """A way to make the input worse.

    Args:
        name: as a plan calls it.
        description: what happens and what its level is, for tables and axes.
        levels: what a plan takes where it gives none; 0 is the clean input and need not be among them.
        limit: highest level that makes sense.
        image: which image of a pair suffers.
        degrade: what happens to that image; or
        redraw: what happens to the pair, for a share ``level`` of the slices.
        by_volume: whether a volume's slices share their draws.
        lenders: patients with an auxiliary image that the split must have.
    """

    name: str
    description: str
    levels: tuple[float, ...]
    limit: float
    image: Which
    degrade: Degrade | None = None
    redraw: Redraw | None = None
    by_volume: bool = False
    lenders: int = 0

    def check(self, level: float) -> None:
        """Make sure that a level makes sense.

        Raises:
            InputError: it is negative, beyond the limit, or no number.
        """
        if not 0 <= level <= self.limit:
            raise InputError(f"The level of {self.name} is {level}.", f"Choose a value from 0 to {self.limit:g}.")

    def applies(self, material: Material, split: Split, auxiliary: Auxiliary) -> bool:
        """Tell whether it can be had: where the auxiliary suffers, the network must be given one."""
        if not self.lenders:
            return True
        given = auxiliary != "none" and material.config.slices.pairing != "none"
        return given and len({subject.patient for subject in material.study.auxiliaries(split)}) >= self.lenders


_NOISE = "Gaussian noise on the {} image; standard deviation in units of its normalised intensity, 0 to 1"
_BLUR = "Gaussian blur of the {} image; standard deviation in pixels of the network's grid"
_BIAS = "Smooth shading of the {} image, the same in all slices of a volume; largest logarithm of the gain"
_SHARES = (0.25, 0.5, 1.0)


def _on_image(kind: str, text: str, levels: tuple[float, ...], limit: float, degrade: Degrade) -> list[Condition]:
    """Return the condition for the primary and for the auxiliary image."""
    by_volume = degrade is shaded
    images: tuple[Which, Which] = ("primary", "auxiliary")
    return [
        Condition(
            f"{kind}_{image}",
            text.format(image),
            levels,
            limit,
            image,
            degrade=degrade,
            by_volume=by_volume,
            lenders=int(image == "auxiliary"),
        )
        for image in images
    ]


def _on_pairs(name: str, text: str, redraw: Redraw, lenders: int) -> Condition:
    return Condition(name, f"{text}; share of the slices", _SHARES, 1.0, "auxiliary", redraw=redraw, lenders=lenders)


CONDITIONS: dict[str, Condition] = {
    condition.name: condition
    for condition in [
        *_on_image("noise", _NOISE, (0.05, 0.1, 0.2), 10.0, noisy),
        *_on_image("blur", _BLUR, (1.0, 2.0, 4.0), 100.0, blurred),
        *_on_image("bias", _BIAS, (0.25, 0.5, 1.0), 5.0, shaded),
        Condition(
            "blank_auxiliary",
            "Auxiliary image all zero, though the network takes it for one; share of the slices",
            _SHARES,
            1.0,
            "auxiliary",
            degrade=blanked,
            lenders=1,
        ),
        _on_pairs("missing_auxiliary", "No auxiliary image", no_partner, 1),
        _on_pairs("other_partner", "Auxiliary slice of another patient, at the same relative height", other_patient, 2),
        _on_pairs("other_height", "Another auxiliary slice of the same volume, drawn at random", other_height, 1),
    ]
}
"""All conditions by name."""


def find_condition(name: str) -> Condition:
    """Return a condition by name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in CONDITIONS:
        raise InputError(f"There is no condition {name!r}.", f"Choose one of {', '.join(CONDITIONS)}.")
    return CONDITIONS[name]


class DegradedReader:
    """Reads what another reader reads, made worse.

    What is drawn depends on the condition, the image and the slice alone: it is the same for every network and study
    seed, whatever the batch, and a higher level is more of the same.

    Args:
        reader: reads the slices.
        condition: what happens to them.
        level: how much of it.
        lenders: auxiliary images of the split that the pairs are of.
    """

    def __init__(self, reader: SliceReader, condition: Condition, level: float, lenders: Lenders) -> None:
        self.size = reader.size
        self._reader = reader
        self._condition = condition
        self._level = level
        self._lenders = lenders

    def read(self, pairs: Sequence[SlicePair]) -> PairImages:
        """Return the images of pairs, in their order; a missing partner stays blank."""
        images = self._reader.read([self._redrawn(pair) for pair in pairs])
        if self._condition.image == "primary":
            places = [(pair.case, pair.slice) for pair in pairs]
            return replace(images, primary=self._degraded(images.primary, places))
        partners = [None if pair.partner is None else (pair.partner, int(pair.partner_slice or 0)) for pair in pairs]
        return replace(images, auxiliary=self._degraded(images.auxiliary, partners))

    def _redrawn(self, pair: SlicePair) -> SlicePair:
        redraw = self._condition.redraw
        if redraw is None or pair.partner is None:
            return pair
        generator = self._generator(pair.case, pair.slice)
        return redraw(pair, self._lenders, generator) if generator.random() < self._level else pair

    def _degraded(self, images: Images, places: Sequence[tuple[str, int] | None]) -> Images:
        degrade = self._condition.degrade
        if degrade is None:
            return images

        def one(image: Image, place: tuple[str, int] | None) -> Image:
            return image if place is None else degrade(image, self._level, self._generator(*place))

        worse = [one(image, place) for image, place in zip(images, places, strict=True)]
        return np.stack(worse) if worse else images

    def _generator(self, subject: str, index: int) -> np.random.Generator:
        key = zlib.crc32(f"{self._condition.name}/{subject}".encode())
        return np.random.default_rng((key,) if self._condition.by_volume else (key, index))


def evaluate_under(
    material: Material,
    model: VQBEGAL,
    config: Config,
    split: Split,
    name: str,
    level: float,
    *,
    auxiliary: Auxiliary = "any",
    device: torch.device,
    reporter: Reporter,
) -> dict[str, Any]:
    """Evaluate a network on input that a condition made worse; the network stays as it is.

    Args:
        material: slices of the study, with those of the split.
        model: trained network.
        config: its configuration.
        split: whose cases.
        name: of the condition.
        level: how much of it; 0 gives exactly the clean result.
        auxiliary: which partners the network is given.
        device: where to compute.
        reporter: receives progress.

    Returns:
        The same as :func:`VQBEGALLib.rounds.evaluate`.

    Raises:
        InputError: there is no such condition, its level makes no sense, or it cannot be had here (see
            :meth:`Condition.applies`).
        StudyError: no case of the split has a reference.
        CancelledError: a person asked to stop.
    """
    condition = find_condition(name)
    condition.check(level)
    if not condition.applies(material, split, auxiliary):
        raise InputError(
            f"{name} needs auxiliary images of {condition.lenders} or more patients that the network is given, and the "
            f"{split} split has none such.",
            "Leave the condition out of the robustness study for this cohort or arm.",
        )
    reader = DegradedReader(material.reader, condition, level, Lenders.of(material, split)) if level else None
    return evaluate(
        material, model, config, split, auxiliary=auxiliary, device=device, reporter=reporter, reader=reader
    )

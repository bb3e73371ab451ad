"""A network as a round left it, with the slices around it: what every diagnostic picture looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.rounds import Material, load_round
from VQBEGALLib.selection import Context, Selection, strategy
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.slices.reader import SliceReader
from VQBEGALLib.study import Study
from VQBEGALLib.study.labelstore import read_index

Floats = npt.NDArray[np.float64]

SAMPLE = 256
"""Pairs that a diagnostic looks at, evenly spread over the pool."""
BATCH = 16
"""Pairs computed at a time."""

Measure = Callable[[VQBEGAL, Tensor, Tensor], Tensor]
"""(model, x_c (B, 1, H, W), x_m (B, 1, H, W)) → values of each pair, (B, …)."""


@dataclass(frozen=True)
class Snapshot:
    """A trained round; build one with :func:`snapshot`.

    Args:
        study: the study, open for reading.
        index: the round.
        model: its network, on ``device``, in evaluation mode.
        material: the training slices.
        device: where to compute.
        reporter: looked at for a request to cancel.
    """

    study: Study
    index: int
    model: VQBEGAL
    material: Material
    device: torch.device
    reporter: Reporter

    @property
    def modalities(self) -> dict[str, str]:
        """Name of the modality behind ``primary`` and ``auxiliary``."""
        settings = self.study.config.slices
        return {"primary": settings.primary_modality, "auxiliary": settings.auxiliary_modality}

    def split_pool(self) -> tuple[list[SlicePair], list[SlicePair]]:
        """Return the training pairs that were not labelled when the round was trained, U, and those that were, L."""
        labelled = set()
        for case in self.study.cases("train"):
            index = read_index(self.study.folder, case.name, "primary")
            if index is not None:
                labelled |= {(case.name, n) for n, item in index.annotations.items() if item.round <= self.index}
        parts: tuple[list[SlicePair], list[SlicePair]] = ([], [])
        for pair in self.material.pairs("train"):
            parts[(pair.case, pair.slice) in labelled].append(pair)
        return parts

    def select(
        self, name: str, pool: Sequence[SlicePair], budget: int, *, seed: int = 0, reader: SliceReader | None = None
    ) -> Selection:
        """Let a strategy choose with this network, from a pool and through a reader of its own if wanted.

        It takes the extremes of its scores, vq_begal like all others (``coverage`` 1), so that choices compare.

        Raises:
            InputError: there is no such strategy, or it cannot work with this network.
        """
        context = Context(
            pool,
            self.split_pool()[1],
            budget,
            reader or self.material.reader,
            self.study.config.replace({"coverage": 1.0}),
            np.random.default_rng(seed),
            model=self.model,
            device=self.device,
            reporter=self.reporter.silent(),
        )
        return strategy(name)(context)

    def look(self, pairs: Sequence[SlicePair], measure: Measure, *, reader: SliceReader | None = None) -> Floats:
        """Return a measure of each pair, (N, …), batch by batch; the network stays as it was."""
        reader = reader or self.material.reader
        parts = []
        with torch.inference_mode():
            for start in range(0, len(pairs), BATCH):
                self.reporter.check_cancelled()
                images = reader.read(pairs[start : start + BATCH])
                x_c, x_m = (
                    torch.from_numpy(array[:, None]).to(self.device) for array in (images.primary, images.auxiliary)
                )
                parts.append(measure(self.model, x_c, x_m).to("cpu", torch.float64).numpy())
        return np.concatenate(parts) if parts else np.empty(0)


def snapshot(study: Study, index: int, *, device: torch.device, reporter: Reporter) -> Snapshot:
    """Load a round's network and prepare the training slices.

    Raises:
        StudyError: the round has no network, or it does not fit the study.
    """
    model = load_round(study, index)[0].to(device).eval()
    return Snapshot(study, index, model, Material(study, reporter, ("train",)), device, reporter)


def spread(pairs: Sequence[SlicePair], count: int = SAMPLE) -> list[SlicePair]:
    """Return at most ``count`` pairs, evenly spread over all."""
    places = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).astype(int)
    return [pairs[place] for place in places]


def with_partner(pairs: Sequence[SlicePair]) -> list[SlicePair]:
    """Return the pairs that have an auxiliary slice."""
    return [pair for pair in pairs if pair.partner is not None]

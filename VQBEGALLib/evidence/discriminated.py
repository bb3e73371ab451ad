"""What the discriminator takes each slice for, by what is done to the slices (paper, fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from VQBEGALLib.evidence.noise import IMAGE_SIGMA, noisy_images
from VQBEGALLib.evidence.plotting import GREY, MODALITY_COLOURS, Picture, drawing, finished, new_figure
from VQBEGALLib.evidence.snapshot import Floats, Snapshot, spread, with_partner
from VQBEGALLib.network import VQBEGAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CONDITIONS = ("clean", "noisy images", "blank partner")


@dataclass(frozen=True, eq=False)
class Judgement:
    """What D says of the slices of a pool under one condition.

    Args:
        primary: p(primary) of each primary slice, (N,).
        auxiliary: p(primary) of each auxiliary slice, (N,).

    A discriminator of ordered pairs gives p(the primary comes first) instead: of pairs where it does, and of the
    same pairs turned round.
    """

    primary: Floats
    auxiliary: Floats

    @property
    def right(self) -> float:
        """Share of slices whose modality D tells; an even output counts half."""
        hits = [np.sign(self.primary - 0.5), np.sign(0.5 - self.auxiliary)]
        return float((np.concatenate(hits).mean() + 1) / 2)

    @property
    def doubtful(self) -> float:
        """Share of slices of which D says neither with more than 90 %."""
        values = np.concatenate([self.primary, self.auxiliary])
        return float(((values > 0.1) & (values < 0.9)).mean())


def judge(snapshot: Snapshot, *, sigma: float = IMAGE_SIGMA) -> dict[str, Judgement]:
    """Return D's output on an even sample of the training pairs, by condition; nothing where no slice has a partner.

    Conditions are clean slices, Gaussian noise on both, and a blank slice in the partner's place.
    """
    pairs = spread(with_partner(snapshot.material.pairs("train")))
    if not pairs:
        return {}
    noisy = noisy_images(snapshot.material.reader, sigma)
    found = {
        "clean": snapshot.look(pairs, _outputs),
        "noisy images": snapshot.look(pairs, _outputs, reader=noisy),
        "blank partner": snapshot.look(pairs, lambda model, x_c, x_m: _outputs(model, x_c, torch.zeros_like(x_m))),
    }
    return {condition: Judgement(*values.T) for condition, values in found.items()}


def _outputs(model: VQBEGAL, x_c: Tensor, x_m: Tensor) -> Tensor:
    """Return p(class 0) of both classes' examples, (B, 2) float64."""
    encoding = model.encode_pairs(x_c, x_m)
    keep = torch.zeros(len(x_c), dtype=torch.bool, device=x_c.device)
    if model.discriminator.pair:
        turns = [model.discriminator.examples(encoding.z_c, encoding.z_m, swap)[0] for swap in (keep, ~keep)]
        inputs = torch.cat(turns)
    else:
        inputs, _ = model.discriminator.examples(encoding.z_c, encoding.z_m, keep)
    logits: Tensor = model.discriminator(inputs)
    return logits.to(torch.float64).softmax(dim=1)[:, 0].reshape(2, -1).T


def picture(
    found: Mapping[str, Mapping[str, Judgement]], modalities: Mapping[str, str], *, name: str = "discriminator"
) -> Picture:
    """Draw D's output: a row a network, a column a condition, both modalities in each panel."""
    with drawing():
        rows = len(found)
        figure = new_figure(940, 175 * rows + 95)
        panels = figure.subplots(rows, len(CONDITIONS), sharex=True, sharey="row", squeeze=False)
        for row, (title, judgements) in zip(panels, found.items(), strict=True):
            for axes, condition in zip(row, CONDITIONS, strict=True):
                _panel(axes, judgements[condition], modalities)
            row[0].set_ylabel(title)
        for axes, condition in zip(panels[0], CONDITIONS, strict=True):
            axes.set_title(condition, fontsize=10.5)
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2)
        figure.supxlabel(f"discriminator's probability of {modalities['primary']}", fontsize=10)
        figure.supylabel("share of slices, %", fontsize=10)
        return finished(
            figure, name, "Histograms of the discriminator's output for slices of both modalities.", vector=True
        )


def _panel(axes: Axes, judgement: Judgement, modalities: Mapping[str, str]) -> None:
    edges = np.linspace(0, 1, 21)
    for which, values in (("primary", judgement.primary), ("auxiliary", judgement.auxiliary)):
        shares = 100 * np.histogram(values, edges)[0] / len(values)
        colour, line = MODALITY_COLOURS[which], "-" if which == "primary" else "--"
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(shares, edges, color=colour, linewidth=1.6, linestyle=line, label=f"{modalities[which]} slices")
    axes.axvline(0.5, ymax=0.82, color=GREY, linewidth=1, linestyle=":")
    axes.set(xlim=(-0.02, 1.02), ylim=(0, 122), yticks=range(0, 101, 25))
    axes.text(0.5, 0.985, f"right {100 * judgement.right:.0f} %", transform=axes.transAxes, ha="center", va="top")

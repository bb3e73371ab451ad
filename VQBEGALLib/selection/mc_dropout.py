"""Monte Carlo dropout: what the network's own uncertainty about its weights says of a slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from VQBEGALLib.errors import InputError
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.selection.disagreement import Spread, spread
from VQBEGALLib.selection.interface import Context, Scores, Selection, register
from VQBEGALLib.selection.scoring import Measure, score_pool
from VQBEGALLib.selection.vq_begal import largest_first

PASSES = 10
"""T, passes with dropout a slice."""


@register("mc_dropout", takes="largest")
def mc_dropout(context: Context) -> Selection:
    """Pick the slices of largest BALD, H(mean p) − mean H(p) over T passes with dropout, mean over the pixels.

    Dropout as approximate inference is Gal and Ghahramani's (2016), its use to pick images Gal, Islam and
    Ghahramani's (2017), BALD Houlsby et al.'s (2011). The primary alone is predicted. Cost: the encoder and the
    decoder's first block once, the rest of the decoder T times a slice.

    Raises:
        InputError: the network was trained without dropout.
    """
    return largest_first(context, _scores(context, lambda found: found.divergence))


@register("mc_dropout_entropy", takes="largest")
def mc_dropout_entropy(context: Context) -> Selection:
    """Pick the slices of largest predictive entropy, H(mean p); otherwise as :func:`mc_dropout`."""
    return largest_first(context, _scores(context, lambda found: found.total))


def _scores(context: Context, measure: Callable[[Spread], Tensor]) -> Scores:
    model = context.trained_model()
    if model.settings.dropout == 0:
        raise InputError(
            "mc_dropout needs a network with dropout, and this one has none.",
            "Make the study with --set dropout=0.2, or choose another strategy.",
        )
    # the masks come from the CPU's generator, so that the same study picks the same slices on every device
    generator = torch.Generator().manual_seed(int(context.generator.integers(2**63)))
    return score_pool(context, dropout_measure(generator, measure))


def dropout_measure(generator: torch.Generator, measure: Callable[[Spread], Tensor]) -> Measure:
    """Return a measure for ``score_pairs``: one value of the spread of T predictions with dropout."""

    def score(model: VQBEGAL, x_c: Tensor, x_m: Tensor, present: Tensor) -> Tensor:
        return measure(spread(predictions(model, x_c, generator)))

    return score


def predictions(model: VQBEGAL, x_c: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield logits of T passes with dropout, (B, C, H, W) each; what dropout cannot change is computed once.

    Only dropout behaves as in training: group and instance norm have no running statistics, and the codebook is
    asked without learning.
    """
    z, partner, missing, skips = model.decoder_inputs(x_c)
    entered = model.decoder.enter(z, partner, missing)
    for _ in range(PASSES):
        yield model.decoder.rise_from(entered, skips, generator=generator)

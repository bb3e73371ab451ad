"""How far several predictions of the same slices lie apart, from one prediction at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Spread:
    """Entropies of binary predictions of a batch, natural logarithm, mean over pixels and organs, each (B,) float64.

    Args:
        total: H of the mean prediction, in [0, ln 2].
        expected: mean of the predictions' own H.
    """

    total: Tensor
    expected: Tensor

    @property
    def divergence(self) -> Tensor:
        """H(mean p) − mean H(p), (B,), 0 where all agree.

        Over draws of a model this is the mutual information of prediction and weights (BALD, Houlsby et al., 2011),
        over any set of predictions their generalised Jensen-Shannon divergence (Lin, 1991).
        """
        return (self.total - self.expected).clamp_min(0)  # below 0 by rounding only


def spread(predictions: Iterable[Tensor]) -> Spread:
    """Return how far predictions lie apart; only sums over them are held.

    Args:
        predictions: logits of the same slices, (B, C, H, W) each; at least one.
    """
    organ = rest = entropies = torch.zeros(())
    count = 0
    for logits in predictions:
        p, q = torch.sigmoid(logits), torch.sigmoid(-logits)  # 1 − p would round to 0 for logits past 17
        organ, rest, entropies = organ + p, rest + q, entropies + binary_entropy(torch.minimum(p, q))
        count += 1
    total = binary_entropy(torch.minimum(organ, rest) / count)
    return Spread(_mean_over_pixels(total), _mean_over_pixels(entropies / count))


def binary_entropy(least: Tensor) -> Tensor:
    """Return −p ln p − (1 − p) ln(1 − p), with 0 ln 0 = 0, of the smaller of p and 1 − p; same shape.

    From the smaller one it still tells predictions apart whose larger probability rounds to 1.
    """
    entropy: Tensor = torch.special.entr(least) - (1 - least) * torch.log1p(-least)
    return entropy


def _mean_over_pixels(values: Tensor) -> Tensor:
    return values.flatten(1).mean(dim=1, dtype=torch.float64)

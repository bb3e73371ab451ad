"""Entropies and divergence of hand-made predictions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from VQBEGALLib.selection.disagreement import binary_entropy, spread


def logits(*probabilities: float) -> torch.Tensor:
    """One slice of two rows: the probabilities, then 0.5 each."""
    rows = torch.tensor([probabilities, [0.5] * len(probabilities)], dtype=torch.float64)
    return torch.logit(rows).float()[None, None]


def test_by_the_formula_on_hand_made_probabilities() -> None:
    passes = [(0.9, 0.2, 0.5), (0.1, 0.3, 0.5), (0.6, 0.25, 0.5), (0.8, 0.0001, 0.5)]
    found = spread(logits(*values) for values in passes)
    table = np.vstack([np.array(passes).T, [[0.5] * 4] * 3])  # (pixels, passes)

    def entropy(p: np.ndarray) -> np.ndarray:
        return -p * np.log(p) - (1 - p) * np.log(1 - p)

    total, expected = entropy(table.mean(axis=1)).mean(), entropy(table).mean()
    assert float(found.total) == pytest.approx(total, rel=1e-6)
    assert float(found.expected) == pytest.approx(expected, rel=1e-6)
    assert float(found.divergence) == pytest.approx(total - expected, rel=1e-5)
    assert total - expected > 0.01


def test_opposite_certainties_give_ln_2_and_agreement_gives_nothing() -> None:
    opposite = spread([torch.full((2, 1, 4, 4), 60.0), torch.full((2, 1, 4, 4), -60.0)])
    assert opposite.divergence.tolist() == pytest.approx([math.log(2)] * 2)
    assert opposite.expected.tolist() == pytest.approx([0, 0], abs=1e-20)
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 5
    agreeing = spread([x] * 10)
    assert agreeing.divergence.tolist() == pytest.approx([0] * 3, abs=1e-7)
    assert agreeing.divergence.min() >= 0
    assert agreeing.total.tolist() == pytest.approx(agreeing.expected.tolist(), rel=1e-6)


def test_slices_of_a_batch_are_measured_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    passes = [torch.randn(3, 1, 4, 4, generator=generator) for _ in range(5)]
    whole = spread(passes)
    for row in range(3):
        alone = spread([each[row : row + 1] for each in passes])
        assert float(alone.divergence) == pytest.approx(float(whole.divergence[row]), rel=1e-6)
    assert len(set(whole.divergence.tolist())) == 3
    assert whole.divergence.dtype == torch.float64


@pytest.mark.parametrize("size", [0.0, 3.0, 40.0, 200.0])
def test_entropy_survives_saturation(size: float) -> None:
    exact = math.log1p(math.exp(-size)) + size * math.exp(-size) / (1 + math.exp(-size))
    found = spread([torch.tensor([size, -size])[:, None, None, None]])
    assert found.total.tolist() == pytest.approx([exact] * 2, rel=1e-5, abs=1e-30)
    assert float(binary_entropy(torch.tensor(0.0))) == 0

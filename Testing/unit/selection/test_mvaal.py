"""The autoencoder's loss by closed forms, and a critic that finds what the labelled slices do not show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from VQBEGALLib.config import preset
from VQBEGALLib.errors import CancelledError
from VQBEGALLib.events import Reporter
from VQBEGALLib.selection import Context, mvaal, scoring, strategy
from VQBEGALLib.selection.scoring import thumbnails
from VQBEGALLib.selection.vae import LATENT, NOISE, Latent, build_seeded, evidence_loss
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.slices.reader import PairImages
from VQBEGALLib.training import Role


class Drawn:
    """Reads discs in noise for case "disc" and stripes for case "stripe"; the partner is the negative."""

    size = 16

    def read(self, pairs: Sequence[SlicePair]) -> PairImages:
        primary = np.stack([self._image(pair) for pair in pairs])
        present = np.array([pair.partner is not None for pair in pairs])
        return PairImages(primary, np.where(present[:, None, None], 1 - primary, 0).astype(np.float32), present)

    def _image(self, pair: SlicePair) -> np.ndarray:
        generator = np.random.default_rng((pair.slice, pair.case == "disc"))
        y, x = np.mgrid[: self.size, : self.size] / self.size
        if pair.case == "disc":
            shape = np.hypot(*(np.stack([y, x]) - generator.uniform(0.35, 0.65, (2, 1, 1)))) < 0.25
        else:
            shape = np.sin(40 * x + generator.uniform(0, 6)) > 0
        return (0.2 + 0.6 * shape + generator.normal(0, 0.05, shape.shape)).astype(np.float32)


def pairs(case: str, first: int, count: int) -> list[SlicePair]:
    return [SlicePair(case, index, case, index) for index in range(first, first + count)]


DISCS, STRIPES = 120, 12


def context(*, seed: int = 0, **changes: Any) -> Context:
    """Discs labelled; discs and a few stripes, at the end, in the pool."""
    pool = [*pairs("disc", 0, DISCS), *pairs("stripe", 0, STRIPES)]
    found = Context(pool, pairs("disc", 1000, 100), STRIPES, Drawn(), preset("tiny"), np.random.default_rng(seed))
    return replace(found, **changes)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mvaal, "STEPS", 3)


def test_an_outlying_cluster_comes_first() -> None:
    found = strategy("mvaal")(context())
    assert sum(pick.pair.case == "stripe" for pick in found.picks) >= 10  # by chance about one
    assert {pick.role for pick in found.picks} == {Role.ALL}
    assert np.median(found.scores[DISCS:]) > 0.7
    assert found.scores[:DISCS].mean() < 0.6
    assert [pick.score for pick in found.picks] == sorted(found.scores, reverse=True)[:STRIPES]


def test_the_losses_fall() -> None:
    here = context(pool=pairs("stripe", 0, 50))
    training = mvaal.Adversaries(*(thumbnails(here, each, 32) for each in (here.labelled, here.pool)), 0, here)
    training.run(150)
    evidence, critic = np.array(training.history).T
    assert evidence[-10:].mean() < 0.25 * evidence[:10].mean()
    assert critic[:5] == pytest.approx([math.log(2)] * 5, abs=0.02)
    assert critic[-10:].mean() < 0.4


@pytest.mark.usefixtures("short")
def test_one_seed_one_selection_and_no_global_state_moves() -> None:
    states = np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    first = strategy("mvaal")(context())
    assert np.random.get_state()[1].tolist() == states[0]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[1])
    torch.manual_seed(5)
    assert np.array_equal(first.scores, strategy("mvaal")(context()).scores)
    assert not np.array_equal(first.scores, strategy("mvaal")(context(seed=1)).scores)


@pytest.mark.usefixtures("short")
def test_the_segmentation_network_is_not_needed_and_not_touched(make_context: Callable[..., Context]) -> None:
    here = make_context()
    here = replace(here, labelled=here.pool[:5], pool=here.pool[5:])
    model = here.model
    assert model is not None
    before = {name: tensor.clone() for name, tensor in model.train().state_dict().items()}
    found = strategy("mvaal")(here)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    assert found.scores.std() > 0
    without = replace(here, model=None, generator=np.random.default_rng(0))
    assert strategy("mvaal")(without).picks == found.picks


def test_without_labelled_slices_the_draw_is_uniform_and_seeded() -> None:
    def picked(seed: int) -> list[SlicePair]:
        return [pick.pair for pick in strategy("mvaal")(context(seed=seed, labelled=[])).picks]

    assert picked(0) == picked(0)
    assert len({pair for seed in range(80) for pair in picked(seed)}) == DISCS + STRIPES
    assert strategy("mvaal")(context(pool=[])).picks == []


@pytest.mark.usefixtures("short")
def test_it_reports_its_steps_and_can_be_stopped(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    strategy("mvaal")(context(reporter=Reporter(events.append)))
    last = events[-1]
    assert (last["stage"], last["done"], last["total"]) == ("critic", 3, 3)
    assert {"reconstruction", "critic"} <= set(last)
    flag = tmp_path / "cancel"
    reporter = Reporter(lambda event: flag.touch() if event.get("stage") == "critic" else None, cancel_file=flag)
    with pytest.raises(CancelledError):
        strategy("mvaal")(context(reporter=reporter))


@pytest.mark.parametrize("batch", [7, 500])
def test_thumbnails_are_means_of_blocks(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(scoring, "READ", batch)
    here = make_context(size=64)
    alone = [replace(here.pool[0], partner=None, partner_slice=None), *here.pool[1:]]
    found = thumbnails(here, alone, 32)
    images = here.reader.read(alone)
    for channel, whole in enumerate((images.primary, images.auxiliary)):
        means = whole.reshape(len(alone), 32, 2, 32, 2).mean(axis=(2, 4))
        assert np.allclose(found.images[:, channel], means, atol=1e-6)
    assert found.present.tolist() == [False] + [True] * (len(alone) - 1)


def test_the_divergence_is_that_of_two_normal_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    latent = Latent(torch.randn(3, LATENT, generator=generator), torch.randn(3, LATENT, generator=generator))
    expected = kl_divergence(Normal(latent.mean, (latent.log_variance / 2).exp()), Normal(0.0, 1.0)).sum(dim=1)
    assert torch.allclose(latent.divergence(), expected, rtol=1e-4)
    drawn = latent.sample(torch.randn(4000, 3, LATENT, generator=generator))
    assert torch.allclose(drawn.mean(dim=0), latent.mean, atol=0.25)
    assert torch.allclose(drawn.var(dim=0).log(), latent.log_variance, atol=0.2)


def test_a_missing_partner_counts_for_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    images, target = torch.rand(2, 3, 2, 8, 8, generator=generator)
    latent = Latent(torch.zeros(3, LATENT), torch.zeros(3, LATENT))  # N(0, I): no divergence
    present = torch.tensor([True, False, True])
    errors = (images - target).square().mean(dim=(2, 3))
    expected = (errors[:, 0].sum() + errors[0, 1] + errors[2, 1]) / 3 / (2 * NOISE**2)
    assert float(evidence_loss(images, target, present, latent)) == pytest.approx(float(expected), rel=1e-5)
    other = target.clone()
    other[1, 1] = 9.0
    assert torch.equal(evidence_loss(images, other, present, latent), evidence_loss(images, target, present, latent))


@pytest.mark.parametrize("side", [16, 32])
def test_shapes_and_seeded_weights(side: int) -> None:
    state = torch.get_rng_state()
    vae, critic = build_seeded(side, 3)
    again, _ = build_seeded(side, 3)
    assert torch.equal(torch.get_rng_state(), state)
    weights = again.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in vae.state_dict().items())
    latent = vae.encode(torch.rand(5, 1, side, side))
    assert vae.decode(latent.mean).shape == (5, 2, side, side)
    assert critic(latent.mean).shape == (5, 1)

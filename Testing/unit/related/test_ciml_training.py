"""What CIML learns to read from the other modality, on discs in noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import pytest
import torch
from torch import Tensor

from VQBEGALLib import related  # noqa: F401 – enters the architectures
from VQBEGALLib.config import preset
from VQBEGALLib.network import VQBEGAL, build_network
from VQBEGALLib.training import Role
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.loop import rate_at
from VQBEGALLib.training.step import step_loss

SIZE = 16
STEPS = 60
RATE = 2e-2
SETTINGS = {
    "size": SIZE,
    "base_channels": 4,
    "stages": 2,
    "code_dim": 8,
    "quantize": False,
    "modality_dropout": 0.0,
}


def pairs(seen: str, count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Primaries, partners and masks of aligned pairs.

    Args:
        seen: where the disc shows: in the ``auxiliary`` alone; in the primary, of which the partner is a ``copy``; or
            in the primary alone, the partner being ``noise``.
        count: of pairs.
        seed: of all draws.
    """
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    centre, radius = 4 + 8 * torch.rand(2, count, 1, 1, generator=generator), 3.0
    masks = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2).float()[:, None]
    first, second = 0.5 + 0.15 * torch.randn(2, count, 1, SIZE, SIZE, generator=generator)
    if seen == "auxiliary":
        return first, second + 0.5 * masks, masks
    return first + 0.5 * masks, first + 0.5 * masks if seen == "copy" else second, masks


def batch_of(seen: str, seed: int, *, partner: bool) -> Batch:
    primary, auxiliary, masks = pairs(seen, 8, seed)
    yes = torch.ones(8, dtype=torch.bool)
    there = yes if partner else ~yes
    roles = torch.full((8,), int(Role.ALL))
    return Batch(primary, auxiliary, there, yes, masks, torch.zeros_like(masks), ~yes, roles, ~yes, ~yes)


@dataclass(frozen=True)
class Learnt:
    """A trained network, and the mean of each logged term over the last steps."""

    model: VQBEGAL
    terms: dict[str, float]

    def dice(self, seen: str, *, partner: str = "own") -> float:
        found, mask = self.logits(seen, partner) > 0, pairs(seen, 24, 1)[2]
        return float(2 * (found * mask).sum() / (found.sum() + mask.sum()))

    def logits(self, seen: str, partner: str = "own") -> Tensor:
        primary, auxiliary, _ = pairs(seen, 24, 1)
        others = {"own": auxiliary, "another's": auxiliary.roll(1, 0), "none": None}
        with torch.no_grad():
            return self.model.segment(primary, others[partner])


@lru_cache
def learnt(seen: str, *, partner: bool = True, **changes: object) -> Learnt:
    config = preset("small", {**SETTINGS, "method": "ciml", **changes})
    model = build_network(config, seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters())
    late: list[dict[str, Tensor]] = []
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * rate_at(step, STEPS)
        optimizer.zero_grad()
        batch = batch_of(seen, 100 + step, partner=partner)
        generator = torch.Generator().manual_seed(step)
        loss = step_loss(model, batch, config, progress=step / STEPS, generator=generator)
        loss.total.backward()
        optimizer.step()
        late = [*late[-9:], loss.terms]
    return Learnt(model.eval(), {name: float(sum(terms[name] for terms in late) / len(late)) for name in late[0]})


FREE = 0.02
"""Weight of the price at which a message that serves something passes, and one that does not is given up."""
DEAR = 1000.0
"""Weight at which nothing passes."""


def test_an_organ_seen_in_the_auxiliary_alone_is_read_there() -> None:
    found, alone = learnt("auxiliary", beta=FREE), learnt("auxiliary", partner=False)
    assert found.dice("auxiliary") > 0.9
    assert found.dice("auxiliary", partner="another's") < 0.5
    assert alone.dice("auxiliary") < 0.6
    assert found.terms["kl"] > 1


def test_most_is_taken_where_the_organ_is() -> None:
    primary, auxiliary, masks = pairs("auxiliary", 24, 1)
    models = [learnt(seen, beta=FREE).model for seen in ("auxiliary", "copy")]
    with torch.no_grad():
        taken, nothing = (model.attention(primary, auxiliary).taken for model in models)
    assert taken[masks > 0].mean() > taken[masks == 0].mean() + 0.1
    assert nothing.mean() < 0.1


@pytest.mark.parametrize("seen", ["copy", "noise"])
def test_a_partner_that_tells_nothing_new_is_not_read(seen: str) -> None:
    found = learnt(seen, beta=FREE)
    assert found.dice(seen) > 0.9
    assert found.terms["kl"] < 0.1  # nats a position; over 1 where there is something to read


def test_the_segmentor_of_a_modality_without_the_organ_reads_the_other() -> None:
    """With noise as auxiliary the auxiliary's segmentor is the one that has something to learn."""
    terms = learnt("noise", beta=FREE).terms
    assert terms["kl_auxiliary"] > 1
    assert terms["seg_auxiliary"] < 0.5


def test_a_high_price_gives_back_the_single_modality() -> None:
    dear, alone = learnt("auxiliary", beta=DEAR), learnt("auxiliary", partner=False)
    assert dear.terms["kl"] < 1e-3
    own = dear.logits("auxiliary")
    torch.testing.assert_close(dear.logits("auxiliary", "another's"), own, rtol=0, atol=0.05)
    free = learnt("auxiliary", beta=FREE)
    assert (free.logits("auxiliary", "another's") - free.logits("auxiliary")).abs().max() > 5
    assert dear.dice("auxiliary") == pytest.approx(alone.dice("auxiliary"), abs=0.1)

"""Parameter by parameter: S_low moves encoders, codebook and D; S_high the decoder; the seed set everything."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from VQBEGALLib.config import Config
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.network.encoder import Encoding
from VQBEGALLib.training import Role
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.routing import RATE, decode, learners, relax
from VQBEGALLib.training.step import step_loss

LOW, HIGH, SEED = Role.ENCODER, Role.DECODER, Role.ALL
CODEBOOK = ["codebook.entries", "codebook.usage", "codebook.sums"]


def source() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def backward(model: VQBEGAL, batch: Batch, config: Config) -> None:
    model.zero_grad(set_to_none=True)
    step_loss(model, batch, config, progress=0.5, generator=source()).total.backward()


def step(model: VQBEGAL, batch: Batch, config: Config) -> set[str]:
    """Do one optimiser step with weight decay and return the names of all that moved."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-2, weight_decay=0.1)
    backward(model, batch, config)
    optimizer.step()
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


def part(model: VQBEGAL, *names: str) -> set[str]:
    """Names of all tensors of some parts."""
    return {name for name in model.state_dict() if name.split(".")[0] in names}


def encoders(model: VQBEGAL) -> set[str]:
    return part(model, "encoder_c", "encoder_m")


@pytest.fixture(params=["ema", "gradient"])
def config(request: pytest.FixtureRequest, small: Callable[..., Config]) -> Config:
    return small(codebook_update=request.param, routing="strict", revive_after=0.0)


@pytest.fixture
def drop() -> Tensor:
    """One partner of four is hidden, so that the learnt null takes part."""
    return torch.tensor([True, False, False, False])


@pytest.mark.parametrize("sharing", ["deep", "none"])
def test_s_low_moves_every_encoder_weight_and_no_decoder_weight(
    config: Config, sharing: str, make_batch: Callable[..., Batch], started: Callable[[Config], VQBEGAL], drop: Tensor
) -> None:
    config = config.replace({"encoder_sharing": sharing})
    model, batch = started(config), make_batch([LOW] * 4, dropped=drop)
    moved = step(model, batch, config)
    assert all(weight.grad is None for weight in model.decoder.parameters())
    assert not moved & part(model, "decoder")
    assert moved >= encoders(model) | part(model, "discriminator")
    assert moved >= {"codebook.entries", "codebook.usage"}


def test_s_high_moves_every_decoder_weight_and_nothing_else(
    config: Config, make_batch: Callable[..., Batch], started: Callable[[Config], VQBEGAL], drop: Tensor
) -> None:
    model, batch = started(config), make_batch([HIGH] * 4, dropped=drop)
    moved = step(model, batch, config)
    assert moved == part(model, "decoder")
    others = {name: weight for name, weight in model.named_parameters() if not name.startswith("decoder.")}
    assert [name for name, weight in others.items() if weight.grad is not None] == []


def test_s_high_does_not_initialise_the_codebook(
    small: Callable[..., Config], make_batch: Callable[..., Batch], started: Callable[[Config], VQBEGAL]
) -> None:
    config = small(routing="strict")
    model = started(config)
    model.codebook.initialised.fill_(False)
    step(model, make_batch([HIGH] * 4), config)
    assert not model.codebook.initialised


@pytest.mark.parametrize("routing", ["strict", "soft", "joint"])
def test_the_seed_set_moves_everything(
    config: Config,
    routing: str,
    make_batch: Callable[..., Batch],
    started: Callable[[Config], VQBEGAL],
    drop: Tensor,
) -> None:
    config = config.replace({"routing": routing})
    model = started(config)
    moved = step(model, make_batch([SEED] * 4, dropped=drop), config)
    expected = part(model, "encoder_c", "encoder_m", "decoder", "discriminator") | {
        "codebook.entries",
        "codebook.usage",
    }
    assert moved >= expected


@pytest.mark.parametrize("routing", ["soft", "joint"])
@pytest.mark.parametrize("role", [LOW, HIGH])
def test_softer_routes_move_every_encoder_and_decoder_weight(
    config: Config,
    routing: str,
    role: Role,
    make_batch: Callable[..., Batch],
    started: Callable[[Config], VQBEGAL],
    drop: Tensor,
) -> None:
    config = config.replace({"routing": routing})
    model = started(config)
    moved = step(model, make_batch([role] * 4, dropped=drop), config)
    assert moved >= part(model, "encoder_c", "decoder")
    follows = routing == "joint" or role == LOW
    assert ("codebook.usage" in moved) is follows
    assert bool(moved & part(model, "discriminator")) is follows


def test_a_mixed_batch_moves_everything(
    config: Config, make_batch: Callable[..., Batch], started: Callable[[Config], VQBEGAL], drop: Tensor
) -> None:
    model = started(config)
    moved = step(model, make_batch([HIGH, LOW, HIGH, LOW], dropped=drop), config)
    assert moved >= encoders(model) | part(model, "decoder", "discriminator") | {"codebook.entries", "codebook.usage"}


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_in_a_mixed_batch_only_s_low_reaches_codebook_and_discriminator(
    update: str, small: Callable[..., Config], make_batch: Callable[..., Batch], started: Callable[[Config], VQBEGAL]
) -> None:
    config = small(codebook_update=update, revive_after=0.0, routing="strict")
    batch = make_batch([HIGH, LOW, HIGH, LOW])
    results = []
    for seed in (0, 1):
        model, images = started(config), batch.primary.clone()
        images[[0, 2]] = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
        changed = make_batch([HIGH, LOW, HIGH, LOW], primary=images)
        loss = step_loss(model, changed, config, progress=0.5, generator=source())
        loss.total.backward()
        found = [model.state_dict()[name].clone() for name in CODEBOOK]
        found += [weight.grad for weight in model.discriminator.parameters()]
        results.append((found, {name: loss.terms[name].item() for name in ("vq", "commit", "disc", "seg")}))
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(results[0][0], results[1][0], strict=True))
    first, second = (terms for _, terms in results)
    assert all(first[name] == pytest.approx(second[name], rel=1e-5) for name in ("vq", "commit", "disc"))
    assert first["seg"] != pytest.approx(second["seg"], rel=1e-5)


def test_unlabelled_pairs_reach_codebook_and_discriminator_beside_s_high(
    config: Config, make_batch: Callable[..., Batch], started: Callable[[Config], VQBEGAL]
) -> None:
    model = started(config)
    moved = step(model, make_batch([HIGH] * 4, 2), config)
    assert moved >= part(model, "discriminator") | {"codebook.entries", "codebook.usage"}
    assert moved >= encoders(model)  # L_commit, a loss without labels


class Decoding:
    """Inputs of the decoder as leaves, so that each gradient can be looked at."""

    def __init__(self, model: VQBEGAL, batch: Batch, roles: list[Role], rate: float) -> None:
        self.model = model
        with torch.no_grad():
            encoding = model.encode_pairs(batch.primary, batch.auxiliary)
        self.z, self.partner = encoding.z_c.clone().requires_grad_(), encoding.z_m.clone().requires_grad_()
        self.skips = tuple(skip.clone().requires_grad_() for skip in encoding.primary.skips)
        own = Encoding(self.skips, encoding.primary.features)
        missing = torch.tensor([True, False, False, False])
        self.logits = decode(model.decoder, self.z, self.partner, missing, own, torch.tensor(roles), rate)
        self.plain = model.decoder(self.z, self.partner, missing, self.skips).detach()

    def gradients(self, rows: list[int]) -> tuple[list[Tensor | None], list[Tensor | None]]:
        """Gradients of some rows' logits: on the decoder's weights and on its inputs."""
        self.model.zero_grad(set_to_none=True)
        (self.logits[rows].square().sum()).backward(retain_graph=True)
        weights = [weight.grad for weight in self.model.decoder.parameters()]
        leaves = [self.z, self.partner, *self.skips]
        inputs = [leaf.grad for leaf in leaves]
        for leaf in leaves:
            leaf.grad = None
        return weights, inputs


@pytest.fixture
def decoding(
    small: Callable[..., Config], make_batch: Callable[..., Batch], started: Callable[[Config], VQBEGAL]
) -> Callable[[list[Role], float], Decoding]:
    config = small(routing="strict")
    return lambda roles, rate: Decoding(started(config), make_batch([SEED] * 4), roles, rate)


MIXED = [HIGH, LOW, SEED, LOW]


def moves(gradients: list[Tensor | None]) -> list[bool]:
    return [each is not None and bool(each.any()) for each in gradients]


@pytest.mark.parametrize("rate", sorted(RATE.values()))
@pytest.mark.parametrize("roles", [MIXED, [LOW] * 4, [HIGH] * 4, [SEED] * 4])
def test_no_route_changes_the_logits_nor_their_order(
    decoding: Callable[..., Decoding], roles: list[Role], rate: float
) -> None:
    found = decoding(roles, rate)
    assert torch.allclose(found.logits, found.plain, atol=1e-5)


def test_strict_routes_of_a_mixed_batch(decoding: Callable[..., Decoding]) -> None:
    found = decoding(MIXED, RATE["strict"])
    weights, inputs = found.gradients([1, 3])  # S_low
    assert not any(moves(weights))
    assert all(moves(inputs))
    weights, inputs = found.gradients([0])  # S_high
    assert all(moves(weights))
    assert not any(moves(inputs))
    weights, inputs = found.gradients([2])  # seed
    assert any(moves(weights))
    assert all(each is not None and each[2].any() for each in inputs)


@pytest.mark.parametrize(("role", "on_weights", "on_inputs"), [(LOW, 0.1, 1.0), (HIGH, 1.0, 0.1), (SEED, 1.0, 1.0)])
def test_soft_routes_scale_the_other_parts_gradient_to_a_tenth(
    decoding: Callable[..., Decoding], role: Role, on_weights: float, on_inputs: float
) -> None:
    rows = [0, 1, 2, 3]
    weights, inputs = decoding([role] * 4, RATE["soft"]).gradients(rows)
    whole_weights, whole_inputs = decoding([role] * 4, RATE["joint"]).gradients(rows)
    for factor, found, whole in ((on_weights, weights, whole_weights), (on_inputs, inputs, whole_inputs)):
        for mine, plain in zip(found, whole, strict=True):
            assert torch.allclose(mine, factor * plain, rtol=1e-4, atol=1e-4 * float(plain.abs().max()))
            assert plain.any()


def test_joint_is_the_decoder_as_it_is(decoding: Callable[..., Decoding]) -> None:
    found = decoding(MIXED, RATE["joint"])
    assert torch.equal(found.logits, found.plain)
    weights, inputs = found.gradients([0, 1, 2, 3])
    leaves = [found.z, found.partner, *found.skips]
    found.model.zero_grad(set_to_none=True)
    missing = torch.tensor([True, False, False, False])
    found.model.decoder(found.z, found.partner, missing, found.skips).square().sum().backward()
    assert all(torch.equal(a, w.grad) for a, w in zip(weights, found.model.decoder.parameters(), strict=True))
    assert all(torch.equal(a, leaf.grad) for a, leaf in zip(inputs, leaves, strict=True))


@pytest.mark.parametrize(("routing", "expected"), [("strict", [1, 1, 0]), ("soft", [1, 1, 0]), ("joint", [1, 1, 1])])
def test_who_shapes_codebook_and_discriminator(routing: str, expected: list[int]) -> None:
    assert learners(torch.tensor([SEED, LOW, HIGH]), routing).tolist() == [bool(each) for each in expected]


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_relax_keeps_values_and_scales_gradients(rate: float) -> None:
    x = torch.linspace(-3, 3, 7, requires_grad=True)
    y = relax(x, rate)
    assert torch.equal(y, x)
    assert y.requires_grad is (rate > 0)
    if rate:
        y.square().sum().backward()
        assert torch.allclose(x.grad, rate * 2 * x.detach())

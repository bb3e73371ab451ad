"""The network as a whole: shapes, sharing, unit-norm maps, segmentation of either modality, seeded building."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.network import VQBEGAL, build
from VQBEGALLib.network.encoder import SHARED_STAGES, unit

STAGES, DIM = 3, 8


def network(*, seed: int = 0, **changes: object) -> VQBEGAL:
    small = {"base_channels": 4, "stages": STAGES, "codes": 16, "code_dim": DIM}
    return build(NetworkSettings(**{**small, **changes}), seed=seed)


def slices(seed: int, batch: int = 3, size: int = 32) -> torch.Tensor:
    return torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("stages", [2, 3, 5])
@pytest.mark.parametrize("sharing", ["deep", "none"])
def test_shapes(stages: int, sharing: str) -> None:
    model = network(stages=stages, encoder_sharing=sharing)
    encoding = model.encode_pairs(slices(1), slices(2))
    deep = 32 // 2 ** (stages - 1)
    assert encoding.z_c.shape == encoding.z_m.shape == (3, DIM, deep, deep)
    assert encoding.codes.shape == (6, deep, deep)
    assert [skip.shape[2] for skip in encoding.primary.skips] == [32 // 2**stage for stage in range(stages - 1)]
    assert model.segment(slices(1)).shape == (3, 1, 32, 32)
    assert model.segment(slices(1), slices(2)).shape == (3, 1, 32, 32)


def test_the_deepest_stages_and_the_projection_are_shared() -> None:
    model = network(encoder_sharing="deep")
    own = len(model.encoder_c.stages) - SHARED_STAGES
    for index, (c, m) in enumerate(zip(model.encoder_c.stages, model.encoder_m.stages, strict=True)):
        assert (c is m) is (index >= own)
    assert own >= 1
    assert model.encoder_c.projection is model.encoder_m.projection


def test_with_two_stages_the_first_stays_the_modalitys_own() -> None:
    model = network(encoder_sharing="deep", stages=2)
    assert model.encoder_c.stages[0] is not model.encoder_m.stages[0]
    assert model.encoder_c.stages[1] is model.encoder_m.stages[1]


def test_without_sharing_the_encoders_have_no_weight_in_common() -> None:
    model = network(encoder_sharing="none")
    c, m = ({id(weight) for weight in each.parameters()} for each in (model.encoder_c, model.encoder_m))
    assert not c & m
    assert len(c) == len(m)


@pytest.mark.parametrize("sharing", ["deep", "none"])
def test_encoder_parameters_are_all_of_both_once_and_nothing_else(sharing: str) -> None:
    model = network(encoder_sharing=sharing)
    found = [id(weight) for weight in model.encoder_parameters()]
    assert len(found) == len(set(found))
    assert set(found) == {id(w) for each in (model.encoder_c, model.encoder_m) for w in each.parameters()}
    assert not set(found) & {id(w) for each in (model.decoder, model.discriminator) for w in each.parameters()}


@pytest.mark.parametrize("quantize", [True, False])
@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_quantised_maps_have_length_root_d_at_each_position(quantize: bool, update: str) -> None:
    encoding = network(quantize=quantize, codebook_update=update).encode_pairs(slices(1), slices(2))
    for z in (encoding.z_c, encoding.z_m):
        assert torch.allclose(z.norm(dim=1), torch.tensor(DIM**0.5), rtol=1e-5)


def test_without_quantiser_maps_are_the_features_directions_and_carry_no_loss() -> None:
    model = network(quantize=False)
    encoding = model.encode_pairs(
        slices(1), slices(2), learn=torch.ones(6, dtype=torch.bool), generator=torch.Generator()
    )
    features = encoding.primary.features
    assert torch.allclose(encoding.z_c, features / features.norm(dim=1, keepdim=True) * DIM**0.5, atol=1e-5)
    assert encoding.codes is None
    assert model.codebook is None
    assert float(encoding.vq) == float(encoding.commit) == 0


def test_both_modalities_go_through_the_codebook_in_one_call() -> None:
    model = network()
    batches = []
    model.codebook.register_forward_hook(lambda module, inputs, output: batches.append(len(inputs[0])))
    model.encode_pairs(slices(1), slices(2))
    model.segment(slices(1), slices(2))
    assert batches == [6, 6]


def test_each_modality_has_its_own_encoder() -> None:
    model = network()
    encoding = model.encode_pairs(slices(1), slices(1))
    assert not torch.allclose(encoding.primary.features, encoding.auxiliary.features)
    assert torch.equal(encoding.primary.features, model.encoder_c(slices(1)).features)
    assert torch.equal(encoding.auxiliary.features, model.encoder_m(slices(1)).features)


def test_the_partner_counts_where_given_and_the_learnt_null_where_not() -> None:
    model = network()
    alone, paired, other = (
        model.segment(slices(1)),
        model.segment(slices(1), slices(2)),
        model.segment(slices(1), slices(3)),
    )
    assert not torch.allclose(alone, paired)
    assert not torch.allclose(paired, other)
    with torch.no_grad():
        model.decoder.null += torch.randn(DIM, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(model.segment(slices(1)), alone)
    assert torch.equal(model.segment(slices(1), slices(2)), paired)


def test_an_auxiliary_slice_is_segmented_by_its_own_encoder_and_skips() -> None:
    model = network()
    mine = model.segment(slices(1), auxiliary=True)
    assert not torch.allclose(mine, model.segment(slices(1)))
    swapped = network()
    swapped.encoder_c, swapped.encoder_m = swapped.encoder_m, swapped.encoder_c
    assert torch.equal(mine, swapped.segment(slices(1)))
    assert torch.equal(model.segment(slices(1), slices(2), auxiliary=True), swapped.segment(slices(1), slices(2)))


@pytest.mark.parametrize("paired", [True, False])
def test_a_slices_mask_does_not_depend_on_its_batch(paired: bool) -> None:
    model = network().eval()
    x, partner = slices(1), slices(2) if paired else None
    together = model.segment(x, partner)
    for row in range(3):
        alone = model.segment(x[row : row + 1], None if partner is None else partner[row : row + 1])
        assert torch.allclose(together[row : row + 1], alone, atol=1e-4)


@pytest.mark.parametrize(
    "look",
    [
        lambda model: model.segment(slices(1), slices(2)),
        lambda model: model.segment(slices(1), auxiliary=True),
        lambda model: model.encode_pairs(slices(1), slices(2)),
    ],
)
def test_looking_changes_nothing_even_in_training_mode(look: Callable[[VQBEGAL], object]) -> None:
    model = network().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    look(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_no_layer_keeps_running_statistics_or_draws_at_random() -> None:
    for module in network().modules():
        assert getattr(module, "running_mean", None) is None
        assert not isinstance(module, (nn.Dropout, nn.Dropout2d, nn.modules.batchnorm._BatchNorm))


def test_one_seed_builds_one_network_to_the_bit() -> None:
    first, again, other = network(seed=3).state_dict(), network(seed=3).state_dict(), network(seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_building_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    network(seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    plain = network(seed=3).state_dict()
    torch.manual_seed(12)
    assert all(torch.equal(plain[name], tensor) for name, tensor in network(seed=3).state_dict().items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_building_leaves_the_random_state_of_a_gpu_alone() -> None:
    before = torch.cuda.get_rng_state()
    network(seed=3)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_a_black_slice_gives_finite_maps_logits_and_gradients() -> None:
    model = network()
    black = torch.zeros(2, 1, 32, 32)
    encoding = model.encode_pairs(
        black, slices(1, 2), learn=torch.ones(4, dtype=torch.bool), generator=torch.Generator()
    )
    logits = model.segment(black)
    (logits.square().sum() + encoding.commit + encoding.z_c.square().sum()).backward()
    assert logits.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in model.encoder_parameters() if weight.grad is not None)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_a_single_slice_is_that_of_the_slice_twice(layout: torch.memory_format) -> None:
    def gradient(copies: int) -> torch.Tensor:
        encoder = network().to(memory_format=layout).encoder_c  # type: ignore[call-overload]
        features = encoder(slices(1, 1).repeat(copies, 1, 1, 1)).features
        directions = unit(features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]))  # comes back channels last
        weights = torch.rand(len(directions) // copies, 1, generator=torch.Generator().manual_seed(2))
        ((directions.reshape(copies, len(weights), -1) ** 3 * weights).sum() / copies).backward()
        return encoder.stages[0].layers[0].weight.grad

    torch.testing.assert_close(gradient(1), gradient(2), rtol=1e-3, atol=1e-5)

"""Monte Carlo dropout against the formulas, with the encoder run once and nothing in the network moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from VQBEGALLib.errors import CancelledError, InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.selection import Context, mc_dropout, strategy
from VQBEGALLib.training import Role

Make = Callable[..., Context]
NAMES = ["mc_dropout", "mc_dropout_entropy"]


@pytest.fixture
def dropping(make_context: Make) -> Make:
    """Makes a context whose network has dropout and a few channels that matter."""

    def make(**changes: object) -> Context:
        return make_context(**{"dropout": 0.5, **changes})

    return make


def network(context: Context) -> VQBEGAL:
    assert context.model is not None
    return context.model


def passes(context: Context, seed: int) -> np.ndarray:
    """Probabilities of T passes with masks of a seed, (T, N, H, W)."""
    x = torch.from_numpy(context.reader.read(context.pool).primary[:, None])
    with torch.no_grad():
        found = mc_dropout.predictions(network(context), x, torch.Generator().manual_seed(seed))
        return torch.stack([torch.sigmoid(each.double()) for each in found])[:, :, 0].numpy()


def entropy(p: np.ndarray) -> np.ndarray:
    return -p * np.log(p) - (1 - p) * np.log(1 - p)


def test_scores_by_the_formulas(dropping: Make) -> None:
    context = dropping()
    seed = int(np.random.default_rng(0).integers(2**63))
    p = passes(context, seed)  # the pool is one batch
    assert len(p) == mc_dropout.PASSES
    total = entropy(p.mean(axis=0)).mean(axis=(1, 2))
    bald = total - entropy(p).mean(axis=(0, 2, 3))
    found = {name: strategy(name)(dropping()) for name in NAMES}
    assert np.allclose(found["mc_dropout"].scores, bald, rtol=1e-3, atol=1e-7)
    assert np.allclose(found["mc_dropout_entropy"].scores, total, rtol=1e-5)
    assert bald.std() > 1e-5
    for name, scores in (("mc_dropout", bald), ("mc_dropout_entropy", total)):
        best = np.argsort(-scores)[:4]
        assert [context.pool.index(pick.pair) for pick in found[name].picks] == best.tolist()
        assert {pick.role for pick in found[name].picks} == {Role.ALL}


def test_passes_differ_and_without_dropout_they_agree(dropping: Make, make_context: Make) -> None:
    assert passes(dropping(), 0).std(axis=0).mean() > 1e-3
    assert passes(make_context(), 0).std(axis=0).max() < 1e-12
    context = dropping()
    plain = make_context()
    generator = torch.Generator().manual_seed(0)
    measure = mc_dropout.dropout_measure(generator, lambda found: found.divergence)
    x = torch.from_numpy(context.reader.read(context.pool).primary[:, None])
    with torch.no_grad():
        assert measure(network(plain), x, x, torch.ones(len(x))).max() < 1e-7


def test_the_encoder_runs_once_and_the_decoder_ends_ten_times_a_batch(
    dropping: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = dropping(pool=dropping().pool[:15])
    monkeypatch.setattr("VQBEGALLib.selection.scoring.BATCH", 4)
    model = network(context)
    calls: dict[str, int] = {}

    def count(name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            calls[name] = calls.get(name, 0) + 1

        return hook

    parts = {
        "encoder_c": model.encoder_c,
        "encoder_m": model.encoder_m,
        "entry": model.decoder.entry,
        "head": model.decoder.head,
    }
    handles = [part.register_forward_hook(count(name)) for name, part in parts.items()]
    strategy("mc_dropout")(context)
    for handle in handles:
        handle.remove()
    assert calls == {"encoder_c": 4, "entry": 4, "head": 40}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [True, False])
def test_nothing_in_the_network_and_no_global_state_moves(dropping: Make, name: str, training: bool) -> None:
    context = dropping()
    model = network(context).train(training)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    states = np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    strategy(name)(context)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert all(module.training is training for module in model.modules())
    assert np.random.get_state()[1].tolist() == states[0]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[1])


def test_masks_come_from_the_contexts_generator(dropping: Make) -> None:
    first, again, other = (strategy("mc_dropout")(dropping(seed=seed)).scores for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other, rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_without_dropout_is_told_how_to_get_one(make_context: Make, name: str) -> None:
    with pytest.raises(InputError, match="needs a network with dropout") as caught:
        strategy(name)(make_context())
    assert "--set dropout=" in caught.value.remedy
    with pytest.raises(InputError, match="needs a trained network"):
        strategy(name)(replace(make_context(), model=None))


def test_it_can_be_stopped(dropping: Make, tmp_path: object) -> None:
    flag = tmp_path / "cancel"  # type: ignore[operator]
    flag.touch()
    with pytest.raises(CancelledError):
        strategy("mc_dropout")(replace(dropping(), reporter=Reporter(cancel_file=flag)))

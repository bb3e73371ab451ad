"""CMC in the training loop: what a frozen encoder leaves moving, and what the history tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL, build_network
from VQBEGALLib.training import Trained, train

VIT = {"encoder": "vit", "vit_width": 12, "vit_depth": 2, "vit_heads": 2, "vit_neck": 6}


def trained(cohort: Any, initial: VQBEGAL | None = None) -> Trained:
    return train(
        cohort.examples,
        cohort.rest,
        cohort.reader,
        cohort.config,
        round_index=0,
        device=torch.device("cpu"),
        reporter=Reporter(),
        initial=initial,
    )


@pytest.mark.parametrize("changes", [{}, VIT], ids=["convolutional", "vit"])
def test_a_frozen_encoder_keeps_its_weights_to_the_bit(
    tiny_cohort: Callable[..., Any], changes: dict[str, object]
) -> None:
    cohort = tiny_cohort(method="cmc", freeze_encoders=True, weight_decay=0.5, steps=3, supervise="both", **changes)
    found = trained(cohort).model.state_dict()
    before = build_network(cohort.config, seed=cohort.config.seed).state_dict()
    same = {name for name, weight in found.items() if torch.equal(weight, before[name])}
    frozen = {name for name in found if name.startswith("encoder_") and "adapters" not in name}
    assert frozen <= same
    for part in ("encoder_c.adapters", "encoder_m.adapters", "fusion", "decoder", "discriminator"):
        assert any(name.startswith(part) and name not in same for name in found), part


def test_the_history_tells_how_many_pairs_are_registered(tiny_cohort: Callable[..., Any]) -> None:
    cohort = tiny_cohort(method="cmc", steps=2)
    apart = trained(cohort).history
    examples = [replace(each, pair=replace(each.pair, aligned=True)) for each in cohort.examples]
    rest = [replace(each, aligned=True) for each in cohort.rest]
    together = trained(replace(cohort, examples=examples, rest=rest)).history
    assert [point["aligned"] for point in apart] == [0, 0]
    assert [point["aligned"] for point in together] == [1, 1]
    assert [point["cac"] for point in apart] == [0, 0]
    assert all(point["cac"] > 0 for point in together)
    assert together[0]["gamma"] == 0
    assert together[1]["gamma"] != 0


def test_a_network_of_other_settings_is_no_start(tiny_cohort: Callable[..., Any]) -> None:
    cohort = tiny_cohort(method="cmc", steps=1)
    other = build_network(cohort.config.replace({"adapter": 0}), seed=0)
    with pytest.raises(InputError, match="has other weights than the settings ask for"):
        trained(cohort, other)

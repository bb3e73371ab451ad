"""Studies whose network sees the primary alone, although they hold an auxiliary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from VQBEGALLib.config import preset
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import build
from VQBEGALLib.rounds import Oracle, load_round, run
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import gather

Make = Callable[..., Study]


def go(study: Study, strategy: str) -> Study:
    run(study, strategy_name=strategy, rounds=2, oracle=Oracle(), device=torch.device("cpu"), reporter=Reporter())
    return study


@pytest.mark.parametrize("strategy", ["ct_only", "vq_begal"])
def test_pairing_none_is_a_cohort_without_auxiliary(
    make: Make, cohort: Path, tmp_path: Path, study_settings: dict[str, object], strategy: str
) -> None:
    alone = go(make("alone", method="primary-only"), strategy)
    members = gather(cohort / "ct", primary_labels=cohort / "ct_liver", split=cohort / "split.json")
    bare = go(Study.create(tmp_path / "bare", preset("small", study_settings), members), strategy)
    assert [item.requests for item in alone.rounds()] == [item.requests for item in bare.rounds()]
    for index in (0, 1):
        mine, theirs = (load_round(study, index)[0].state_dict() for study in (alone, bare))
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert all(item.partner is None for round_ in alone.rounds() for item in round_.requests)
    assert alone.rounds()[1].figures["diagnosis"] == {}
    assert alone.rounds()[1].metrics is not None


@pytest.mark.parametrize("changes", [{}, {"quantize": False}, {"supervise": "both"}, {"encoder_sharing": "none"}])
def test_discriminator_and_the_auxiliarys_own_layers_keep_their_first_weights(make: Make, changes: dict) -> None:
    study = go(make(pairing="none", weight_decay=0, **changes), "ct_only")
    first = build(study.config.network, seed=study.config.seed)
    last = load_round(study, 1)[0]
    shared = {id(weight) for weight in last.encoder_c.parameters()}
    for part in ("discriminator", "encoder_m"):
        before, after = dict(first.named_parameters()), dict(getattr(last, part).named_parameters())
        own = {name: weight for name, weight in after.items() if id(weight) not in shared}
        assert own
        assert all(torch.equal(weight, before[f"{part}.{name}"]) for name, weight in own.items())
    assert not torch.equal(last.decoder.head.weight, first.decoder.head.weight)

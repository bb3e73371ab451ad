"""Training patients whose auxiliary is missing: which, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from VQBEGALLib.config import preset
from VQBEGALLib.events import Reporter
from VQBEGALLib.rounds import Material, Oracle, run
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import gather
from VQBEGALLib.study.records import SPLITS

Make = Callable[..., Study]
SHARES = (1.0, 0.5, 0.0)


def paired(study: Study) -> set[str]:
    """Training cases that have a partner; all slices of a case or none."""
    pairs = Material(study, Reporter(), ("train",)).pairs("train")
    found = {case: {pair.partner for pair in pairs if pair.case == case} for case in ("s0", "s1")}
    assert all(partners in ({case}, {None}) for case, partners in found.items())
    return {case for case, partners in found.items() if partners != {None}}


def test_a_smaller_share_takes_patients_away_one_after_another(make: Make) -> None:
    kept = [paired(make(f"share {share}", auxiliary_share=share)) for share in SHARES]
    assert [len(names) for names in kept] == [2, 1, 0]


def test_the_seed_decides_who_is_left_without(make: Make) -> None:
    kept = [paired(make(f"seed {seed}", auxiliary_share=0.5, seed=seed)) for seed in range(8)]
    assert {frozenset(names) for names in kept} == {frozenset({"s0"}), frozenset({"s1"})}


def test_validation_and_test_pairs_stay(make: Make) -> None:
    found = [Material(make(f"share {share}", auxiliary_share=share), Reporter()) for share in SHARES]
    for split in SPLITS[1:]:
        pairs = [material.pairs(split) for material in found]
        assert pairs[0] == pairs[1] == pairs[2]
        assert all(pair.partner == pair.case for pair in pairs[0])


def test_all_images_of_a_patient_are_left_out_together(
    cohort: Path, tmp_path: Path, study_settings: dict[str, object]
) -> None:
    members = gather(cohort / "ct", cohort / "mr", split=cohort / "split.json")
    members = [replace(each, patient="one" if each.split == "train" else each.patient) for each in members]
    for share, left in ((0.9, {"s0", "s1"}), (0.4, set())):
        study = Study.create(
            tmp_path / f"{share}", preset("small", {**study_settings, "auxiliary_share": share}), members
        )
        assert paired(study) == left


@pytest.mark.parametrize("share", [0.5, 0.0])
def test_a_run_trains_on_what_partners_there_are(make: Make, share: float) -> None:
    study = make(auxiliary_share=share, supervise="both")
    run(study, strategy_name="vq_begal", rounds=2, oracle=Oracle(), device=torch.device("cpu"), reporter=Reporter())
    kept = paired(study)
    requests = [item for round_ in study.rounds() for item in round_.requests]
    assert {item.case for item in requests} == {"s0", "s1"}
    assert all((item.partner is not None) == (item.case in kept) for item in requests)
    examples = Material(study, Reporter(), ("train",)).examples()
    assert len(examples) == 10
    assert all((each.auxiliary_mask is not None) == (each.pair.case in kept) for each in examples)

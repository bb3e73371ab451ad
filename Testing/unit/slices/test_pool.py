"""Partners of the same split at the same height of the body, or drawn; no registration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from VQBEGALLib.slices import SliceFrame, SlicePair, pair_slices
from VQBEGALLib.volumes import Volume


def frame(count: int, *, upward: bool = True) -> SliceFrame:
    return SliceFrame.of(Volume(np.zeros((count, 2, 2)), np.diag((1.0, 1.0, 2.0 if upward else -2.0, 1.0))))


def pairs(
    primaries: dict[str, SliceFrame],
    auxiliaries: dict[str, SliceFrame],
    *,
    pairing: str = "relative_position",
    seed: int = 0,
) -> list[SlicePair]:
    return pair_slices(primaries, auxiliaries, pairing=pairing, generator=np.random.default_rng(seed))


@given(st.integers(1, 30), st.integers(1, 30), st.booleans(), st.booleans())
@settings(max_examples=50, deadline=None)
def test_own_partners_lie_at_the_same_height(count: int, other: int, up: bool, other_up: bool) -> None:
    mine, theirs = frame(count, upward=up), frame(other, upward=other_up)
    found = pairs({"a": mine}, {"a": theirs})
    assert [(pair.case, pair.slice, pair.partner) for pair in found] == [("a", index, "a") for index in range(count)]
    for pair in found:
        assert abs(mine.height(pair.slice) - theirs.height(pair.partner_slice)) <= 0.5 / other + 1e-9


def test_head_first_meets_feet_first() -> None:
    found = pairs({"a": frame(4)}, {"a": frame(4, upward=False)})
    assert [pair.partner_slice for pair in found] == [3, 2, 1, 0]
    assert [pair.partner_slice for pair in pairs({"a": frame(4)}, {"a": frame(4)})] == [0, 1, 2, 3]


def test_a_subject_without_auxiliary_borrows_from_those_given() -> None:
    found = pairs({"a": frame(3), "c": frame(200)}, {"a": frame(5), "x": frame(7), "y": frame(9)})
    assert {pair.partner for pair in found if pair.case == "a"} == {"a"}
    borrowed = [pair.partner for pair in found if pair.case == "c"]
    assert set(borrowed) == {"a", "x", "y"}
    assert max(borrowed.count(name) for name in "axy") < 100
    lengths = {"a": 5, "x": 7, "y": 9}
    for pair in found:
        assert 0 <= pair.partner_slice < lengths[pair.partner]


def test_a_borrowed_slice_lies_at_the_same_height() -> None:
    mine, theirs = frame(20), frame(8, upward=False)
    for pair in pairs({"c": mine}, {"x": theirs}):
        assert abs(mine.height(pair.slice) - theirs.height(pair.partner_slice)) <= 0.5 / 8 + 1e-9


def test_random_pairing_draws_the_slice_and_keeps_the_own_patient() -> None:
    found = pairs({"a": frame(300)}, {"a": frame(6), "b": frame(6)}, pairing="random")
    assert {pair.partner for pair in found} == {"a"}
    counts = np.bincount([pair.partner_slice for pair in found], minlength=6)
    assert len(counts) == 6
    assert counts.min() > 25
    ordered = [pair.partner_slice for pair in found]
    assert ordered != sorted(ordered)


@pytest.mark.parametrize("pairing", ["relative_position", "random"])
def test_one_seed_gives_one_pairing_whatever_the_order_of_the_subjects(pairing: str) -> None:
    names = ["d", "b", "c"]
    lenders = {"y": frame(5), "x": frame(6)}
    first = pairs({name: frame(12) for name in names}, lenders, pairing=pairing, seed=4)
    again = pairs({name: frame(12) for name in sorted(names)}, dict(reversed(lenders.items())), pairing=pairing, seed=4)
    other = pairs({name: frame(12) for name in names}, lenders, pairing=pairing, seed=5)
    assert first == again
    assert first == sorted(first)
    assert first != other


def test_without_auxiliaries_pairs_have_no_partner() -> None:
    assert pairs({"a": frame(2)}, {}) == [SlicePair("a", 0), SlicePair("a", 1)]


@pytest.mark.parametrize("pairing", ["relative_position", "random"])
def test_volumes_of_one_slice_pair(pairing: str) -> None:
    assert pairs({"a": frame(1)}, {"a": frame(1)}, pairing=pairing) == [SlicePair("a", 0, "a", 0)]
    assert [pair.partner_slice for pair in pairs({"a": frame(3)}, {"a": frame(1)}, pairing=pairing)] == [0, 0, 0]
    (middle,) = pairs({"a": frame(1)}, {"a": frame(9)})
    assert middle.partner_slice == 4


def test_no_primary_no_pair() -> None:
    assert pairs({}, {"a": frame(3)}) == []


def test_global_random_state_is_left_alone() -> None:
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    pairs({"c": frame(9)}, {"x": frame(4)}, pairing="random")
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002

"""Partners of the same split at the same height of the body, or drawn; no registration."""

from __future__ import annotations

import itertools
from collections.abc import Collection

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from VQBEGALLib.slices import SliceFrame, SlicePair, pair_slices
from VQBEGALLib.slices.pool import without_partner
from VQBEGALLib.volumes import Volume


def frame(count: int, *, upward: bool = True) -> SliceFrame:
    return SliceFrame.of(Volume(np.zeros((count, 2, 2)), np.diag((1.0, 1.0, 2.0 if upward else -2.0, 1.0))))


def pairs(
    primaries: dict[str, SliceFrame],
    auxiliaries: dict[str, SliceFrame],
    *,
    pairing: str = "relative_position",
    seed: int = 0,
    without: Collection[str] = (),
    aligned: Collection[str] = (),
) -> list[SlicePair]:
    generator = np.random.default_rng(seed)
    return pair_slices(primaries, auxiliaries, pairing=pairing, generator=generator, without=without, aligned=aligned)


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


def test_pairing_none_gives_no_slice_a_partner_and_draws_nothing() -> None:
    generator = np.random.default_rng(0)
    drawn = generator.bit_generator.state
    found = pair_slices({"a": frame(2), "b": frame(1)}, {"a": frame(5)}, pairing="none", generator=generator)
    assert found == [SlicePair("a", 0), SlicePair("a", 1), SlicePair("b", 0)]
    assert generator.bit_generator.state == drawn


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


@pytest.mark.parametrize("pairing", ["relative_position", "random"])
@pytest.mark.parametrize("lenders", ["abcd", "xyz"], ids=["paired", "unpaired"])
def test_subjects_left_without_a_partner_change_no_other_pair(pairing: str, lenders: str) -> None:
    primaries, auxiliaries = {name: frame(20) for name in "abcd"}, {name: frame(7) for name in lenders}
    whole = pairs(primaries, auxiliaries, pairing=pairing)
    part = pairs(primaries, auxiliaries, pairing=pairing, without={"b", "d"})
    assert part == [SlicePair(pair.case, pair.slice) if pair.case in "bd" else pair for pair in whole]


def test_subjects_left_without_a_partner_lend_nothing() -> None:
    found = pairs({"a": frame(50), "c": frame(50)}, {"a": frame(5), "b": frame(5)}, without={"a"})
    assert {(pair.case, pair.partner) for pair in found} == {("a", None), ("c", "b")}
    assert {pair.partner for pair in pairs({"a": frame(5)}, {"a": frame(5)}, without={"a"})} == {None}


def test_only_own_slices_of_the_same_number_are_aligned() -> None:
    volumes = {"a": frame(40), "b": frame(40)}
    assert all(pair.aligned == (pair.case == "a") for pair in pairs(volumes, volumes, aligned="a"))
    found = pairs(volumes, volumes, pairing="random", aligned="ab")
    assert all(pair.aligned == (pair.slice == pair.partner_slice) for pair in found)
    assert {pair.aligned for pair in found} == {True, False}


def test_a_borrowed_partner_and_none_are_never_aligned() -> None:
    borrowed = pairs({"c": frame(20)}, {"x": frame(20)}, aligned=["c", "x"])
    assert all(pair.slice == pair.partner_slice and not pair.aligned for pair in borrowed)
    assert not any(pair.aligned for pair in pairs({"a": frame(3)}, {"a": frame(3)}, aligned="a", without="a"))


def test_the_share_without_partner_is_nested_seeded_and_exact() -> None:
    names = [f"p{number}" for number in range(12)]
    shares = np.linspace(1, 0, 13)
    missing = [without_partner(names, share, seed=1) for share in shares]
    assert [len(each) for each in missing] == list(range(13))
    assert all(less < more for less, more in itertools.pairwise(missing))
    assert without_partner(reversed(names), 0.5, seed=1) == missing[6]
    assert without_partner(names, 0.5, seed=2) != missing[6]


def test_each_patient_is_as_likely_to_miss_its_auxiliary() -> None:
    counts = {name: 0 for name in "abcd"}
    for seed in range(400):
        for name in without_partner(counts, 0.5, seed):
            counts[name] += 1
    assert sum(counts.values()) == 800
    assert all(abs(count - 200) < 50 for count in counts.values())  # five standard deviations


def test_a_patient_who_joins_moves_no_other_patients_rank() -> None:
    names = [f"p{number}" for number in range(9)]

    def order(patients: list[str]) -> list[str]:
        missing = [without_partner(patients, kept / len(patients), seed=4) for kept in range(len(patients) + 1)]
        return [min(more - less) for more, less in itertools.pairwise(missing)]

    assert [name for name in order([*names, "new"]) if name != "new"] == order(names)

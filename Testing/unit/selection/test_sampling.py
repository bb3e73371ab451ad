"""Greedy k-centre and k-means++ against double loops, exhaustive search and exact probabilities."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import chisquare

from VQBEGALLib.selection import sampling
from VQBEGALLib.selection.sampling import k_centre, k_means_plus_plus


def cloud(count: int, dim: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def greedy(features: np.ndarray, count: int, centres: list[np.ndarray]) -> list[int]:
    """Farthest first, by a double loop."""
    chosen: list[int] = []
    while len(chosen) < count:
        distances = [
            -1.0 if index in chosen else min(float(np.linalg.norm(point - centre)) for centre in centres)
            for index, point in enumerate(features.astype(np.float64))
        ]
        chosen.append(int(np.argmax(distances)))
        centres = [*centres, features[chosen[-1]]]
    return chosen


@pytest.fixture(params=[(1 / 32, 1024, 256), (1 / 4, 7, 3), (1.0, 16, 1)], ids=["shipped", "quarter", "all"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes of the blocks in which distances are computed."""
    for name, value in zip(("CANDIDATES", "ROWS", "CENTRES"), request.param, strict=True):
        monkeypatch.setattr(sampling, name, value)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("dim", [1, 3, 40])
@pytest.mark.parametrize(("count", "budget", "known"), [(60, 12, 5), (60, 60, 1), (25, 7, 40), (1, 1, 1)])
def test_k_centre_is_the_double_loop(dim: int, count: int, budget: int, known: int) -> None:
    features, initial = cloud(count, dim), cloud(known, dim, seed=1)
    found = k_centre(features, budget, initial=initial, generator=np.random.default_rng(0))
    assert found.tolist() == greedy(features, budget, list(initial))


@pytest.mark.usefixtures("blocks")
def test_without_centres_k_centre_starts_anywhere_and_goes_on_greedily() -> None:
    features = cloud(40)
    starts = []
    for seed in range(60):
        first, *rest = k_centre(features, 6, initial=features[:0], generator=np.random.default_rng(seed)).tolist()
        assert rest == [index for index in greedy(features, 6, [features[first]]) if index != first][:5]
        starts.append(first)
    assert len(set(starts)) > 20


@pytest.mark.parametrize("seed", range(5))
def test_k_centre_is_within_twice_the_best_radius(seed: int) -> None:
    features = cloud(9, 2, seed)
    distances = cdist(features, features)
    best = min(distances[:, list(centres)].min(axis=1).max() for centres in itertools.combinations(range(9), 3))
    chosen = k_centre(features, 3, initial=features[:0], generator=np.random.default_rng(seed))
    assert best <= distances[:, chosen].min(axis=1).max() + 1e-6
    assert distances[:, chosen].min(axis=1).max() <= 2 * best + 1e-6


@pytest.mark.usefixtures("blocks")
def test_equal_distances_are_drawn_and_equal_vectors_picked_once() -> None:
    corners = np.eye(8, dtype=np.float32)
    firsts = [k_centre(corners, 1, initial=0 * corners[:1], generator=np.random.default_rng(n))[0] for n in range(80)]
    assert set(firsts) == set(range(8))
    for seed in range(5):
        generator = np.random.default_rng(seed)
        twins = np.repeat(corners, 4, axis=0)
        found = k_centre(twins, 32, initial=corners[:0], generator=generator)
        assert sorted(found) == list(range(32))
        assert set(found[:8] // 4) == set(range(8))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_nothing_asked_nothing_picked(count: int) -> None:
    features = cloud(count)
    assert k_centre(features, 0, initial=features, generator=np.random.default_rng(0)).shape == (0,)
    assert k_means_plus_plus(features, 0, generator=np.random.default_rng(0)).shape == (0,)


def test_the_same_seed_picks_the_same() -> None:
    features = cloud(200)
    for sample in (lambda g: k_centre(features, 20, initial=features[:0], generator=g), k_means):
        runs = [sample(np.random.default_rng(seed)).tolist() for seed in (4, 4, 5)]
        assert runs[0] == runs[1] != runs[2]


def k_means(generator: np.random.Generator) -> np.ndarray:
    return k_means_plus_plus(cloud(200), 20, generator=generator)


def exact(features: np.ndarray, first: int, later: tuple[int, ...]) -> float:
    """Probability of the picks after the first, by the definition of D² sampling."""
    probability, chosen = 1.0, [first]
    for index in later:
        squares = cdist(features, features[chosen], "sqeuclidean").min(axis=1)
        probability *= squares[index] / squares.sum()
        chosen.append(index)
    return float(probability)


@pytest.mark.parametrize("rejections", [1, 16, 10**9])
def test_k_means_plus_plus_draws_by_squared_distance(monkeypatch: pytest.MonkeyPatch, rejections: int) -> None:
    monkeypatch.setattr(sampling, "REJECTIONS", rejections)
    features = cloud(6, 2, seed=3)
    first = int(np.linalg.norm(features, axis=1).argmax())
    generator, draws = np.random.default_rng(0), 3000
    found = [tuple(k_means_plus_plus(features, 4, generator=generator).tolist()) for _ in range(draws)]
    assert {pick[0] for pick in found} == {first}
    orders = list(itertools.permutations([index for index in range(6) if index != first], 3))
    expected = np.array([exact(features, first, later) for later in orders])
    assert expected.sum() == pytest.approx(1)
    observed = np.array([found.count((first, *later)) for later in orders])
    common = expected * draws >= 5  # rarer orders are pooled, as the test's approximation needs
    assert (
        chisquare(
            [*observed[common], observed[~common].sum()], draws * np.array([*expected[common], expected[~common].sum()])
        ).pvalue
        > 0.01
    )


@pytest.mark.usefixtures("blocks")
def test_k_means_plus_plus_picks_each_once_and_the_longest_first() -> None:
    features = cloud(80, 5)
    for seed in range(5):
        found = k_means_plus_plus(features, 80, generator=np.random.default_rng(seed)).tolist()
        assert sorted(found) == list(range(80))
        assert found[0] == int(np.linalg.norm(features, axis=1).argmax())


def test_equal_vectors_are_drawn_uniformly_once_nothing_else_is_left() -> None:
    features = np.zeros((12, 2), np.float32)
    features[3] = 1
    counts = np.zeros(12)
    for seed in range(600):
        found = k_means_plus_plus(features, 3, generator=np.random.default_rng(seed)).tolist()
        assert found[0] == 3
        assert len(set(found)) == 3
        counts[found[2]] += 1
    assert chisquare(np.delete(counts, 3)).pvalue > 0.01


def test_a_distant_cluster_is_found_at_once() -> None:
    features = np.concatenate([cloud(500), cloud(3) + 1e4]).astype(np.float32)
    for seed in range(10):
        found = k_means_plus_plus(features, 2, generator=np.random.default_rng(seed))
        assert found[0] >= 500 > found[1]

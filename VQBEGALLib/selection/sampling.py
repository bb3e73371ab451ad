"""Two ways to pick vectors that lie apart: greedy k-centre and the seeding of k-means++."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""(N, d)."""

Indices = npt.NDArray[np.int64]
"""(count,): rows of the features, in the order of their choice."""


def k_centre(features: Vectors, count: int, *, initial: Vectors, generator: np.random.Generator) -> Indices:
    """Pick the vector farthest from everything picked so far, again and again (Gonzalez, 1985).

    The largest distance from any vector to its nearest centre is at most twice the smallest that ``count`` centres
    can reach.

    Args:
        features: what to pick from, (N, d).
        count: how many, at most N.
        initial: centres there are already, (M, d); where M is 0 the first pick is drawn uniformly.
        generator: source of that draw, and of the choice between equal distances.
    """
    nearest = np.full(len(features), np.inf)
    for centre in initial:
        nearest = np.minimum(nearest, squared_distances(features, centre))
    chosen: list[int] = []
    for _ in range(count):
        index = int(generator.choice(np.flatnonzero(nearest == nearest.max())))
        chosen.append(index)
        nearest = np.minimum(nearest, squared_distances(features, features[index]))
        nearest[chosen] = -np.inf
    return np.array(chosen, np.int64)


def k_means_plus_plus(features: Vectors, count: int, *, generator: np.random.Generator) -> Indices:
    """Pick the longest vector, then each next with probability proportional to D² (Arthur and Vassilvitskii, 2007).

    D is a vector's distance to the nearest one picked. The first is the longest, as in BADGE's own code. Where all
    that is left equals something picked, the draw is uniform.

    Args:
        features: what to pick from, (N, d).
        count: how many, at most N.
        generator: source of the draws.
    """
    lengths = np.einsum("nd,nd->n", features, features)
    chosen: list[int] = []
    free = np.ones(len(features), bool)
    nearest = np.full(len(features), np.inf)
    for _ in range(count):
        if not chosen:
            index = int(generator.choice(np.flatnonzero(lengths == lengths.max())))
        elif (total := nearest.sum()) > 0:
            index = int(generator.choice(len(features), p=nearest / total))
        else:
            index = int(generator.choice(np.flatnonzero(free)))
        chosen.append(index)
        free[index] = False
        nearest = np.minimum(nearest, squared_distances(features, features[index]))
        nearest[index] = 0
    return np.array(chosen, np.int64)


def squared_distances(features: Vectors, centre: Vectors) -> npt.NDArray[np.float64]:
    """Return the squared Euclidean distance of each vector to a centre, (N,)."""
    distances: npt.NDArray[np.float64] = np.square(features - centre).sum(axis=1, dtype=np.float64)
    return distances

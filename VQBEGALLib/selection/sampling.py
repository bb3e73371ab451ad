"""Two ways to pick vectors that lie apart: greedy k-centre and the seeding of k-means++.

Both ask after each pick how far every vector is from its nearest centre. Distances only shrink as centres are added,
so that old ones are upper bounds: most vectors are compared with the centres in one matrix product for several
picks, and what is picked is exactly what comparing them after every pick would give.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from VQBEGALLib.selection.scoring import Vectors

Values = npt.NDArray[np.float32]
"""(N,): one value a vector."""

Indices = npt.NDArray[np.int64]
"""(count,): rows of the features, in the order of their choice."""

CANDIDATES = 1 / 32
"""Share of the vectors, the farthest, among which k-centre goes on picking before it looks at all of them again."""

REJECTIONS = 16
"""Draws of k-means++ refused in a row after which it computes all distances anew."""

ROWS = 1024
"""Vectors compared at a time, so that their products stay in the processor's cache."""

CENTRES = 256
"""Centres compared with at a time."""


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
    distances = Distances(features)
    distances.shrink(initial)
    nearest = distances.nearest
    few = max(1, round(CANDIDATES * len(features)))
    chosen: list[int] = []
    known = 0
    while len(chosen) < count:
        distances.shrink(features[chosen[known:]])
        nearest[chosen] = -np.inf
        known = len(chosen)
        chosen.append(_farthest(nearest, generator))
        # the farthest few; as long as the best of them beats all others' old distances, it is the best of all
        order = np.argpartition(nearest, -few)
        rows, limit = order[-few:], nearest[order[:-few]].max(initial=-np.inf)
        part = Distances(features[rows], nearest[rows])
        part.nearest[rows == chosen[-1]] = -np.inf
        part.shrink(features[chosen[-1:]])
        while len(chosen) < count and part.nearest.max() > limit:
            place = _farthest(part.nearest, generator)
            chosen.append(int(rows[place]))
            part.nearest[place] = -np.inf
            part.shrink(features[chosen[-1:]])
    return np.array(chosen, np.int64)


def k_means_plus_plus(features: Vectors, count: int, *, generator: np.random.Generator) -> Indices:
    """Pick the longest vector, then each next with probability proportional to D² (Arthur and Vassilvitskii, 2007).

    D is a vector's distance to the nearest one picked. The first is the longest, as in BADGE's own code. Where all
    that is left equals something picked, the draw is uniform. Draws come from older distances U ≥ D and are accepted
    with probability D² / U², which makes them draws by D² (rejection sampling, von Neumann, 1951).

    Args:
        features: what to pick from, (N, d).
        count: how many, at most N.
        generator: source of the draws.
    """
    if count == 0:
        return np.empty(0, np.int64)
    distances = Distances(features)
    chosen = [_farthest(distances.squares, generator)]
    known = 0
    while len(chosen) < count:
        distances.shrink(features[chosen[known:]])
        distances.nearest[chosen] = 0
        known = len(chosen)
        bounds = distances.nearest.cumsum(dtype=np.float64)
        if bounds[-1] == 0:
            rest = np.delete(np.arange(len(features)), chosen)
            return np.array([*chosen, *generator.permutation(rest)[: count - known]], np.int64)
        refused = 0
        while len(chosen) < count and refused < REJECTIONS:
            place = int(bounds.searchsorted(generator.random() * bounds[-1], side="right"))
            bound = distances.nearest[place]
            now = np.square(features[chosen[known:]] - features[place]).sum(axis=1).min(initial=bound)
            accepted = generator.random() * bound < now
            refused = 0 if accepted else refused + 1
            if accepted:
                chosen.append(place)
    return np.array(chosen, np.int64)


class Distances:
    """Squared Euclidean distance of each vector to the nearest of the centres seen so far.

    Args:
        features: the vectors, (N, d).
        nearest: their distances to centres seen already, (N,).
    """

    def __init__(self, features: Vectors, nearest: Values | None = None) -> None:
        self.features = features
        self.squares: Values = np.einsum("nd,nd->n", features, features)
        self.nearest: Values = np.full(len(features), np.inf, np.float32) if nearest is None else nearest

    def shrink(self, centres: Vectors) -> None:
        """Take further centres into account, (M, d); distances below rounding become 0."""
        for first in range(0, len(centres), CENTRES):
            block = centres[first : first + CENTRES]
            squares = np.einsum("md,md->m", block, block)[:, None]
            for start in range(0, len(self.features), ROWS):
                rows = slice(start, start + ROWS)
                products = (-2 * block) @ self.features[rows].T  # (m, n)
                products += squares
                found = np.maximum(products.min(axis=0) + self.squares[rows], 0)
                np.minimum(self.nearest[rows], found, out=self.nearest[rows])


def _farthest(values: Values, generator: np.random.Generator) -> int:
    """Return the index of the largest value; one of them at random where there are several."""
    return int(generator.choice(np.flatnonzero(values == values.max())))

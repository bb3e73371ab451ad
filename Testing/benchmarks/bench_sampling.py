"""Picking 100 of 50,000 vectors of 128 values by greedy k-centre and k-means++, against one pass of distances.

One pass is what any method that looks at every distance once has to pay: the squared distances of all vectors to 100
centres, |x|² − 2 x·c + |c|², in 32 bits, in blocks of vectors, with the inner products as matrix products. The two
are measured on vectors without structure, where pruning helps least, and on 200 clusters, as features have them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from harness import Row, alternate, print_table, versions  # first: it sets one thread

import numpy as np  # isort: skip
import numpy.typing as npt

from VQBEGALLib.selection.sampling import k_centre, k_means_plus_plus

TARGET = 2.0
VECTORS, DIM, PICKS, CLUSTERS = 50_000, 128, 100, 200
ROWS = 1024
"""Vectors in a block of the pass; larger and smaller blocks are slower."""

Features = npt.NDArray[np.float32]


def one_pass(features: Features, centres: Features) -> float:
    """Compute the squared distances of all vectors to all centres, block by block; return the last."""
    squares, last = np.einsum("md,md->m", centres, centres), 0.0
    for start in range(0, len(features), ROWS):
        block = features[start : start + ROWS]
        distances = block @ centres.T
        distances *= -2
        distances += np.einsum("nd,nd->n", block, block)[:, None]
        distances += squares
        last = float(distances[-1, -1])
    return last


def competitors(features: Features) -> dict[str, Callable[[], object]]:
    """Return both samplers and the pass over the same vectors."""
    return {
        "k-centre": lambda: k_centre(features, PICKS, initial=features[:0], generator=np.random.default_rng(0)),
        "k-means++": lambda: k_means_plus_plus(features, PICKS, generator=np.random.default_rng(0)),
        "pass": lambda: one_pass(features, features[:PICKS]),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    plain = generator.standard_normal((VECTORS, DIM), dtype=np.float32)
    centres = generator.standard_normal((CLUSTERS, DIM), dtype=np.float32)
    clustered = 0.3 * plain + centres[generator.integers(CLUSTERS, size=VECTORS)]
    rows = []
    for kind, features in (("without structure", plain), ("in clusters", clustered)):
        times = alternate(competitors(features), options.repeats)
        note = f"one pass {1000 * times['pass']:.0f} ms"
        rows += [
            Row(f"{name}, vectors {kind}, to one pass", times[name] / times["pass"], TARGET, note)
            for name in ("k-centre", "k-means++")
        ]
    print_table(rows, versions("numpy"))


if __name__ == "__main__":
    main()

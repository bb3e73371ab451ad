"""How terms that lean on the network's own predictions come in: slowly, while these are still poor."""

from __future__ import annotations

import math


def ramp_up(progress: float, length: float) -> float:
    """Return the share of its weight that a term has: exp(−5 (1 − t)²), t the done share of the ramp.

    Args:
        progress: share of the round's steps done, 0 to 1.
        length: share of the steps that the ramp takes; 0 is no ramp.

    Source:
        Laine and Aila (2017), section 3.1.

    Examples:
        >>> ramp_up(0.3, 0.3), round(ramp_up(0, 0.3), 4)
        (1.0, 0.0067)
    """
    done = min(1.0, progress / length) if length else 1.0
    return math.exp(-5 * (1 - done) ** 2)

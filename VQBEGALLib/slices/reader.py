"""Slice pairs as arrays, whichever files they lie in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from VQBEGALLib.slices.cache import ImageKey, SliceCache
from VQBEGALLib.slices.pool import SlicePair
from VQBEGALLib.slices.preprocessing import Images


@dataclass(frozen=True)
class PairImages:
    """Images of a batch of pairs.

    Args:
        primary: (n, H, W), 0 to 1.
        auxiliary: (n, H, W), 0 to 1; zeros where the partner is missing.
        present: whether the pair has a partner, (n,).
    """

    primary: Images
    auxiliary: Images
    present: npt.NDArray[np.bool_]


class SliceReader(Protocol):
    """Whatever gives the images of pairs, (n, size, size)."""

    size: int

    def read(self, pairs: Sequence[SlicePair]) -> PairImages:
        """Return the images of pairs, in their order."""
        ...


class PairReader:
    """Reads pairs from a cache.

    Args:
        cache: prepared slices.
        primaries: key of each primary image by subject.
        auxiliaries: key of each auxiliary image by subject.
    """

    def __init__(
        self, cache: SliceCache, primaries: Mapping[str, ImageKey], auxiliaries: Mapping[str, ImageKey]
    ) -> None:
        self._cache = cache
        self._primaries = primaries
        self._auxiliaries = auxiliaries
        self.size = cache.settings.size

    def read(self, pairs: Sequence[SlicePair]) -> PairImages:
        """Return the images of pairs, in their order."""
        present = np.array([pair.partner is not None for pair in pairs], dtype=np.bool_)
        wanted = [(self._primaries[pair.case], pair.slice) for pair in pairs]
        partners = [
            None
            if pair.partner is None or pair.partner_slice is None
            else (self._auxiliaries[pair.partner], pair.partner_slice)
            for pair in pairs
        ]
        return PairImages(self._gather(wanted), self._gather(partners), present)

    def _gather(self, wanted: Sequence[tuple[ImageKey, int] | None]) -> Images:
        """Read each file once."""
        out = np.zeros((len(wanted), self.size, self.size), np.float32)
        rows = defaultdict(list)
        for row, item in enumerate(wanted):
            if item is not None:
                rows[item[0]].append((row, item[1]))
        for key, places in rows.items():
            out[[row for row, _ in places]] = self._cache.read(key, [index for _, index in places])
        return out

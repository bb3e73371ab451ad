"""From volumes to normalised slice pairs: preprocessing, cache, pairing."""

from VQBEGALLib.slices.cache import ImageKey, SliceCache
from VQBEGALLib.slices.frame import SliceFrame
from VQBEGALLib.slices.pool import SlicePair, pair_slices
from VQBEGALLib.slices.preprocessing import PlaneGrid, prepare, prepare_masks

__all__ = ["ImageKey", "PlaneGrid", "SliceCache", "SliceFrame", "SlicePair", "pair_slices", "prepare", "prepare_masks"]

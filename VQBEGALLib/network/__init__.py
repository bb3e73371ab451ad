"""The VQ-BEGAL network."""

from VQBEGALLib.network.model import VQBEGAL, PairEncoding, build

__all__ = ["VQBEGAL", "PairEncoding", "build"]

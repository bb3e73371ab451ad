"""The VQ-BEGAL network, and the registry of those that may take its place."""

from VQBEGALLib.network.model import VQBEGAL, PairEncoding, build
from VQBEGALLib.network.registry import build_network

__all__ = ["VQBEGAL", "PairEncoding", "build", "build_network"]

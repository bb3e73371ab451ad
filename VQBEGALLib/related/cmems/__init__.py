"""CMEMS: cross-model mutual learning from an exemplar (En and Guo, 2024)."""

from VQBEGALLib.related.cmems.network import CMEMS
from VQBEGALLib.related.cmems.objective import cmems_loss

__all__ = ["CMEMS", "cmems_loss"]

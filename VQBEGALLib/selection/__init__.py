"""Which slices to annotate next: one strategy a file, one interface, one registry."""

from VQBEGALLib.selection import cold_start, random, vq_begal
from VQBEGALLib.selection.interface import Context, Pick, Selection, Strategy, names, strategy

__all__ = ["Context", "Pick", "Selection", "Strategy", "cold_start", "names", "random", "strategy", "vq_begal"]

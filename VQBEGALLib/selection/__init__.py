"""Which slices to annotate next: one strategy a file, one interface, one registry."""

from VQBEGALLib.selection import badge, cold_start, coreset, ct_only, max_entropy, mc_dropout, random, taal, vq_begal
from VQBEGALLib.selection.interface import Context, Pick, Selection, Strategy, names, strategy

__all__ = [
    "Context",
    "Pick",
    "Selection",
    "Strategy",
    "badge",
    "cold_start",
    "coreset",
    "ct_only",
    "max_entropy",
    "mc_dropout",
    "names",
    "random",
    "strategy",
    "taal",
    "vq_begal",
]

"""Which slices to annotate next: one strategy a file, one interface, one registry."""

from VQBEGALLib.selection import (
    badge,
    cold_start,
    coreset,
    ct_only,
    max_entropy,
    mc_dropout,
    mvaal,
    random,
    taal,
    vq_begal,
    wrappers,
)
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
    "mvaal",
    "names",
    "random",
    "strategy",
    "taal",
    "vq_begal",
    "wrappers",
]

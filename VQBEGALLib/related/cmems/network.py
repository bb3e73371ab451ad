"""The network of CMEMS."""

from __future__ import annotations

from VQBEGALLib.config import Config
from VQBEGALLib.network.registry import architecture
from VQBEGALLib.related.network import JoinedNetwork


class CMEMS(JoinedNetwork):
    """The network of CMEMS."""


@architecture("cmems")
def _cmems(config: Config) -> CMEMS:
    return CMEMS(config.network, len(config.organs))

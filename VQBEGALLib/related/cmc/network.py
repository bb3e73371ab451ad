"""The network of CMC."""

from __future__ import annotations

from VQBEGALLib.config import Config
from VQBEGALLib.network.registry import architecture
from VQBEGALLib.related.network import JoinedNetwork


class CMC(JoinedNetwork):
    """The network of CMC."""


@architecture("cmc")
def _cmc(config: Config) -> CMC:
    return CMC(config.network, len(config.organs))

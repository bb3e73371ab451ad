"""The network of CIML."""

from __future__ import annotations

from VQBEGALLib.config import Config
from VQBEGALLib.network.registry import architecture
from VQBEGALLib.related.network import JoinedNetwork


class CIML(JoinedNetwork):
    """The network of CIML."""


@architecture("ciml")
def _ciml(config: Config) -> CIML:
    return CIML(config.network, len(config.organs))

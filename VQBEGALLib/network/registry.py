"""Which network a configuration asks for: one entry an architecture, entered by the package that has it."""

from __future__ import annotations

from collections.abc import Callable

from VQBEGALLib.config import Architecture, Config
from VQBEGALLib.network.model import VQBEGAL, seeded

Builder = Callable[[Config], VQBEGAL]
"""Returns a network with weights drawn from the global random state."""

_BUILDERS: dict[Architecture, Builder] = {}


def architecture(name: Architecture) -> Callable[[Builder], Builder]:
    """Return a decorator that enters a network under the name that the setting ``architecture`` has for it."""

    def enter(builder: Builder) -> Builder:
        _BUILDERS[name] = builder
        return builder

    return enter


@architecture("vq_begal")
def _vq_begal(config: Config) -> VQBEGAL:
    return VQBEGAL(config.network, len(config.organs))


def build_network(config: Config, *, seed: int) -> VQBEGAL:
    """Return the network of a configuration with seeded initial weights; the global random state stays as it was.

    Raises:
        KeyError: the package of the architecture was not imported, see :mod:`VQBEGALLib.related`.
    """
    builder = _BUILDERS[config.network.architecture]
    return seeded(lambda: builder(config), seed)

"""CMC: cross modality collaboration (Zhou et al., 2024)."""

from VQBEGALLib.related.cmc.network import CMC
from VQBEGALLib.related.cmc.objective import cmc_loss

__all__ = ["CMC", "cmc_loss"]

"""Settings of CIML."""

from __future__ import annotations

from dataclasses import dataclass

from VQBEGALLib.settings import Section, setting


@dataclass(frozen=True, kw_only=True)
class CIMLSettings(Section):
    """CIML, complementary information mutual learning (Shen et al., 2024); used with ``architecture = ciml``."""

    beta: float = setting(1e-3, "Weight of the bottleneck's KL divergence after warm-up.", low=0, high=1000)

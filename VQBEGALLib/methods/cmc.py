"""Settings of CMC."""

from __future__ import annotations

from dataclasses import dataclass

from VQBEGALLib.settings import Section, setting


@dataclass(frozen=True, kw_only=True)
class CMCSettings(Section):
    """CMC, cross modality collaboration (Zhou et al., 2024); used with ``architecture = cmc``."""

    weight_csc: float = setting(0.1, "Weight of the channel-wise semantic consistency loss.", low=0, high=1000)

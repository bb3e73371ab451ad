"""Settings of CMEMS."""

from __future__ import annotations

from dataclasses import dataclass

from VQBEGALLib.settings import Section, setting


@dataclass(frozen=True, kw_only=True)
class CMEMSSettings(Section):
    """CMEMS, cross-model mutual learning from an exemplar (En and Guo, 2024); used with ``architecture = cmems``."""

    confidence: float = setting(
        0.95, "Probability from which a pixel of a pseudo-label counts; others are ignored.", low=0.5, high=1
    )

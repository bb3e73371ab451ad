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
    deformation: float = setting(
        0.08,
        "Largest displacement of the control points that deform synthetic slices, as a share of the slice's side.",
        low=0,
        high=0.25,
    )
    perturbation: float = setting(
        1.0,
        "Strength of noise, blur, contrast and cut-out boxes in the strong view of an unlabelled slice; 0 is none.",
        low=0,
        high=3,
    )
    feature_drop: float = setting(
        0.5, "Share of the channels zeroed at every level in the feature-perturbed pass.", low=0, high=0.9
    )
    weight_synthetic: float = setting(
        1.0, "Weight of the synthetic slices' loss, as a multiple of L_seg's.", low=0, high=1000
    )
    weight_image: float = setting(
        0.5, "Weight of mutual learning on strong views, as a multiple of L_seg's.", low=0, high=1000
    )
    weight_feature: float = setting(
        0.5, "Weight of mutual learning on dropped features, as a multiple of L_seg's.", low=0, high=1000
    )
    mutual_ramp: float = setting(
        0.4, "Share of the steps over which the weights of mutual learning rise to their value.", low=0, high=1
    )

"""What can be chosen for a study: training methods, ways to select and to begin, with what each is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from VQBEGALLib.config import Config

Choices = list[tuple[str, str, str]]
"""Text, value, and one line that says what it is for."""


def methods() -> Choices:
    """Return the training methods; the values are those of the setting ``method``."""
    return [
        (
            _("VQ-BEGAL"),
            "default",
            _("For most studies. CT and MR need not be registered; the slices that teach most are asked for."),
        ),
        (
            _("CMC (few labels)"),
            "cmc",
            _("For few labels and many registered pairs: slices without annotation teach as well."),
        ),
        (
            _("CIML (complementary images)"),
            "ciml",
            _("For modalities that complement each other; section 5 shows what one read from the other."),
        ),
        (
            _("CMEMS (one annotated example)"),
            "cmems",
            _("For one annotated example: two networks teach each other. Looks at one modality only."),
        ),
        (
            _("Plain network"),
            "plain",
            _("Both modalities and nothing else: what the other methods are compared with."),
        ),
    ]


def method_of(config: Config) -> str:
    """Return the training method of a study, as in :func:`methods`."""
    if config.network.architecture != "vq_begal":
        return config.network.architecture
    return "default" if config.network.quantize else "plain"


def has_roles(method: str) -> bool:
    """Tell whether a method trains parts of the network by a slice's role."""
    return method in ("default", "plain")


def cold_starts() -> Choices:
    """Return where the first slices come from; the values are those of the setting ``cold_start``."""
    return [
        (
            _("Slices spread over the patients"),
            "stratified_random",
            _("At random within each patient, and the same number of each."),
        ),
        (
            _("Slices that look different"),
            "diversity",
            _("The first network sees as many kinds of slices as possible."),
        ),
        (
            _("One case that I have annotated"),
            "exemplar",
            _("The first network learns from one case: a segmentation in the scene, or slices that you paint."),
        ),
    ]


def strategies() -> Choices:
    """Return the ways to select slices; left out are those that serve comparisons only, and need other settings."""
    return [
        (
            _("VQ-BEGAL"),
            "vq_begal",
            _("Slices of which the network can hardly, or quite surely, tell CT from MR, spread over the patients."),
        ),
        (
            _("EGAL (most uncertain modality)"),
            "egal",
            _("Only slices of which the network can hardly tell CT from MR."),
        ),
        (
            _("Most uncertain contour"),
            "max_entropy",
            _("Slices on which the network is least sure where the organ is."),
        ),
        (
            _("Least stable contour (TAAL)"),
            "taal",
            _("Slices on which the contour depends on how the image is shown to the network."),
        ),
        (
            _("Uncertain and varied (BADGE)"),
            "badge",
            _("Slices that would change the network much, and each in another way."),
        ),
        (
            _("Varied (core-set)"),
            "coreset",
            _("Slices unlike those annotated and unlike each other."),
        ),
        (
            _("Unlike the annotated (MVAAL)"),
            "mvaal",
            _("A second network learns to tell annotated slices from others; takes longer to choose."),
        ),
        (_("At random"), "random", _("Every slice has the same chance.")),
        (
            _("At random, where the organ is"),
            "random_foreground",
            _("Slices on which the network sees the organ, and a quarter from the rest."),
        ),
    ]

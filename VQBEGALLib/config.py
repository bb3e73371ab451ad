"""Every setting of a study, in one place: what it does, what it may be, and three presets.

A :class:`Config` is made of frozen sections. It is valid once built, goes to JSON and back unchanged, and is
saved with the study. ``docs/settings.md`` is generated from the texts below.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from VQBEGALLib.errors import InputError
from VQBEGALLib.methods import CIMLSettings, CMCSettings, CMEMSSettings
from VQBEGALLib.settings import Section, describe_sections, parsed, setting

Modality = Literal["CT", "MR"]
Pairing = Literal["relative_position", "random", "none"]
Registered = Literal["auto", "no"]
Sharing = Literal["deep", "none"]
CodebookUpdate = Literal["ema", "gradient"]
DiscriminatorInput = Literal["per_modality", "ordered_pair"]
DiscriminatorGradient = Literal["detached", "cooperative", "reversal"]
Routing = Literal["strict", "soft", "joint"]
Roles = Literal["paper", "swapped"]
Supervise = Literal["primary", "both"]
ColdStart = Literal["stratified_random", "diversity", "exemplar"]
Architecture = Literal["vq_begal", "cmc", "ciml", "cmems"]
Preset = Literal["tiny", "small", "paper"]
Method = Literal["default", "paper-literal", "primary-only", "plain", "cmc", "ciml", "cmems"]

MAX_ORGANS = 32
"""Organs that one study may have."""

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, kw_only=True)
class SliceSettings(Section):
    """How volumes become the slices that the network sees."""

    primary_modality: Modality = setting("CT", "Modality that is segmented.")
    auxiliary_modality: Modality = setting("MR", "Modality that assists; may be missing for any patient.")
    size: int = setting(128, "Rows and columns of a slice, pixels; a multiple of 16.", low=16, high=1024)
    pixel_spacing: float = setting(
        0.0, "In-plane pixel size, mm; 0 fits the whole field of view of each volume into the slice.", low=0, high=50
    )
    ct_window: tuple[float, float] = setting((-125.0, 275.0), "Hounsfield units mapped to 0 and 1; beyond is clipped.")
    mr_percentiles: tuple[float, float] = setting((1.0, 99.0), "Percentiles of an MR volume mapped to 0 and 1.")
    pairing: Pairing = setting(
        "relative_position",
        "Partner slice: the same relative position along the body axis, or drawn at random. A patient without "
        "an auxiliary volume of the same name borrows that of a patient drawn at random from the same split. "
        "With none no slice has a partner, and the network sees the primary alone.",
    )
    registered: Registered = setting(
        "auto",
        "auto: slices of one number show the same anatomy where a subject's two volumes lie on one grid, unless that "
        "grid is the one of a file without a header (spacing 1 mm, origin 0). no: never.",
    )
    auxiliary_share: float = setting(
        1.0,
        "Share of the training patients that have a partner, their own or a borrowed one; below 1 the auxiliary is "
        "missing for part of training.",
        low=0,
        high=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 16:
            raise InputError(f"size is {self.size}, which is not a multiple of 16.", "Choose 64, 128, 192, 256, …")
        for name in ("ct_window", "mr_percentiles"):
            low, high = getattr(self, name)
            if low >= high:
                raise InputError(f"{name} runs from {low:g} to {high:g}.", "Give the lower value first.")
        if not 0 <= self.mr_percentiles[0] < self.mr_percentiles[1] <= 100:
            raise InputError("mr_percentiles lie outside 0 to 100.", "Choose for example 1,99.")


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(Section):
    """The VQ-BEGAL network (paper, section 2.2), and which of the related systems takes its place."""

    architecture: Architecture = setting(
        "vq_begal",
        "Network and losses: VQ-BEGAL's, or those of a related system. There the codebook and the discriminator look "
        "on without moving the network, so that every strategy can score.",
    )
    base_channels: int = setting(
        16, "Channels of the first encoder stage; doubled at each of the next.", low=1, high=512
    )
    stages: int = setting(4, "Encoder stages; each halves rows and columns.", low=2, high=5)
    quantize: bool = setting(True, "Replace bottleneck features by codebook entries; off is a plain U-Net bottleneck.")
    codes: int = setting(1024, "Codebook entries K, shared by both modalities.", low=2, high=65536)
    code_dim: int = setting(64, "Channels d of a codebook entry.", low=2, high=4096)
    codebook_update: CodebookUpdate = setting(
        "ema", "How entries learn: moving average of their features, or the gradient of L_vq."
    )
    ema_decay: float = setting(0.95, "Share of an entry that one update keeps.", low=0, high=0.9999)
    revive_after: float = setting(
        0.02,
        "An entry is replaced by a current feature once its average use falls below this share of positions/K.",
        low=0,
        high=1,
    )
    encoder_sharing: Sharing = setting(
        "deep", "Share the two deepest encoder stages and the projection between the modalities, or nothing."
    )
    discriminator_input: DiscriminatorInput = setting(
        "per_modality", "The discriminator sees one modality at a time, or both in an order that it has to tell."
    )
    discriminator_gradient: DiscriminatorGradient = setting(
        "detached", "What the discriminator's gradient does to the encoders: nothing, helps it, or opposes it."
    )
    modality_dropout: float = setting(
        0.5, "Probability that the auxiliary is replaced by the learnt null in training.", low=0, high=1
    )
    dropout: float = setting(
        0.0, "Share of the decoder's channels zeroed in training and by mc_dropout, which needs it.", low=0, high=0.9
    )


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Section):
    """The loss (5 L_seg + 0.5 L_vq + 0.25 L_disc + 0.2 L_commit) and the loop."""

    steps: int = setting(400, "Optimiser steps of one round.", low=1, high=10_000_000)
    batch_size: int = setting(16, "Labelled slice pairs in one step.", low=1, high=4096)
    unlabelled_per_step: int = setting(8, "Unlabelled pairs in one step, for L_commit and L_disc.", low=0, high=4096)
    learning_rate: float = setting(5e-3, "Peak learning rate of AdamW; cosine decay to zero.", low=1e-8, high=1)
    weight_decay: float = setting(1e-4, "Weight decay of AdamW.", low=0, high=1)
    weight_seg: float = setting(5.0, "Weight of L_seg, Dice plus cross-entropy.", low=0, high=1000)
    weight_vq: float = setting(0.5, "Weight of L_vq.", low=0, high=1000)
    weight_disc: float = setting(0.25, "Weight of L_disc.", low=0, high=1000)
    weight_commit: float = setting(0.2, "Weight of L_commit.", low=0, high=1000)
    supervise: Supervise = setting("primary", "Segment the primary slice only, or the auxiliary slice as well.")
    routing: Routing = setting(
        "joint",
        "What a slice trains. strict (the paper): S_high the decoder and S_low the encoders only; soft: the other part "
        "at a tenth of the rate; joint: every slice the whole network. Joint is ours, for the reason that "
        "docs/evidence/README.md gives.",
    )
    roles: Roles = setting("paper", "S_high trains the decoder and S_low the encoders (paper), or the reverse.")
    warm_start: bool = setting(False, "Begin a round with the weights of the last one.")
    augmentation: float = setting(1.0, "Strength of affine and intensity augmentation; 0 is none.", low=0, high=3)
    mixed_precision: bool = setting(True, "16-bit arithmetic on CUDA; the CPU always uses 32 bits.")
    checkpoint_seconds: float = setting(
        60.0, "Seconds between checkpoints inside a round; a killed run loses at most this much.", low=0, high=86400
    )


@dataclass(frozen=True, kw_only=True)
class RoundSettings(Section):
    """Budget, rounds and stop (paper, eqs. 6-9)."""

    seed_budget: int = setting(32, "Slices annotated before the first training, round 0.", low=1, high=1_000_000)
    round_budget: int = setting(32, "Slices annotated in each later round, B = 2n.", low=2, high=1_000_000)
    total_budget: int = setting(512, "Slices annotated in all, the seed set included.", low=1, high=10_000_000)
    cold_start: ColdStart = setting(
        "stratified_random",
        "How round 0 is picked: random within each patient, or diverse. With exemplar it begins with what is annotated "
        "already, one slice or one case, and asks for nothing; where nothing is, it asks for slices of a single case. "
        "Round 0 is then trained by CMEMS, whatever the architecture.",
    )
    coverage: float = setting(
        3.0,
        "vq_begal spreads S_high and S_low by greedy k-centre on the slices' codes, each over this many times as many "
        "candidates at its end of S; 1 takes the extremes (the paper's). Above 1 is ours, for the reason that "
        "docs/evidence/README.md gives.",
        low=1,
        high=1000,
    )
    plateau_delta: float = setting(0.002, "Smallest gain in validation Dice that still counts.", low=0, high=1)
    plateau_rounds: int = setting(
        3, "Rounds without such a gain after which a run stops; 0 never stops.", low=0, high=1000
    )


@dataclass(frozen=True, kw_only=True)
class InferenceSettings(Section):
    """From slices back to a labelmap."""

    threshold: float = setting(0.5, "Probability from which a voxel belongs to the organ.", low=0.01, high=0.99)
    largest_component: bool = setting(True, "Keep only the largest connected component.")


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a study.

    Examples:
        >>> config = preset("small", {"routing": "soft", "ct_window": "-160,240"})
        >>> config.training.routing, config.slices.ct_window
        ('soft', (-160.0, 240.0))
        >>> Config.from_json(config.to_json()) == config
        True
    """

    organ: str = "liver"
    seed: int = 0
    slices: SliceSettings = SliceSettings()
    network: NetworkSettings = NetworkSettings()
    training: TrainingSettings = TrainingSettings()
    rounds: RoundSettings = RoundSettings()
    inference: InferenceSettings = InferenceSettings()
    cmc: CMCSettings = dataclasses.field(default_factory=CMCSettings)
    ciml: CIMLSettings = dataclasses.field(default_factory=CIMLSettings)
    cmems: CMEMSSettings = dataclasses.field(default_factory=CMEMSSettings)

    def __post_init__(self) -> None:
        _check_organs(self.organ)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise InputError(f"seed is {self.seed!r}.", "Choose a whole number from 0 to 4294967295.")
        self._check_tasks()
        divisor = 2 ** (self.network.stages - 1)
        if self.slices.size % divisor:
            raise InputError(
                f"size {self.slices.size} cannot be halved {self.network.stages - 1} times.",
                f"Choose a multiple of {divisor} or fewer stages.",
            )
        if self.slices.size < 2 * divisor:
            raise InputError(
                f"size {self.slices.size} leaves a single pixel after {self.network.stages} stages.",
                f"Choose at least {2 * divisor} or fewer stages.",
            )

    def foundations(self) -> dict[str, object]:
        """Return what rounds rest on, by name: slices asked for, networks trained and their labels fit no other."""
        found: dict[str, object] = {name: getattr(self, name) for name in ("seed", "slices", "network", "organ")}
        own = getattr(self, self.network.architecture, None)
        if isinstance(own, CMCSettings):
            found["encoders"] = own.of_network
        if isinstance(own, CIMLSettings):
            found["tasks"] = own.task_map(self.organs)
        return found

    def _check_tasks(self) -> None:
        """Make sure that CIML's tasks are organs, and that those left to the auxiliary can be read there."""
        primary_tasks, _ = self.ciml.task_map(self.organs)
        left = [organ for organ, own in zip(self.organs, primary_tasks, strict=True) if not own]
        if self.network.architecture != "ciml" or not left:
            return
        for name, wrong, right in (("pairing", "none", "relative_position"), ("registered", "no", "auto")):
            if getattr(self.slices, name) == wrong:
                raise InputError(
                    f"primary_tasks leaves {', '.join(left)} to the {self.slices.auxiliary_modality}, from which "
                    f"{name}={wrong} keeps the network.",
                    f"Leave primary_tasks empty, or set {name}={right}.",
                )

    @property
    def organs(self) -> tuple[str, ...]:
        """The segmented structures; the value of each in a labelmap is its place here, counted from 1."""
        return split_organs(self.organ)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, section by section."""
        return {key: _plain(value) for key, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_json(cls, data: object) -> Config:
        """Build from :meth:`to_json`'s result; absent settings take their defaults.

        Raises:
            InputError: unknown names, wrong types or values outside their range.
        """
        values: dict[str, Any] = dict(_mapping(data, "configuration"))
        for name, section in _SECTIONS.items():
            if name in values:
                values[name] = _build(section, _mapping(values[name], name))
        unknown = set(values) - {item.name for item in dataclasses.fields(cls)}
        if unknown:
            raise InputError(f"The configuration has unknown entries: {', '.join(sorted(unknown))}.", _REMEDY)
        return cls(**values)

    def replace(self, changes: Mapping[str, object]) -> Config:
        """Return a copy with settings changed by name, values as Python values or as text.

        Args:
            changes: ``{"routing": "soft"}`` or ``{"training.routing": "soft"}``; ``method`` sets several at once and
                those of other methods to their defaults, except where the same changes say otherwise.

        Raises:
            InputError: an unknown name or a value that does not fit.
        """
        data = self.to_json()
        changes = dict(changes)
        if "method" in changes:
            method = str(changes.pop("method"))
            if method not in METHODS:
                raise InputError(f"method is {method!r}.", f"Choose one of {', '.join(METHODS)}.")
            changes = {**_without_method(), **METHODS[method], **changes}
        for key, value in changes.items():
            section, name = locate(key)
            target = data[section] if section else data
            target[name] = parsed(name, value, setting_type(section, name)) if isinstance(value, str) else value
        return Config.from_json(data)


_SECTIONS: dict[str, type[Section]] = {
    "slices": SliceSettings,
    "network": NetworkSettings,
    "training": TrainingSettings,
    "rounds": RoundSettings,
    "inference": InferenceSettings,
    "cmc": CMCSettings,
    "ciml": CIMLSettings,
    "cmems": CMEMSSettings,
}
_REMEDY = "See docs/settings.md for the settings there are."

METHODS: dict[Method, dict[str, object]] = {
    "default": {},
    "paper-literal": {
        "codebook_update": "gradient",
        "discriminator_gradient": "cooperative",
        "encoder_sharing": "none",
        "unlabelled_per_step": 0,
        "routing": "strict",
        "coverage": 1,
    },
    "primary-only": {"pairing": "none"},
    "plain": {"quantize": False},
    "cmc": {"architecture": "cmc"},
    "ciml": {"architecture": "ciml"},
    "cmems": {"architecture": "cmems"},
}
"""Named combinations of switches: ``paper-literal`` is the equations as printed, ``primary-only`` has no auxiliary,
``plain`` no codebook; the others are the related systems."""

PRESETS: dict[Preset, dict[str, object]] = {
    "tiny": {
        "size": 64,
        "base_channels": 8,
        "stages": 3,
        "codes": 64,
        "code_dim": 16,
        "steps": 120,
        "learning_rate": 1e-2,
        "batch_size": 8,
        "unlabelled_per_step": 4,
        "seed_budget": 12,
        "round_budget": 8,
        "total_budget": 60,
    },
    "small": {},
    "paper": {
        "size": 256,
        "base_channels": 32,
        "stages": 5,
        "code_dim": 256,
        "steps": 4000,
        "learning_rate": 2e-3,
        "seed_budget": 100,
        "round_budget": 100,
        "total_budget": 1000,
    },
}
"""What each preset changes: ``tiny`` for tests, ``small`` for a laptop's CPU, ``paper`` for a GPU."""


def preset(name: str = "small", changes: Mapping[str, object] | None = None) -> Config:
    """Return a preset, with settings changed by name.

    Raises:
        InputError: no such preset, an unknown setting, or a value that does not fit.
    """
    if name not in PRESETS:
        raise InputError(f"There is no preset {name!r}.", f"Choose one of {', '.join(PRESETS)}.")
    config = Config().replace(PRESETS[name])
    return config.replace(changes or {})


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """Split ``key=value`` texts.

    Raises:
        InputError: a text without ``=``.
    """
    pairs = {}
    for text in assignments:
        key, found, value = text.partition("=")
        if not found or not key.strip():
            raise InputError(f"{text!r} is not of the form key=value.", "Write for example --set routing=soft.")
        pairs[key.strip()] = value.strip()
    return pairs


def locate(key: str) -> tuple[str, str]:
    """Return section and name of a setting given as ``name`` or ``section.name``; section "" is the top.

    Raises:
        InputError: there is no such setting.
    """
    section, _, name = key.rpartition(".")
    if not section and name in ("organ", "seed"):
        return "", name
    for candidate in [section] if section else _SECTIONS:
        if candidate in _SECTIONS and name in {item.name for item in dataclasses.fields(_SECTIONS[candidate])}:
            return candidate, name
    raise InputError(f"There is no setting {key!r}.", _REMEDY)


def setting_type(section: str, name: str) -> Any:
    """Return the resolved type of a setting."""
    return typing.get_type_hints(_SECTIONS[section] if section else Config)[name]


def describe() -> list[dict[str, Any]]:
    """Return one row a setting, see :func:`VQBEGALLib.settings.describe_sections`."""
    return describe_sections(_SECTIONS, {name: preset(name).to_json() for name in PRESETS})


def split_organs(text: str) -> tuple[str, ...]:
    """Return the organs of a text that names them with commas between.

    Examples:
        >>> split_organs("liver, right kidney")
        ('liver', 'right kidney')
    """
    return tuple(name.strip() for name in text.split(","))


def _check_organs(text: object) -> None:
    names = split_organs(text) if isinstance(text, str) else ("",)
    if not all(names):
        raise InputError(
            "organ is empty." if names == ("",) else f"organ {text!r} names an organ without letters.",
            "Name the segmented structure, for example liver, or several with commas between.",
        )
    if len({name.lower() for name in names}) < len(names):
        raise InputError(f"organ {text!r} names an organ twice.", "Name each once.")
    if len(names) > MAX_ORGANS:
        raise InputError(f"organ names {len(names)} organs.", f"Name {MAX_ORGANS} at most.")


def _without_method() -> dict[str, object]:
    """Return the defaults of all settings that methods change; those that presets change too stay as they are."""
    of_methods = dict.fromkeys(name for switches in METHODS.values() for name in switches)
    of_presets = {name for switches in PRESETS.values() for name in switches}
    defaults = Config().to_json()
    return {name: defaults[locate(name)[0]][name] for name in of_methods if name not in of_presets}


def _build(section: type[S], values: Mapping[str, object]) -> S:
    unknown = set(values) - {item.name for item in dataclasses.fields(section)}
    if unknown:
        raise InputError(f"The configuration has unknown settings: {', '.join(sorted(unknown))}.", _REMEDY)
    return section(**values)


def _mapping(data: object, what: str) -> Mapping[str, object]:
    if not isinstance(data, Mapping):
        raise InputError(f"{what} is not a table of names and values.", "Restore it from a copy.")
    return data


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value

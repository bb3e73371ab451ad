"""What the parts of a report are made of, and what each of them reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence.plotting import Picture
from VQBEGALLib.evidence.tables import Table
from VQBEGALLib.study import Study
from VQBEGALLib.study.records import Round

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Card:
    """A picture with the words under it; ``colour`` frames it, none by default."""

    picture: Picture
    title: str
    lines: Sequence[str] = ()
    colour: str = ""


@dataclass
class Section:
    """One part of the report.

    Args:
        title: heading.
        text: paragraphs below it.
        picture: the section's figure.
        cards: several pictures, each with its words.
        strip: whether the cards are thumbnails side by side.
        legend: colours and what they stand for.
        tables: with their captions.
        folded: the same, closed until a reader opens them.
        notes: what is missing, in sentences.
    """

    title: str
    text: list[str] = field(default_factory=list)
    picture: Picture | None = None
    cards: list[Card] = field(default_factory=list)
    strip: bool = False
    legend: list[tuple[str, str]] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)
    folded: list[tuple[str, Table]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def pictures(self) -> list[Picture]:
        """Return all pictures of the section."""
        return [*([self.picture] if self.picture else []), *(card.picture for card in self.cards)]


class Source:
    """A study as the report sees it.

    Args:
        study: an open study.
        device: where the network computes.
        reporter: receives progress.
    """

    def __init__(self, study: Study, device: torch.device, reporter: Reporter) -> None:
        self.study = study
        self.device = device
        self.reporter = reporter
        self.rounds = study.rounds()
        self.trained = [item for item in self.rounds if item.trained]
        self.last: Round | None = self.trained[-1] if self.trained else None
        self.primary = study.config.slices.primary_modality
        self.auxiliary = study.config.slices.auxiliary_modality

    def given(self, *, auxiliary: bool) -> str:
        """Return in words what the network was given."""
        return f"{self.primary} with {self.auxiliary}" if auxiliary else f"{self.primary} alone"

    def validation(self, round_: Round) -> Mapping[str, Any]:
        """Return a round's evaluation on the validation split; empty where there is none."""
        return (round_.metrics or {}).get("validation") or {}

    def validation_input(self, round_: Round) -> str:
        """Return in words what the network was given on the validation split."""
        asked = self.validation(round_).get("auxiliary", "none") != "none"
        return self.given(auxiliary=asked and bool(self.study.auxiliaries("validation")))

    def test(self, round_: Round) -> dict[str, Mapping[str, Any]]:
        """Return a round's evaluations on the test split, by what the network was given."""
        found = (round_.metrics or {}).get("test") or {}
        return {self.given(auxiliary=kind == "with"): found[kind] for kind in ("without", "with") if kind in found}


def dice_by_case(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return the Dice of each case of an evaluation."""
    cases = evaluation.get("cases", {})
    return {name: float(score["dice"]) for name, score in cases.items() if score.get("dice") is not None}

"""The report's images: segmentations outlined on slices, and the slices that a round chose."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy.typing as npt

from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.evidence import figures, montage
from VQBEGALLib.evidence.figures import ScoredSlice
from VQBEGALLib.evidence.numerals import number, small_number
from VQBEGALLib.evidence.plotting import ORANGE, ORGAN_COLOURS, ROLE_COLOURS, ROLE_WORDS, SKY
from VQBEGALLib.evidence.results import every_request
from VQBEGALLib.evidence.section import Card, Section, Source, dice_by_case
from VQBEGALLib.metrics import dice
from VQBEGALLib.slices import SliceFrame, SlicePair
from VQBEGALLib.study.records import Request, Round, Split
from VQBEGALLib.study.roundstore import SCORES, round_folder

CASES = 3
"""Cases whose segmentation is shown."""
THUMBNAILS = 12
"""Chosen slices that are shown."""


def segmentations(source: Source) -> Section:
    """Return slices of up to three cases with the outlines of prediction and reference."""
    section = Section("Segmentations")
    splits: tuple[Split, ...] = ("test", "validation")
    split = next((each for each in splits if source.study.cases(each)), None)
    if source.last is None or split is None:
        missing = (
            "No round is trained yet" if source.last is None else "There is neither a test nor a validation patient"
        )
        section.notes.append(f"{missing}, so there is no segmentation to show.")
        return section
    chosen, how = _cases(source, source.last, split)
    section.text.append(
        f"{how} After round {source.last.index}, from {source.given(auxiliary=False)}. Four slices through the organ, "
        "head first, seen from the feet: the patient's right (R) is on the left. Slices count from 0."
    )
    organs = source.study.config.organs
    section.legend = [(SKY, "reference"), (ORANGE, "segmentation")]
    if len(organs) > 1:
        section.legend = list(zip(cycle(ORGAN_COLOURS), organs))
        section.text.append("Solid: segmentation. Dashed: reference. Dice on a slice: mean over the organs it shows.")
    try:
        section.cards = _outlined(source, source.last.index, split, chosen)
    except (InputError, StudyError) as error:
        source.reporter.warn(str(error))
        section.notes.append(f"The segmentations cannot be shown. {error}")
    return section


def _cases(source: Source, last: Round, split: Split) -> tuple[list[str], str]:
    """Return which cases to show, and a sentence that says why these."""
    names = [item.name for item in source.study.cases(split)]
    tested = list(source.test(last).values())
    found = dice_by_case(tested[0] if split == "test" and tested else source.validation(last))
    values = {name: found[name] for name in names if name in found}
    if len(values) > CASES:
        return montage.ends_and_middle(values, CASES), (
            f"Of {len(values)} {split} patients, those of lowest, middle and highest Dice."
        )
    if values:
        return montage.ends_and_middle(values, CASES), f"The {split} patients, lowest Dice first."
    some = f"The first {CASES} of {len(names)}" if len(names) > CASES else "The"
    return names[:CASES], f"{some} {split} patients, by name."


def _outlined(source: Source, index: int, split: Split, chosen: Sequence[str]) -> list[Card]:
    from VQBEGALLib.rounds import Material, load_round
    from VQBEGALLib.rounds.evaluation import segment_case

    study, reporter, device = source.study, source.reporter, source.device
    model, _ = load_round(study, index)
    material = Material(study, reporter, (split,))
    cards = []
    with reporter.stage("report", len(chosen), unit="case") as stage:
        for place, name in enumerate(chosen):
            prediction = segment_case(material, model, study.config, name, "none", device=device, reporter=reporter)
            volume, reference = study.volume(name), study.reference(name)
            slices, pixel = montage.shown_slices(volume, prediction, reference, study.config.slices)
            alt = f"{name}: slices with outlines of segmentation and reference."
            organs = study.config.organs
            picture = montage.case_montage(slices, pixel, organs=len(organs), name=f"segmentation_{place}", alt=alt)
            lines = ["The network found nothing."] if not prediction.voxels.any() else []
            if reference is None:
                lines.append("There are no reference labels.")
            else:
                lines.append(_whole(prediction.voxels, reference.voxels, study.reference_organs(name), organs))
            cards.append(Card(picture, name, lines))
            stage.advance()
    return cards


def _whole(
    prediction: npt.NDArray[Any], reference: npt.NDArray[Any], known: Sequence[str], organs: Sequence[str]
) -> str:
    """Return the Dice of the whole volume in words, of each organ that the reference knows."""
    found = {
        organ: number(dice(prediction == value, reference == value), 3)
        for value, organ in enumerate(organs, start=1)
        if organ in known
    }
    each = ", ".join(f"{organ} {value}" for organ, value in found.items())
    return f"Dice of the whole volume {each if len(organs) > 1 else ''.join(found.values())}."


def chosen(source: Source) -> Section:
    """Return the slices that the latest scored round chose, and the score of all it could choose from."""
    section = Section("Chosen slices")
    asked = [item for item in source.rounds if item.requests]
    section.folded = every_request(asked)
    if not asked:
        section.notes.append("No slice has been chosen yet.")
        return section
    scored = [item for item in asked if (round_folder(source.study.folder, item.index) / SCORES).is_file()]
    shown = scored[-1] if scored else asked[-1]
    word = "entropy" if shown.strategy in ("vq_begal", "egal") else "score"
    section.text.append(_explained(shown, word, joint=source.study.config.training.routing == "joint"))
    section.strip = True
    section.legend = [
        (ROLE_COLOURS[role], ROLE_WORDS[role])
        for role in ROLE_COLOURS
        if role in {item.role for item in shown.requests}
    ]
    try:
        section.cards = _thumbnails(source, shown.requests[:THUMBNAILS], word)
        if scored:
            section.picture = figures.scores_along_body(_scores(source, shown.index), what=word)
        else:
            section.notes.append("No round has scored the slices: round 0 and random strategies do not.")
    except (InputError, StudyError) as error:
        source.reporter.warn(str(error))
        section.notes.append(f"The chosen slices cannot be shown. {error}")
    return section


def _explained(shown: Round, word: str, *, joint: bool) -> str:
    count = len(shown.requests)
    some = f"the first {THUMBNAILS} of the {count}" if count > THUMBNAILS else f"the {count}"
    text = f"Shown are {some} slices of round {shown.index} ({shown.strategy}), as the network sees them, with partner."
    if word == "entropy":
        text += (
            " Entropy is the discriminator's doubt about the modality: high where both modalities look alike to the "
            "network, low where they differ."
        )
    if joint and any(item.role != "all" for item in shown.requests):
        text += (
            " With joint routing every slice trains the whole network; the colours tell the two ends of the entropy."
        )
    return text


def _thumbnails(source: Source, requests: Sequence[Request], word: str) -> list[Card]:
    from VQBEGALLib.rounds import Material

    material = Material(source.study, source.reporter, ("train",))
    pairs = [SlicePair(item.case, item.slice, item.partner, item.partner_slice) for item in requests]
    images = material.reader.read(pairs)
    cards = []
    for place, item in enumerate(requests):
        mine = f"{source.primary} {item.case}, slice {item.slice}"
        lines = []
        if item.partner is not None:
            lines.append(f"with {source.auxiliary} {item.partner}, slice {item.partner_slice}")
        if item.score is not None:
            lines.append(f"{word} {small_number(item.score)}")
        lines.append(ROLE_WORDS[item.role])
        partner = images.auxiliary[place] if images.present[place] else None
        picture = montage.pair_picture(images.primary[place], partner, name=f"chosen_{place:02d}", alt=mine)
        cards.append(Card(picture, mine, lines, ROLE_COLOURS[item.role]))
    return cards


def _scores(source: Source, index: int) -> dict[str, list[ScoredSlice]]:
    """Return the scores of a round's pool by case, those with most chosen slices first.

    Raises:
        StudyError: the table is damaged, or of other cases.
    """
    path = round_folder(source.study.folder, index) / SCORES
    frames = {item.name: SliceFrame.of(source.study.grid(item.name)) for item in source.study.cases("train")}
    found: dict[str, list[ScoredSlice]] = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                height = frames[row["case"]].height(int(row["slice"]))
                found[row["case"]].append(ScoredSlice(height, float(row["score"]), row["role"]))
    except (OSError, KeyError, TypeError, ValueError):
        raise StudyError(f"Round {index}: {SCORES} cannot be read.", "Restore it from a copy of the study.") from None
    if not found:
        raise StudyError(f"Round {index}: {SCORES} is empty.", "Restore it from a copy of the study.")
    return {
        name: found[name] for name in sorted(found, key=lambda name: (-sum(bool(s.role) for s in found[name]), name))
    }

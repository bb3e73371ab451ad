"""The report's numbers: learning curve, scores by patient, training, codebook, annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from VQBEGALLib.evidence import curves, figures, tables
from VQBEGALLib.evidence.numerals import number, percent
from VQBEGALLib.evidence.section import Section, Source, dice_by_case
from VQBEGALLib.evidence.tables import Table
from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.study.records import Round


def learning(source: Source) -> Section:
    """Return Dice over annotated slices."""
    section = Section("Learning curve")
    points = [_point(source, item) for item in source.trained]
    points = [point for point in points if point.validation or any(point.test.values())]
    if not source.trained:
        section.notes.append("No round is trained yet, so there is no learning curve.")
    elif not points:
        section.notes.append(
            "No round has been evaluated: that takes validation or test patients with reference labels."
        )
    else:
        section.picture = curves.learning_curve(points)
        section.text.append(
            "Dice is the overlap of segmentation and reference, from 0 (none) to 1 (complete), on each patient's whole "
            "volume at its own resolution."
        )
        if not any(point.test for point in points):
            section.notes.append("Test patients have not been evaluated (vqbegal evaluate STUDY --split test).")
    return section


def _point(source: Source, item: Round) -> curves.CurvePoint:
    return curves.CurvePoint(
        int(item.figures.get("labelled", 0)),
        int(item.figures.get("pool", 0)),
        dice_by_case(source.validation(item)),
        {f"test, {label}, mean": dice_by_case(found) for label, found in source.test(item).items()},
    )


def patients(source: Source) -> Section:
    """Return Dice, distances and volumes of every patient, on the last trained round."""
    section = Section("Results by patient")
    last = source.last
    if last is None:
        section.notes.append("No round is trained yet, so there is nothing to score.")
        return section
    found = source.validation(last)
    test = source.test(last)
    if found or test:
        section.text.append(
            f"After round {last.index}. HD95: 95th percentile of the distances between the two surfaces. ASSD: their "
            "mean. Volume: segmentation minus reference. Where one of the two is empty the case has failed: it counts "
            "with Dice 0 and with its image's diagonal as both distances."
        )
    if found:
        _scores(section, "Validation patients", {source.validation_input(last): found})
    else:
        section.notes.append("No validation patient has been evaluated after this round.")
    if test:
        _scores(section, "Test patients", test)
        if len(test) == 1:
            section.notes.append(f"The test patients were evaluated without {source.auxiliary} only.")
    else:
        section.notes.append("No test patient has been evaluated after this round.")
    return section


def _scores(section: Section, title: str, evaluations: Mapping[str, Mapping[str, Any]]) -> None:
    """Add the table of a split; with several organs its values are means over them, and each organ has its own."""
    section.tables.append((title, tables.score_table(evaluations)))
    by_organ = tables.organ_evaluations(evaluations)
    if by_organ:
        section.tables.append((f"{title}, by organ", tables.organ_table(evaluations)))
        section.folded += [(f"{title}: {organ}", tables.score_table(found)) for organ, found in by_organ.items()]


def training(source: Source) -> Section:
    """Return the loss of the last trained round."""
    section = Section("Training")
    history = source.last.figures.get("history") if source.last else None
    if source.last is None or not history:
        section.notes.append("No training has been recorded yet.")
        return section
    section.picture = curves.loss_history(history)
    section.text.append(
        f"Terms of the loss in round {source.last.index}, before weighting. L_seg: Dice plus cross-entropy. L_vq and "
        "L_commit have the same value by definition and differ in what they move: entries of the codebook, or the "
        "encoders. L_disc: how badly the discriminator tells the modalities apart."
    )
    if any(key in point for point in history for key in curves.OF_METHODS):
        section.text.append("The method's own terms are those of docs/METHODS.md, before ramp and weighting.")
    return section


def codebook(source: Source) -> Section:
    """Return what codebook and discriminator do, by round."""
    section = Section("Codebook and discriminator")
    looked = [item for item in source.trained if item.figures.get("diagnosis")]
    if not looked:
        why = "no round is trained yet" if source.last is None else f"no slice had a partner in {source.auxiliary}"
        section.notes.append(f"Codebook and discriminator have not been looked at: {why}.")
        return section
    section.text.append(
        "On an even sample of the training slices. The discriminator says from which modality a slice comes; right in "
        "50 % is chance. Entropy is its doubt, from 0 (sure) to 0.693 (a coin toss). Perplexity is the number of "
        "entries that, used equally often, would be as varied."
    )
    books = {item.index: item.figures["diagnosis"].get("codebook") for item in looked}
    known = {index: book for index, book in books.items() if book}
    if known:
        last = known[max(known)]
        counts = {which: last.get(f"counts_{which}", []) for which in ("primary", "auxiliary")}
        section.picture = figures.codebook_use(
            known, counts, {"primary": source.primary, "auxiliary": source.auxiliary}
        )
    else:
        section.notes.append("The network has no codebook (quantize is off).")
    section.tables.append(("By round", tables.diagnosis(looked, source.primary, source.auxiliary)))
    return section


def annotation(source: Source) -> Section:
    """Return what annotation has cost."""
    section = Section("Annotation")
    found = source.study.ledger()
    if not found["slices"]:
        section.notes.append("No slice is annotated yet.")
        return section
    budget = found["budget"]
    section.text.append(
        f"{number(budget['used'])} of the {number(budget['total'])} slices that may be annotated for training are "
        f"done; {number(budget['left'])} are left."
    )
    section.tables.append(("", tables.ledger(found)))
    return section


def tiles(source: Source) -> list[tuple[str, str]]:
    """Return the few numbers that stand at the top: value and what it is."""
    study, last = source.study, source.last
    used = study.ledger()["budget"]["used"]
    slices = sum(SliceFrame.of(study.grid(item.name)).count for item in study.cases("train"))
    found = [(f"{number(used)} of {number(slices)}", f"training slices annotated ({percent(used, slices)})")]
    if last is None:
        return found
    validation = source.validation(last)
    if validation:
        found.append((_dice(validation), f"mean Dice, validation ({source.validation_input(last)})"))
    found += [(_dice(each), f"mean Dice, test ({label})") for label, each in source.test(last).items()]
    return found


def _dice(evaluation: Mapping[str, Any]) -> str:
    return number(evaluation.get("summary", {}).get("dice", {}).get("mean"), 3)


def every_request(rounds: Sequence[Round]) -> list[tuple[str, Table]]:
    """Return the requests of each round, with a caption."""
    return [
        (f"Round {item.index}: {len(item.requests)} slices, {item.strategy}", tables.requests(item))
        for item in rounds
        if item.requests
    ]

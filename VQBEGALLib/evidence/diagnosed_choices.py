"""Sections on what the runs wrote down: codebook entries in use, and where along the body each arm picks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from VQBEGALLib.errors import InputError
from VQBEGALLib.evidence import codebooks, figures, picked
from VQBEGALLib.evidence.codebooks import CodeUse
from VQBEGALLib.evidence.numerals import NOTHING, number
from VQBEGALLib.evidence.picked import PickedSlice
from VQBEGALLib.evidence.plotting import need
from VQBEGALLib.evidence.section import Card, Section
from VQBEGALLib.evidence.snapshot import Floats
from VQBEGALLib.evidence.tables import Table
from VQBEGALLib.evidence.view import OURS, View, labelled, mean_sd

PANELS = 16
"""Arms that a figure shows, a page of them."""


def codebook(view: View) -> Section:
    """Return which entries each modality uses, by arm and round."""
    section = view.section("Codebook")
    found = {arm: uses for arm in view.arms if (uses := _uses(view, arm))}
    if not found:
        section.notes.append("No trained round of a network with codebook has been diagnosed.")
        return section
    section.text.append(
        "Codebook entries that the slices of a sample of the training pool fall on, by modality and by both; means "
        "over the seeds. Shared entries are the only ones in which the modalities can meet."
    )
    section.picture = codebooks.picture(_few(found, section), view.modalities, name=view.named("codes"))
    rows = []
    for arm, uses in found.items():
        values = (uses[-1].primary, uses[-1].auxiliary, uses[-1].shared)
        rows.append(
            [arm, f"{uses[-1].budget:.3g} %", *(number(v) for v in values), mean_sd([100 * uses[-1].common], 1)]
        )
    names = view.modalities
    heads = ["arm", "labelled", names["primary"], names["auxiliary"], "both", "both, % of all in use"]
    section.tables.append(("Entries in use after each arm's last round", Table(heads, rows)))
    _add_frequency(view, section)
    return section


def _books(run_rounds: Any) -> dict[int, Mapping[str, Any]]:
    """Return what was noted of the codebook, by round."""
    books = {item.index: (item.figures.get("diagnosis") or {}).get("codebook") for item in run_rounds}
    return {index: book for index, book in books.items() if book}


def _uses(view: View, arm: str) -> list[CodeUse]:
    """Return the entries in use by round, means over the seeds."""
    rows: dict[int, list[list[float]]] = defaultdict(list)
    for run in view.runs:
        if run.arm == arm:
            budgets = {item.index: run.budget(item) for item in run.rounds}
            for index, book in _books(run.rounds).items():
                rows[index].append([budgets[index], *(book[key] for key in ("primary", "auxiliary", "shared"))])
    return [CodeUse(*np.mean(rows[index], axis=0).tolist()) for index in sorted(rows)]


def _add_frequency(view: View, section: Section) -> None:
    """Add how often the method's own entries are used, of its lowest seed."""
    run = next((run for run in view.runs if run.arm == OURS and _books(run.rounds)), None)
    if run is None:
        return
    books = _books(run.rounds)
    last = books[max(books)]
    counts = {which: last.get(f"counts_{which}", []) for which in ("primary", "auxiliary")}
    drawn = figures.codebook_use(books, counts, view.modalities)
    words = f"after {labelled(run, run.rounds[-1])} of the slices"
    section.cards.append(Card(replace(drawn, name=view.named("codebook")), f"{OURS}, seed {run.seed}", [words]))


def places(view: View) -> Section:
    """Return where along the body each arm's picks lie, all rounds after the first and all seeds together."""
    section = view.section("Where each strategy picks")
    try:
        found = _picks(view)
    except InputError as error:
        section.notes.append(str(error))
        return section
    if not found:
        section.notes.append("No arm has picked slices after its first ones, which all arms draw alike.")
        return section
    extent = next((each for run in view.runs if (each := picked.organ_extent(run.study))), None)
    section.text.append(
        "Position of the picked slices in their volume, all seeds and all rounds after the first, whose slices no "
        "strategy chose. Grey: the share of the training pool's slices that show the organ at that height."
    )
    section.picture = picked.picture(_few(found, section), extent, name=view.named("picked"))
    rows = [
        [arm, number(len(picks)), *_described([p.foreground for p in picks], [p.position for p in picks])]
        for arm, picks in found.items()
    ]
    if extent is not None:
        rows.append(["whole pool", NOTHING, *_described([extent.overall], extent.heights)])
    heads = ["arm", "picks", "with organ, %", "mean position", "SD of the position"]
    section.tables.append(("", Table(heads, rows)))
    return section


def _described(organ: Sequence[float], positions: Sequence[float] | Floats) -> list[str]:
    """Return the share of slices with organ in per cent, and mean and standard deviation of their positions."""
    return [number(100 * float(np.mean(organ)), 1), *(number(float(f(positions)), 2) for f in (np.mean, np.std))]


def _picks(view: View) -> dict[str, list[PickedSlice]]:
    """Return each arm's picks after its first round, by arm, the method itself first."""
    try:
        from VQBEGALLib.benchmark.statistics import read_table
    except ImportError as error:
        raise need("pandas", "benchmark") from error
    table = read_table(view.results, "picks")
    table = table[table["cohort"] == view.cohort]
    first = table.groupby(["arm", "seed"])["budget"].transform("min")
    found: dict[str, list[PickedSlice]] = defaultdict(list)
    for row in table[table["budget"] > first].itertuples():
        found[row.arm].append(PickedSlice(float(row.position), str(row.role), _true(row.foreground)))
    return {arm: found[arm] for arm in sorted(found, key=lambda name: (name != OURS, name))}


def _true(value: object) -> bool:
    return str(value).lower() in ("true", "1", "1.0")


def _few(found: dict[str, Any], section: Section) -> dict[str, Any]:
    """Return the arms that a figure has room for; the section says which it leaves out."""
    if left := list(found)[PANELS:]:
        section.notes.append(f"The figure leaves out {', '.join(left)}.")
    return dict(list(found.items())[:PANELS])

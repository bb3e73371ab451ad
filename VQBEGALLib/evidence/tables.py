"""The report's tables: what a study's files say, as text in rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from VQBEGALLib.config import Config, describe
from VQBEGALLib.evidence.numerals import NOTHING, number, percent, small_number
from VQBEGALLib.evidence.plotting import ROLE_WORDS
from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.study import Study
from VQBEGALLib.study.records import SPLITS, Round

METRICS = {
    "dice": ("Dice", 3),
    "hd95_mm": ("HD95, mm", 1),
    "assd_mm": ("ASSD, mm", 1),
    "volume_difference_ml": ("volume, ml", 0),
}
"""Heading and decimals of each metric."""


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Args:
        columns: headings.
        rows: as long as ``columns``.
        foot: rows of sums or means below a line.
        groups: heading over several columns and how many they are; empty for none.
        words: columns that hold words, and are aligned to the left; all others hold numbers.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    foot: Sequence[Sequence[str]] = ()
    groups: Sequence[tuple[str, int]] = ()
    words: frozenset[int] = frozenset({0})


def score_table(evaluations: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return one row a case, with mean, standard deviation and median below; evaluations stand side by side.

    Args:
        evaluations: by what the network was given; of one split (see :func:`VQBEGALLib.rounds.evaluate`).
    """
    cases = sorted({name for found in evaluations.values() for name in found.get("cases", {})})
    found = list(evaluations.values())
    scores = {
        name: {label: each.get("cases", {}).get(name, {}) for label, each in evaluations.items()} for name in cases
    }
    failures = _together({label: _failures(each.get("summary", {})) for label, each in evaluations.items()})
    return Table(
        ["case", *[heading for heading, _ in METRICS.values()] * len(found), "remark"],
        [
            [
                name,
                *_flat(_numbers(score) for score in scores[name].values()),
                _together({label: remark(score) for label, score in scores[name].items()}),
            ]
            for name in cases
        ],
        [
            [heading, *_flat(_summary(each, key) for each in found), failures if key == "mean" else ""]
            for key, heading in (("mean", "mean"), ("sd", "SD"), ("median", "median"))
        ],
        [("", 1), *((label, len(METRICS)) for label in evaluations), ("", 1)],
        frozenset({0, 1 + len(METRICS) * len(found)}),
    )


def organ_evaluations(evaluations: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return evaluations of several organs by organ, each like one of that organ alone; empty where there is one."""
    organs = list(dict.fromkeys(organ for each in evaluations.values() for organ in each["summary"].get("organs", {})))
    return {
        organ: {
            label: {
                "cases": {
                    name: score["organs"][organ] for name, score in each["cases"].items() if organ in score["organs"]
                },
                "summary": each["summary"]["organs"].get(organ, {}),
            }
            for label, each in evaluations.items()
        }
        for organ in organs
    }


def organ_table(evaluations: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the mean scores of each organ, one row an organ; evaluations stand side by side."""
    rows = [
        [organ, *_flat([number(each["summary"].get("n")), *_summary(each, "mean")] for each in found.values())]
        for organ, found in organ_evaluations(evaluations).items()
    ]
    columns = ["organ", *["cases", *(heading for heading, _ in METRICS.values())] * len(evaluations)]
    return Table(columns, rows, groups=[("", 1), *((label, 1 + len(METRICS)) for label in evaluations)])


def _flat(parts: Iterable[Sequence[str]]) -> list[str]:
    return [text for part in parts for text in part]


def _numbers(score: Mapping[str, Any]) -> list[str]:
    return [_metric(key, score.get(key)) for key in METRICS]


def _metric(key: str, value: object) -> str:
    """Return a metric as text; a volume that is too large gets a plus."""
    text = number(value, METRICS[key][1])
    too_large = key == "volume_difference_ml" and text[0] in "123456789"
    return f"+{text}" if too_large else text


def _failures(summary: Mapping[str, Any]) -> str:
    return f"{number(summary.get('failures'))} of {number(summary.get('n'))} failed"


def _together(words: Mapping[str, str]) -> str:
    """Return what is to be said of each evaluation; said once where it is the same of all."""
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return "; ".join(f"{label}: {word}" for label, word in words.items() if word)


def remark(score: Mapping[str, Any]) -> str:
    """Return in words what is wrong with a case's score; empty where nothing is."""
    if not score:
        return "not evaluated"
    if lost := [organ for organ, each in score.get("organs", {}).items() if each.get("failed")]:
        return f"failed: {', '.join(lost)}"
    if score.get("failed"):
        return "failed: nothing found" if score.get("volume_difference_ml", -1) < 0 else "failed: reference is empty"
    return "misses the organ" if score.get("dice") == 0 else ""


def _summary(found: Mapping[str, Any], key: str) -> list[str]:
    summary = found.get("summary", {})
    if key == "sd" and summary.get("n", 0) < 2:
        return [NOTHING] * len(METRICS)
    values = {name: summary.get(name, {}).get(key) for name in METRICS}
    if key == "sd":
        return [number(value, METRICS[name][1]) for name, value in values.items()]
    return [_metric(name, value) for name, value in values.items()]


def cohort(study: Study) -> Table:
    """Return patients, volumes and slices by split."""
    rows = []
    for split in SPLITS:
        members = [item for item in study.subjects.values() if item.split == split]
        slices = [SliceFrame.of(study.grid(item.name)).count for item in study.cases(split)]
        references = sum(item.primary_reference is not None for item in members)
        counts = [
            len({item.patient for item in members}),
            len(slices),
            sum(slices),
            references,
            len(study.auxiliaries(split)),
        ]
        rows.append([split, *(number(count) for count in counts)])
    settings = study.config.slices
    primary, auxiliary = settings.primary_modality, settings.auxiliary_modality
    return Table(
        ["split", "patients", f"{primary} volumes", f"{primary} slices", "with reference", f"{auxiliary} volumes"], rows
    )


def settings(config: Config) -> Table:
    """Return every setting with its value and the preset ``small``'s."""
    data = config.to_json()
    rows = [["", "organ", config.organ, "liver", "What is segmented."]]
    rows.append(["", "seed", str(config.seed), "0", "Fixes every random draw."])
    for item in describe():
        mine, default = data[item["section"]][item["name"]], item["presets"]["small"]
        rows.append([item["section"], item["name"], _plain(mine), _plain(default), item["doc"]])
    return Table(["section", "setting", "value", "preset small", "meaning"], rows, words=frozenset(range(5)))


def _plain(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(part) for part in value)
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def ledger(found: Mapping[str, Any]) -> Table:
    """Return what annotation has cost, by round and in all (see :func:`VQBEGALLib.study.ledger.count`)."""
    keys = ("slices", "patients", "foreground_pixels")
    return Table(
        ["round", "slices", "patients", "pixels painted"],
        [[index, *(number(sums[key]) for key in keys)] for index, sums in found["rounds"].items()],
        [["all", *(number(found[key]) for key in keys)]],
    )


def diagnosis(rounds: Sequence[Round], primary: str, auxiliary: str) -> Table:
    """Return what codebook and discriminator did in each trained round."""
    rows = []
    for item in rounds:
        found = item.figures.get("diagnosis") or {}
        book = found.get("codebook") or {}
        right = found.get("discriminator_right")
        quartiles = found.get("uncertainty_quartiles") or [None] * 5
        rows.append(
            [
                str(item.index),
                item.strategy,
                number(item.figures.get("labelled")),
                NOTHING if right is None else percent(right, 1),
                *(small_number(value) for value in quartiles),
                *(number(book.get(key)) for key in ("primary", "auxiliary", "shared")),
                *(number(book.get(f"perplexity_{key}"), 1) for key in ("primary", "auxiliary")),
            ]
        )
    return Table(
        ["", "", "", "", "least", "25 %", "median", "75 %", "most", primary, auxiliary, "both", primary, auxiliary],
        rows,
        groups=[
            ("round", 1),
            ("strategy", 1),
            ("labelled", 1),
            ("discriminator right", 1),
            ("entropy", 5),
            ("entries in use", 3),
            ("perplexity", 2),
        ],
        words=frozenset({0, 1}),
    )


def requests(round_: Round) -> Table:
    """Return the slices that a round asked for, in the strategy's order."""
    rows = []
    for item in round_.requests:
        rows.append(
            [
                str(item.rank + 1),
                item.case,
                str(item.slice),
                item.partner or NOTHING,
                NOTHING if item.partner_slice is None else str(item.partner_slice),
                small_number(item.score),
                ROLE_WORDS[item.role],
                item.status,
            ]
        )
    return Table(
        ["rank", "case", "slice", "partner", "its slice", "score", "role", "status"],
        rows,
        words=frozenset({1, 3, 6, 7}),
    )

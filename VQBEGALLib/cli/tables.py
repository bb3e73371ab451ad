"""Results as text for a person and as data for a program."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from VQBEGALLib.cli.terminal import Result
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import plural
from VQBEGALLib.metrics import METRICS
from VQBEGALLib.study import Prediction, Study
from VQBEGALLib.study.records import SPLITS, Round
from VQBEGALLib.volumes import Volume

if TYPE_CHECKING:
    from VQBEGALLib.rounds import Advance, Estimate

WORDS = {"all": "everything", "encoder": "encoders", "decoder": "decoder"}


def slice_numbers(text: str, count: int) -> list[int]:
    """Read ``12,13,20`` or ``4-9,12``, for a volume of ``count`` slices.

    Raises:
        InputError: the text is something else, or names a slice that the volume does not have.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise InputError(f"{text!r} is not a list of slices.", "Write for example --slices 12,13,20 or 4-9.")
        if last >= count:
            raise InputError(
                f"There is no slice {last}; the volume has slices 0 to {count - 1}.",
                "Count from 0, as `vqbegal next` does.",
            )
        found |= set(range(first, last + 1))
    return sorted(found)


def status(study: Study, *, as_json: bool = False) -> Result:
    """Show cases, budget, the newest round, and what comes next."""
    done, ledger = study.rounds(), study.ledger()
    current = done[-1] if done else None
    open_ = [] if current is None else [item for item in current.requests if item.status == "open"]
    budget = ledger["budget"]
    begun = bool(budget["used"]) and study.config.rounds.cold_start == "exemplar"
    upcoming = next_step(current, len(open_), budget["left"], cases=bool(study.cases("train")), begun=begun)
    counts = {split: (len(study.cases(split)), len(study.auxiliaries(split))) for split in SPLITS}
    patients = ledger["splits"]["train"]["patients"]
    waiting: dict[str, list[int]] = {}
    for item in sorted(open_, key=lambda each: (each.case, each.slice)):
        waiting.setdefault(item.case, []).append(item.slice)
    data = {
        "study": str(study.folder),
        "organ": study.config.organ,
        "organs": list(study.config.organs),
        "cases": {split: {"primary": mine, "auxiliary": other} for split, (mine, other) in counts.items()},
        "rounds": len(done),
        "open": len(open_),
        "open_slices": waiting,
        "ledger": ledger,
        "next": upcoming,
    }
    lines = [
        f"Study {study.folder.name}: {study.config.organ}, {study.config.slices.primary_modality} with "
        f"{study.config.slices.auxiliary_modality}",
        *(f"  {split:<10} {mine:>3} primary, {other:>3} auxiliary volumes" for split, (mine, other) in counts.items()),
        f"  annotated  {plural(budget['used'], 'slice')} in {plural(patients, 'patient')}; the budget is "
        f"{budget['total']}",
        *(f"  round {item.index:<4} {_round_line(item)}" for item in done),
        *(f"  open       {case}: {', '.join(map(str, slices))}" for case, slices in waiting.items()),
        f"Next: {upcoming}",
    ]
    return _result(data, lines, as_json=as_json)


def next_step(current: Round | None, open_: int, left: int, *, cases: bool, begun: bool = False) -> str:
    """Return what a person does next, one sentence; ``begun`` with labels that no round asked for."""
    if not cases:
        return "add a case to train on (`vqbegal study add`)."
    if current is None and begun:
        return "train (`vqbegal train`)."
    if current is None:
        return "select the first slices (`vqbegal next`)."
    if not current.trained:
        rest = f"annotate the {plural(open_, 'open slice')} (`vqbegal label`), then " if open_ else ""
        return f"{rest}train (`vqbegal train`)."
    return (
        "select the next slices (`vqbegal next`)."
        if left
        else "the budget is spent; use the network (`vqbegal predict`)."
    )


def _round_line(round_: Round) -> str:
    finished = sum(item.status == "done" for item in round_.requests)
    asked = len(round_.requests)
    answered = f"{finished} of {plural(asked, 'slice')} annotated" if asked else "nothing was asked for"
    text = f"{round_.strategy}: {answered}"
    with suppress(KeyError, TypeError, ValueError):  # not validated
        return f"{text}, validation Dice {_summary(round_)['dice']['mean']:.3f}"
    return f"{text}, {'trained' if round_.trained else 'not trained'}"


def _summary(round_: Round) -> Any:
    """Return the summary of a round's validation, None where there is none."""
    validation = (round_.metrics or {}).get("validation")
    return validation.get("summary") if isinstance(validation, dict) else None


def rounds(study: Study, reason: str) -> Result:
    """Show all rounds and why a run ended."""
    done = study.rounds()
    data = {
        "reason": reason,
        "rounds": [
            {
                "round": item.index,
                "strategy": item.strategy,
                "labelled": item.figures.get("labelled"),
                "validation": _summary(item),
            }
            for item in done
        ],
    }
    return Result(data, "\n".join([*(f"round {item.index}: {_round_line(item)}" for item in done), reason]))


def advance(found: Advance) -> Result:
    """Say what was learned and what comes next."""
    lines = [f"Round {found.round} asks for {plural(found.requests, 'slice')}."] if found.requests else []
    if not found.requests and found.stopped is None:
        lines.append(f"Round {found.round} is trained.")
    lines += [sentence for sentence in (found.stopped, found.advice) if sentence]
    return Result(asdict(found), "\n".join(lines))


def estimate(found: Estimate) -> Result:
    """Say what a round will cost."""
    free = "" if found.available_mb is None else f" of {found.available_mb / 1024:.1f} GB that are free"
    lines = [
        f"A round takes about {found.seconds:.0f} s: {found.train_seconds:.0f} s to train, "
        f"{found.score_seconds:.0f} s to score, {found.segment_seconds:.0f} s to validate and segment.",
        f"It needs about {found.memory_mb / 1024:.1f} GB{free} ({found.device}).",
        f"Basis: {found.basis}",
    ]
    return Result(asdict(found), "\n".join(lines))


def requests(study: Study, round_: Round, *, as_json: bool) -> Result:
    """Show the slices that a round asks for."""
    data = round_.to_json()
    if not round_.requests:
        told = f"Round {round_.index} asks for nothing: it begins with what is annotated. Train it (`vqbegal train`)."
        return _result(data, [told], as_json=as_json)
    lines = [
        f"Round {round_.index} asks for {plural(len(round_.requests), 'slice')} ({round_.strategy}), counted from 0:",
        f"{'rank':>4}  {'case':<20} {'slice':>5}  {'partner':<20} {'slice':>5}  {'score':>10}  role",
    ]
    for item in round_.requests:
        score = "" if item.score is None else f"{item.score:.3g}"
        partner, place = item.partner or "", "" if item.partner_slice is None else item.partner_slice
        pair = f"{item.case:<20} {item.slice:>5}  {partner:<20} {place:>5}"
        lines.append(f"{item.rank + 1:>4}  {pair}  {score:>10}  {WORDS[item.role]}")
    return _result(data, lines, as_json=as_json)


def predictions(found: Mapping[str, Prediction]) -> Result:
    """Say which network segmented which cases, and where the labelmaps lie."""
    data = {case: {"round": item.round, "path": str(item.path)} for case, item in found.items()}
    lines = [f"{case}: {item.path} (network of round {item.round})" for case, item in found.items()]
    return Result({"predictions": data}, "\n".join(lines) or "The study has no case to segment yet.")


def prediction(labelmap: Volume, path: Path, organs: Sequence[str]) -> Result:
    """Say what was segmented and where it lies."""
    millilitre = abs(float(np.linalg.det(labelmap.affine[:3, :3]))) / 1000
    counts = np.bincount(labelmap.voxels.ravel(), minlength=len(organs) + 1)[1:].tolist()
    sizes = {
        organ: {"millilitres": count * millilitre, "voxels": count} for organ, count in zip(organs, counts, strict=True)
    }
    found = [f"{organ} of {size['millilitres']:.0f} ml" for organ, size in sizes.items() if size["voxels"]]
    lost = [organ for organ, size in sizes.items() if not size["voxels"]]
    text = f"{path}: {', '.join(found)}." if found else ""
    if lost:
        text += f" No {' or '.join(lost)} was found" if found else f"{path}: no {' or '.join(lost)} was found"
        text += "; look at the volume before relying on it."
    data: dict[str, Any] = {"output": str(path), "millilitres": sum(counts) * millilitre, "voxels": sum(counts)}
    return Result({**data, "organs": sizes} if len(organs) > 1 else data, text)


def evaluation(found: Mapping[str, Any], index: int, split: str, *, as_json: bool) -> Result:
    """Show scores by patient, without and with the auxiliary."""
    lines = [f"Round {index}, {split} split"]
    for name, part in found.items():
        lines += [
            f"{name} auxiliary",
            f"  {'case':<20} {'Dice':>6} {'HD95 mm':>8} {'ASSD mm':>8} {'volume ml':>10}",
        ]
        for case, value in part["cases"].items():
            lost = [organ for organ, scores in value.get("organs", {}).items() if scores["failed"]]
            note = f"  failed: {', '.join(lost) or 'nothing found'}" if value["failed"] else ""
            lines.append(_scores_line(case, value) + note)
        summary = part["summary"]
        for kind in ("mean", "median"):
            lines.append(_scores_line(kind, {metric: summary[metric][kind] for metric in METRICS}))
        for organ, scores in summary.get("organs", {}).items():
            lines.append(_scores_line(organ, {metric: scores[metric]["mean"] for metric in METRICS}))
        lines.append(f"  failures: {summary['failures']} of {summary['n']}")
    return _result({"round": index, "split": split, **found}, lines, as_json=as_json)


def _scores_line(title: str, scores: Mapping[str, Any]) -> str:
    return (
        f"  {title:<20} {scores['dice']:>6.3f} {scores['hd95_mm']:>8.1f} {scores['assd_mm']:>8.1f} "
        f"{scores['volume_difference_ml']:>+10.0f}"
    )


def _result(data: Mapping[str, Any], lines: Sequence[str], *, as_json: bool) -> Result:
    return Result(data, json.dumps(data, indent=2, ensure_ascii=False) if as_json else "\n".join(lines))

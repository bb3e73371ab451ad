"""A whole experiment: select, annotate, train, evaluate, again and again until it stops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from VQBEGALLib.config import RoundSettings
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter, plural
from VQBEGALLib.rounds.annotation import Oracle
from VQBEGALLib.rounds.evaluation import Auxiliary, evaluate
from VQBEGALLib.rounds.material import Material
from VQBEGALLib.rounds.steps import exhausted, load_round, require_cases, select, train_round
from VQBEGALLib.selection import strategy
from VQBEGALLib.study import Study
from VQBEGALLib.study.records import Round, Split


def run(
    study: Study, *, strategy_name: str, rounds: int, oracle: Oracle, device: torch.device, reporter: Reporter
) -> str:
    """Run rounds with an oracle from wherever the study stands.

    Each step reads what the one before left in the study; after a kill the same call goes on and ends with the
    same selections and metrics.

    Args:
        study: the study; held for writing all the time.
        strategy_name: how later rounds are picked.
        rounds: rounds in all, round 0 included.
        oracle: answers the requests.
        device: where to compute.
        reporter: receives progress.

    Returns:
        Why it stopped, one sentence.

    Raises:
        InputError: no such strategy, no round asked for, or a training case without reference labels; nothing has
            been changed then.
        StudyError: there is no training case.
    """
    strategy(strategy_name)
    if rounds < 1:
        raise InputError(f"A run of {rounds} rounds does nothing.", "Ask for at least one round.")
    require_cases(study)
    oracle.check(study)
    with study.writing("run"):
        material = Material(study, reporter)
        while True:
            done = study.rounds()
            current = done[-1] if done else None
            if current is None or finished(study, current):
                reason = stop_reason(done, rounds, study, material)
                if reason:
                    study.log({"event": "stopped", "reason": reason})
                    return reason
                reporter.message(f"Round {len(done)}: selecting slices.")
                current = select(material, strategy_name, device=device, reporter=reporter)
            if not current.trained:
                oracle.answer(study, current, reporter)
                used = study.ledger()["budget"]["used"]
                reporter.message(f"Round {current.index}: training on {plural(used, 'slice')}.")
                current = train_round(material, device=device, reporter=reporter)
            validate(material, current, device=device, reporter=reporter)


def validate(material: Material, round_: Round, *, device: torch.device, reporter: Reporter) -> Round:
    """Evaluate a trained round on the validation split and note it; without references there it stays as it is."""
    study = material.study
    if not _has_validation(study):
        return round_
    model, _ = load_round(study, round_.index)
    found = evaluate(material, model, study.config, "validation", auxiliary="own", device=device, reporter=reporter)
    round_ = replace(round_, metrics={**(round_.metrics or {}), "validation": found})
    study.save_round(round_)
    reporter.emit("round", round=round_.index, labelled=round_.figures.get("labelled"), **found["summary"])
    return round_


def evaluate_round(
    material: Material, index: int, split: Split, *, device: torch.device, reporter: Reporter
) -> dict[str, Any]:
    """Evaluate a trained round on a split, without and (where the split has any) with auxiliary volumes.

    Those of the test split are noted in the round.

    Returns:
        ``without`` and, if there are auxiliaries, ``with``: see :func:`evaluate`.

    Raises:
        StudyError: the round is not trained, or no case of the split has a reference.
    """
    study = material.study
    rounds = study.rounds()
    model, _ = load_round(study, index)
    kinds: dict[str, Auxiliary] = {"without": "none"}
    if study.auxiliaries(split):
        kinds["with"] = "any"
    found = {
        name: evaluate(material, model, study.config, split, auxiliary=kind, device=device, reporter=reporter)
        for name, kind in kinds.items()
    }
    if split == "test":
        round_ = rounds[index]
        study.save_round(replace(round_, metrics={**(round_.metrics or {}), split: found}))
    return found


def _has_validation(study: Study) -> bool:
    return any(case.primary_reference is not None for case in study.cases("validation"))


def finished(study: Study, round_: Round) -> bool:
    """Tell whether a round is trained and, where the study allows it, validated."""
    return round_.trained and ("validation" in (round_.metrics or {}) or not _has_validation(study))


def stop_reason(done: list[Round], rounds: int, study: Study, material: Material) -> str:
    """Return why a run stops before another round, or an empty text."""
    if not done:
        return ""
    if len(done) >= rounds:
        return f"All {rounds} rounds are done."
    examples = material.examples()
    return exhausted(study.config, examples, material.unlabelled(examples)) or flat(done, study.config.rounds)


def flat(done: list[Round], settings: RoundSettings) -> str:
    """Return by how little validation rose in the last rounds, one sentence; an empty text where it still rises."""
    if not plateaued(_validation_curve(done), settings):
        return ""
    return f"Validation Dice gained less than {settings.plateau_delta:g} over {settings.plateau_rounds} rounds."


def _validation_curve(done: list[Round]) -> list[float]:
    """Return the mean validation Dice of the rounds that have one."""
    found = [(item.metrics or {}).get("validation") for item in done]
    return [float(each["summary"]["dice"]["mean"]) for each in found if each]


def plateaued(curve: list[float], settings: RoundSettings) -> bool:
    """Tell whether the last ``plateau_rounds`` rounds gained less than ``plateau_delta`` over the best before them."""
    span = settings.plateau_rounds
    if span == 0 or len(curve) <= span:
        return False
    return max(curve[-span:]) - max(curve[:-span]) < settings.plateau_delta

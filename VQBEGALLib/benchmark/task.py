"""One run of a benchmark: select, label, train and evaluate, round by round, from wherever it stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from VQBEGALLib.benchmark.conditions import evaluate_under, find_condition
from VQBEGALLib.benchmark.folder import EVALUATIONS, RUNS, ResultsFolder
from VQBEGALLib.benchmark.plan import Plan, Run
from VQBEGALLib.events import Reporter
from VQBEGALLib.rounds import Material, Oracle, load_round, select, train_round
from VQBEGALLib.rounds import evaluate as evaluate_split
from VQBEGALLib.storage import write_json
from VQBEGALLib.study import Study
from VQBEGALLib.study.records import Round


def run_task(
    results: ResultsFolder, plan: Plan, run: Run, part: str = RUNS, *, device: torch.device, reporter: Reporter
) -> None:
    """Bring a run to its last budget; rounds that are finished stay as they are.

    A killed task is called again: it loses what its round had done since the last checkpoint of the training.

    Args:
        results: folder with the cohort's prepared study.
        plan: the comparison.
        run: which run.
        part: of the folder where its study lies.
        device: where to compute.
        reporter: receives an event of kind ``budget`` after each round.

    Raises:
        VQBEGALError: see :func:`VQBEGALLib.rounds.select`, ``train_round`` and ``evaluate``.
        CancelledError: a person asked to stop; what is finished stays.
    """
    study = results.start(plan, run, part)
    with study.writing(f"run {run.name}"):
        for index, budget in enumerate(run.arm.budgets):
            if not (study.round_folder(index) / EVALUATIONS).exists():
                dice = _round(study, plan, run, index, device, reporter)
                reporter.emit("budget", run=run.name, budget=budget, dice=dice)


def _round(study: Study, plan: Plan, run: Run, index: int, device: torch.device, reporter: Reporter) -> float:
    """Do what a round still lacks; return its mean Dice on the first split."""
    quiet, clock = reporter.silent(), reporter.clock
    budget = run.arm.budgets[index]
    if index == len(study.rounds()):
        _allow(study, budget, quiet)
        started = clock()
        chosen = select(Material(study, quiet), run.arm.strategy, device=device, reporter=quiet)
        study.save_round(replace(chosen, figures={**chosen.figures, "select_seconds": clock() - started}))
    material = Material(study, quiet)
    if not study.rounds()[index].trained:
        Oracle(run.arm.boundary_noise).answer(study, study.rounds()[index], quiet)
        train_round(material, device=device, reporter=quiet)
    started = clock()
    evaluations = _evaluations(material, plan, run, index, device, quiet)
    done = study.rounds()[index]
    figures = {
        "budget": budget,
        "train_seconds": _training(study, index),
        "evaluations": evaluations,
        "select_seconds": done.figures.get("select_seconds"),
        "evaluate_seconds": clock() - started,
        "picks": _picks(material, done),
    }
    write_json(study.round_folder(index) / EVALUATIONS, figures)
    return float(evaluations[0]["summary"]["dice"]["mean"])


def _training(study: Study, index: int) -> float | None:
    """Return the seconds that a round's steps took, interruptions left out, as the study's log has them."""
    seconds = [float(event["seconds"]) for event in study.events("trained") if event.get("round") == index]
    return round(seconds[-1], 2) if seconds else None


def _allow(study: Study, budget: float, reporter: Reporter) -> None:
    """Set the study's budgets so that the next round takes it to a percentage of the training pool, rounded."""
    material = Material(study, reporter)
    labelled = len(material.examples())
    total = max(round(len(material.pairs("train")) * budget / 100), labelled + 1)
    wanted = total - labelled
    study.configure({"total_budget": total, "seed_budget": wanted, "round_budget": max(wanted, 2)})


def _evaluations(
    material: Material, plan: Plan, run: Run, index: int, device: torch.device, reporter: Reporter
) -> list[dict[str, Any]]:
    """Return the scores on every split, with every kind of auxiliary, clean and under the conditions asked for."""
    study = material.study
    model, _ = load_round(study, index)
    found = []
    for split in plan.splits:
        for auxiliary in plan.auxiliary:
            scores = evaluate_split(
                material, model, study.config, split, auxiliary=auxiliary, device=device, reporter=reporter
            )
            found.append({**scores, "condition": "clean", "level": 0.0})
    if plan.robustness.applies(run.arm, run.arm.budgets[index]):
        for name, levels in plan.robustness.conditions.items():
            if not find_condition(name).applies(material, "test", "any"):
                continue  # of an arm or cohort without auxiliary images
            for level in sorted({0.0, *levels}):
                scores = evaluate_under(
                    material, model, study.config, "test", name, level, device=device, reporter=reporter
                )
                found.append({**scores, "condition": name, "level": level})
    return found


def _picks(material: Material, round_: Round) -> list[dict[str, Any]]:
    """Return every slice that a round picked: where in the body it lies, and whether it holds the organ."""
    masks = {(each.pair.case, each.pair.slice): each.mask.any() for each in material.examples()}
    frames = material.frames["primary"]
    return [
        {
            "case": item.case,
            "slice": item.slice,
            "position": frames[item.case].height(item.slice),
            "score": item.score,
            "role": item.role,
            "foreground": bool(masks[item.case, item.slice]),
        }
        for item in round_.requests
        if (item.case, item.slice) in masks
    ]

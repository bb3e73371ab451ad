"""One run of a benchmark: select, label, train and evaluate, round by round, from wherever it stands."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch

from VQBEGALLib.benchmark.conditions import evaluate_under, find_condition
from VQBEGALLib.benchmark.cost import TrainingMemory, parameters_trained, parameters_used
from VQBEGALLib.benchmark.environment import environment
from VQBEGALLib.benchmark.folder import EVALUATIONS, RUNS, ResultsFolder
from VQBEGALLib.benchmark.plan import Plan, Run
from VQBEGALLib.errors import StudyLockedError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.rounds import Material, Oracle, load_round, select, train_round
from VQBEGALLib.rounds import evaluate as evaluate_split
from VQBEGALLib.storage import write_json
from VQBEGALLib.study import Study
from VQBEGALLib.study.records import Round

MEMORY = "train_memory_mib"
"""Name of what a round's training took of memory, among its figures."""

PATIENCE = 60.0
"""Seconds for a worker that was taken for dead to leave its study; it looks for a cancel after every step."""


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
    reporter.check_cancelled()
    study = results.start(plan, run, part)
    with ExitStack() as held:
        _hold(held, study, f"run {run.name}", reporter)
        for index, budget in enumerate(run.arm.budgets):
            if not (study.round_folder(index) / EVALUATIONS).exists():
                dice = _round(study, plan, run, index, device, reporter)
                reporter.emit("budget", run=run.name, budget=budget, dice=dice)


def _hold(held: ExitStack, study: Study, what: str, reporter: Reporter) -> None:
    """Hold a study for writing; wait a while for another holder to end."""
    until = reporter.clock() + PATIENCE
    while True:
        try:
            held.enter_context(study.writing(what))
            return
        except StudyLockedError:
            if reporter.clock() >= until:
                raise
        reporter.check_cancelled()
        time.sleep(0.5)


def _round(study: Study, plan: Plan, run: Run, index: int, device: torch.device, reporter: Reporter) -> float:
    """Do what a round still lacks; return its mean Dice on the first split."""
    quiet, clock = reporter.silent(), reporter.clock
    budget = run.arm.budgets[index]
    if index == len(study.rounds()):
        _allow(study, budget, quiet)
        material, started = Material(study, quiet), clock()
        chosen = select(material, run.arm.strategy, device=device, reporter=quiet)
        if index:  # the first slices are not the strategy's
            study.save_round(replace(chosen, figures={**chosen.figures, "select_seconds": clock() - started}))
    material = Material(study, quiet)
    if not study.rounds()[index].trained:
        oracle = Oracle(run.arm.boundary_noise)
        oracle.check(study)
        oracle.answer(study, study.rounds()[index], quiet)
        with TrainingMemory(device) as memory:
            trained = train_round(material, device=device, reporter=quiet)
        study.save_round(replace(trained, figures={**trained.figures, MEMORY: memory.mib}))
    model, _ = load_round(study, index)
    started = clock()
    clean = _clean(material, model, plan, device, quiet)
    seconds = clock() - started
    evaluations = [*clean, *_worse(material, model, plan, run, index, clean, device, quiet)]
    done = study.rounds()[index]
    figures = {
        "budget": budget,
        "train_seconds": _training(study, index),
        "parameters": parameters_used(model, study.config),
        "parameters_trained": parameters_trained(model, study.config),
        MEMORY: done.figures.get(MEMORY),
        "evaluations": evaluations,
        "select_seconds": done.figures.get("select_seconds"),
        "evaluate_seconds": seconds,
        "picks": _picks(material, done),
        "environment": environment(device),
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


def _clean(
    material: Material, model: VQBEGAL, plan: Plan, device: torch.device, reporter: Reporter
) -> list[dict[str, Any]]:
    """Return the scores on every split, with every kind of auxiliary."""
    config = material.study.config
    return [
        {
            **evaluate_split(material, model, config, split, auxiliary=auxiliary, device=device, reporter=reporter),
            "condition": "clean",
            "level": 0.0,
        }
        for split in plan.splits
        for auxiliary in plan.auxiliary
    ]


def _worse(
    material: Material,
    model: VQBEGAL,
    plan: Plan,
    run: Run,
    index: int,
    clean: list[dict[str, Any]],
    device: torch.device,
    reporter: Reporter,
) -> list[dict[str, Any]]:
    """Return the scores under the conditions asked for, each from level 0, the clean input, on."""
    if not plan.robustness.applies(run.arm, run.arm.budgets[index]):
        return []
    how: dict[str, Any] = {"device": device, "reporter": reporter}
    config = material.study.config
    zero = next((each for each in clean if (each["split"], each["auxiliary"]) == ("test", "any")), None)
    found = []
    for name, levels in plan.robustness.conditions.items():
        if not find_condition(name).applies(material, "test", "any"):
            continue  # of an arm or cohort without auxiliary images
        zero = zero or evaluate_split(material, model, config, "test", auxiliary="any", **how)
        found.append({**zero, "condition": name, "level": 0.0})
        for level in sorted({*levels} - {0.0}):
            scores = evaluate_under(material, model, config, "test", name, level, **how)
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

"""One button's work: learn from what is annotated, ask for the next slices, show what the network makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from VQBEGALLib.errors import StudyError
from VQBEGALLib.events import Reporter, plural
from VQBEGALLib.network.device import Compute
from VQBEGALLib.rounds.exemplar import begin, is_begun
from VQBEGALLib.rounds.material import Material
from VQBEGALLib.rounds.run import finished, flat, validate
from VQBEGALLib.rounds.segmentation import segment_cases
from VQBEGALLib.rounds.steps import exhausted, labels_digest, newest_round, require_cases, train_round
from VQBEGALLib.rounds.steps import select as choose
from VQBEGALLib.selection import strategy
from VQBEGALLib.study import Study
from VQBEGALLib.study.labelstore import read_index
from VQBEGALLib.study.predictionstore import place
from VQBEGALLib.study.records import Round


@dataclass(frozen=True)
class Advance:
    """What :func:`advance` came to.

    Args:
        round: the newest round.
        trained: whether this call trained a network.
        requests: slices that the newest round asks for; 0 where no round was selected.
        stopped: why no round was selected, one sentence; None where one was, or none was wanted.
        advice: what the curve of validation says to a person, one sentence; None where it still rises.
        seconds: time taken.
    """

    round: int
    trained: bool
    requests: int
    stopped: str | None
    advice: str | None
    seconds: float


def advance(
    study: Study,
    *,
    strategy_name: str,
    device: torch.device,
    reporter: Reporter,
    select: bool = True,
    fallback: bool = False,
) -> Advance:
    """Train and validate where there are new labels, select the next round, segment the cases that it asks for.

    Each step is left out where it is done already, so that the same call goes on after a kill or a cancel and
    ends with the same study. One that begins from what is annotated already is trained at once.

    Args:
        study: the study; held for writing all the time.
        strategy_name: how rounds after the first are picked.
        device: where to compute.
        reporter: receives progress.
        select: whether to select; without it, all training and validation cases are segmented.
        fallback: go on with the processor where the device has too little memory.

    Raises:
        InputError: no such strategy, or a volume cannot be prepared.
        StudyError: there is no training case, or nothing of the newest round is annotated yet.
        OutOfMemoryError: the device has too little memory, and there is no fallback.
        StorageError: the disk is full or refuses.
        CancelledError: a person asked to stop; everything finished is kept.
    """
    strategy(strategy_name)
    started, compute = reporter.clock(), Compute(device, reporter, fallback=fallback)
    with study.writing("train and select"):
        require_cases(study)
        if is_begun(study):
            begin(study)
        rounds = study.rounds()
        waiting = bool(rounds) and _waits(study, rounds[-1])
        if waiting and not (select and _unseen(study, rounds[-1])):
            raise StudyError(
                f"No slice of round {rounds[-1].index} is annotated yet.",
                "Annotate at least one of the slices that it asks for.",
            )
        material = Material(study, reporter)
        trained, stopped = False, None
        if not waiting:
            if rounds or not select:
                trained = _learn(material, compute, reporter)
            if select:
                stopped = _ask(material, strategy_name, compute, reporter)
        rounds = study.rounds()
        asked = rounds[-1].requests if select and stopped is None else ()
        if any(item.trained for item in rounds):
            names = [item.case for item in asked] or _shown(study)
            compute.run(lambda device: segment_cases(material, names, device=device, reporter=reporter))
        reason = flat(rounds, study.config.rounds)
    return Advance(
        round=rounds[-1].index,
        trained=trained,
        requests=len(asked),
        stopped=stopped,
        advice=f"{reason} More slices may no longer pay." if reason else None,
        seconds=round(reporter.clock() - started, 2),
    )


def _waits(study: Study, round_: Round) -> bool:
    """Tell whether a round is not trained and there is nothing new to train it on."""
    if round_.trained:
        return False
    indices = [read_index(study.folder, case.name, "primary") for case in study.cases("train")]
    given = [item.round for index in indices if index is not None for item in index.annotations.values()]
    seen_all = all(item.status != "open" for item in round_.requests)  # she skipped what she did not annotate
    return round_.index not in given and not (seen_all and given)


def _unseen(study: Study, round_: Round) -> bool:
    """Tell whether a network is there that has not segmented all cases that a round asks for."""
    trained = [item.index for item in study.rounds() if item.trained]
    cases = {item.case for item in round_.requests}
    return bool(trained) and not all(place(study.folder, trained[-1], case).path.is_file() for case in cases)


def _learn(material: Material, compute: Compute, reporter: Reporter) -> bool:
    """Train and validate the newest round unless it is so already with the labels there are; tell if it trained."""
    study = material.study
    current = newest_round(study)
    stale = not current.trained or current.figures.get("labels") not in (None, labels_digest(study))
    if stale:
        used = study.ledger()["budget"]["used"]
        reporter.message(f"Round {current.index}: training on {plural(used, 'slice')}.")
        current = compute.run(lambda device: train_round(material, device=device, reporter=reporter))
    if not finished(study, current):
        compute.run(lambda device: validate(material, current, device=device, reporter=reporter))
    return stale


def _ask(material: Material, name: str, compute: Compute, reporter: Reporter) -> str | None:
    """Select the next round; return why there is none, if so."""
    study = material.study
    rounds = study.rounds()
    examples = material.examples()
    if reason := exhausted(study.config, examples, material.unlabelled(examples)):
        study.log({"event": "stopped", "reason": reason})
        return reason
    if rounds and (left := sum(item.status == "open" for item in rounds[-1].requests)):
        reporter.message(
            f"Round {rounds[-1].index}: {plural(left, 'slice')} without annotation may be asked for again."
        )
    reporter.message(f"Round {len(rounds)}: selecting slices.")
    compute.run(lambda device: choose(material, name, device=device, reporter=reporter))
    return None


def _shown(study: Study) -> list[str]:
    """Return the cases whose predictions a person may want to see: those to train on and to validate."""
    return [case.name for split in ("train", "validation") for case in study.cases(split)]

"""The steps of a round: select, train, and what both need of the study."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from VQBEGALLib.config import Config
from VQBEGALLib.errors import StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.network.storage import load_model, save_model
from VQBEGALLib.rounds.diagnosis import diagnose
from VQBEGALLib.rounds.exemplar import begin, goes_on, is_begun, training_config
from VQBEGALLib.rounds.material import NAME_OF, Material
from VQBEGALLib.rounds.starting import initial_network
from VQBEGALLib.selection import Context, Pick, Selection, strategy
from VQBEGALLib.selection.interface import Scores
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.storage import write_bytes
from VQBEGALLib.study import Study
from VQBEGALLib.study.checking import Finding
from VQBEGALLib.study.labelstore import read_index
from VQBEGALLib.study.records import Request, Round, Which
from VQBEGALLib.study.roundstore import CHECKPOINT, MODEL, SCORES, round_folder
from VQBEGALLib.training import Example, train
from VQBEGALLib.training.step import check_pairs


def select(material: Material, name: str, *, device: torch.device, reporter: Reporter) -> Round:
    """Choose the slices of the next round and write its requests.

    Round 0 is picked by ``cold_start``; every later round by the strategy, on the network of the round before. A study
    that begins from what is annotated already has a round 0 without requests.

    Args:
        material: slices of the study; the study is held for writing.
        name: strategy.
        device: where to compute.
        reporter: receives progress.

    Raises:
        StudyError: there is no training case, the last round is not trained, the budget is spent, or no slice is
            left.
        InputError: there is no such strategy, or the study's method cannot learn from its pairs.
    """
    study, config = material.study, material.config
    rounds = study.rounds()
    if rounds and not rounds[-1].trained:
        raise StudyError(
            f"Round {rounds[-1].index} is not trained yet.", "Annotate its slices and train before the next round."
        )
    require_cases(study)
    strategy(name)  # a misspelt name is told before round 0, not after it
    if is_begun(study):
        return begin(study)
    examples = material.examples()
    pool = material.unlabelled(examples)
    left = config.rounds.total_budget - len(examples)
    if reason := exhausted(config, examples, pool):
        raise StudyError(
            reason,
            "The newest round's network is the result; raise total_budget (`vqbegal study set`) or add cases to go on.",
        )
    check_pairs([*(example.pair for example in examples), *pool], config)
    index = len(rounds)
    chosen = name if index else config.rounds.cold_start
    context = Context(
        pool,
        [example.pair for example in examples],
        min(left, config.rounds.round_budget if index else config.rounds.seed_budget),
        material.reader,
        config,
        np.random.default_rng((config.seed, index, 2)),
        model=load_round(study, index - 1)[0].to(device) if index else None,
        device=device,
        reporter=reporter,
    )
    selection = strategy(chosen)(context)
    round_ = Round(index, chosen, tuple(_request(rank, pick) for rank, pick in enumerate(selection.picks)))
    if selection.scores is not None:
        write_bytes(study.round_folder(index) / SCORES, _table(pool, selection.scores, selection))
    study.save_round(round_)
    study.log({"event": "selected", "round": index, "strategy": chosen, "slices": len(round_.requests)})
    return round_


def train_round(material: Material, *, device: torch.device, reporter: Reporter) -> Round:
    """Train the newest round on all labels of the study, and store its network.

    An interrupted training goes on from its checkpoint. Round 0 from an exemplar is trained by CMEMS, whatever the
    study's architecture.

    Raises:
        StudyError: there is no training case or no round.
        InputError: no slice is labelled.
        OutOfMemoryError: the device has too little memory.
        CancelledError: a person asked to stop; the checkpoint stays.
    """
    study = material.study
    require_cases(study)
    round_ = begin(study) if is_begun(study) else newest_round(study)
    config = training_config(material.config, round_)
    folder = study.round_folder(round_.index)
    examples = material.examples()
    unlabelled = material.unlabelled(examples)
    if goes_on(study, round_, reporter):
        initial: VQBEGAL | None = load_round(study, round_.index - 1)[0]
    else:
        initial = initial_network(study, config, reporter)
    trained = train(
        examples,
        unlabelled,
        material.reader,
        config,
        round_index=round_.index,
        device=device,
        reporter=reporter,
        checkpoint=folder / CHECKPOINT,
        initial=initial,
    )
    study.drop_predictions(round_.index)
    save_model(folder / MODEL, trained.model, config)
    figures = {
        "labelled": len(examples),
        "labels": labels_digest(study),
        "pool": len(examples) + len(unlabelled),
        "history": trained.history,
        "diagnosis": diagnose(trained.model, material.pairs("train"), material.reader, device),
    }
    round_ = replace(round_, trained=True, metrics=None, figures={**round_.figures, **figures})
    study.save_round(round_)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    study.log({"event": "trained", "round": round_.index, "labelled": len(examples), "seconds": trained.seconds})
    return round_


def require_cases(study: Study) -> None:
    """Make sure that there is something to annotate and train on.

    Raises:
        StudyError: no subject of the training split has a primary image.
    """
    if not study.cases("train"):
        raise StudyError("The study has no training case yet.", "Add one with `vqbegal study add`.")


def newest_round(study: Study) -> Round:
    """Return the last round, trained or not.

    Raises:
        StudyError: there is none.
    """
    rounds = study.rounds()
    if not rounds:
        raise StudyError("The study has no round yet.", "Select the first slices with `vqbegal next`.")
    return rounds[-1]


def exhausted(config: Config, examples: Sequence[Example], pool: Sequence[SlicePair]) -> str:
    """Return why no further slice can be asked for, one sentence; or an empty text."""
    if len(examples) >= config.rounds.total_budget:
        return f"The budget of {config.rounds.total_budget} slices is spent."
    return "" if pool else "No slice is left to annotate."


def labels_digest(study: Study) -> str:
    """Return a digest of the labels that training learns from; another one means that there is something new."""
    images: list[Which] = ["primary", "auxiliary"] if study.config.training.supervise == "both" else ["primary"]
    digest = hashlib.sha256()
    for case in sorted(item.name for item in study.subjects.values() if item.split == "train"):
        for which in images:
            index = read_index(study.folder, case, which)
            if index is not None:
                items = [index.annotations[number].to_json() for number in sorted(index.annotations)]
                digest.update(json.dumps([case, which, index.sha256, items]).encode())
    return digest.hexdigest()


def load_round(study: Study, index: int) -> tuple[VQBEGAL, Path]:
    """Return a round's network and its file.

    Raises:
        StudyError: the round is not there or not trained, its file is damaged, or it was trained with other settings
            of slices or network than the study's.
    """
    path, rounds = round_folder(study.folder, index) / MODEL, study.rounds()
    if not 0 <= index < len(rounds) or not path.exists():
        raise StudyError(f"Round {index} has no trained network.", "Annotate the requested slices and train first.")
    model, config = load_model(path)
    ours = training_config(study.config, rounds[index])
    if (config.slices, config.network, config.organs) != (ours.slices, ours.network, ours.organs):
        raise StudyError(
            f"The network of round {index} was trained with other settings than study.json gives.",
            "Restore study.json from a copy, or train the round again.",
        )
    return model, path


def check_networks(study: Study) -> list[Finding]:
    """Look at the network of every trained round: nothing where all are whole."""
    found = []
    for round_ in study.rounds():
        try:
            if round_.trained:
                load_round(study, round_.index)
        except StudyError as error:
            found.append(Finding("error", f"Round {round_.index}: {error}"))
    return found


def newest_trained(study: Study) -> int:
    """Return the index of the last trained round.

    Raises:
        StudyError: none is trained.
    """
    trained = [round_.index for round_ in study.rounds() if round_.trained]
    if not trained:
        raise StudyError("No round of the study is trained yet.", "Annotate the requested slices and train first.")
    return trained[-1]


def _request(rank: int, pick: Pick) -> Request:
    pair = pick.pair
    return Request(rank, pair.case, pair.slice, pair.partner, pair.partner_slice, pick.score, NAME_OF[pick.role])


def _table(pool: list[SlicePair], scores: Scores, selection: Selection) -> bytes:
    """Return the scores of the whole pool as CSV."""
    roles = {pick.pair: NAME_OF[pick.role] for pick in selection.picks}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "slice", "partner", "partner_slice", "score", "role"])
    for pair, value in zip(pool, scores, strict=True):
        row = [pair.case, pair.slice, pair.partner, pair.partner_slice]
        writer.writerow([*row, repr(float(value)), roles.get(pair, "")])
    return text.getvalue().encode()

"""A study that begins from what is annotated already, one slice or one case (CMEMS; En and Guo, 2024)."""

from __future__ import annotations

from collections.abc import Sequence

from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.study import Study
from VQBEGALLib.study.labelstore import read_index
from VQBEGALLib.study.records import Round
from VQBEGALLib.volumes import Volume

EXEMPLAR = "exemplar"
"""The setting ``cold_start`` of such a study, and the strategy that its round 0 names."""


def begin_with(study: Study, case: str, labelmap: Volume, slices: Sequence[int] | None = None) -> list[int]:
    """Take in what a person has annotated before round 0, and let the study begin with it.

    Sets ``cold_start = exemplar``. May be called for further slices or cases as long as there is no round. Every slice
    taken uses the budget, those without the organ too: a whole case can spend ``total_budget``, and then no round asks
    for anything until it is raised.

    Args:
        study: without rounds.
        case: of the training split.
        labelmap: the organs on the case's primary image.
        slices: the annotated ones; None takes every slice of the case, those without the organ as such.

    Returns:
        The slices taken.

    Raises:
        StudyError: the study has rounds.
        InputError: the case does not serve training, another grid, other values, a slice out of range, or nothing
            annotated shows an organ.
        StorageError: the disk is full or refuses.
    """
    with study.writing(f"begin with {case}"):
        if study.rounds():
            raise StudyError("The study has begun already.", "Annotate the slices that its newest round asks for.")
        if study.subject(case).split != "train":
            raise InputError(f"{case!r} does not serve training.", "Choose a case of the training split.")
        frame = SliceFrame.of(study.grid(case))
        taken = list(range(frame.count)) if slices is None else sorted(set(slices))
        if not taken:
            raise InputError("No slice is named.", "Name at least one annotated slice.")
        _check_shown(study, frame, labelmap, taken)
        study.put_labels(case, labelmap, taken, round=0, axis=frame.axis)
        study.configure({"cold_start": EXEMPLAR})
        study.log({"event": "begun", "case": case, "slices": len(taken)})
    return taken


def _check_shown(study: Study, frame: SliceFrame, labelmap: Volume, slices: list[int]) -> None:
    """Make sure that the first annotated slices show something to learn; what is out of range is not looked at."""
    planes = frame.planes(labelmap.voxels)
    shown = any(planes[index].any() for index in slices if 0 <= index < len(planes))
    if not shown and slices[0] >= 0 and slices[-1] < len(planes) and not study.ledger()["foreground_pixels"]:
        names = " or ".join(study.config.organs)
        raise InputError(f"The labelmap shows no {names} on these slices.", "Begin with a slice that shows an organ.")


def is_begun(study: Study) -> bool:
    """Tell whether a study without rounds may train at once: on labels, with ``cold_start = exemplar``."""
    if study.rounds() or study.config.rounds.cold_start != EXEMPLAR:
        return False
    indices = [read_index(study.folder, case.name, "primary") for case in study.cases("train")]
    return any(index is not None and index.annotations for index in indices)


def begin(study: Study) -> Round:
    """Write round 0, which asks for nothing, and return it."""
    round_ = Round(0, EXEMPLAR)
    study.save_round(round_)
    study.log({"event": "selected", "round": 0, "strategy": EXEMPLAR, "slices": 0})
    return round_


def training_config(config: Config, round_: Round) -> Config:
    """Return the settings that a round's network is trained with: those of CMEMS in round 0 from an exemplar."""
    if round_.index == 0 and round_.strategy == EXEMPLAR:
        return config.replace({"architecture": "cmems"})
    return config


def next_config(study: Study) -> Config:
    """Return the settings of the next training: of the newest round, if it is not trained, or of the one after it."""
    rounds = study.rounds()
    if rounds and not rounds[-1].trained:
        return training_config(study.config, rounds[-1])
    return training_config(study.config, Round(len(rounds), study.config.rounds.cold_start))


def goes_on(study: Study, round_: Round, reporter: Reporter) -> bool:
    """Tell whether a round's training goes on from the weights of the round before; a person is told why not."""
    if not study.config.training.warm_start or not round_.index:
        return False
    before = study.rounds()[round_.index - 1]
    old, new = (training_config(study.config, item).network.architecture for item in (before, round_))
    if old != new:
        reporter.message(
            f"Round {before.index} was trained by {old}, round {round_.index} is by {new} and begins with new weights."
        )
    return old == new

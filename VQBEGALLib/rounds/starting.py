"""The network that a round begins with where a study has encoder weights of its own."""

from __future__ import annotations

from pathlib import Path

from VQBEGALLib.config import Config
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL, build_network
from VQBEGALLib.related.cmc.weights import load_encoders, read_weights
from VQBEGALLib.study import Study
from VQBEGALLib.study.encoderstore import weights


def initial_network(study: Study, config: Config, reporter: Reporter) -> VQBEGAL | None:
    """Return the seed's network with the study's encoder weights; None where it has none, or they do not concern it.

    Args:
        study: may have encoder weights.
        config: settings of the round, which an exemplar may train by another method than the study's.
        reporter: told what became of the weights, and where encoders are frozen that have none.

    Raises:
        StudyError: the file is missing or has changed.
        InputError: the weights do not fit the network.
    """
    path = weights(study.folder)
    if path is None:
        if config.network.architecture == "cmc" and config.cmc.freeze_encoders:
            reporter.warn("freeze_encoders keeps the encoders' weights, and the study has none: they stay random.")
        return None
    if config.network.architecture != study.config.network.architecture:
        reporter.message("The study's encoder weights are left to the rounds of its own method.")
        return None
    return with_weights(config, path, reporter)


def with_weights(config: Config, path: Path, reporter: Reporter) -> VQBEGAL:
    """Return the seed's network with encoder weights from a file; the reporter is told what became of them.

    Raises:
        InputError: the file cannot be read, or does not fit the network.
    """
    model = build_network(config, seed=config.seed)
    reporter.message(load_encoders(model, read_weights(path)).text())
    return model

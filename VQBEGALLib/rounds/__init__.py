"""Rounds: score, select, annotate, train, evaluate, and when to stop."""

from VQBEGALLib import related  # noqa: F401 – enters the architectures that a study may ask for
from VQBEGALLib.rounds.advancing import Advance, advance
from VQBEGALLib.rounds.annotation import Oracle
from VQBEGALLib.rounds.estimating import Estimate, estimate
from VQBEGALLib.rounds.evaluation import evaluate
from VQBEGALLib.rounds.exemplar import begin_with
from VQBEGALLib.rounds.material import Material
from VQBEGALLib.rounds.run import evaluate_round, run, validate
from VQBEGALLib.rounds.segmentation import segment_cases
from VQBEGALLib.rounds.starting import with_weights
from VQBEGALLib.rounds.steps import check_networks, load_round, newest_trained, select, train_round

__all__ = [
    "Advance",
    "Estimate",
    "Material",
    "Oracle",
    "advance",
    "begin_with",
    "check_networks",
    "estimate",
    "evaluate",
    "evaluate_round",
    "load_round",
    "newest_trained",
    "run",
    "segment_cases",
    "select",
    "train_round",
    "validate",
    "with_weights",
]

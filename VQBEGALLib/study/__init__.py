"""The study folder: plain files, crash-safe, one writer at a time."""

from VQBEGALLib.study.predictionstore import Prediction
from VQBEGALLib.study.study import Study

__all__ = ["Prediction", "Study"]

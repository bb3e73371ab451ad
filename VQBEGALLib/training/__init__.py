"""Losses, routing and the training loop."""

from VQBEGALLib.training.batches import Example
from VQBEGALLib.training.round import Trained, train
from VQBEGALLib.training.routing import Role

__all__ = ["Example", "Role", "Trained", "train"]

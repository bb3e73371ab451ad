"""Losses, routing and the training loop."""

from VQBEGALLib.training.batches import Example
from VQBEGALLib.training.loop import Trained, train
from VQBEGALLib.training.routing import Role

__all__ = ["Example", "Role", "Trained", "train"]

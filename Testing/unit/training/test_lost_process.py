"""A process that is killed ends the training of all soon, and nothing that was stored is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from VQBEGALLib.events import Reporter
from VQBEGALLib.network.share import LostProcessError
from VQBEGALLib.network.storage import load_tensors


class Killing(Reporter):
    """Kills a process after some steps."""

    def __init__(self, other: Any, after: int) -> None:
        super().__init__()
        self.other, self.left = other, after

    def check_cancelled(self) -> None:
        self.left -= 1
        if not self.left:
            self.other.kill()


def test_a_killed_process_is_told_and_the_checkpoint_serves(
    tiny_cohort: Callable[..., Any], two_processes: Callable[..., Any], tmp_path: Path
) -> None:
    cohort = tiny_cohort(checkpoint_seconds=0.0)
    checkpoint = tmp_path / "training.safetensors"
    with two_processes() as pair:
        started = time.monotonic()
        with pair.team.leading(), pytest.raises(LostProcessError, match="has ended"):
            pair.train(cohort, checkpoint=checkpoint, reporter=Killing(pair.other, 4))
        assert time.monotonic() - started < 30
        assert load_tensors(checkpoint)[1]["step"] in (3, 4)  # whether the fourth was answered is a matter of chance
        resumed, whole = pair.alone(cohort, checkpoint=checkpoint), pair.alone(cohort)
    for name, tensor in resumed.model.state_dict().items():
        torch.testing.assert_close(tensor, whole.model.state_dict()[name], rtol=1e-5, atol=1e-5, msg=name)

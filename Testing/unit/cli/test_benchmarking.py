"""The command that compares strategies: what it asks for before it computes anything."""

from __future__ import annotations

import argparse
import sys

import pytest
import torch

from VQBEGALLib.cli.benchmarking import _device
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter


@pytest.mark.parametrize(("package", "report"), [("pyarrow", False), ("distributed", False), ("jinja2", True)])
def test_a_package_that_is_needed_late_is_missed_at_once(call, monkeypatch, tmp_path, package, report):
    monkeypatch.setitem(sys.modules, package, None)
    told = call("benchmark", tmp_path / "plan.toml", *([] if report else ["--no-report"]))
    assert told.code == 8 and package in told.err and 'pip install "vqbegal[benchmark]"' in told.err


def test_without_a_report_its_packages_are_not_asked_for(call, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    told = call("benchmark", tmp_path / "plan.toml", "--no-report")
    assert told.code == 3 and "plan.toml cannot be read" in told.err


def test_a_computer_without_a_gpu_asks_for_those_of_a_scheduler(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    far, near = (argparse.Namespace(device="cuda", scheduler=address) for address in ("tcp://there:8786", None))
    assert _device(far, Reporter()) == torch.device("cuda")
    with pytest.raises(InputError, match="no cuda"):
        _device(near, Reporter())

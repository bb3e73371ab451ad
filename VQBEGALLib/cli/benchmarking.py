"""The command that compares strategies and settings."""

from __future__ import annotations

import argparse
import importlib
import os
from typing import TYPE_CHECKING

from VQBEGALLib.cli.terminal import Result
from VQBEGALLib.errors import MissingDependencyError
from VQBEGALLib.events import Reporter

if TYPE_CHECKING:
    import torch

NEEDED = ("distributed", "pandas", "pyarrow", "sklearn")
NEEDED_BY_REPORT = ("matplotlib", "jinja2")


def benchmark(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Run a plan, gather its tables and write its report."""
    _require(NEEDED if options.no_report else (*NEEDED, *NEEDED_BY_REPORT))
    import torch

    from VQBEGALLib.benchmark import read_plan, run_benchmark
    from VQBEGALLib.evidence.benchmark_report import write_benchmark_report

    plan = read_plan(options.plan)
    folder = options.output or options.plan.with_suffix("")
    device = _device(options, reporter)
    several = torch.cuda.device_count() if device.type == "cuda" else os.cpu_count() or 1
    failures = run_benchmark(
        plan,
        folder,
        scheduler=options.scheduler,
        workers=options.workers or several,
        threads=options.threads or 1,
        device=device,
        reporter=reporter,
    )
    report = None if options.no_report else write_benchmark_report(folder, reporter=reporter)
    text = f"The tables are in {folder}." + (f" The report is {report}." if report else "")
    text += "".join(f"\nFailed: {failure}" for failure in failures)
    return Result(
        {"folder": str(folder), "report": str(report) if report else None, "failures": failures},
        text,
        code=1 if failures else 0,
    )


def _require(packages: tuple[str, ...]) -> None:
    """Make sure that what is needed after hours is there before anything is computed.

    Raises:
        MissingDependencyError: a package is not installed, or only half installed.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingDependencyError(
                f"{package}, which a benchmark needs, is not installed or cannot be loaded.",
                'Run: python -m pip install "vqbegal[benchmark]"',
            ) from error


def _device(options: argparse.Namespace, reporter: Reporter) -> torch.device:
    """Return where tasks compute: on this computer, or where a scheduler's workers are, what a person asked for."""
    import torch

    from VQBEGALLib.network.device import choose_device

    if options.scheduler and options.device != "auto":
        return torch.device(options.device)
    return choose_device(options.device, reporter=reporter)

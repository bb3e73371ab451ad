"""The command that compares strategies and settings."""

from __future__ import annotations

import argparse
import os

from VQBEGALLib.cli.terminal import Result
from VQBEGALLib.events import Reporter


def benchmark(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Run a plan, gather its tables and write its report."""
    import torch

    from VQBEGALLib.benchmark import read_plan, run_benchmark
    from VQBEGALLib.evidence.benchmark_report import write_benchmark_report
    from VQBEGALLib.network.device import choose_device

    plan = read_plan(options.plan)
    folder = options.output or options.plan.with_suffix("")
    device = choose_device(options.device, reporter=reporter)
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

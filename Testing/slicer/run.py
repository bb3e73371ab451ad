"""Runs one scenario of Testing/panel inside the application; run.sh starts an application for each.

Slicer executes this file with its --python-script option; the argument is the scenario's module.
"""

import sys
import unittest
from pathlib import Path

import slicer


def run(module: str) -> int:
    """Run a module's tests, with a line for each, and return the application's exit code."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "panel"))
    suite = unittest.defaultTestLoader.loadTestsFromName(module)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    if not result.testsRun:
        print(f"{module} has no tests.", flush=True)
    return 0 if result.testsRun and result.wasSuccessful() else 1


slicer.util.exit(run(sys.argv[1]))

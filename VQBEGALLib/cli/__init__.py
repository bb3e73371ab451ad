"""The ``vqbegal`` command: every step of a study from a terminal, a script or the panel.

Exit codes: 0 done; 1 an unexpected error; 2 wrong usage; the rest are those of :mod:`VQBEGALLib.errors`.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from VQBEGALLib.cli.parser import build_parser
from VQBEGALLib.cli.terminal import JsonOutput, Output, TextOutput
from VQBEGALLib.errors import CancelledError, MissingDependencyError, OutOfMemoryError, StorageError, VQBEGALError
from VQBEGALLib.events import Reporter


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = build_parser().parse_args(arguments)
    output: Output = JsonOutput(sys.stdout) if options.events == "json" else TextOutput(sys.stdout, sys.stderr)
    reporter = Reporter(output.listen, cancel_file=options.cancel_file)
    try:
        reporter.check_cancelled()
        output.result(_command(options)(options, reporter))
        return 0
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        told = as_told(error)
        output.error(told)
        return told.exit_code
    except KeyboardInterrupt:
        output.error(CancelledError())
        return CancelledError.exit_code
    finally:
        output.close()


def as_told(error: Exception) -> VQBEGALError:
    """Return an error as a person is told of it: what is wrong and what to do."""
    if isinstance(error, VQBEGALError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return MissingDependencyError(
            f"The Python package {error.name!r} is not installed.", "Install it, for example with: pip install vqbegal"
        )
    if isinstance(error, MemoryError):
        return OutOfMemoryError("The computer has too little memory for this step.", "Close other programs and retry.")
    if isinstance(error, OSError):
        place = f" ({Path(error.filename).name})" if isinstance(error.filename, str) else ""
        return StorageError(f"{error.strerror or error}{place}.", "Check the path, the permissions and the free space.")
    return VQBEGALError(
        f"Something unexpected went wrong ({type(error).__name__}: {error}).",
        "Run the command again with --debug and report what it prints.",
    )


def _command(options: argparse.Namespace) -> Any:
    from VQBEGALLib.cli import commands

    return getattr(commands, options.command)

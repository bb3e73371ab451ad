"""The ``vqbegal`` command: every step of a study from a terminal, a script or the panel.

Exit codes: 0 done; 1 an unexpected error; 2 wrong usage; the rest are those of :mod:`VQBEGALLib.errors`.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

from VQBEGALLib.cli.parser import build_parser
from VQBEGALLib.cli.terminal import JsonOutput, Output, TextOutput
from VQBEGALLib.cli.together import Command, prepared, several, shared
from VQBEGALLib.errors import CancelledError, MissingDependencyError, as_told
from VQBEGALLib.events import Reporter


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; only wrong usage and ``--help`` end the process themselves."""
    _let_streams_write_any_name()
    options = build_parser().parse_args(arguments)
    if options.events == "json" and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    output: Output = JsonOutput(sys.stdout) if options.events == "json" else TextOutput(sys.stdout, sys.stderr)
    try:
        return _run(options, prepared(options, output))
    except BrokenPipeError:  # whoever read the output has gone, as `head` does: nobody is left to tell
        _write_to_nobody()
        return CancelledError.exit_code


def _run(options: argparse.Namespace, output: Output) -> int:
    reporter = Reporter(output.listen, cancel_file=options.cancel_file, owner=options.owner)
    try:
        reporter.check_cancelled()
        result = _command(options)(options, reporter)
        output.result(result)
        return result.code
    except BrokenPipeError:
        raise
    except Exception as error:
        if options.debug:
            _show_where(error)
        told = as_told(error)
        output.error(told)
        return told.exit_code
    except KeyboardInterrupt:
        output.error(CancelledError())
        return CancelledError.exit_code
    finally:
        output.close()


def _show_where(error: BaseException) -> None:
    """Print where an error came from, without its words: those of a library may quote what names a patient."""
    while True:
        frames = "".join(traceback.format_tb(error.__traceback__))
        sys.stderr.write(f"Traceback, without the words of the error:\n{frames}{type(error).__name__}\n")
        earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if earlier is None:
            return
        sys.stderr.write("\nbefore that:\n")
        error = earlier


def _command(options: argparse.Namespace) -> Command:
    if "device" in options:
        try:
            importlib.import_module("torch")
        except (ImportError, OSError) as error:
            raise MissingDependencyError(
                "PyTorch (torch) is not installed, or cannot be loaded.",
                "Run: python -m pip install torch",
            ) from error
    module = importlib.import_module(f"VQBEGALLib.cli.{options.module}")
    command: Command = getattr(module, options.command)
    return shared(command) if several() else command


def _let_streams_write_any_name() -> None:
    """Write what a terminal's encoding cannot, as an escape: a file name must never end a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _write_to_nobody() -> None:
    """Discard what is still in the streams, so that Python does not complain of it when it ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())

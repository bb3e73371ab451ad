"""A command in several processes: process 0 runs it, the others take part in its trainings."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from VQBEGALLib.cli.terminal import Output, Result
from VQBEGALLib.errors import CancelledError, InputError, VQBEGALError
from VQBEGALLib.events import Event, Reporter

Command = Callable[[argparse.Namespace, Reporter], Result]

COMMANDS = ("run", "train")
"""Those that several processes can do; what they do besides training is done by process 0."""


def several() -> bool:
    """Tell whether this process was started as one of several, by torchrun or in its way."""
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    return all(os.environ.get(name) for name in names) and os.environ["WORLD_SIZE"] != "1"


def prepared(options: argparse.Namespace, output: Output) -> Output:
    """Return where this process writes: as it would alone, or errors only where another one leads.

    A request to cancel is process 0's affair, so that all stop after the same step.
    """
    if options.command not in COMMANDS or not several() or os.environ["RANK"] == "0":
        return output
    options.cancel_file = options.owner = None
    return Aside(output, os.environ["RANK"])


def shared(command: Command) -> Command:
    """Return a command as one of several processes does it."""

    def run(options: argparse.Namespace, reporter: Reporter) -> Result:
        if options.command not in COMMANDS:
            if "TORCHELASTIC_RUN_ID" in os.environ:
                raise InputError("torchrun starts only `train` and `run`.", "Run this command without torchrun.")
            return command(options, reporter)  # the environment speaks of something else
        from VQBEGALLib import related  # noqa: F401 – enters the architectures that process 0 may train
        from VQBEGALLib.training.distributed import joined
        from VQBEGALLib.training.round import follow

        with joined(options.device, threads=options.threads) as team:
            if team.rank:
                return Result({}, code=follow(team))
            reporter.message(f"{team.size} processes train together.")
            with team.leading():
                return command(options, reporter)

    return run


class Aside:
    """Output of a process that another one leads: its own errors, with its number."""

    def __init__(self, output: Output, rank: str) -> None:
        self._output = output
        self._rank = rank

    def listen(self, event: Event) -> None:
        """Leave progress to process 0."""

    def result(self, result: Result) -> None:
        """Leave the result to process 0."""

    def error(self, error: VQBEGALError) -> None:
        """Tell what went wrong in this process."""
        if not isinstance(error, CancelledError):
            error.problem = f"Process {self._rank}: {error.problem}"
            self._output.error(error)

    def close(self) -> None:
        """Leave the terminal in order."""
        self._output.close()

"""Runs commands in forked children and kills them: each line on standard input is one life.

A line is ``{"args": [...], "seconds": s or null}``; the answer is the exit code, or -9 for a killed child. The
libraries are imported once, before the forks, so that a life is spent on the command itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import filelock  # noqa: F401 (imported for the children, as the rounds are)
import torch

import VQBEGALLib.rounds  # noqa: F401
from VQBEGALLib.cli import main


def live(args: list[str], seconds: float | None) -> int:
    """Run a command in a child, kill it after some seconds, and return how it ended."""
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os._exit(main(args))
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if end is not None and time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            end = None
        time.sleep(0.002)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in sys.stdin:
        order = json.loads(line)
        print(live(order["args"], order["seconds"]), flush=True)

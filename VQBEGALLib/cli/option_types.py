"""What the values of options may be; argparse names what is wrong with one."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from VQBEGALLib.study.cohort import numbers


def whole(low: int, high: int = 2**31 - 1) -> Callable[[str], int]:
    """Return the type of an option that is a whole number in a range."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return number

    return read


def values(text: str) -> tuple[int, ...]:
    """Read the values of organs in a labelmap, ``6,2,3``."""
    try:
        found = numbers(text)
    except ValueError:
        found = (-1,)
    if min(found) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, for example 6,2,3")
    return found


SEED = whole(0, 2**32 - 1)

"""Whether the references that a study is given show its organs: a value that none of them holds may be a mistake."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.study.records import Which
from VQBEGALLib.volumes.volume import Volume


class Occurrence:
    """What the references of one modality show, noted file by file.

    Args:
        which: modality.
        organs: of the study.
    """

    def __init__(self, which: Which, organs: Sequence[str]) -> None:
        self._which = which
        self._organs = organs
        self._expected: set[int] = set()
        self._shown: set[int] = set()
        self._values: set[int] = set()
        self._others: set[int] = set()
        self._named = False

    def note(self, given: Volume, labelmap: Volume, values: Sequence[int] | None) -> None:
        """Note a file.

        Args:
            given: as it came.
            labelmap: the same with the organs' numbers, from 1 on.
            values: of the organs in ``given``, 0 for one that it does not know; None where they are numbered already.
        """
        numbers = [number for number, value in enumerate(values or (1,) * len(self._organs), start=1) if value]
        self._expected.update(numbers)
        new = [number for number in numbers if number not in self._shown]
        self._shown.update(number for number in new if (labelmap.voxels == number).any())
        if values is not None:
            self._values.update(value for value in values if value)
            if labelmap.voxels.any():
                self._named = True
            else:
                self._others.update(np.unique(given.voxels[given.voxels != 0]).tolist())

    def check(self, reporter: Reporter) -> None:
        """Warn of organs that no file shows.

        Raises:
            InputError: no file holds any of the values, and they do hold others.
        """
        if self._others and not self._named:
            raise InputError(
                f"None of the {self._which} labels holds {_listed(self._values)}; they hold {_listed(self._others)}.",
                f"Correct {self._which}_values, which name the value of each of {', '.join(self._organs)}.",
            )
        if lost := [self._organs[number - 1] for number in sorted(self._expected - self._shown)]:
            reporter.warn(f"None of the {self._which} labels shows {' or '.join(lost)}; make sure that this is so.")


def _listed(values: set[int]) -> str:
    return ", ".join(map(str, sorted(values)[:20])) + (", …" if len(values) > 20 else "")

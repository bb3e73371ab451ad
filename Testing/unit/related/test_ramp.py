"""The ramp of consistency terms is that of its source."""

from __future__ import annotations

import math

import pytest

from VQBEGALLib.related.ramp import ramp_up


def test_the_ramp_rises_to_one_and_stays() -> None:
    values = [ramp_up(progress, 0.4) for progress in (0.0, 0.1, 0.2, 0.4, 1.0)]
    assert values == pytest.approx([math.exp(-5), math.exp(-2.8125), math.exp(-1.25), 1, 1])
    assert values[-2:] == [1, 1]


def test_a_ramp_without_length_is_none() -> None:
    assert ramp_up(0.0, 0.0) == 1

"""Several organs in a study's report: outlines in their colours, and tables by organ."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from matplotlib import image as images

from VQBEGALLib.evidence import montage, plotting, tables
from VQBEGALLib.evidence.montage import ShownSlice


def amount(picture: plotting.Picture, colour: str) -> int:
    """How many pixels of a picture have a colour."""
    found = images.imread(io.BytesIO(picture.png), format="png")[..., :3]
    wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return int((np.abs(found - wanted).max(axis=-1) < 0.03).sum())


def labels() -> np.ndarray:
    """A plane with two organs beside each other."""
    plane = np.zeros((32, 32), np.uint8)
    plane[8:24, 4:14] = 1
    plane[8:24, 18:28] = 2
    return plane


def test_each_of_several_organs_is_outlined_in_its_colour():
    shown = ShownSlice(3, np.full((32, 32), 0.5), labels(), None)
    one, two = (montage.case_montage([shown], (1, 1), organs=count, name="a", alt="") for count in (1, 2))
    first, second = plotting.ORGAN_COLOURS[:2]
    assert amount(one, first) > 100
    assert amount(one, second) == 0
    assert amount(two, first) == pytest.approx(amount(one, first), rel=0.1)
    assert amount(two, second) == pytest.approx(amount(two, first), rel=0.1)


def test_the_reference_of_several_organs_is_dashed():
    empty = np.zeros((32, 32), np.uint8)
    grey = np.full((32, 32), 0.5)
    solid = montage.case_montage([ShownSlice(0, grey, labels(), None)], (1, 1), organs=2, name="a", alt="")
    dashed = montage.case_montage([ShownSlice(0, grey, empty, labels())], (1, 1), organs=2, name="a", alt="")
    colour = plotting.ORGAN_COLOURS[0]
    full, gaps = (
        np.abs(images.imread(io.BytesIO(each.png))[150:300, 60:66, :3] - _rgb(colour)).max(axis=-1).min(axis=1) < 0.2
        for each in (solid, dashed)
    )
    assert full.all()
    assert 0.3 < gaps.mean() < 0.9


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255


def test_a_slices_dice_is_the_mean_over_the_organs_it_shows():
    reference = labels()
    prediction = np.where(reference == 2, 0, reference)
    prediction[8:24, 9:14] = 0  # half of the first, nothing of the second
    assert montage.mean_dice(prediction, reference, 3) == pytest.approx((2 * 0.5 / 1.5 + 0) / 2)
    assert montage.mean_dice(np.zeros((2, 2)), np.zeros((2, 2)), 3) == 1


def score(dice: float, *, failed: bool = False) -> dict[str, Any]:
    """The scores of a case."""
    return {"dice": dice, "hd95_mm": 2.0, "assd_mm": 1.0, "volume_difference_ml": -4.0, "failed": failed}


def summary(count: int, dice: float) -> dict[str, Any]:
    """A summary over cases."""
    each = {name: {"mean": 2.0, "sd": 0.0, "median": 2.0} for name in tables.METRICS}
    return {**each, "n": count, "failures": 0, "dice": {"mean": dice, "sd": 0.1, "median": dice}}


@pytest.fixture
def evaluation() -> dict[str, Any]:
    """Two cases; the labels of the second do not know the spleen."""
    first, second = score(0.6, failed=True), score(0.9)
    first["organs"] = {"liver": score(0.9), "spleen": score(0.3, failed=True)}
    second["organs"] = {"liver": score(0.9)}
    whole = {**summary(2, 0.75), "organs": {"liver": summary(2, 0.9), "spleen": summary(1, 0.3)}}
    return {"cases": {"a": first, "b": second}, "summary": whole}


def test_every_organ_has_a_row_with_its_cases(evaluation):
    table = tables.organ_table({"CT alone": evaluation})
    assert [row[:3] for row in table.rows] == [["liver", "2", "0.900"], ["spleen", "1", "0.300"]]
    assert len({len(row) for row in [table.columns, *table.rows]}) == 1
    assert sum(span for _, span in table.groups) == len(table.columns)


def test_an_organs_own_table_has_the_cases_whose_labels_know_it(evaluation):
    found = tables.organ_evaluations({"CT alone": evaluation})
    assert list(found) == ["liver", "spleen"]
    spleen = tables.score_table(found["spleen"])
    assert [row[:2] for row in spleen.rows] == [["a", "0.300"]]
    assert tables.organ_evaluations({"CT alone": {"cases": {"a": score(1)}, "summary": summary(1, 1)}}) == {}


def test_a_case_says_which_organ_failed(evaluation):
    assert tables.remark(evaluation["cases"]["a"]) == "failed: spleen"
    assert tables.remark(evaluation["cases"]["b"]) == ""

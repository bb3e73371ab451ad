"""The report's figures and tables on made-up numbers."""

from __future__ import annotations

import io
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib import image as images

from VQBEGALLib.config import SliceSettings, preset
from VQBEGALLib.errors import InputError
from VQBEGALLib.evidence import curves, figures, montage, plotting, tables
from VQBEGALLib.evidence.curves import CurvePoint
from VQBEGALLib.evidence.figures import ScoredSlice
from VQBEGALLib.study.records import Request, Round
from VQBEGALLib.volumes import Volume

DICE = {"a": 0.91, "b": 0.55}


def pixels(picture: plotting.Picture) -> np.ndarray:
    """(R, C, 3), 0 to 1; a figure has two pixels for each CSS pixel."""
    return images.imread(io.BytesIO(picture.png), format="png")[..., :3]


def amount(picture: plotting.Picture, colour: str) -> int:
    wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return int((np.abs(pixels(picture) - wanted).max(axis=-1) < 0.03).sum())


def scan(*, flipped: bool = False) -> tuple[Volume, Volume]:
    """A CT of 12 slices with an organ in slices 2 to 9, on the patient's right; twice as many rows as columns."""
    voxels = np.full((12, 40, 20), -1000, np.int16)
    voxels[:, 8:32, 4:16] = 40
    organ = np.zeros(voxels.shape, np.uint8)
    organ[2:10, 12:28, 5:9] = 1
    affine = np.diag([2.0, 1.0, 5.0, 1.0])
    if flipped:  # the same patient, stored from left to right and from head to feet
        voxels, organ = voxels[::-1, :, ::-1], organ[::-1, :, ::-1]
        affine[0, 0], affine[0, 3], affine[2, 2], affine[2, 3] = -2, 2 * 19, -5, 5 * 11
    return Volume(voxels, affine), Volume(organ, affine)


def test_a_figure_has_two_pixels_for_each_one_it_is_shown_at():
    picture = curves.learning_curve([CurvePoint(10, 100, DICE)])
    assert pixels(picture).shape[1] == 2 * picture.width
    assert picture.source.startswith("data:image/png;base64,iVBOR")


def test_the_learning_curve_shows_test_values_only_where_there_are_any():
    points = [CurvePoint(10, 100, DICE), CurvePoint(20, 100, {"a": 0.93, "b": 0.7})]
    tested = [points[0], CurvePoint(20, 100, {"a": 0.93, "b": 0.7}, {"test, CT alone, mean": {"c": 0.8}})]
    without, with_ = curves.learning_curve(points), curves.learning_curve(tested)
    assert amount(without, plotting.GREEN) > 100
    assert amount(without, plotting.ORANGE) == 0
    assert amount(with_, plotting.ORANGE) > 50


def test_drawing_leaves_a_persons_own_style_and_is_not_changed_by_it():
    first = curves.learning_curve([CurvePoint(10, 100, DICE)])
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert curves.learning_curve([CurvePoint(10, 100, DICE)]).png == first.png
        assert matplotlib.rcParams["font.size"] == 30


def test_losses_are_drawn_as_far_as_they_are_known():
    history = [{"step": step, "seg": 1 / step, "disc": 0.5} for step in (1, 2, 3)]
    picture = curves.loss_history(history)
    assert amount(picture, plotting.GREEN) > 50
    assert amount(picture, plotting.ORANGE) == 0


@pytest.mark.parametrize("key", curves.OF_METHODS)
def test_terms_of_a_method_have_a_chart_of_their_own(key):
    history = [{"step": step, "disc": 0.5} for step in (1, 2, 3)]
    without, with_ = curves.loss_history(history), curves.loss_history([{**each, key: 0.5} for each in history])
    colour = curves.OF_METHODS[key][1]
    assert amount(without, colour) == 0
    assert amount(with_, colour) > 50


def test_chosen_slices_are_marked_by_role_and_any_name_can_be_drawn():
    slices = [ScoredSlice(0.1, 0.2, "decoder"), ScoredSlice(0.5, 0.1, "encoder"), ScoredSlice(0.9, 0.3)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = figures.scores_along_body({"a$_b$ \U00013000 " + 60 * "x": slices, "b": slices[2:]}, what="entropy")
    assert amount(picture, plotting.ROLE_COLOURS["decoder"]) > 50
    assert amount(picture, plotting.ROLE_COLOURS["encoder"]) > 50
    assert amount(picture, plotting.ROLE_COLOURS["all"]) == 0


def test_many_cases_do_not_make_the_figure_of_scores_endless():
    cases = {str(number): [ScoredSlice(0.5, 0.1)] for number in range(60)}
    assert pixels(figures.scores_along_body(cases, what="score")).shape[0] < 2400


def test_the_codebook_figure_takes_a_modality_that_uses_nothing():
    book = {"entries": 8, "primary": 3, "auxiliary": 0, "shared": 0}
    counts = {"primary": [5, 0, 1, 1, 0, 0, 0, 0], "auxiliary": [0] * 8}
    names = {"primary": "CT", "auxiliary": "MR"}
    picture = figures.codebook_use({0: book, 1: book}, counts, names)
    assert amount(picture, plotting.MODALITY_COLOURS["primary"]) > 1000
    assert amount(picture, plotting.PURPLE) < 2000  # its place in the legend


@pytest.mark.parametrize("flipped", [False, True])
def test_slices_are_shown_head_first_with_the_patients_right_on_the_left(flipped):
    volume, organ = scan(flipped=flipped)
    slices, pixel = montage.shown_slices(volume, organ, organ, SliceSettings())
    assert [each.index for each in slices] == ([3, 5, 6, 8] if flipped else [8, 6, 5, 3])
    assert pixel == (1.0, 2.0)
    for each in slices:
        assert each.image.min() == 0
        assert 0 < each.image.max() < 1
        assert np.flatnonzero(each.reference.any(axis=0)).mean() < 10


def test_pixels_keep_their_proportions():
    volume, organ = scan()
    slices, pixel = montage.shown_slices(volume, organ, None, SliceSettings())
    image = pixels(montage.case_montage(slices, pixel, name="a", alt=""))
    first = image[:, : image.shape[1] // 4]
    body = np.abs(first - first[first.shape[0] // 2, first.shape[1] // 2]).max(axis=-1) < 0.02
    rows, columns = (np.ptp(np.flatnonzero(body.any(axis=axis))) for axis in (1, 0))
    assert rows / columns == pytest.approx(24 / 24, rel=0.05)


def test_both_outlines_are_drawn_also_where_the_image_cuts_the_organ():
    volume, organ = scan()
    cut = volume.with_voxels(volume.voxels.copy())
    full = organ.with_voxels(np.ones_like(organ.voxels))
    slices, pixel = montage.shown_slices(cut, full, organ, SliceSettings())
    picture = montage.case_montage(slices, pixel, name="a", alt="")
    assert amount(picture, plotting.SKY) > 500
    assert amount(picture, plotting.ORANGE) > 500


def test_empty_masks_are_shown_without_an_outline():
    volume, organ = scan()
    empty = organ.with_voxels(np.zeros_like(organ.voxels))
    slices, pixel = montage.shown_slices(volume, empty, empty, SliceSettings())
    picture = montage.case_montage(slices, pixel, name="a", alt="")
    assert [each.index for each in slices] == [10, 7, 4, 1]
    assert amount(picture, plotting.SKY) == amount(picture, plotting.ORANGE) == 0


def test_a_thin_organ_has_fewer_slices():
    volume, organ = scan()
    thin = organ.with_voxels(organ.voxels * (np.arange(12) == 4)[:, None, None].astype(np.uint8))
    slices, _ = montage.shown_slices(volume, thin, thin, SliceSettings())
    assert [each.index for each in slices] == [4]


def test_a_montage_of_nothing_is_refused():
    with pytest.raises(InputError, match="no slice"):
        montage.case_montage([], (1.0, 1.0), name="a", alt="")


def test_a_pair_stands_side_by_side_and_a_lone_slice_alone():
    dark, bright = np.zeros((8, 8), np.float32), np.ones((8, 8), np.float32)
    pair = pixels(montage.pair_picture(dark, bright, name="a", alt=""))
    assert pair.shape[:2] == (8, 16 + montage.GAP)
    assert pair[:, :8].max() == 0
    assert pair[:, -8:].min() == 1
    assert pixels(montage.pair_picture(dark, None, name="a", alt="")).shape[:2] == (8, 8)


def evaluation(**dice: float) -> dict:
    cases = {
        name: {"dice": value, "hd95_mm": 5.0, "assd_mm": 1.0, "volume_difference_ml": -1234.5, "failed": value == 0}
        for name, value in dice.items()
    }
    summary = {key: {"mean": 0.5, "sd": 0.1, "median": 0.6} for key in tables.METRICS}
    return {"cases": cases, "summary": {"n": len(cases), "failures": 0, **summary}}


def test_evaluations_stand_side_by_side():
    table = tables.score_table({"CT alone": evaluation(a=0.9, b=0.0), "CT with MR": evaluation(a=0.8)})
    rows = {row[0]: row[1:] for row in table.rows}
    assert all(len(row) == len(table.columns) for row in (*table.rows, *table.foot))
    assert sum(span for _, span in table.groups) == len(table.columns)
    assert rows["a"] == ["0.900", "5.0", "1.0", "−1\u202f234", "0.800", "5.0", "1.0", "−1\u202f234", ""]
    assert rows["b"][4:8] == ["–"] * 4
    assert rows["b"][-1] == "CT alone: failed: nothing found; CT with MR: not evaluated"
    assert table.foot[1][:2] == ["SD", "0.100"]
    assert table.foot[1][5:9] == ["–"] * 4


def test_a_missed_organ_is_told_from_an_empty_segmentation():
    assert tables.remark({"dice": 0.0, "failed": False}) == "misses the organ"
    assert tables.remark({"dice": 0.0, "failed": True, "volume_difference_ml": -9.0}) == "failed: nothing found"
    assert tables.remark({"dice": 0.0, "failed": True, "volume_difference_ml": 9.0}) == "failed: reference is empty"
    assert tables.remark({"dice": 0.01, "failed": False}) == ""


def test_volumes_carry_their_sign_but_no_deviation_does():
    found = evaluation(a=0.9, b=0.8)
    found["cases"]["a"]["volume_difference_ml"] = 12.0
    found["cases"]["b"]["volume_difference_ml"] = 0.2
    found["summary"]["volume_difference_ml"] = {"mean": 6.0, "sd": 8.0, "median": -6.0}
    table = tables.score_table({"CT alone": found})
    assert [row[4] for row in table.rows] == ["+12", "0"]
    assert [row[4] for row in table.foot] == ["+6", "8", "−6"]


def test_every_setting_is_listed_with_its_value():
    config = preset("tiny", {"ct_window": "-100,200", "warm_start": "true"})
    values = {row[1]: row[2] for row in tables.settings(config).rows}
    assert values["ct_window"] == "-100.0, 200.0"
    assert values["warm_start"] == "yes"
    assert values["codes"] == "64"
    assert len(values) > 40


def test_a_round_without_figures_leaves_dashes():
    table = tables.diagnosis([Round(0, "random", trained=True)], "CT", "MR")
    assert table.rows == [["0", "random", *["–"] * 12]]
    assert len(table.columns) == len(table.rows[0]) == sum(span for _, span in table.groups)


def test_requests_without_partner_or_score_leave_dashes():
    table = tables.requests(Round(0, "random", (Request(0, "a", 3), Request(1, "b", 0, "c", 0, 2e-7, "decoder"))))
    assert table.rows[0] == ["1", "a", "3", "–", "–", "–", "trains the whole network", "open"]
    assert table.rows[1] == ["2", "b", "0", "c", "0", "2.0e−7", "trains the decoder", "open"]


def test_names_are_shortened_in_the_middle():
    assert plotting.shortened("short") == "short"
    assert len(plotting.shortened(100 * "x", 20)) <= 20

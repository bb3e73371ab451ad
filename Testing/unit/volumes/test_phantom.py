"""The phantom: reproducible, shaped like an abdomen, and not to be solved by a window on the grey values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from VQBEGALLib.errors import CancelledError, InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.volumes.phantom import PhantomSubject, make_subject, split_subjects, write_cohort
from VQBEGALLib.volumes.phantom_anatomy import Pose, draw_anatomy
from VQBEGALLib.volumes.phantom_contrast import ct_values
from VQBEGALLib.volumes.phantom_organs import paint_organs
from VQBEGALLib.volumes.phantom_shapes import Canvas, SmoothField
from VQBEGALLib.volumes.phantom_trunk import paint_trunk
from VQBEGALLib.volumes.reading import read_volume
from VQBEGALLib.volumes.volume import Volume

SMALL = {"ct_size": 72, "ct_slices": 30, "mr_size": 64, "mr_slices": 20}


@pytest.fixture(scope="module")
def subjects() -> list[PhantomSubject]:
    return [make_subject(seed, **SMALL) for seed in range(6)]


def images(subject: PhantomSubject) -> list[tuple[Volume, Volume]]:
    return [(subject.ct, subject.ct_labels), (subject.mr, subject.mr_labels)]


def best_window(pairs: list[tuple[Volume, Volume]]) -> tuple[float, float, float]:
    """Search all pairs of the liver's intensity quantiles for the window with the best mean Dice."""
    livers = np.concatenate([image.voxels[label.voxels > 0] for image, label in pairs])
    edges = np.unique(np.quantile(livers, np.linspace(0, 1, 61)))
    table = []
    for image, label in pairs:
        bins = np.searchsorted(edges, image.voxels.ravel())
        inside = label.voxels.ravel() > 0
        below = np.cumsum(np.bincount(bins, minlength=len(edges) + 1))[:-1]
        hits_below = np.cumsum(np.bincount(bins[inside], minlength=len(edges) + 1))[:-1]
        size = below[None, :] - below[:, None]
        hits = hits_below[None, :] - hits_below[:, None]
        table.append(np.where(size > 0, 2 * hits / (np.maximum(size, 0) + inside.sum()), 0))
    mean = np.mean(table, axis=0)
    low, high = np.unravel_index(mean.argmax(), mean.shape)
    return float(mean.max()), float(edges[low]), float(edges[high])


def largest_part(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax()


def test_window_search_finds_a_liver_that_alone_has_its_intensity() -> None:
    label = np.zeros((4, 20, 20), dtype=np.uint8)
    label[1:3, 5:12, 5:12] = 1
    image = np.random.default_rng(0).integers(0, 50, label.shape) + 100 * label
    dice, low, high = best_window([(Volume(image, np.eye(4)), Volume(label, np.eye(4)))])
    assert dice > 0.95
    assert low < 115 < 135 < high


@pytest.mark.parametrize("modality", [0, 1], ids=["ct", "mr"])
def test_no_intensity_window_finds_the_liver(subjects: list[PhantomSubject], modality: int) -> None:
    pairs = [images(subject)[modality] for subject in subjects]
    shared, low, high = best_window(pairs)
    assert 0.2 < shared < 0.6
    overlaps = []
    for image, label in pairs:
        found, liver = largest_part((image.voxels > low) & (image.voxels <= high)), label.voxels > 0
        overlaps.append(2 * (found & liver).sum() / (found.sum() + liver.sum()))
    assert np.mean(overlaps) < 0.7


@pytest.mark.parametrize("modality", [0, 1], ids=["ct", "mr"])
def test_not_even_a_window_chosen_for_each_subject_finds_it(subjects: list[PhantomSubject], modality: int) -> None:
    assert np.mean([best_window([images(subject)[modality]])[0] for subject in subjects]) < 0.65


def test_same_seed_gives_the_same_voxels_and_another_seed_others(subjects: list[PhantomSubject]) -> None:
    again = make_subject(np.random.default_rng(1), **SMALL)
    for (image, label), (other_image, other_label) in zip(images(subjects[1]), images(again), strict=True):
        assert np.array_equal(image.voxels, other_image.voxels)
        assert np.array_equal(label.voxels, other_label.voxels)
        assert np.array_equal(image.affine, other_image.affine)
    assert not np.array_equal(subjects[0].ct.voxels, subjects[1].ct.voxels)
    volumes = [s.ct_labels.voxels.sum() * abs(np.linalg.det(s.ct.affine[:3, :3])) / 1000 for s in subjects]
    assert min(volumes) > 600 and max(volumes) < 2200
    assert max(volumes) - min(volumes) > 100


def test_ct_and_mr_have_their_own_grids_and_labels_lie_on_them(subjects: list[PhantomSubject]) -> None:
    for subject in subjects:
        assert subject.ct.same_grid(subject.ct_labels)
        assert subject.mr.same_grid(subject.mr_labels)
        assert subject.mr.spacing[0] > subject.ct.spacing[0] + 1
        assert not np.allclose(subject.ct.affine[:3, 3], subject.mr.affine[:3, 3], atol=5)
        assert subject.ct_labels.voxels.dtype == np.uint8
        assert set(np.unique(subject.ct_labels.voxels)) == {0, 1}


def test_default_grids_are_those_of_clinical_scans() -> None:
    subject = make_subject(3)
    assert subject.ct.shape == (38, 144, 144)
    assert subject.mr.shape == (24, 128, 128)
    assert 5 <= subject.ct.spacing[0] <= 7.5
    assert 2.2 <= subject.ct.spacing[1] <= 3.2
    assert 7.5 <= subject.mr.spacing[0] <= 11


def test_breathing_moves_and_deforms_the_liver_but_not_the_skeleton() -> None:
    anatomy = draw_anatomy(np.random.default_rng(5))
    x = y = np.arange(-180, 180, 5, dtype=np.float32)
    z = np.arange(-200, 60, 4, dtype=np.float32)
    texture = np.zeros((len(z), len(y), len(x)), dtype=np.float32)
    skeletons, livers = [], []
    for breath, motion in ((0.0, 0.0), (16.0, 2.5)):
        canvas = Canvas((x, y, z), ct_values(np.random.default_rng(0)), {}, texture)
        pose = Pose(anatomy, canvas, breath, SmoothField(np.random.default_rng(1), 75, motion))
        paint_trunk(pose, canvas)
        skeletons.append(canvas.image[:, y > 60])
        paint_organs(pose, canvas)
        livers.append(canvas.shares["liver"])
        assert canvas.image.dtype == livers[-1].dtype == np.float32
    bones = [skeleton > 180 for skeleton in skeletons]
    assert bones[0].sum() > 500
    assert (bones[0] & bones[1]).sum() > 0.98 * (bones[0] | bones[1]).sum()
    heights = [float((liver.sum(axis=(1, 2)) * z).sum() / liver.sum()) for liver in livers]
    assert 8 < heights[0] - heights[1] < 20
    shifted = np.roll(livers[0], -4, axis=0) > 0.5
    assert 2 * (shifted & (livers[1] > 0.5)).sum() / (shifted.sum() + (livers[1] > 0.5).sum()) < 0.97


def test_liver_fills_a_realistic_share_of_slices_and_is_absent_at_both_ends(subjects: list[PhantomSubject]) -> None:
    shares = []
    for subject in subjects:
        for _, label in images(subject):
            present = label.voxels.any(axis=(1, 2))
            shares.append(present.mean())
            assert not present[0]
            assert not present[-1]
            assert largest_part(label.voxels > 0).sum() > 0.98 * label.voxels.sum()
    assert 0.5 <= np.mean(shares) <= 0.68
    assert min(shares) > 0.42
    assert max(shares) < 0.8


def test_liver_lies_on_the_right_and_ct_shows_air_fat_soft_tissue_and_bone(subjects: list[PhantomSubject]) -> None:
    for subject in subjects:
        for image, label in images(subject):
            _, _, columns = np.nonzero(label.voxels)
            # LPS: x grows to the patient's left, columns grow with x.
            assert image.affine[0, 0] > 0
            assert columns.mean() < label.shape[2] / 2 - 3
        corner = subject.ct.voxels[:, :4, :4]
        assert np.median(corner) == pytest.approx(-1000, abs=25)
        shares = [np.mean((subject.ct.voxels > a) & (subject.ct.voxels < b)) for a, b in ((-140, -60), (20, 130))]
        assert min(shares) > 0.04
        assert (subject.ct.voxels > 200).mean() > 0.004


def test_cohort_has_paired_files_and_a_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def small(generator: np.random.Generator, **options: Any) -> PhantomSubject:
        return make_subject(generator, **SMALL, **options)

    monkeypatch.setattr("VQBEGALLib.volumes.phantom.make_subject", small)
    events: list[dict[str, object]] = []
    write_cohort(tmp_path / "cohort", subjects=3, seed=7, reporter=Reporter(events.append))
    names = [f"phantom_{number:02d}" for number in range(3)]
    for part in ("ct", "mr", "ct_liver", "mr_liver"):
        assert sorted(path.name for path in (tmp_path / "cohort" / part).iterdir()) == [f"{n}.nii.gz" for n in names]
    split = json.loads((tmp_path / "cohort" / "split.json").read_text())
    assert split == {"train": names[:1], "validation": names[1:2], "test": names[2:]}
    expected = make_subject(np.random.default_rng([7, 1]), **SMALL)
    image = read_volume(tmp_path / "cohort" / "ct" / "phantom_01.nii.gz")
    label = read_volume(tmp_path / "cohort" / "ct_liver" / "phantom_01.nii.gz")
    assert np.array_equal(image.voxels, expected.ct.voxels)
    assert image.same_grid(expected.ct)
    assert np.array_equal(label.voxels, expected.ct_labels.voxels)
    assert events[-1]["done"] == 3
    write_cohort(tmp_path / "more", subjects=1, seed=7, reporter=Reporter(), organs=("spleen", "left kidney"))
    organs = read_volume(tmp_path / "more" / "ct_organs" / "phantom_00.nii.gz").voxels
    assert set(np.unique(organs)) == {0, 1, 2} and (tmp_path / "more" / "mr_organs" / "phantom_00.nii.gz").is_file()
    livers = [read_volume(tmp_path / name / "ct_liver" / "phantom_00.nii.gz") for name in ("cohort", "more")]
    assert np.array_equal(livers[0].voxels, livers[1].voxels) and not (organs * livers[0].voxels).any()


def test_organs_are_labelled_where_they_are_and_change_no_image() -> None:
    names = ("liver", "spleen", "right kidney", "left kidney", "stomach", "gallbladder", "pancreas")
    several, alone = (make_subject(3, **{**SMALL, "organs": organs}) for organs in (names, ("liver",)))
    for kind in ("ct", "mr"):
        labels = getattr(several, f"{kind}_labels")
        assert np.array_equal(getattr(several, kind).voxels, getattr(alone, kind).voxels)
        assert np.array_equal(labels.voxels == 1, getattr(alone, f"{kind}_labels").voxels == 1)
        k, j, i = np.indices(labels.shape)
        places = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ labels.affine.T
        x = {name: places[labels.voxels == value, 0].mean() for value, name in enumerate(names, start=1)}
        assert max(x["liver"], x["right kidney"]) < min(x["spleen"], x["left kidney"])  # LPS: left is larger
        assert x["right kidney"] < x["pancreas"] < x["left kidney"] and x["gallbladder"] < x["stomach"]


@pytest.mark.parametrize("organs", [("liver", "tail"), ("liver", "liver")])
def test_organs_that_are_not_painted_are_refused(organs: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"phantom.*Name some of liver, spleen"):
        make_subject(0, **{**SMALL, "organs": organs})


def test_cohort_stops_between_subjects_when_asked_to(tmp_path: Path) -> None:
    cancel = tmp_path / "cancel"
    cancel.touch()
    with pytest.raises(CancelledError):
        write_cohort(tmp_path / "cohort", subjects=2, seed=0, reporter=Reporter(cancel_file=cancel))


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (8, (5, 1, 2)), (16, (10, 2, 4))]
)
def test_split_is_five_one_two_of_eight(count: int, sizes: tuple[int, int, int]) -> None:
    names = [str(number) for number in range(count)]
    split = split_subjects(names)
    assert (len(split["train"]), len(split["validation"]), len(split["test"])) == sizes
    assert split["train"] + split["validation"] + split["test"] == names


def test_too_small_phantoms_and_empty_cohorts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too small"):
        make_subject(0, ct_slices=2)
    with pytest.raises(InputError, match="empty"):
        write_cohort(tmp_path, subjects=0, seed=0, reporter=Reporter())

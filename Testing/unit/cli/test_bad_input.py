"""What must survive: input that cannot be used ends in one sentence and an exit code, and the study stays as it was."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from safetensors.torch import save_file

from VQBEGALLib.study import Study
from VQBEGALLib.volumes import Volume, read_volume, write_volume

CPU = ("--device", "cpu")
SENTENCES = re.compile(r"vqbegal: \S.*\. \S.*\n")
TINY = {"size": 16, "base_channels": 2, "stages": 2, "codes": 4, "code_dim": 4, "steps": 2, "seed_budget": 2}
SET = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]


def told_once(told, code: int, text: str) -> None:
    """One line: problem and remedy; the exit code; no traceback."""
    assert told.code == code, told
    assert SENTENCES.fullmatch(told.err), told.err
    assert re.search(text, told.err), told.err
    assert not told.out


def nifti(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """Write an array (I, J, K) as a tool without our checks would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.diag((2.0, 2.0, 5.0, 1.0)) if affine is None else affine), path)
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 100, shape).astype(np.float32)


# Volumes -------------------------------------------------------------------------------------------------------


def with_nan(path: Path) -> Path:
    voxels = noise(20, 20, 5)
    voxels[3, 3, 3] = np.nan
    return nifti(path, voxels)


def with_infinity(path: Path) -> Path:
    voxels = noise(20, 20, 5)
    voxels[3, 3, 3] = -np.inf
    return nifti(path, voxels)


def with_time(path: Path) -> Path:
    return nifti(path, noise(20, 20, 5, 3))


def cut_short(path: Path) -> Path:
    data = nifti(path, noise(20, 20, 5)).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def no_gzip(path: Path) -> Path:
    nifti(path, noise(20, 20, 5))
    path.write_bytes(b"this is a letter, not a volume" * 20)
    return path


def empty(path: Path) -> Path:
    nifti(path, noise(20, 20, 5)).write_bytes(b"")
    return path


def short_inside(path: Path) -> Path:
    path.write_bytes(gzip.compress(gzip.decompress(nifti(path, noise(20, 20, 5)).read_bytes())[:1000]))
    return path


BAD_VOLUMES = pytest.mark.parametrize(
    ("make", "text"),
    [
        (with_nan, "NaN"),
        (with_infinity, "NaN or infinite"),
        (with_time, "axes"),
        (cut_short, "damaged|incomplete"),
        (short_inside, "damaged|incomplete"),
        (no_gzip, "damaged|NIfTI|format"),
        (empty, "empty"),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)


@BAD_VOLUMES
def test_a_volume_that_cannot_be_used_makes_no_study(call, tmp_path, make, text):
    (tmp_path / "ct").mkdir()
    make(tmp_path / "ct" / "a.nii.gz")
    told = call("study", "create", tmp_path / "study", "--primary", tmp_path / "ct")
    told_once(told, 3, text)
    assert str(tmp_path / "ct" / "a.nii.gz") in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["ct"]


@BAD_VOLUMES
def test_a_volume_that_cannot_be_used_is_not_segmented(call, trained, tmp_path, digest, make, text):
    before = digest(trained)
    bad, output = make(tmp_path / "a.nii.gz"), tmp_path / "p.nii.gz"
    told_once(call("predict", trained, "--primary", bad, "-o", output, *CPU), 3, text)
    good = Study.open(trained).image_path("s3")
    told_once(call("predict", trained, "--primary", good, "--auxiliary", bad, "-o", output, *CPU), 3, text)
    assert not output.exists() and digest(trained) == before


@BAD_VOLUMES
def test_a_volume_that_cannot_be_used_is_not_added(call, new, tmp_path, digest, make, text):
    (tmp_path / "ct").mkdir()
    nifti(tmp_path / "ct" / "a.nii.gz", noise(20, 20, 5))
    make(tmp_path / "ct" / "b.nii.gz")
    before = digest(new)
    told_once(call("study", "add", new, "--primary", tmp_path / "ct"), 3, text)
    assert digest(new) == before


def whole_path(call, folder: Path, volume: Path, name: str = "study") -> None:
    """Create a study of one volume, annotate, train and predict."""
    study = folder / name
    (folder / f"{name} ct").mkdir()
    copied = Path(shutil.copy(volume, folder / f"{name} ct" / "a.nii.gz"))
    assert call("study", "create", study, "--primary", copied.parent, *SET).code == 0
    assert call("next", study, *CPU).code == 0
    grid = read_volume(copied)
    mask = np.zeros(grid.shape, np.uint8)
    mask[:, 5:12, 5:12] = 1
    write_volume(folder / f"{name} mask.nii.gz", grid.with_voxels(mask))
    told = call("label", study, "a", folder / f"{name} mask.nii.gz", "--slices", "0")
    assert told.code == 0, told.err
    assert call("train", study, *CPU).code == 0
    told = call("predict", study, "--primary", copied, "-o", folder / f"{name} p.nii.gz", *CPU)
    assert told.code == 0, told.err
    assert read_volume(folder / f"{name} p.nii.gz").same_grid(grid)


def test_a_volume_of_one_slice_works(call, tmp_path):
    whole_path(call, tmp_path, nifti(tmp_path / "in.nii.gz", noise(20, 20, 1)))


def test_a_constant_volume_is_named(call, tmp_path):
    nifti(tmp_path / "ct" / "flat.nii.gz", np.full((20, 20, 4), 40, np.int16))
    nifti(tmp_path / "ct" / "good.nii.gz", noise(20, 20, 4))
    told = call("study", "create", tmp_path / "study", "--primary", tmp_path / "ct", *SET)
    told_once(told, 3, "flat.*same value everywhere")
    assert not (tmp_path / "study").exists()


def test_a_constant_volume_is_not_segmented(call, trained, tmp_path):
    flat, output = nifti(tmp_path / "flat.nii.gz", np.full((20, 20, 4), 40, np.int16)), tmp_path / "p.nii.gz"
    source = Study.open(trained).image_path("s3")
    told_once(call("predict", trained, "--primary", flat, "-o", output, *CPU), 3, "CT volume shows the same")
    told_once(
        call("predict", trained, "--primary", source, "--auxiliary", flat, "-o", output, *CPU), 3, "MR volume shows"
    )
    assert not output.exists()


def test_names_that_are_not_ascii_and_long_paths_work(call, tmp_path):
    deep = tmp_path / "Łódź 肝臓 übung" / ("x" * 120) / ("y" * 120)
    deep.mkdir(parents=True)
    whole_path(call, deep, nifti(tmp_path / "in.nii.gz", noise(20, 20, 3)), "Studie Ä")


def test_a_patient_may_have_a_name_that_is_not_ascii(call, tmp_path, cohort):
    (tmp_path / "ct").mkdir()
    shutil.copy(cohort / "ct" / "s0.nii.gz", tmp_path / "ct" / "肝臓 01.nii.gz")
    study = tmp_path / "study"
    assert call("study", "create", study, "--primary", tmp_path / "ct").code == 0
    labels = cohort / "ct_liver" / "s0.nii.gz"
    assert call("next", study, *CPU).code == 0 and call("label", study, "肝臓 01", labels, "--slices", "3").code == 0
    assert call("check", study).code == 0


def test_a_volume_that_may_not_be_read(call, cohort, tmp_path, monkeypatch):
    (tmp_path / "ct").mkdir()
    locked = Path(shutil.copy(cohort / "ct" / "s0.nii.gz", tmp_path / "ct"))
    plainly = Path.open

    def refuse(self: Path, *words: object, **names: object):
        if self == locked:
            raise PermissionError(13, "Permission denied", str(self))
        return plainly(self, *words, **names)

    monkeypatch.setattr(Path, "open", refuse)
    told_once(call("study", "create", tmp_path / "study", "--primary", tmp_path / "ct"), 3, "s0.nii.gz cannot be read")
    assert not (tmp_path / "study").exists()


# DICOM ---------------------------------------------------------------------------------------------------------


def series(folder: Path, count: int = 4, uid: str = "1.2.3", step: float = 5.0) -> list[Path]:
    """Write a CT series of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(count):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        meta.MediaStorageSOPInstanceUID = f"{uid}.{number + 1}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{uid}-{number}.dcm"
        item = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
        item.SOPClassUID, item.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        item.Modality, item.SeriesInstanceUID, item.StudyInstanceUID = "CT", uid, "1.2"
        item.ImagePositionPatient, item.ImageOrientationPatient = [0, 0, number * step], [1, 0, 0, 0, 1, 0]
        item.PixelSpacing, item.SliceThickness = [2.0, 2.0], step
        item.Rows, item.Columns, item.SamplesPerPixel = 16, 16, 1
        item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 16, 15, 1
        item.PhotometricInterpretation, item.RescaleSlope, item.RescaleIntercept = "MONOCHROME2", 1, 0
        item.PixelData = noise(16, 16).astype(np.int16).tobytes()
        item.save_as(path, enforce_file_format=True)
        files.append(path)
    return files


def test_a_dicom_series_works(call, tmp_path):
    series(tmp_path / "ct" / "a")
    assert call("study", "create", tmp_path / "study", "--primary", tmp_path / "ct").code == 0
    assert Study.open(tmp_path / "study").volume("a").shape == (4, 16, 16)


def missing(folder: Path) -> None:
    series(folder, 6)[2].unlink()


def twice(folder: Path) -> None:
    first = series(folder)[0]
    item = pydicom.dcmread(first)
    item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    item.save_as(folder / "again.dcm")


def two_series(folder: Path) -> None:
    series(folder)
    series(folder, uid="1.2.4")


def no_images(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("nothing", encoding="utf-8")


@pytest.mark.parametrize(
    ("make", "text"),
    [(missing, "not evenly spaced"), (twice, "twice|double|same"), (two_series, "2 series"), (no_images, "no DICOM")],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_a_series_that_cannot_be_used(call, trained, tmp_path, digest, make, text):
    make(tmp_path / "ct" / "a")
    told_once(call("study", "create", tmp_path / "study", "--primary", tmp_path / "ct"), 3, text)
    assert not (tmp_path / "study").exists()
    before = digest(trained)
    words = ("--primary", tmp_path / "ct" / "a", "-o", tmp_path / "p.nii.gz")
    told_once(call("predict", trained, *words, *CPU), 3, text)
    assert digest(trained) == before


def test_dicom_without_sop_class_makes_a_study_and_is_segmented(call, shared_data, trained, tmp_path):
    folder = shared_data / "ct_dicom"
    if not folder.is_dir():
        pytest.skip("the series without SOPClassUID is not here")
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "a").symlink_to(folder, target_is_directory=True)
    assert call("study", "create", tmp_path / "study", "--primary", tmp_path / "ct").code == 0
    assert Study.open(tmp_path / "study").grid("a").shape == (20, 512, 512)
    told = call("predict", trained, "--primary", folder, "-o", tmp_path / "p.nii.gz", *CPU)
    assert told.code == 0, told.err
    assert read_volume(tmp_path / "p.nii.gz").same_grid(Study.open(tmp_path / "study").volume("a"))


# Labelmaps -----------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(call, new) -> Path:
    """A study whose round 0 waits for labels."""
    assert call("next", new, *CPU).code == 0
    return new


def relabelled(cohort: Path, path: Path, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """Write the reference of s0 with other values on the same grid."""
    labels = read_volume(cohort / "ct_liver" / "s0.nii.gz")
    write_volume(path, Volume(change(labels.voxels), labels.affine))
    return path


def test_labels_on_another_grid(call, asked, cohort, digest, tmp_path):
    before = digest(asked)
    told_once(
        call("label", asked, "s0", cohort / "mr_liver" / "s0.nii.gz", "--slices", 3), 3, "not on the image's grid"
    )
    shifted = read_volume(cohort / "ct_liver" / "s0.nii.gz")
    affine = shifted.affine.copy()
    affine[0, 3] += 5
    write_volume(tmp_path / "shifted.nii.gz", Volume(shifted.voxels, affine))
    told_once(call("label", asked, "s0", tmp_path / "shifted.nii.gz", "--slices", 3), 3, "5 mm")
    assert digest(asked) == before


def test_labels_with_several_values_need_the_value(call, asked, cohort, digest, tmp_path):
    def two_organs(voxels: np.ndarray) -> np.ndarray:
        organs = (voxels * 6).astype(np.uint8)
        organs[:, :4, :4] = 1
        return organs

    several = relabelled(cohort, tmp_path / "organs.nii.gz", two_organs)
    before = digest(asked)
    told_once(call("label", asked, "s0", several, "--slices", "0-13"), 3, "values 0, 1, 6.*--value N")
    assert digest(asked) == before
    assert call("label", asked, "s0", several, "--slices", "0-13", "--value", 6).code == 0
    labels, reference = Study.open(asked).labels("s0"), read_volume(cohort / "ct_liver" / "s0.nii.gz")
    assert labels is not None and np.array_equal(labels.labelmap.voxels, reference.voxels)


def test_labels_of_another_single_value_are_the_organ(call, asked, cohort, tmp_path):
    single = relabelled(cohort, tmp_path / "255.nii.gz", lambda voxels: (voxels * 255).astype(np.uint8))
    assert call("label", asked, "s0", single, "--slices", "0-13").code == 0
    labels = Study.open(asked).labels("s0")
    assert labels is not None and set(np.unique(labels.labelmap.voxels)) == {0, 1}


def test_a_probability_map_is_no_labelmap(call, asked, cohort, digest, tmp_path):
    soft = relabelled(cohort, tmp_path / "soft.nii.gz", lambda voxels: voxels.astype(np.float32) * 0.7)
    before = digest(asked)
    told_once(call("label", asked, "s0", soft, "--slices", 3), 3, "not a labelmap")
    assert digest(asked) == before


def test_empty_labels_are_legal_and_said(call, asked, cohort, tmp_path):
    blank = relabelled(cohort, tmp_path / "blank.nii.gz", np.zeros_like)
    told = call("label", asked, "s0", blank, "--slices", "2,3")
    assert told.code == 0 and "no liver on slices 2, 3" in told.err
    assert Study.open(asked).ledger()["budget"]["used"] == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("s0", "{ct_liver}/s0.nii.gz", "--slices", "14"), "slices 0 to 13"),
        (("s0", "{ct_liver}/s0.nii.gz", "--slices", "0-99999999999"), "not a list"),
        (("s0", "{ct_liver}/s0.nii.gz", "--slices", "x"), "not a list"),
        (("s9", "{ct_liver}/s0.nii.gz", "--slices", "1"), "no subject 's9'"),
        (("s0", "{ct_liver}/none.nii.gz", "--slices", "1"), "does not exist"),
    ],
)
def test_labels_that_fit_nothing(call, asked, cohort, digest, words, text):
    before = digest(asked)
    told_once(call("label", asked, *(word.format(ct_liver=cohort / "ct_liver") for word in words)), 3, text)
    assert digest(asked) == before


def test_labels_that_cannot_begin_a_study(call, new, cohort, digest):
    before = digest(new)
    partner = cohort / "mr_liver" / "s0.nii.gz"
    told_once(call("label", new, "s0", partner, "--slices", 3, "--which", "auxiliary"), 4, "only labels of a primary")
    empty = cohort / "ct_liver" / "s1.nii.gz"
    told_once(call("label", new, "s1", empty, "--slices", 0), 3, "shows no liver")
    told_once(call("label", new, "s3", cohort / "ct_liver" / "s3.nii.gz"), 3, "does not serve training")
    assert digest(new) == before


def test_a_study_with_rounds_takes_no_whole_case_unasked(call, asked, cohort, digest):
    before = digest(asked)
    told_once(call("label", asked, "s0", cohort / "ct_liver" / "s0.nii.gz"), 3, "No slice is named")
    assert digest(asked) == before


# Cohorts -------------------------------------------------------------------------------------------------------


def test_an_empty_folder_is_no_cohort(call, tmp_path):
    (tmp_path / "ct").mkdir()
    told_once(call("study", "create", tmp_path / "study", "--primary", tmp_path / "ct"), 3, "holds no volume")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name,file\na,b.nii.gz\n", "lacks columns"),
        ("case,primary\na,ct/none.nii.gz\n", "does not exist"),
        ("case,primary,patient,split\na,ct/s0.nii.gz,P,train\nb,ct/s1.nii.gz,P,test\n", "'P' is in train and in test"),
        ("case,primary,split\na,ct/s0.nii.gz,training\n", "split of 'a' is 'training'"),
        ("case,primary,split\na,ct/s0.nii.gz,test\n", "No subject for training"),
        ("case,primary\na,ct/s0.nii.gz\na,ct/s1.nii.gz\n", "twice"),
        ("case,primary\n../a,ct/s0.nii.gz\n", "cannot be a subject's name"),
    ],
)
def test_a_table_that_cannot_be_used(call, cohort, tmp_path, text, problem):
    shutil.copytree(cohort / "ct", tmp_path / "ct")
    (tmp_path / "table.csv").write_text(text, encoding="utf-8")
    told_once(call("study", "create", tmp_path / "study", "--table", tmp_path / "table.csv"), 3, problem)
    assert not (tmp_path / "study").exists()


def test_a_table_and_folders_of_labels_contradict(call, cohort, tmp_path):
    (tmp_path / "table.csv").write_text(f"case,primary\na,{cohort}/ct/s0.nii.gz\n", encoding="utf-8")
    words = ("--table", tmp_path / "table.csv", "--primary-labels", cohort / "ct_liver")
    told_once(call("study", "create", tmp_path / "study", *words), 3, "--table names all files")
    assert call("study", "create", tmp_path / "study", *words[:2]).code == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"train": ["s0", "s1"], "test": ["s1", "s2", "s3"]}', "'s1' in train and in test"),
        ('{"train": ["s0"]}', "leaves out"),
        ('{"train": ["s0", "s1", "s2", "s3", "s4"]}', "without a file: s4"),
        ("[1, 2", "damaged"),
    ],
)
def test_a_split_that_cannot_be_used(call, cohort, tmp_path, text, problem):
    (tmp_path / "split.json").write_text(text, encoding="utf-8")
    words = ("--primary", cohort / "ct", "--split", tmp_path / "split.json")
    told_once(call("study", "create", tmp_path / "study", *words), 3, problem)
    assert not (tmp_path / "study").exists()


def test_labels_without_their_image(call, cohort, tmp_path):
    shutil.copytree(cohort / "ct_liver", tmp_path / "labels")
    shutil.copy(cohort / "ct_liver" / "s0.nii.gz", tmp_path / "labels" / "ghost.nii.gz")
    words = ("--primary", cohort / "ct", "--primary-labels", tmp_path / "labels")
    told_once(call("study", "create", tmp_path / "study", *words), 3, "ghost")


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("colour=red", "no setting 'colour'"),
        ("steps=many", "steps is 'many'"),
        ("steps=0", "steps is 0"),
        ("routing=loose", "routing is 'loose'"),
        ("ct_window=5", "ct_window"),
        ("ct_window=200,-100", "lower value first"),
        ("quantize=perhaps", "quantize"),
        ("learning_rate=nan", "learning_rate"),
        ("size=33", "multiple of 16"),
        ("steps", "key=value"),
        ("method=magic", "method is 'magic'"),
        ("seed=-1", "seed is -1"),
    ],
)
def test_a_setting_that_cannot_be_used(call, cohort, tmp_path, setting, problem):
    words = ("--primary", cohort / "ct", "--set", setting)
    told_once(call("study", "create", tmp_path / "study", *words), 3, problem)
    assert not (tmp_path / "study").exists()


def test_a_case_that_the_study_has_already(call, new, cohort, digest):
    before = digest(new)
    told_once(call("study", "add", new, "--primary", cohort / "ct"), 3, "s0")
    assert digest(new) == before


def test_a_folder_that_is_in_use_is_no_place_for_a_study(call, cohort, trained, digest):
    before = digest(trained)
    told_once(call("study", "create", trained, "--primary", cohort / "ct"), 4, "not empty")
    assert digest(trained) == before


def test_the_oracle_needs_references(call, cohort, tmp_path, digest):
    study = tmp_path / "study"
    assert call("study", "create", study, "--primary", cohort / "ct", *SET).code == 0
    before = digest(study)
    told_once(call("run", study, "--seed", 7, *CPU), 3, "no reference labels of s")
    assert digest(study) == before
    told_once(call("run", study, "--boundary-noise", "nan", *CPU), 3, "boundary noise")
    told_once(call("run", study, "--strategy", "luck", *CPU), 3, "no strategy 'luck'.*vq_begal")


def test_next_with_a_strategy_that_does_not_exist(call, new, digest):
    before = digest(new)
    told_once(call("next", new, "--strategy", "luck", *CPU), 3, "no strategy 'luck'")
    assert digest(new) == before


# Studies -------------------------------------------------------------------------------------------------------


def edit(path: Path, change: Callable[[dict], object]) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


NONSENSE: dict[str, tuple[Callable[[dict], object], str]] = {
    "newer": (lambda data: data.update(schema=99), "newer version"),
    "schema": (lambda data: data.update(schema="one"), "schema is 'one'"),
    "no subjects": (lambda data: data.pop("subjects"), "subjects is missing"),
    "subjects": (lambda data: data.update(subjects={"s0": 1}), "subjects is"),
    "setting": (lambda data: data["config"]["training"].update(steps="many"), "steps is 'many'"),
    "unknown setting": (lambda data: data["config"]["training"].update(colour=1), "unknown settings: colour"),
    "split": (lambda data: data["subjects"][0].update(split="holdout"), "split is 'holdout'"),
    "climbing": (lambda data: data["subjects"][0]["primary"].update(path="../../etc/passwd"), "does not lie inside"),
    "absolute": (lambda data: data["subjects"][0]["primary"].update(path="/etc/passwd"), "does not lie inside"),
    "shape": (lambda data: data["subjects"][0]["primary"].update(shape=[0, 1, 1]), "shape is"),
    "affine": (lambda data: data["subjects"][0]["primary"].update(affine=[[0] * 4] * 4), "affine is"),
    "two splits": (
        lambda data: data["subjects"][3].update(patient=data["subjects"][0]["patient"]),
        "is in train and in test",
    ),
}


@pytest.mark.parametrize("name", NONSENSE)
@pytest.mark.parametrize("command", ["status", "check", "next", "train", "run"])
def test_a_study_file_edited_into_nonsense(call, new, digest, name, command):
    change, text = NONSENSE[name]
    edit(new / "study.json", change)
    before = digest(new)
    told_once(call(command, new), 4, text)
    assert digest(new) == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100000])
def test_a_study_file_that_is_no_study_file(call, new, content):
    (new / "study.json").write_bytes(content)
    told_once(call("status", new), 4, "study.json")


ROUNDS: dict[str, tuple[Callable[[dict], object], str]] = {
    "case": (lambda data: data["requests"][0].update(case="ghost"), "'ghost'"),
    "slice": (lambda data: data["requests"][0].update(slice=99), "slice 99"),
    "role": (lambda data: data["requests"][0].update(role="boss"), "role is 'boss'"),
    "index": (lambda data: data.update(index=4), "round 4"),
    "metrics": (lambda data: data.update(metrics=[1]), "metrics"),
}


@pytest.mark.parametrize("name", ROUNDS)
def test_a_round_edited_into_nonsense(call, trained, digest, name):
    change, text = ROUNDS[name]
    edit(trained / "rounds" / "000" / "round.json", change)
    before = digest(trained)
    for command in ("status", "next", "evaluate"):
        told_once(call(command, trained), 4, text)
    told = call("check", trained)
    assert told.code == 4 and re.search(text, told.err) and "Traceback" not in told.err
    assert digest(trained) == before


def test_metrics_edited_into_nonsense_are_shown_as_none(call, trained):
    edit(trained / "rounds" / "000" / "round.json", lambda data: data.update(metrics={"validation": {"summary": 3}}))
    told = call("status", trained)
    assert told.code == 0 and "slices annotated, trained" in told.out


def test_a_link_that_leads_out_of_the_study(call, new, tmp_path):
    record = json.loads((new / "study.json").read_text(encoding="utf-8"))["subjects"][0]["primary"]
    shutil.move(new / record["path"], tmp_path / "outside.nii.gz")
    (new / record["path"]).symlink_to(tmp_path / "outside.nii.gz")
    told_once(call("status", new), 4, "does not lie inside")


def test_a_volume_of_the_study_that_has_changed(call, trained, cohort):
    image = Study.open(trained).image_path("s0")
    image.write_bytes(image.read_bytes()[:-100])
    told = call("check", trained)
    assert told.code == 4 and "s0" in told.err.splitlines()[-1] and "Traceback" not in told.err
    shutil.rmtree(trained / "cache")
    told_once(call("next", trained, *CPU), 4, "primary.nii.gz")


class Trap:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def pickled(path: Path, trap: Path) -> None:
    path.write_bytes(pickle.dumps(Trap(trap)))


def torch_file(path: Path, trap: Path) -> None:
    torch.save({"state": Trap(trap)}, path)


def of_another(path: Path, trap: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path)


def cut(path: Path, trap: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def emptied(path: Path, trap: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path, trap: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("spoil", [pickled, torch_file, of_another, cut, emptied, gone], ids=lambda item: item.__name__)
def test_a_network_that_is_not_ours(call, trained, cohort, tmp_path, digest, spoil):
    spoil(trained / "rounds" / "000" / "model.safetensors", tmp_path / "trap")
    before = digest(trained)
    text = "no trained network" if spoil is gone else "checkpoint"
    words = ("--primary", cohort / "ct" / "s3.nii.gz", "-o", tmp_path / "p.nii.gz", *CPU)
    told_once(call("predict", trained, *words), 4, text)
    for command in ("next", "evaluate"):
        told_once(call(command, trained, *CPU), 4, text)
    told = call("check", trained)
    assert told.code == 4 and "Round 0" in told.err
    assert digest(trained) == before
    assert not (tmp_path / "trap").exists(), "the file was unpickled"


def test_a_network_of_other_settings(call, trained, cohort, tmp_path):
    edit(trained / "study.json", lambda data: data["config"]["slices"].update(ct_window=[-500, 500]))
    words = ("--primary", cohort / "ct" / "s3.nii.gz", "-o", tmp_path / "p.nii.gz", *CPU)
    told_once(call("predict", trained, *words), 4, "other settings")


# Predictions ---------------------------------------------------------------------------------------------------


def test_a_prediction_never_replaces_what_it_was_made_from(call, trained, cohort, tmp_path, digest):
    source = Path(shutil.copy(cohort / "ct" / "s3.nii.gz", tmp_path))
    content, before = source.read_bytes(), digest(trained)
    told_once(call("predict", trained, "--primary", source, "-o", source, *CPU), 3, "the volume to segment")
    inside = Study.open(trained).image_path("s0")
    told_once(call("predict", trained, "--primary", source, "-o", inside, *CPU), 3, "inside the study")
    assert source.read_bytes() == content and digest(trained) == before


@pytest.mark.parametrize(
    ("name", "code", "text"), [("p.txt", 3, "suffix"), ("none/p.nii.gz", 6, "folder .*none does not exist")]
)
def test_a_prediction_needs_a_place(call, trained, cohort, tmp_path, name, code, text):
    words = ("--primary", cohort / "ct" / "s3.nii.gz", "-o", tmp_path / name, *CPU)
    told_once(call("predict", trained, *words), code, text)


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_round_that_does_not_exist(call, trained, cohort, tmp_path, command):
    more = ("--primary", cohort / "ct" / "s3.nii.gz", "-o", tmp_path / "p.nii.gz") if command == "predict" else ()
    told_once(call(command, trained, "--round", 7, *more, *CPU), 4, "Round 7")

"""Files become subjects by name; every subject has one split and every patient only one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from VQBEGALLib.errors import InputError
from VQBEGALLib.study.cohort import NewSubject, check_patients, from_table, gather
from VQBEGALLib.study.membership import check_names


@pytest.fixture
def files(tmp_path):
    """Makes empty files; pairing reads only names."""

    def make(folder: str, *names: str) -> Path:
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(exist_ok=True)
            path.touch()
        return tmp_path / folder

    return make


def write(path: Path, data: object) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def by_name(subjects: list[NewSubject]) -> dict[str, NewSubject]:
    return {subject.name: subject for subject in subjects}


def test_files_pair_by_name_whatever_their_format(files):
    found = by_name(
        gather(
            files("ct", "a.nii.gz", "b.NRRD", "c.mha", "d/1.dcm", "d/2.dcm", ".hidden.nii", "notes.txt"),
            files("mr", "a.nrrd", "b.nii", "x.nii.gz", ".empty/y.nii"),
            primary_labels=files("ct_labels", "a.seg.nrrd", "b.nii.gz"),
            auxiliary_labels=files("mr_labels", "x.nii.gz"),
        )
    )
    assert set(found) == {"a", "b", "c", "d", "x"}
    assert found["a"].auxiliary.name == "a.nrrd"
    assert found["a"].primary_reference.name == "a.seg.nrrd"
    assert found["d"].primary.is_dir()
    assert found["d"].auxiliary is None
    assert found["x"].primary is None
    assert found["x"].auxiliary_reference.name == "x.nii.gz"


def test_a_single_file_is_a_cohort_of_one_to_train_on(files):
    (only,) = gather(files("ct", "肝臓 1.nii.gz") / "肝臓 1.nii.gz")
    assert (only.name, only.split) == ("肝臓 1", "train")


def test_a_folder_of_dicom_files_is_one_series(files):
    folder = files("series", "1.dcm", "2.DCM", "readme.txt")
    (only,) = gather(folder)
    assert (only.name, only.primary) == ("series", folder)


def test_detached_data_files_are_not_volumes_of_their_own(files):
    assert set(by_name(gather(files("ct", "a.hdr", "a.img", "b.mhd", "b.raw", "c.nhdr", "c.raw.gz")))) == {
        "a",
        "b",
        "c",
    }


@pytest.mark.parametrize(
    ("primary", "labels", "text"),
    [
        (["a.nii.gz", "a.nrrd"], [], "a.nii.gz and a.nrrd"),
        (["a.nii", "a/1.dcm"], [], "same name"),
        (["a.nii", "A.nii.gz"], [], "same name"),
        (["a.nii"], ["a.nii", "b.nii", "c.nii"], "b, c"),
        ([], [], "no volume"),
        (["notes.txt"], [], "no volume"),
        (["a|b.nii"], [], "a|b"),
    ],
)
def test_folders_that_do_not_fit_are_named(files, primary, labels, text):
    with pytest.raises(InputError) as caught:
        gather(files("ct", *primary), primary_labels=files("labels", *labels))
    assert text in caught.value.problem
    assert caught.value.remedy


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist"):
        gather(tmp_path / "nowhere")


def test_a_split_file_is_followed(files, tmp_path):
    split = write(tmp_path / "split.json", {"train": ["a"], "validation": ["b"], "test": ["c"]})
    found = by_name(gather(files("ct", "a.nii", "b.nii", "c.nii"), split=split))
    assert {name: item.split for name, item in found.items()} == {"a": "train", "b": "validation", "c": "test"}


def test_a_split_by_modality_is_merged(files, tmp_path):
    split = write(tmp_path / "split.json", {"ct": {"train": ["a"], "test": ["b"]}, "mr": {"validation": ["x"]}})
    found = by_name(gather(files("ct", "a.nii", "b.nii"), files("mr", "x.nii"), split=split))
    assert {name: item.split for name, item in found.items()} == {"a": "train", "b": "test", "x": "validation"}


@pytest.mark.parametrize(
    ("split", "text"),
    [
        ({"train": ["a", "b", "ghost"]}, "ghost"),
        ({"train": ["a"]}, "leaves out subjects: b"),
        ({"train": ["a"], "test": ["a", "b"]}, "'a' in train and in test"),
        ({"ct": {"train": ["a", "b"]}, "mr": {"test": ["b"]}}, "'b' in train and in test"),
        ({"train": "ab"}, "not a list"),
        ({"train": [1]}, "not a list"),
        ({"train": ["a"], "holdout": ["b"]}, "not a split"),
        ({"ct": ["a", "b"]}, "not a split"),
        (["a", "b"], "not a split"),
        ("{", "damaged"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(files, tmp_path, split, text):
    with pytest.raises(InputError) as caught:
        gather(files("ct", "a.nii", "b.nii"), split=write(tmp_path / "split.json", split))
    assert text in caught.value.problem


@pytest.mark.parametrize(("count", "train", "validation"), [(1, 1, 0), (2, 1, 0), (3, 2, 1), (5, 3, 1), (20, 12, 4)])
def test_without_a_split_file_the_seed_splits_60_20_20(files, count, train, validation):
    folder = files("ct", *(f"s{number:02d}.nii" for number in range(count)))
    splits = Counter(item.split for item in gather(folder, seed=3))
    assert (splits["train"], splits["validation"]) == (train, validation)
    assert gather(folder, seed=3) == gather(folder, seed=3)
    if count == 20:
        assert gather(folder, seed=3) != gather(folder, seed=4)


def test_auxiliary_subjects_are_split_among_themselves(files):
    primary = files("ct", *(f"c{number}.nii" for number in range(10)))
    auxiliary = files("mr", *(f"m{number}.nii" for number in range(5)))
    splits = Counter((item.name[0], item.split) for item in gather(primary, auxiliary, seed=0))
    assert (splits["c", "train"], splits["m", "train"], splits["m", "test"]) == (6, 3, 1)
    alone = {item.name[0]: item.split for item in gather(primary, auxiliary / "m0.nii", seed=0) if item.primary is None}
    assert alone == {"m": "train"}


def test_the_real_cohort_is_unpaired_and_follows_its_split(shared_data):
    data = shared_data / "cohort"
    subjects = gather(
        data / "ct",
        data / "mr",
        primary_labels=data / "ct_liver",
        auxiliary_labels=data / "mr_liver",
        split=shared_data / "split.json",
    )
    assert len(subjects) == 34
    assert not [item for item in subjects if item.primary and item.auxiliary]
    assert Counter(item.split for item in subjects if item.primary) == {"train": 12, "validation": 3, "test": 5}


def test_a_table_names_everything(files, tmp_path):
    files("data", "1.nii", "2.nii", "1mr.nii", "1lab.nii")
    table = write(
        tmp_path / "cohort.csv",
        "\ufeffcase, primary, auxiliary, primary_labels, patient, split\r\n"
        "früh,data/1.nii,data/1mr.nii,data/1lab.nii,P1,train\r\n"
        'spät,"data/2.nii",,,P1,train\r\n',
    )
    first, second = from_table(table)
    assert (first.name, first.patient, first.split) == ("früh", "P1", "train")
    assert first.primary == tmp_path / "data" / "1.nii"
    assert first.primary_reference == tmp_path / "data" / "1lab.nii"
    assert (second.auxiliary, second.auxiliary_reference) == (None, None)


def test_a_table_without_splits_keeps_a_patients_cases_together(files, tmp_path):
    files("data", "1.nii")
    lines = [f"c{number},data/1.nii,P{number // 3}" for number in range(30)]
    subjects = from_table(write(tmp_path / "c.csv", "\n".join(["case,primary,patient", *lines])), seed=1)
    assert Counter(item.split for item in subjects) == {"train": 18, "validation": 6, "test": 6}
    assert len({(item.patient, item.split) for item in subjects}) == 10


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("case,primary,patient,split\na,1.nii,P,train\nb,1.nii,P,test\n", "Patient 'P' is in train and in test"),
        ("case,primary,split\na,1.nii,training\n", "'training'"),
        ("case,primary,split\na,1.nii,train\nb,1.nii,\n", "split of 'b' is ''"),
        ("case,primary\na,1.nii\na,1.nii\n", "twice: a"),
        ("case,primary\na,ghost.nii\n", "ghost.nii"),
        ("case,primary,auxiliary\na,,\n", "'a' has no image"),
        ("case,primary,auxiliary,auxiliary_labels\na,1.nii,,1.nii\n", "labels but not their image"),
        ("case,primary\n,1.nii\n", "''"),
        ("case,primary\na/b,1.nii\n", "a/b"),
        ("case,primary\na,1.nii,2,3\n", "equally long"),
        ("name,primary\na,1.nii\n", "lacks columns"),
        ("case,patient\na,b\n", "lacks columns"),
        ("case,primary\n", "no lines"),
        ("", "lacks columns"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, text, problem):
    (tmp_path / "1.nii").touch()
    with pytest.raises(InputError) as caught:
        from_table(write(tmp_path / "t.csv", text))
    assert problem in caught.value.problem


def test_a_table_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00\x9f")
    with pytest.raises(InputError, match="cannot be read"):
        from_table(tmp_path / "t.csv")


def test_one_patient_in_two_splits_is_refused():
    one = NewSubject("a", "P", "train", Path("a"))
    check_patients([one, NewSubject("b", "P", "train", Path("b"))])
    with pytest.raises(InputError, match="Patient 'P'"):
        check_patients([one, NewSubject("b", "P", "validation", Path("b"))])


@pytest.mark.parametrize("name", ["", " a", "a.", ".a", "a/b", "a\\b", "a:b", "a\nb", "a\u202eb", "x" * 181, "語" * 61])
def test_names_that_cannot_be_folders_are_refused(name):
    with pytest.raises(InputError):
        check_names([name])


def test_names_that_fold_together_are_refused():
    check_names(["Größe", "肝臓", "a.b-c_1 (2)"])
    for pair in (["A", "a"], ["e\u0301", "é"]):
        with pytest.raises(InputError, match="same name"):
            check_names(pair)

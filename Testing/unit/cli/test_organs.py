"""Several organs on the command line: creation, labels, prediction, scores; and ``--method``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from VQBEGALLib.study import Study
from VQBEGALLib.volumes import read_labelmap, read_volume, write_volume
from VQBEGALLib.volumes.phantom import make_subject


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small phantoms whose labels hold the liver as 6 and the spleen as 1, and 3 that is neither."""
    folder = tmp_path_factory.mktemp("organs")
    for number in range(3):
        subject = make_subject(
            number, ct_size=48, ct_slices=14, mr_size=48, mr_slices=10, organs=("spleen", "stomach", "liver")
        )
        values = np.array([0, 1, 3, 6], np.uint8)
        for kind, volume in (
            ("ct", subject.ct),
            ("ct_organs", subject.ct_labels.with_voxels(values[subject.ct_labels.voxels])),
        ):
            (folder / kind).mkdir(exist_ok=True)
            write_volume(folder / kind / f"s{number}.nii.gz", volume)
    split = {"train": ["s0"], "validation": ["s1"], "test": ["s2"]}
    (folder / "split.json").write_text(json.dumps(split), encoding="utf-8")
    return folder


@pytest.fixture
def options(organs: Path, study_settings: dict[str, object]) -> list[object]:
    """Of ``study create``, without the values."""
    settings = {**study_settings, "organ": "liver, spleen"}
    return [
        *("--primary", organs / "ct", "--primary-labels", organs / "ct_organs", "--split", organs / "split.json"),
        *(word for name, value in settings.items() for word in ("--set", f"{name}={value}")),
    ]


@pytest.fixture
def study(call, tmp_path, options) -> Path:
    """A study of both organs without a round."""
    told = call("study", "create", tmp_path / "study", *options, "--primary-values", "6,1")
    assert told.code == 0, told.err
    return tmp_path / "study"


def test_the_whole_path_of_two_organs(call, study, organs, tmp_path):
    status = json.loads(call("status", study, "--json").out)
    assert (status["organ"], status["organs"]) == ("liver, spleen", ["liver", "spleen"])
    given = read_labelmap(organs / "ct_organs" / "s0.nii.gz").voxels
    found = Study.open(study).reference("s0").voxels
    assert np.array_equal(found, np.where(given == 6, 1, np.where(given == 1, 2, 0)))
    assert call("run", study, "--rounds", 2, "--strategy", "max_entropy", "--device", "cpu").code == 0
    out = tmp_path / "p.nii.gz"
    told = call(
        "predict", study, "--primary", organs / "ct" / "s2.nii.gz", "-o", out, "--device", "cpu", "--events", "json"
    )
    assert told.code == 0, told.out
    labelmap = read_volume(out)
    millilitre = abs(np.linalg.det(labelmap.affine[:3, :3])) / 1000
    for value, name in enumerate(("liver", "spleen"), start=1):
        count = int((labelmap.voxels == value).sum())
        assert told.events[-1]["organs"][name] == {"voxels": count, "millilitres": pytest.approx(count * millilitre)}
    assert told.events[-1]["voxels"] == int((labelmap.voxels > 0).sum())
    told = call("evaluate", study, "--device", "cpu", "--json")
    parts = [part for part in json.loads(told.out).values() if isinstance(part, dict)]
    assert parts
    for part in parts:
        assert list(part["cases"]["s2"]["organs"]) == ["liver", "spleen"] == list(part["summary"]["organs"])
    text = call("evaluate", study, "--device", "cpu").out
    assert "\n  liver  " in text and "\n  spleen  " in text
    assert call("check", study).code == 0


def test_what_is_found_and_what_is_not(tmp_path):
    from VQBEGALLib.cli.tables import prediction
    from VQBEGALLib.volumes import Volume

    def told(*values: int, organs: tuple[str, ...] = ("liver", "spleen", "aorta")) -> str:
        voxels = np.repeat(np.array(values, np.uint8), 2000)[None, None]
        return prediction(Volume(voxels, np.eye(4)), Path("p.nii"), organs).text

    assert told(1, 2, 2, 3) == "p.nii: liver of 2 ml, spleen of 4 ml, aorta of 2 ml."
    assert told(0, 2) == "p.nii: spleen of 2 ml. No liver or aorta was found; look at the volume before relying on it."
    assert told(1, organs=("liver",)) == "p.nii: liver of 2 ml."
    assert told(0, organs=("liver",)) == "p.nii: no liver was found; look at the volume before relying on it."


def test_labels_by_hand_take_the_values_in_the_organs_order(call, study, organs):
    assert call("next", study, "--device", "cpu").code == 0
    labels = organs / "ct_organs" / "s0.nii.gz"
    told = call("label", study, "s0", labels, "--slices", "0-13")
    assert told.code == 3 and "0, 1, 3, 6" in told.err and "in this order: liver, spleen" in told.err
    assert call("label", study, "s0", labels, "--slices", "0-13", "--values", "6").code == 3
    told = call("label", study, "s0", labels, "--slices", "0-13", "--values", "6,0")
    assert told.code == 3 and "speaks of every organ" in told.err
    told = call("label", study, "s0", labels, "--slices", "0-13", "--value", "6,1")
    assert told.code == 0 and "There is no liver or spleen on slices 0" in told.out + told.err
    opened = Study.open(study)
    assert np.array_equal(opened.labels("s0").labelmap.voxels, opened.reference("s0").voxels)


def test_creation_without_values_or_with_wrong_ones(call, tmp_path, options, organs):
    new = tmp_path / "new"
    told = call("study", "create", new, *options)
    assert told.code == 3 and "0, 1, 3, 6" in told.err and "Name the value of each organ" in told.err
    assert call("study", "create", new, *options, "--primary-values", "6").code == 3
    assert call("study", "create", new, *options, "--primary-values", "6,six").code == 2
    assert call("study", "create", new, *options, "--primary-values", "6,-1").code == 2
    told = call("study", "create", new, *options, "--primary-values", "6,1", "--auxiliary-values", "1,2")
    assert told.code == 3 and "--auxiliary-labels is missing" in told.err
    table = tmp_path / "t.csv"
    table.write_text(f"case,primary\ns0,{organs / 'ct' / 's0.nii.gz'}\n")
    told = call("study", "create", new, "--table", table, "--primary-values", "6,1")
    assert told.code == 3 and "--table names all files" in told.err
    assert not new.exists()


def test_an_organ_that_the_labels_do_not_know(call, tmp_path, options):
    new = tmp_path / "new"
    assert call("study", "create", new, *options, "--primary-values", "6,0").code == 0
    told = call("run", new, "--device", "cpu")
    assert told.code == 3 and "labels of s0 do not know spleen" in told.err


def test_a_method_is_named_once(call, tmp_path, options):
    values = ("--primary-values", "6,1")
    assert call("study", "create", tmp_path / "a", *options, *values, "--method", "cmc").code == 0
    assert Study.open(tmp_path / "a").config.network.architecture == "cmc"
    assert call("study", "create", tmp_path / "b", *options, *values, "--set", "method=cmc").code == 0
    assert Study.open(tmp_path / "b").config == Study.open(tmp_path / "a").config
    both = ("--method", "cmc", "--set", "method=ciml")
    told = call("study", "create", tmp_path / "c", *options, *values, *both)
    assert told.code == 3 and "different methods" in told.err
    assert call("study", "create", tmp_path / "c", "--method", "none").code == 2


def test_the_phantom_has_no_label_of_what_it_does_not_paint(call, tmp_path):
    told = call("phantom", tmp_path / "data", "--subjects", 1, "--organs", "liver, tail")
    assert told.code == 3 and "phantom has no tail" in told.err and "left kidney" in told.err

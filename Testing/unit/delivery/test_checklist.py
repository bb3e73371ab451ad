"""The checklist before an export: each point with its reason and remedy, and true."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom

from VQBEGALLib.config import preset
from VQBEGALLib.delivery import Choice, preflight, ready
from VQBEGALLib.delivery import checklist as module
from VQBEGALLib.export.segmentation import Code, Segment
from VQBEGALLib.pacs.server import Server
from VQBEGALLib.study import Study
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.volumes import write_volume

WEB = Server(name="A", url="https://pacs.example.org/dicom-web")


def levels(checks):
    return {check.name: check.level for check in checks}


def test_all_is_well(case):
    checks = preflight(case.study, Choice(case="P1"))
    assert ready(checks)
    assert set(levels(checks).values()) == {"ok"}
    assert {"Result", "Codes", "Source series", "Study", "Frame of reference", "Source images"} <= set(levels(checks))


def test_whatever_stands_in_the_way_has_a_remedy(case, tmp_path):
    write_volume(tmp_path / "ct.nii.gz", case.study.volume("P1"))
    plain = Study.create(
        tmp_path / "n", preset("tiny", {"organ": "odd"}), [NewSubject("N", "N", "train", tmp_path / "ct.nii.gz")]
    )
    plain.put_prediction(0, "N", case.truth, [0.0] * case.truth.shape[0])
    checks = preflight(plain, Choice(case="N"))
    assert levels(checks) == {"Result": "ok", "Codes": "error", "Source series": "error"}
    assert all(check.remedy for check in checks if check.level != "ok")
    assert ready(preflight(plain, Choice(case="N", format="nifti")))
    assert levels(preflight(plain, Choice(case="N", format="nrrd")))["Codes"] == "warning"


def test_nothing_predicted_yet(case):
    case.study.drop_predictions(0)
    (check,) = preflight(case.study, Choice(case="P1"))
    assert check.level == "error"
    assert "no prediction" in check.text
    assert check.remedy


def test_an_empty_result(case):
    empty = case.truth.with_voxels(np.zeros(case.truth.shape, np.uint8))
    case.study.put_prediction(0, "P1", empty, [0.0] * case.truth.shape[0])
    checks = preflight(case.study, Choice(case="P1"))
    assert levels(checks)["Result"] == "error"
    assert not ready(checks)


def test_an_empty_segment_among_others(case):
    liver = Segment(value=1, name="Liver", color=(1, 2, 3), type=Code("10200004", "SCT", "Liver"))
    other = Segment(value=2, name="Spleen", color=(1, 2, 3), type=Code("78961009", "SCT", "Spleen"))
    checks = preflight(case.study, Choice(case="P1", labelmap=case.truth, segments=(liver, other)))
    assert levels(checks)["Empty segments"] == "warning"
    assert ready(checks)


def test_images_that_are_gone(case):
    shutil.rmtree(case.series.ct[0].parent)
    assert levels(preflight(case.study, Choice(case="P1")))["Source images"] == "error"
    assert levels(preflight(case.study, Choice(case="P1"), server=WEB))["Source images"] == "warning"


def test_images_without_a_patient_id(case):
    for path in case.series.ct:
        data = pydicom.dcmread(path)
        data.PatientID = ""
        data.save_as(path)
    checks = preflight(case.study, Choice(case="P1"))
    assert levels(checks)["Patient"] == "warning"
    assert ready(checks)


def test_a_package_that_is_missing(case, monkeypatch):
    monkeypatch.setitem(module.NEEDS, "seg", "no_such_package")
    assert levels(preflight(case.study, Choice(case="P1")))["Packages"] == "error"

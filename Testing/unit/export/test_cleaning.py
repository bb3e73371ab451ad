"""Headers with values that break DICOM's rules: blank in what is made, told by keyword, never by value."""

from __future__ import annotations

import warnings

import numpy as np
import pydicom
import pytest

from Testing.dicom_series import write_series
from VQBEGALLib.errors import InputError
from VQBEGALLib.export.capture import make_capture
from VQBEGALLib.export.cleaning import BLANK
from VQBEGALLib.export.codes import coded
from VQBEGALLib.export.rtstruct import make_rtstruct
from VQBEGALLib.export.seg import make_seg
from VQBEGALLib.export.segmentation import Code, Provenance, Segmentation
from VQBEGALLib.export.source import read_source
from VQBEGALLib.volumes import Volume, read_series

IMAGE = Volume(np.arange(5 * 30 * 30, dtype=np.int16).reshape(5, 30, 30), np.diag((0.8, 0.7, 2.5, 1.0)))
LIVER = np.zeros(IMAGE.shape, np.uint8)
LIVER[1:4, 5:20, 6:15] = 1
SEGMENTATION = Segmentation(labelmap=IMAGE.with_voxels(LIVER), segments=(coded("liver"),))

BAD = {
    "PatientBirthDate": "1933-02-11",
    "PatientSex": "W",
    "StudyDate": "00000000",
    "StudyTime": "10:11:12",
    "PatientName": ["Planted", "Name"],
    "AccessionNumber": "A" * 17,
    "StudyID": "S" * 17,
    "PatientID": "P" * 65,
}


def source_with(folder, **values):
    def edit(data, index):
        for keyword, value in values.items():
            data.add(pydicom.DataElement(keyword, "LO" if keyword != "PatientName" else "PN", value, validation_mode=0))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = write_series(folder, IMAGE, edit=edit)
        return read_source(files, read_series(folder).sop_instance_uids)


@pytest.mark.parametrize("keyword", BAD)
def test_every_object_can_be_made_all_the_same(tmp_path, keyword):
    source = source_with(tmp_path, **{keyword: BAD[keyword]})
    assert source.blanked == (keyword,)
    made = [
        make_seg(SEGMENTATION, source),
        make_rtstruct(SEGMENTATION, source),
        *make_capture(SEGMENTATION, source, IMAGE),
    ]
    for number, data in enumerate(made):
        data.save_as(tmp_path / f"{number}.out", enforce_file_format=True)
        assert pydicom.dcmread(tmp_path / f"{number}.out")[keyword].is_empty


def test_numbers_that_are_none_are_replaced(tmp_path):
    source = source_with(tmp_path, SeriesNumber="seven", SliceThickness="thick")
    data = make_seg(SEGMENTATION, source)
    measures = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (data.SeriesNumber, float(measures.SliceThickness)) == (1000, 2.5)


def test_a_series_number_at_the_end_of_its_range_stays_in_it(tmp_path):
    source = source_with(tmp_path, SeriesNumber=str(2**31 - 1))
    assert make_seg(SEGMENTATION, source).SeriesNumber == 1000


def test_a_uid_that_is_too_long_is_told(tmp_path):
    with pytest.raises(InputError, match="no StudyInstanceUID"):
        source_with(tmp_path, StudyInstanceUID="1." + "2" * 64)


@pytest.mark.parametrize(
    ("keyword", "text"), [("PatientBirthDate", "19330211"), ("StudyTime", "1011"), ("PatientSex", "F")]
)
def test_values_that_keep_the_rules_stay(keyword, text):
    assert BLANK[keyword](text)


@pytest.mark.parametrize("creator", ["HOSPITAL\\jdoe", "a\nb", "a=b=c=d", "x" * 65])
def test_a_creator_that_is_no_name_is_refused(creator):
    with pytest.raises(InputError, match="creator"):
        Provenance(creator=creator)


@pytest.mark.parametrize(
    "parts", [("", "SCT", "Liver"), ("1" * 17, "SCT", "Liver"), ("1", "SCT", "a\\b"), ("1", "SCT", "m" * 65)]
)
def test_a_code_that_dicom_cannot_hold_is_refused(parts):
    with pytest.raises(InputError, match="code"):
        Code(*parts)


def test_a_burned_in_name_stays_announced(tmp_path):
    source = source_with(tmp_path, BurnedInAnnotation="YES")
    assert {data.BurnedInAnnotation for data in make_capture(SEGMENTATION, source, IMAGE)} == {"YES"}

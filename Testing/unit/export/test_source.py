"""The headers of the source images: found among other files, in order, completed, never invented."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from Testing.dicom_series import PLANTED, write_series
from VQBEGALLib.errors import InputError
from VQBEGALLib.export.cleaning import BLANK
from VQBEGALLib.export.source import NEEDED, SourceSeries, read_source
from VQBEGALLib.volumes import Volume, read_series

IMAGE = Volume(np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7), np.diag((0.8, 0.7, 2.5, 1.0)))


@pytest.fixture
def series(tmp_path):
    """A series among files that are none of it: another series, a text, an empty file."""
    files = write_series(tmp_path / "a", IMAGE, shuffled=True)
    write_series(tmp_path / "a" / "deeper", IMAGE, modality="MR")
    (tmp_path / "a" / "note.txt").write_text("no image")
    (tmp_path / "a" / "empty.dcm").touch()
    return tmp_path / "a", tuple(str(pydicom.dcmread(path).SOPInstanceUID) for path in files)


def test_images_are_found_among_others_and_come_in_the_order_of_the_voxels(series):
    folder, uids = series
    source = read_source(sorted(folder.rglob("*")), uids)
    assert tuple(item.SOPInstanceUID for item in source.datasets) == uids
    assert source.grid.same_grid(IMAGE)
    assert source.text("Modality") == "CT"
    assert all("PixelData" not in item for item in source.datasets)


def test_a_missing_image_is_told(series):
    folder, uids = series
    next(path for path in folder.iterdir() if path.suffix == ".dcm" and path.stat().st_size).unlink()
    with pytest.raises(InputError, match="1 of the 5 source images") as caught:
        read_source(sorted(folder.rglob("*")), uids)
    assert caught.value.remedy


def test_no_file_at_all_is_told(series):
    with pytest.raises(InputError, match="5 of the 5"):
        read_source([], series[1])


def test_attributes_of_type_2_become_blanks(tmp_path):
    def strip(data, index):
        for keyword in (*BLANK, "SliceThickness"):
            if keyword in data:
                del data[keyword]

    files = write_series(tmp_path, IMAGE, edit=strip)
    source = read_source(files, read_series(tmp_path).sop_instance_uids)
    assert all(item[keyword].is_empty for item in source.datasets for keyword in BLANK)
    assert float(source.datasets[0].SliceThickness) == pytest.approx(2.5)


@pytest.mark.parametrize("keyword", [name for name in NEEDED if name not in ("SOPInstanceUID", "SOPClassUID")])
def test_what_nobody_may_invent_is_asked_for(tmp_path, keyword):
    def strip(data, index):
        del data[keyword]

    files = write_series(tmp_path, IMAGE, edit=strip)
    with pytest.raises(InputError, match=f"no {keyword}") as caught:
        read_source(files, read_series(tmp_path).sop_instance_uids)
    assert not any(secret in str(caught.value) for secret in PLANTED)


def test_class_and_instance_are_taken_from_the_files_own_header_where_the_data_set_lacks_them(tmp_path):
    def strip(data, index):
        del data.SOPClassUID, data.SOPInstanceUID

    files = write_series(tmp_path, IMAGE, edit=strip)
    source = read_source(files, read_series(tmp_path).sop_instance_uids)
    assert source.text("SOPClassUID") == "1.2.840.10008.5.1.4.1.1.2"
    assert source.text("SOPInstanceUID")


def test_headers_from_a_server_serve_as_well(tmp_path):
    """Without files: data sets as a DICOMweb server gives them, as JSON."""
    files = write_series(tmp_path, IMAGE)
    told = [pydicom.dcmread(path, stop_before_pixels=True).to_json_dict() for path in files]
    source = SourceSeries.of([pydicom.Dataset.from_json(item) for item in reversed(told)])
    assert source.grid.same_grid(IMAGE)
    assert len(source.datasets) == len(IMAGE.voxels)


def test_the_real_series_without_class_cannot_be_referred_to(shared_data):
    """Anonymised so hard that it lacks SOPClassUID; it can be read, and the sentence says what to do."""
    files = sorted((shared_data / "ct_dicom").iterdir())
    with pytest.raises(InputError) as caught:
        read_source(files, read_series(shared_data / "ct_dicom").sop_instance_uids)
    assert "NIfTI" in caught.value.remedy or "folder" in caught.value.remedy

"""A real CT, compressed as it came, through a real PACS: pulled, its real liver pushed, read back voxel by voxel."""

from __future__ import annotations

import json
from pathlib import Path

import highdicom
import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, generate_uid

from VQBEGALLib.events import Reporter
from VQBEGALLib.pacs.connection import Instance, connect
from VQBEGALLib.pacs.server import Secret, Server
from VQBEGALLib.study import Study
from VQBEGALLib.volumes import binary_labelmap, read_labelmap


def completed(source: Path, folder: Path) -> list[Path]:
    """Give the real images what their anonymisation took: class, numbers, dates; pixels stay compressed as they are."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    files = []
    for number, path in enumerate(sorted(source.iterdir()), start=1):
        data = pydicom.dcmread(path, force=True)
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
        data.PatientID, data.InstanceNumber = "REAL-1", number
        files.append(folder / f"{number}.dcm")
        data.save_as(files[-1], enforce_file_format=True)
    return files


def test_a_real_compressed_series_comes_and_its_liver_goes_back(orthanc, call, shared_data, tmp_path, monkeypatch):
    (tmp_path / "dicom").mkdir()
    files = completed(shared_data / "ct_dicom", tmp_path / "dicom")
    fields = {"name": "A", "url": orthanc.url, "user": orthanc.user, "auth": "basic", "plain": True}
    sent = [Instance.read(path) for path in files]
    told: dict[str, str] = {}
    with connect(Server.from_json(fields), Secret(orthanc.password), Reporter()) as connection:
        connection.store(sent, told.__setitem__)
    assert set(told.values()) == {""}

    given = json.dumps({"server": {**fields, "secret": orthanc.password}, "patient": "REAL-1"})
    path = tmp_path / "given.json"
    path.write_text(given)
    study_folder = tmp_path / "study"
    assert call("study", "create", study_folder, "--preset", "tiny").code == 0
    with path.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        answer = call("pull", study_folder, "R", "--stdin")
    assert answer.code == 0, answer.err

    study = Study.open(study_folder)
    liver = binary_labelmap(read_labelmap(shared_data / "ct_dicom_liver.nii.gz", grid=study.grid("R")))
    assert liver.voxels.any()
    study.put_prediction(0, "R", liver, [0.0] * liver.shape[0])
    with path.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        answer = call("push", study_folder, "R", "--stdin")
    assert answer.code == 0, answer.err

    (tmp_path / "back").mkdir()
    with connect(Server.from_json(fields), Secret(orthanc.password), Reporter()) as connection:
        (found,) = connection.query(patient="REAL-1")
        (series,) = [item for item in found.series if item.modality == "SEG"]
        connection.retrieve(found.study_uid, series.series_uid, tmp_path / "back", Reporter())
    (back,) = (tmp_path / "back").iterdir()
    whole = highdicom.Volume(
        np.zeros(liver.shape, np.uint8), liver.affine[:, [2, 1, 0, 3]], coordinate_system="PATIENT"
    )
    read = highdicom.seg.segread(back).get_volume(combine_segments=True).match_geometry(whole)
    assert np.allclose(read.affine, whole.affine, atol=1e-4)
    assert np.array_equal(read.array, liver.voxels)

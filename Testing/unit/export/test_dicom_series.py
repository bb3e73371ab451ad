"""The series that tests are written with: complete, and read back as what they were made from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEGLSLossless, RLELossless

from Testing.dicom_series import PLANTED, phantom_series, write_series
from VQBEGALLib.volumes import read_series


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_a_phantom_is_read_back(tmp_path: Path, tilt: float) -> None:
    made = phantom_series(tmp_path, size=64, slices=8, tilt=tilt, shuffled=True)
    for files, image in ((made.ct, made.ct_image), (made.mr, made.mr_image)):
        read = read_series(files[0].parent)
        assert np.array_equal(read.volume.voxels, image.voxels)
        assert read.volume.same_grid(image)
        assert read.study_uid == made.study_uid
        assert list(read.sop_instance_uids) == [pydicom.dcmread(path).SOPInstanceUID for path in files]
    assert made.ct_image.orthogonal == (tilt == 0)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_files_hold_the_same(tmp_path: Path, syntax: str) -> None:
    made = phantom_series(tmp_path / "plain", size=64, slices=4)
    files = write_series(tmp_path / "packed", made.ct_image, syntax=syntax)
    assert pydicom.dcmread(files[0]).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(read_series(tmp_path / "packed").volume.voxels, made.ct_image.voxels)


def test_every_file_holds_the_planted_attributes(tmp_path: Path) -> None:
    made = phantom_series(tmp_path, size=32, slices=4)
    for path in made.ct + made.mr:
        content = path.read_bytes()
        assert all(attribute.encode() in content for attribute in PLANTED)


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dicom3tools are not installed")
def test_a_validator_has_nothing_to_say(tmp_path: Path) -> None:
    made = phantom_series(tmp_path, size=32, slices=4)
    for path in (made.ct[2], made.mr[2]):
        report = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False).stderr
        assert report.strip() in ("CTImage", "MRImage")

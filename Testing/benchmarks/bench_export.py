"""A DICOM SEG of 600 slices of 512²: time beside highdicom's own call, and peak memory beside the labelmap's size."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import Row, alternate, print_table, versions  # first: it sets one thread

import highdicom  # isort: skip
import numpy as np  # isort: skip
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid

from VQBEGALLib.delivery.formats import save
from VQBEGALLib.export.codes import coded
from VQBEGALLib.export.seg import make_seg
from VQBEGALLib.export.segmentation import Segmentation
from VQBEGALLib.export.source import SourceSeries
from VQBEGALLib.processes import peak_memory
from VQBEGALLib.volumes import Volume

SLICES, SIZE = 600, 512
SPACING = (0.8, 0.8, 1.0)


def liver_like() -> Volume:
    """Return an ellipsoid on about two thirds of the slices, made slice by slice to save memory."""
    voxels = np.zeros((SLICES, SIZE, SIZE), dtype=np.uint8)
    rows, columns = np.ogrid[:SIZE, :SIZE]
    for index, plane in enumerate(voxels):
        height = (index - SLICES / 2) / (SLICES / 3)
        plane[:] = height**2 + ((rows - 256) / 150) ** 2 + ((columns - 256) / 150) ** 2 < 1
    return Volume(voxels, np.diag((*SPACING, 1.0)))


def headers() -> list[Dataset]:
    """Return the headers of a CT on that grid."""
    study, series, frame = (generate_uid() for _ in range(3))
    found = []
    for index in range(SLICES):
        data = Dataset()
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, generate_uid()
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
        data.Modality, data.InstanceNumber = "CT", index + 1
        data.Rows = data.Columns = SIZE
        data.PixelSpacing, data.SliceThickness = list(SPACING[:2]), SPACING[2]
        data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, index * SPACING[2]]
        found.append(data)
    return found


def ours(labelmap: Volume, source: SourceSeries, path: Path) -> None:
    """What an export does once the labelmap and the headers are read."""
    save(path, make_seg(Segmentation(labelmap=labelmap, segments=(coded("liver"),)), source))


def peer(labelmap: Volume, source: SourceSeries, path: Path) -> None:
    """The same by highdicom alone."""
    liver = coded("liver")
    code = highdicom.sr.CodedConcept(liver.type.value, liver.type.scheme, liver.type.meaning)
    volume = highdicom.Volume(
        labelmap.voxels,
        labelmap.affine[:, [2, 1, 0, 3]],
        coordinate_system="PATIENT",
        frame_of_reference_uid=source.text("FrameOfReferenceUID"),
    )
    made: Any = highdicom.seg.Segmentation(
        source_images=source.datasets,
        pixel_array=volume,
        segmentation_type="BINARY",
        segment_descriptions=[highdicom.seg.SegmentDescription(1, "Liver", code, code, "MANUAL")],
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="peer",
        manufacturer_model_name="peer",
        software_versions="1",
        device_serial_number="1",
    )
    made.save_as(path, enforce_file_format=True)


def measure_memory() -> None:
    """Print by how many labelmaps the peak of this process rises when one is exported, the labelmap itself included."""
    source = SourceSeries.of(headers())
    with tempfile.TemporaryDirectory() as folder:
        small = Volume(np.ones((2, 8, 8), np.uint8), np.diag((*SPACING, 1.0)))
        Segmentation(labelmap=small, segments=(coded("liver"),))
        before = peak_memory()
        labelmap = liver_like()
        ours(labelmap, source, Path(folder) / "ours.dcm")
        print((peak_memory() - before) / labelmap.voxels.nbytes)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        measure_memory()
        return
    # First, while this process is small: a child's peak begins with its parent's size.
    told = subprocess.run([sys.executable, __file__, "--memory"], capture_output=True, text=True, check=True)
    labelmap, source = liver_like(), SourceSeries.of(headers())
    with tempfile.TemporaryDirectory() as folder:
        times = alternate(
            {
                "ours": lambda: ours(labelmap, source, Path(folder) / "ours.dcm"),
                "highdicom": lambda: peer(labelmap, source, Path(folder) / "peer.dcm"),
            },
            options.repeats,
        )
    what = f"SEG {SLICES} × {SIZE}²"
    note = f"{1000 * times['ours']:.0f} ms to {1000 * times['highdicom']:.0f} ms"
    rows = [
        Row(f"{what}, time to highdicom's own call", times["ours"] / times["highdicom"], 1.2, note),
        Row(f"{what}, peak memory to the labelmap's", float(told.stdout), 3, "the labelmap itself included"),
    ]
    print_table(rows, versions("highdicom", "pydicom", "numpy"))


if __name__ == "__main__":
    main()

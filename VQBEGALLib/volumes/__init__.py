"""Volumes: voxels and an affine to LPS mm; read, written, resampled."""

from VQBEGALLib.volumes.dicom import DicomSeries, read_series
from VQBEGALLib.volumes.reading import binary_labelmap, on_grid, organ_labelmap, read_labelmap, read_volume
from VQBEGALLib.volumes.resample import resample
from VQBEGALLib.volumes.volume import Affine, Volume, Voxels
from VQBEGALLib.volumes.writing import write_volume

__all__ = [
    "Affine",
    "DicomSeries",
    "Volume",
    "Voxels",
    "binary_labelmap",
    "on_grid",
    "organ_labelmap",
    "read_labelmap",
    "read_series",
    "read_volume",
    "resample",
    "write_volume",
]

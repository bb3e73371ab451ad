"""The formats of an export, and what each of them needs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from VQBEGALLib.errors import InputError, StorageError
from VQBEGALLib.events import Reporter
from VQBEGALLib.export.labelmaps import write_labelmap
from VQBEGALLib.export.segmentation import Segmentation
from VQBEGALLib.export.source import SourceSeries
from VQBEGALLib.storage import flush_folder, make_folder, storing, temporary_sibling, write_file
from VQBEGALLib.volumes import Volume

Format = Literal["nifti", "nrrd", "metaimage", "seg", "seg-labelmap", "rtstruct", "sc"]
SUFFIXES: dict[Format, tuple[str, ...]] = {
    "nifti": (".nii.gz", ".nii"),
    "nrrd": (".seg.nrrd", ".nrrd"),
    "metaimage": (".mha",),
    "seg": (".dcm",),
    "seg-labelmap": (".dcm",),
    "rtstruct": (".dcm",),
    "sc": (),
}
"""By format, the suffixes that a file of it may have; none where it is a folder of files."""

FORMATS: tuple[Format, ...] = tuple(SUFFIXES)
DICOM: tuple[Format, ...] = ("seg", "seg-labelmap", "rtstruct", "sc")


def objects(
    format: Format, segmentation: Segmentation, source: SourceSeries, image: Volume | None = None
) -> Iterator[Any]:
    """Yield the DICOM objects of a format, pydicom data sets with new UIDs.

    Args:
        format: one of :data:`DICOM`.
        segmentation: on the grid of the source, its voxels possibly in another order.
        source: the images.
        image: the voxels, for ``sc``.

    Raises:
        InputError: the segmentation is empty, a segment is not coded, or it is on another grid than the source.
        MissingDependencyError: highdicom or contourpy is not installed.
    """
    with _discreet():
        yield from _made(format, segmentation, source, image)


@contextmanager
def _discreet() -> Iterator[None]:
    """Turn the libraries' errors on a value of a header, which quote it, into one that does not."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"The source images' headers hold what no DICOM object may repeat ({type(error).__name__}).",
            "Fetch the series from the PACS again, or export NIfTI or NRRD.",
        ) from None


def _made(format: Format, segmentation: Segmentation, source: SourceSeries, image: Volume | None) -> Iterator[Any]:
    if format == "rtstruct":
        from VQBEGALLib.export.rtstruct import make_rtstruct

        yield make_rtstruct(segmentation, source)
    elif format == "sc":
        from VQBEGALLib.export.capture import make_capture

        if image is None:
            raise InputError("There is no image to draw on.", "Choose another format.")
        yield from make_capture(segmentation, source, image)
    else:
        from VQBEGALLib.export.seg import make_seg

        yield make_seg(segmentation, source, kind="LABELMAP" if format == "seg-labelmap" else "BINARY")


def check_path(format: Format, path: Path) -> None:
    """Refuse, before anything is computed, a place where the export cannot go.

    Raises:
        InputError: the suffix is another format's, or a file stands where a folder of files is to be.
        StorageError: the folder does not exist.
    """
    suffixes = SUFFIXES[format]
    if suffixes and not path.name.lower().endswith(suffixes):
        raise InputError(f"{path} has no suffix of the format.", f"Choose one of {', '.join(suffixes)}.")
    if not suffixes and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} exists and is not an empty folder.", "Choose a new folder for the images.")
    if not path.parent.is_dir():
        raise StorageError(f"The folder {path.parent} does not exist.", "Create it first, or choose another.")


def write(
    format: Format,
    path: Path,
    segmentation: Segmentation,
    *,
    source: SourceSeries | None,
    image: Volume | None,
    reporter: Reporter,
) -> int:
    """Write an export to a file, or a folder of files, and return the number of bytes.

    Raises:
        InputError: as :func:`objects`; a sheared grid in NRRD or MetaImage.
        StorageError: the disk is full or refuses; what was there before is intact.
        CancelledError: a person asked to stop.
    """
    if source is None:
        write_labelmap(path, segmentation)
        return path.stat().st_size
    if SUFFIXES[format]:
        for data in objects(format, segmentation, source):
            save(path, data)
        return path.stat().st_size
    aside = temporary_sibling(path)
    try:
        make_folder(aside)
        size = sum(file.stat().st_size for file in save_all(aside, format, segmentation, source, image, reporter))
        with storing(path):
            if path.exists():
                path.rmdir()
            aside.rename(path)
            flush_folder(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return size


def save_all(
    folder: Path,
    format: Format,
    segmentation: Segmentation,
    source: SourceSeries,
    image: Volume | None,
    reporter: Reporter,
) -> list[Path]:
    """Save each object of a format in a folder, numbered, and return the files.

    Raises:
        InputError, MissingDependencyError, StorageError, CancelledError: as :func:`write`.
    """
    files = []
    total = 1 if SUFFIXES[format] else len(segmentation.slices())
    with reporter.stage("export", total, unit="file") as stage:
        for number, data in enumerate(objects(format, segmentation, source, image), start=1):
            files.append(folder / f"{number:05d}.dcm")
            save(files[-1], data)
            stage.advance()
    return files


def save(path: Path, data: Any) -> None:
    """Save a DICOM object in one step.

    Raises:
        StorageError: the disk is full or refuses; what was there before is intact.
    """
    with _discreet():
        write_file(path, lambda temporary: data.save_as(temporary, enforce_file_format=True))

"""What is exported and where to: the commands that the Export section starts."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from VQBEGALLib.delivery.results import METHOD, organ_segments
from VQBEGALLib.export.segmentation import ANATOMICAL_STRUCTURE, Method, Segment
from VQBEGALLib.volumes.writing import write_volume
from VQBEGALPanel import dicomsource, scenesegments
from VQBEGALPanel.organs import organ

if TYPE_CHECKING:
    import slicer

    from VQBEGALLib.pacs.server import Server
    from VQBEGALPanel.jobs import Job, Outcome
    from VQBEGALPanel.servers import Servers
    from VQBEGALPanel.session import Session

SCENE = "scene"
"""Choice of a segmentation of the scene, beside those that the study holds."""

ENDINGS = {
    "nifti": ".nii.gz",
    "nrrd": ".seg.nrrd",
    "metaimage": ".mha",
    "seg": "-seg.dcm",
    "seg-labelmap": "-seg-labelmap.dcm",
    "rtstruct": "-rtstruct.dcm",
    "sc": "-images",
}
"""End of a file's name by format; the last is a folder."""

FILES = ("nifti", "nrrd", "metaimage")
"""Formats that no PACS takes and that need no DICOM images."""


@dataclass(frozen=True)
class Choice:
    """What is exported.

    Args:
        case: its name.
        what: ``prediction``, ``annotation``, ``corrected``, or :data:`SCENE`.
        format: a key of :data:`ENDINGS`.
        node: segmentation of the scene, for :data:`SCENE`.
        source: folder of the DICOM images, where a person named one.
        creator: the clinician's name; empty where she does not want it.
        server: DICOMweb server that can be asked for what is not on this computer.
    """

    case: str
    what: str
    format: str
    node: slicer.vtkMRMLSegmentationNode | None = None
    source: Path | None = None
    creator: str = ""
    server: Server | None = None

    @property
    def is_dicom(self) -> bool:
        """Whether a DICOM object is made."""
        return self.format not in FILES

    @property
    def file_name(self) -> str:
        """Name of the file or folder that is suggested."""
        return f"{self.case}-{self.what}{ENDINGS[self.format]}"


def format_words() -> dict[str, tuple[str, str]]:
    """Return the formats with their names and what they are for."""
    return {
        "nifti": (_("NIfTI (.nii.gz)"), _("For research software; holds the voxels, no names and no colours.")),
        "nrrd": (_("NRRD (.seg.nrrd)"), _("For 3D Slicer; keeps names, colours and codes.")),
        "metaimage": (_("MetaImage (.mha)"), _("For ITK-based software; holds the voxels.")),
        "seg": (_("DICOM SEG"), _("For the PACS: belongs to the patient's study and lies over its images.")),
        "seg-labelmap": (
            _("DICOM SEG (labelmap)"),
            _("The newer, smaller kind of DICOM SEG; few viewers and servers know it yet."),
        ),
        "rtstruct": (_("RTSTRUCT"), _("Contours for radiotherapy planning and for viewers without DICOM SEG.")),
        "sc": (
            _("Secondary capture (images)"),
            _("The images with the contours burned in, clearly marked; every viewer shows them. Not for measuring."),
        ),
    }


class Delivering:
    """Starts the jobs that write and send.

    Args:
        session: with the open study.
        servers: known servers with their passwords.
    """

    def __init__(self, session: Session, servers: Servers) -> None:
        self._session, self._servers = session, servers

    def save(self, choice: Choice, path: Path, then: Callable[[Outcome], None]) -> None:
        """Write a file, in the background.

        Raises:
            VQBEGALError: the segmentation of the scene cannot be used.
        """
        told = {} if choice.server is None or not choice.is_dicom else self._servers.told(choice.server)
        self._start(_("Export"), "export", choice, ["-o", str(path)], told, then)

    def send(self, choice: Choice, server: Server, then: Callable[[Outcome], None]) -> None:
        """Make an object and send it, in the background; errors as :meth:`save`."""
        self._start(_("Sending"), "push", choice, [], self._servers.told(server), then)

    def send_again(self, server: Server, then: Callable[[Outcome], None]) -> None:
        """Send what waits for a server, in the background."""
        folder = str(self._session.study.folder)
        self._session.start(_("Sending"), ["push", folder, "--stdin"], then, told=self._servers.told(server))

    def remove(self, item: str, then: Callable[[Outcome], None]) -> None:
        """Take an object out of the queue; it is not sent."""
        self._session.start(_("Removing"), ["queue", str(self._session.study.folder), "--remove", item], then)

    def check(self, choice: Choice, then: Callable[[Outcome], None]) -> tuple[Job, int]:
        """Look at what stands in the way of an export, in the background.

        Returns:
            The job, and how many voxels of the choice belong to several segments.

        Raises:
            VQBEGALError: the segmentation of the scene cannot be used.
        """
        folder, arguments, overlap = self._prepared("export", choice)
        told = {} if choice.server is None else {"server": choice.server.to_json()}
        job = self._session.errands.run([*arguments, "--check"], told, then, temporary=folder)
        return job, overlap

    def _start(
        self,
        what: str,
        command: str,
        choice: Choice,
        options: Sequence[str],
        told: dict[str, Any],
        then: Callable[[Outcome], None],
    ) -> None:
        folder, arguments, _overlap = self._prepared(command, choice)
        told = {**told, "creator": choice.creator} if choice.creator else told
        self._session.start(what, [*arguments, *options], then, temporary=folder, told=told)

    def _prepared(self, command: str, choice: Choice) -> tuple[Path, list[str], int]:
        """Write what the command reads into a temporary folder.

        Returns:
            The folder, the command's arguments, and how many voxels belong to several segments.
        """
        folder = Path(tempfile.mkdtemp(prefix="vqbegal-export-"))
        try:
            chosen, overlap = self._options(choice, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        study = str(self._session.study.folder)
        return folder, [command, study, choice.case, "--format", choice.format, *chosen, "--stdin"], overlap

    def _options(self, choice: Choice, folder: Path) -> tuple[list[str], int]:
        overlap, segments = 0, folder / "segments.json"
        if choice.what == SCENE:
            found = scenesegments.of_node(self._session, choice.case, choice.node)
            overlap, meaning = found.overlap, list(found.segments)
            write_volume(folder / "labelmap.nii", found.labelmap)
            options = ["--labelmap", str(folder / "labelmap.nii")]
        else:
            meaning = own_segments(self._session.study.config.organs, METHOD[choice.what])
            options = ["--what", choice.what]
        if meaning:
            segments.write_text(json.dumps(to_json(meaning)), encoding="utf-8")
            options += ["--segments", str(segments)]
        if choice.is_dicom and choice.source is not None:
            options += ["--source", str(choice.source)]
        elif files := self._known_images(choice):
            dicomsource.write_list(files, folder / "images.txt")
            options += ["--source", str(folder / "images.txt")]
        return options, overlap

    def _known_images(self, choice: Choice) -> list[Path]:
        """Return the DICOM files of a case's primary image that the application's database has; often none."""
        return dicomsource.of_record(self._session.study.subjects[choice.case].primary) if choice.is_dicom else []


def own_segments(organs: Sequence[str], method: Method) -> list[Segment]:
    """Return a study's segments where the application's terminology has a code that the library lacks; else none."""
    known = list(organ_segments(organs, method))
    found = [item if item.type is not None else _with_code(item) for item in known]
    return found if found != known else []


def _with_code(segment: Segment) -> Segment:
    """Return a segment with name, colour and code from the application's terminology, where it is there."""
    known = organ(segment.name)
    category, kind = scenesegments.codes(known.entry)
    if kind is None:
        return segment
    return dataclasses.replace(
        segment,
        name=known.name[:64],
        color=tuple(round(part * 255) for part in known.color),
        type=kind,
        category=category or ANATOMICAL_STRUCTURE,
    )


def to_json(segments: Sequence[Segment]) -> list[dict[str, Any]]:
    """Return segments as ``vqbegal export --segments`` reads them."""
    return [
        {
            "value": item.value,
            "name": item.name,
            "color": list(item.color),
            "type": None if item.type is None else vars(item.type),
            "category": vars(item.category),
            "method": item.method,
        }
        for item in segments
    ]

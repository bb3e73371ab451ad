"""Entries of Slicer's Sample Data module: generated CT and MR that need no network, and public CT of the liver."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from VQBEGALPanel.paths import ensure_library, resource

if TYPE_CHECKING:
    from VQBEGALLib.volumes import Volume

CATEGORY = "VQBEGAL"

PATIENTS = 4
"""Enough for a study: three to train on, and the last, which comes with a reference, to validate."""

SIZES = {"ct_size": 128, "ct_slices": 32, "mr_size": 112, "mr_slices": 22}
"""A little smaller than the library's own phantoms: a patient is made in about half a second."""

PUBLIC = {
    "CT liver (Decathlon)": ("CTLiver", "e16eae0ae6fefa858c5c11e58f0f1bb81834d81b7102e021571056324ef6f37e"),
    "CT abdomen (Panoramix)": ("Panoramix-cropped", "146af87511520c500a3706b7b2bfb545f40d5d04dd180be3a7a2c6940e447433"),
}
"""Patients' volumes in Slicer's own store: name in the file and SHA-256; docs/TUTORIAL.md gives their licences."""


def register() -> None:
    """Add the entries to the Sample Data module; does nothing where the application comes without it."""
    if not hasattr(slicer.modules, "sampledata"):
        return
    import SampleData

    add = SampleData.SampleDataLogic.registerCustomSampleDataSource
    phantoms = {_("Phantom pair (CT + MR)"): 1, _("Phantom study ({count} × CT + MR)").format(count=PATIENTS): PATIENTS}
    for name, count in phantoms.items():
        add(
            category=CATEGORY,
            sampleName=name,
            uris=f"vqbegal:phantom/{count}",
            fileNames=f"phantom-{count}",
            nodeNames=name,
            thumbnailFileName=str(resource("Icons", "PhantomPair.png" if count == 1 else "PhantomStudy.png")),
            customDownloader=partial(_show_phantoms, count),
        )
    icons = Path(SampleData.__file__).parent / "Resources" / "Icons"
    for name, (file_name, sha256) in PUBLIC.items():
        add(
            category=CATEGORY,
            sampleName=name,
            uris=f"{slicer.util.TESTING_DATA_URL}SHA256/{sha256}",
            fileNames=f"{file_name}.nrrd",
            nodeNames=name,
            checksums=f"SHA256:{sha256}",
            thumbnailFileName=str(icons / f"{file_name}.png"),
        )


def load_phantoms(count: int) -> list[tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLScalarVolumeNode]]:
    """Make phantom patients and add them to the scene, the same ones every time.

    Patient ``PATIENTS`` gets a finished segmentation of the liver too, which is hidden.

    Returns:
        CT and MR of each patient.
    """
    ensure_library()
    import numpy as np

    from VQBEGALLib.volumes.phantom import make_subject
    from VQBEGALPanel.scene import set_ct_window

    pairs = []
    for number in range(1, count + 1):
        subject = make_subject(np.random.default_rng([0, number - 1]), **SIZES)
        ct = _add_volume(subject.ct, f"Phantom {number} CT")
        set_ct_window(ct)
        pairs.append((ct, _add_volume(subject.mr, f"Phantom {number} MR")))
        if number == PATIENTS:
            _add_reference(subject.ct_labels, ct, f"Phantom {number} reference")
    return pairs


def _show_phantoms(count: int, _source: object) -> None:
    """Make phantoms at the click on an entry, and show the first."""
    with slicer.util.tryWithErrorDisplay(_("The phantoms could not be made."), waitCursor=True):
        pairs = load_phantoms(count)
        slicer.util.setSliceViewerLayers(background=pairs[0][0], fit=True)


def _add_volume(volume: Volume, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    from VQBEGALPanel.geometry import LPS

    return slicer.util.addVolumeFromArray(volume.voxels, LPS @ volume.affine, name)


def _add_reference(labels: Volume, ct: slicer.vtkMRMLScalarVolumeNode, name: str) -> None:
    from VQBEGALPanel.organs import LIVER, add_segment

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    segment = add_segment(node, LIVER, LIVER.color)
    slicer.util.updateSegmentBinaryLabelmapFromArray(labels.voxels, node, segment, ct)
    node.GetDisplayNode().SetVisibility(False)

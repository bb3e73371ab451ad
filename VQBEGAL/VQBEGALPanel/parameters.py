"""What is saved with the scene: which study, which slice, and the selectors' nodes."""

from __future__ import annotations

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Default, parameterNodeWrapper


@parameterNodeWrapper
class Parameters:
    """The panel's state in the scene; what belongs to the computer (device, last folder) is in the settings.

    Args:
        studyFolder: folder of the open study, empty where none is.
        round: newest round when the scene was saved.
        case: case that was shown.
        slice: its slice along the volume's own axis; -1 for none.
        ctVolume: volume to add as a case.
        mrVolume: volume to add as a case.
        referenceSegmentation: finished segmentation to add with a case.
    """

    studyFolder: str  # noqa: N815  (the application's spelling)
    round: Annotated[int, Default(-1)]
    case: str
    slice: Annotated[int, Default(-1)]
    ctVolume: vtkMRMLScalarVolumeNode  # noqa: N815
    mrVolume: vtkMRMLScalarVolumeNode  # noqa: N815
    referenceSegmentation: vtkMRMLSegmentationNode  # noqa: N815

"""How much a CIML network takes from the other modality, place by place, as a volume."""

from __future__ import annotations

import numpy as np
import torch

from VQBEGALLib.events import Reporter
from VQBEGALLib.inference import BATCH
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.related.ciml import CIML
from VQBEGALLib.rounds.material import Material
from VQBEGALLib.slices import PlaneGrid, SliceFrame
from VQBEGALLib.volumes import Volume


def attention_volume(
    material: Material, model: VQBEGAL, case: str, *, device: torch.device, reporter: Reporter
) -> Volume | None:
    """Return how much the segmentation of a case takes from its own auxiliary image, place by place.

    Args:
        material: slices of the study, with those of the case's split.
        model: trained network.
        case: name.
        device: where to compute.
        reporter: looked at for a request to cancel between batches of slices.

    Returns:
        uint8 percent on the primary image's grid (:attr:`VQBEGALLib.related.ciml.Message.taken`); None where the
        network passes no messages, or the case has no auxiliary image, or none that the network may use.

    Raises:
        CancelledError: a person asked to stop.
    """
    subject = material.study.subjects[case]
    if not isinstance(model, CIML) or subject.auxiliary is None:
        return None
    pairs = [pair for pair in material.pairs(subject.split) if pair.case == case and pair.partner is not None]
    if not pairs or (model.needs_registered and not all(pair.aligned for pair in pairs)):
        return None
    grid = material.study.grid(case)
    voxels = np.zeros(grid.shape, np.uint8)
    frame = SliceFrame.of(grid)
    planes, plane_grid = frame.planes(voxels), PlaneGrid.of(frame, material.config.slices)
    model = model.to(device).eval()
    with torch.inference_mode():
        for start in range(0, len(pairs), BATCH):
            reporter.check_cancelled()
            batch = pairs[start : start + BATCH]
            images = material.reader.read(batch)
            x, partner = (torch.from_numpy(each[:, None]).to(device) for each in (images.primary, images.auxiliary))
            taken = model.attention(x, partner).taken.cpu().numpy()  # (n, 1, H, W)
            for pair, image in zip(batch, taken, strict=True):
                planes[pair.slice] = np.rint(100 * plane_grid.to_plane(image)[0])
    return grid.with_voxels(voxels)

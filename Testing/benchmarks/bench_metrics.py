"""HD95 of two liver masks, 60 × 256², anisotropic spacing: ours against MONAI's and medpy's, in one run."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

from harness import Row, alternate, print_table, versions  # first: it sets one thread

import numpy as np  # isort: skip
from scipy import ndimage  # isort: skip

from VQBEGALLib.metrics import hd95
from VQBEGALLib.volumes.phantom import make_subject

TARGETS = {"monai": 0.7, "medpy": 0.25}


def liver_pair() -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    """Return a phantom's liver with a smoothly disturbed surface, the liver itself, and the spacing along K, J, I."""
    subject = make_subject(3, ct_size=256, ct_slices=60)
    reference = subject.ct_labels.voxels > 0
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(reference.shape), (2, 6, 6))
    depth = ndimage.distance_transform_edt(reference) - ndimage.distance_transform_edt(~reference)
    return depth + 2 * noise / noise.std() > 0, reference, subject.ct.spacing


def competitors(
    prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, float, float]
) -> dict[str, Callable[[], float]]:
    """Return ours and the peers that are installed."""
    calls: dict[str, Callable[[], float]] = {"ours": lambda: hd95(prediction, reference, spacing)}
    try:
        import torch
        from monai.metrics import compute_hausdorff_distance

        torch.set_num_threads(1)
        first, second = (torch.from_numpy(mask[None, None]) for mask in (prediction, reference))
        calls["monai"] = lambda: float(
            compute_hausdorff_distance(first, second, include_background=True, percentile=95, spacing=spacing)
        )
    except ImportError:
        pass
    try:
        from medpy.metric.binary import hd95 as medpy_hd95

        calls["medpy"] = lambda: float(medpy_hd95(prediction, reference, spacing))
    except ImportError:
        pass
    return calls


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    warnings.filterwarnings("ignore", category=FutureWarning, module="monai")
    calls = competitors(*liver_pair())
    values = {name: call() for name, call in calls.items()}
    times = alternate(calls, repeats)
    rows = []
    for peer, target in TARGETS.items():
        if peer not in times:
            rows.append(Row(f"HD95 60 × 256², time to {peer}'s", None, target))
            continue
        note = f"{1000 * times['ours']:.0f} ms to {1000 * times[peer]:.0f} ms; "
        note += f"{values['ours']:.4f} and {values[peer]:.4f} mm"
        note += " (one percentile over both directions)" if peer == "medpy" else ""
        rows.append(Row(f"HD95 60 × 256², time to {peer}'s", times["ours"] / times[peer], target, note))
    print_table(rows, versions("monai", "medpy", "numpy", "scipy"))


if __name__ == "__main__":
    main()

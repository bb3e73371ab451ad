"""What codebook and discriminator do on the training pool: logged every round (method.md, "First measurements")."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.slices.reader import PairReader

SAMPLE = 256
"""Pairs looked at, evenly spread over the pool."""


def diagnose(model: VQBEGAL, pairs: list[SlicePair], reader: PairReader, device: torch.device) -> dict[str, Any]:
    """Return codes in use by modality and by both, perplexities, the discriminator's accuracy and the spread of S.

    Pairs without partner are left out; with none left the result is empty.
    """
    pairs = [pair for pair in pairs if pair.partner is not None]
    pairs = [pairs[index] for index in np.linspace(0, len(pairs) - 1, min(SAMPLE, len(pairs))).astype(int)]
    if not pairs:
        return {}
    counts = torch.zeros(2, model.settings.codes, dtype=torch.long)
    right, uncertainty = [], []
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(pairs), 16):
            images = reader.read(pairs[start : start + 16])
            x_c, x_m = (torch.from_numpy(array[:, None]).to(device) for array in (images.primary, images.auxiliary))
            encoding = model.encode_pairs(x_c, x_m)
            swap = torch.arange(len(x_c), device=device) % 2 == 1
            inputs, classes = model.discriminator.examples(encoding.z_c, encoding.z_m, swap)
            right.append((model.discriminator(inputs).argmax(dim=1) == classes).float().cpu())
            uncertainty.append(model.discriminator.uncertainty(encoding.z_c, encoding.z_m).cpu())
            if encoding.codes is not None:
                for row, codes in enumerate(torch.tensor_split(encoding.codes.cpu(), 2)):
                    counts[row] += torch.bincount(codes.flatten(), minlength=counts.shape[1])
    spread = torch.quantile(torch.cat(uncertainty), torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64))
    found: dict[str, Any] = {
        "discriminator_right": float(torch.cat(right).mean()),
        "uncertainty_quartiles": [float(value) for value in spread],
    }
    if model.codebook is not None:
        used = counts > 0
        found["codebook"] = {
            "entries": counts.shape[1],
            "primary": int(used[0].sum()),
            "auxiliary": int(used[1].sum()),
            "shared": int((used[0] & used[1]).sum()),
            "perplexity_primary": _perplexity(counts[0]),
            "perplexity_auxiliary": _perplexity(counts[1]),
            "counts_primary": counts[0].tolist(),
            "counts_auxiliary": counts[1].tolist(),
        }
    return found


def _perplexity(counts: torch.Tensor) -> float:
    shares = counts.to(torch.float64) / counts.sum()
    return float(torch.exp(-torch.xlogy(shares, shares).sum()))

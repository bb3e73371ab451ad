"""The codebook, forward and backward in training, against vector-quantize-pytorch's cosine codebook, in one run."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from harness import Row, alternate, print_table, versions  # first: it sets one thread

import torch  # isort: skip

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.network.quantizer import CosineCodebook

SIZES = ((16384, 64, 1024), (4096, 256, 1024))
TARGET = 0.5
SIDE = 16


def competitors(positions: int, dim: int, codes: int) -> dict[str, Callable[[], object]]:
    """Return one training pass of each codebook on the same features; both follow them by a moving average."""
    torch.manual_seed(0)
    features = torch.randn(positions // SIDE**2, dim, SIDE, SIDE, requires_grad=True)
    weight = torch.randn_like(features)
    ours = CosineCodebook(NetworkSettings(codes=codes, code_dim=dim)).train()
    learn = torch.ones(len(features), dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)

    def pass_ours() -> None:
        found = ours(features, learn=learn, generator=generator)
        ((found.z * weight).sum() + found.vq + found.commit).backward()

    calls: dict[str, Callable[[], object]] = {"ours": pass_ours}
    try:
        from vector_quantize_pytorch import VectorQuantize

        peer = VectorQuantize(
            dim=dim, codebook_size=codes, use_cosine_sim=True, accept_image_fmap=True, rotation_trick=False, decay=0.95
        ).train()

        def pass_peer() -> None:
            quantized, _, loss = peer(features)
            ((quantized * weight).sum() + loss.sum()).backward()

        calls["peer"] = pass_peer
    except ImportError:
        pass
    return calls


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    rows = []
    for positions, dim, codes in SIZES:
        times = alternate(competitors(positions, dim, codes), repeats)
        name = f"codebook (N, d, K) = ({positions}, {dim}, {codes}), time to the peer's"
        if "peer" not in times:
            rows.append(Row(name, None, TARGET))
            continue
        note = f"{1000 * times['ours']:.0f} ms to {1000 * times['peer']:.0f} ms"
        rows.append(Row(name, times["ours"] / times["peer"], TARGET, note))
    print_table(rows, versions("vector-quantize-pytorch", "torch"))


if __name__ == "__main__":
    main()

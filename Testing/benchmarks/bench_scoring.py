"""Scoring a pool: throughput against the bare encoders in one run, and memory of a pool ten times as large."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness import Row, alternate, print_table, versions  # first: it sets one thread

import numpy as np  # isort: skip
import torch

from VQBEGALLib.config import preset
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import build
from VQBEGALLib.selection.scoring import BATCH, entropies, score_pairs
from VQBEGALLib.slices import ImageKey, SliceCache, SlicePair
from VQBEGALLib.slices.reader import PairReader

THROUGHPUT = 0.85
MEMORY_MB = 300.0
VOLUME = 100
"""Slices of one simulated volume."""


def pool(folder: Path, pairs: int, size: int) -> tuple[list[SlicePair], PairReader]:
    """Write random prepared slices and return their pairs."""
    cache = SliceCache(folder, preset("small", {"size": size}).slices)
    generator = np.random.default_rng(0)
    keys: dict[str, dict[str, ImageKey]] = {"primary": {}, "auxiliary": {}}
    for number in range(-(-pairs // VOLUME)):
        for which, modality in (("primary", "CT"), ("auxiliary", "MR")):
            key = ImageKey(f"s{number}", which, modality, "")  # type: ignore[arg-type]
            slices = generator.random((VOLUME, size, size), dtype=np.float32).astype(np.float16)
            with cache.path(key).open("wb") as stream:
                np.save(stream, slices)
            keys[which][key.subject] = key
    found = [SlicePair(f"s{n // VOLUME}", n % VOLUME, f"s{n // VOLUME}", n % VOLUME) for n in range(pairs)]
    return found, PairReader(cache, keys["primary"], keys["auxiliary"])


def competitors(folder: Path) -> dict[str, Callable[[], object]]:
    """Return scoring, and the encoders alone over the same slices read the same way."""
    config = preset("small")
    pairs, reader = pool(folder, 128, config.slices.size)
    model = build(config.network, seed=0).eval()

    def bare() -> None:
        with torch.inference_mode():
            for start in range(0, len(pairs), BATCH):
                images = reader.read(pairs[start : start + BATCH])
                model.encoder_c(torch.from_numpy(images.primary[:, None]))
                model.encoder_m(torch.from_numpy(images.auxiliary[:, None]))

    cpu = torch.device("cpu")
    return {
        "scoring": lambda: score_pairs(model, pairs, reader, entropies, device=cpu, reporter=Reporter()),
        "bare": bare,
    }


def peak_megabytes(pairs: int) -> float:
    """Return the peak resident memory of a process that scores a pool."""
    text = subprocess.run(
        [sys.executable, __file__, "--measure", str(pairs)], check=True, capture_output=True, text=True
    ).stdout
    return float(text)


def measure(pairs: int) -> None:
    """Score a pool with a small network and print the peak resident memory, MB."""
    torch.set_num_threads(1)
    config = preset("tiny")
    with tempfile.TemporaryDirectory() as folder:
        found, reader = pool(Path(folder), pairs, config.slices.size)
        model = build(config.network, seed=0)
        score_pairs(model, found, reader, entropies, device=torch.device("cpu"), reporter=Reporter())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--measure", type=int, metavar="PAIRS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        times = alternate(competitors(Path(folder)), options.repeats)
    small, large = peak_megabytes(2000), peak_megabytes(20000)
    note = f"{128 / times['scoring']:.0f} to {128 / times['bare']:.0f} pairs a second"
    rows = [
        Row(
            "scoring, throughput to the bare encoders'",
            times["bare"] / times["scoring"],
            THROUGHPUT,
            note,
            at_least=True,
        ),
        Row("scoring 20,000 pairs, MB above 2,000 pairs", large - small, MEMORY_MB, f"{large:.0f} and {small:.0f} MB"),
    ]
    print_table(rows, versions("torch"))


if __name__ == "__main__":
    main()

"""Scoring a pool: throughput against the bare encoders and against rivals that take many passes, and memory.

Throughput is measured on few pairs that are read again: time grows with their number, memory must not.
"""

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
from VQBEGALLib.selection.mc_dropout import PASSES, dropout_measure
from VQBEGALLib.selection.scoring import BATCH, Measure, entropies, score_pairs
from VQBEGALLib.selection.taal import turning_divergence
from VQBEGALLib.slices import ImageKey, SliceCache, SlicePair
from VQBEGALLib.slices.reader import PairReader

THROUGHPUT = 0.85
TO_MC_DROPOUT = 5.0
TO_TAAL = 4.0
PAIRS = 64
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
    """Return scoring by each strategy, and the encoders alone, on the same network and slices read the same way."""
    config = preset("small", {"dropout": 0.2})  # in the decoder only, which vq_begal does not run
    pairs, reader = pool(folder, PAIRS, config.slices.size)
    model = build(config.network, seed=0).eval()

    def bare() -> None:
        with torch.inference_mode():
            for start in range(0, len(pairs), BATCH):
                images = reader.read(pairs[start : start + BATCH])
                model.encoder_c(torch.from_numpy(images.primary[:, None]))
                model.encoder_m(torch.from_numpy(images.auxiliary[:, None]))

    def scoring(measure: Measure) -> Callable[[], object]:
        return lambda: score_pairs(model, pairs, reader, measure, device=torch.device("cpu"), reporter=Reporter())

    masks = torch.Generator().manual_seed(0)
    return {
        "scoring": scoring(entropies),
        "bare": bare,
        "mc_dropout": scoring(dropout_measure(masks, lambda found: found.divergence)),
        "taal": scoring(turning_divergence),
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
    rivals = {
        "the bare encoders'": ("bare", THROUGHPUT),
        f"mc_dropout's (T = {PASSES})": ("mc_dropout", TO_MC_DROPOUT),
        "taal's": ("taal", TO_TAAL),
    }
    rows = [
        Row(
            f"scoring, throughput to {whose}",
            times[name] / times["scoring"],
            target,
            f"{PAIRS / times['scoring']:.0f} to {PAIRS / times[name]:.0f} pairs a second",
            at_least=True,
        )
        for whose, (name, target) in rivals.items()
    ]
    rows.append(
        Row("scoring 20,000 pairs, MB above 2,000 pairs", large - small, MEMORY_MB, f"{large:.0f} and {small:.0f} MB")
    )
    print_table(rows, versions("torch"))


if __name__ == "__main__":
    main()

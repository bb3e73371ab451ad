"""An optimiser step of each related system against the plain network's, in one run: time, memory, parameters."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from harness import Row, alternate, print_table, versions  # first: it sets one thread

import torch  # isort: skip

from bench_training import random_batch

import VQBEGALLib.related  # noqa: F401 – enters the related systems
from VQBEGALLib.benchmark.cost import TrainingMemory, parameters_used
from VQBEGALLib.config import Config, preset
from VQBEGALLib.network import build_network
from VQBEGALLib.training.step import step_loss

PLAIN = "plain"
TARGETS = {"cmc": 1.5, "ciml": 1.5, "cmems": 5.0}
"""Of the step's time and memory; CMEMS trains two networks on three views of each slice."""
WEIGHTS = 1.5
"""Of the parameters that segment a slice."""


def stepper(config: Config) -> Callable[[], None]:
    """Return one optimiser step of a new network."""
    batch, generator = random_batch(config), torch.Generator().manual_seed(0)
    net = build_network(config, seed=0).train()
    optimizer = torch.optim.AdamW([weight for weight in net.parameters() if weight.requires_grad], lr=1e-4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        step_loss(net, batch, config, progress=0.5, generator=generator).total.backward()
        optimizer.step()

    return step


def memory(config: Config) -> float:
    """Return what network, optimiser and two steps take, MiB."""
    with TrainingMemory(torch.device("cpu")) as taken:
        step = stepper(config)
        step()
        step()
    return taken.mib or 0.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    smaller = {"batch_size": 4, "unlabelled_per_step": 2}
    configs = {method: preset("small", {"method": method, **smaller}) for method in (PLAIN, *TARGETS)}
    memories = {method: memory(config) for method, config in configs.items()}
    weights = {method: parameters_used(build_network(config, seed=0), config) for method, config in configs.items()}
    times = alternate({method: stepper(config) for method, config in configs.items()}, repeats)
    rows = []
    for method, target in TARGETS.items():
        time, taken, count = (found[method] / found[PLAIN] for found in (times, memories, weights))
        note = f"{1000 * times[method]:.0f} ms to {1000 * times[PLAIN]:.0f} ms, preset small, batches of 4"
        rows.append(Row(f"{method}: step, time to the plain network's", time, target, note))
        note = f"{memories[method]:.0f} MiB to {memories[PLAIN]:.0f} MiB"
        rows.append(Row(f"{method}: memory of training", taken, target, note))
        note = f"{weights[method]} to {weights[PLAIN]}"
        rows.append(Row(f"{method}: parameters that segment", count, WEIGHTS, note))
    print_table(rows, versions("torch"))


if __name__ == "__main__":
    main()

"""A training step with codebook and discriminator against the same encoders and decoder without them, in one run."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from harness import Row, alternate, print_table, versions  # first: it sets one thread

import torch  # isort: skip

from VQBEGALLib.config import Config, preset
from VQBEGALLib.network import build
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.losses import segmentation_loss
from VQBEGALLib.training.step import step_loss

TARGET = 1.25


def random_batch(config: Config) -> Batch:
    """Return a batch of the configured size, seed slices and unlabelled ones."""
    generator = torch.Generator().manual_seed(0)
    size, labelled = config.slices.size, config.training.batch_size
    count = labelled + config.training.unlabelled_per_step
    images = torch.rand(2, count, 1, size, size, generator=generator)
    masks = (torch.rand(labelled, 1, size, size, generator=generator) < 0.2).float()
    none = torch.zeros(labelled, dtype=torch.bool)
    return Batch(
        primary=images[0],
        auxiliary=images[1],
        present=torch.ones(count, dtype=torch.bool),
        aligned=torch.zeros(count, dtype=torch.bool),
        masks=masks,
        auxiliary_masks=torch.zeros_like(masks),
        auxiliary_labelled=none,
        roles=torch.zeros(labelled, dtype=torch.long),
        dropped=torch.rand(labelled, generator=generator) < config.network.modality_dropout,
        swap=torch.zeros(count, dtype=torch.bool),
    )


def competitors(config: Config) -> dict[str, Callable[[], object]]:
    """Return one optimiser step of each; both encode the same slices and decode the same labelled ones."""
    batch, labelled = random_batch(config), config.training.batch_size
    full, bare = build(config.network, seed=0).train(), build(config.network, seed=0).train()
    weights = [weight for weight in full.parameters() if weight.requires_grad]
    plain = [*bare.encoder_parameters(), *bare.decoder.parameters()]
    optimizers = [torch.optim.AdamW(each, lr=1e-4) for each in (weights, plain)]
    generator = torch.Generator().manual_seed(0)

    def step_full() -> None:
        optimizers[0].zero_grad(set_to_none=True)
        step_loss(full, batch, config, progress=0.5, generator=generator).total.backward()
        optimizers[0].step()

    def step_bare() -> None:
        optimizers[1].zero_grad(set_to_none=True)
        own, other = bare.encoder_c(batch.primary), bare.encoder_m(batch.auxiliary)
        rows = torch.arange(labelled)
        part = own.select(rows)
        logits = bare.decoder(part.features, other.features[:labelled], batch.dropped, part.skips)
        # the unlabelled slices are encoded for nothing here; a zero weight keeps their backward pass in the comparison
        idle = 0.0 * (own.features[labelled:].sum() + other.features[labelled:].sum())
        (segmentation_loss(logits, batch.masks) + idle).backward()
        optimizers[1].step()

    return {"full": step_full, "bare": step_bare}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    config = preset("small")
    times = alternate(competitors(config), repeats)
    note = f"{1000 * times['full']:.0f} ms to {1000 * times['bare']:.0f} ms, preset small"
    name = "training step, time to that without codebook and discriminator"
    print_table([Row(name, times["full"] / times["bare"], TARGET, note)], versions("torch"))


if __name__ == "__main__":
    main()

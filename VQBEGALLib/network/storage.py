"""Networks and training states as safetensors: plain tensors and text, nothing that runs when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.network.model import VQBEGAL
from VQBEGALLib.network.registry import build_network
from VQBEGALLib.storage import write_bytes

KEY = "vqbegal"
FORMAT = 1


def save_tensors(path: Path, tensors: Mapping[str, Tensor], **texts: Any) -> None:
    """Write tensors and JSON-ready texts, atomically.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # one entry: safetensors writes several in random order, and equal contents should make equal files
    write_bytes(path, save(plain, {KEY: json.dumps({"format": FORMAT, **texts})}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_tensors` wrote.

    Raises:
        StudyError: the file is missing, truncated, or not ours.
    """
    remedy = "Train the round again, or restore the file from a copy."
    try:
        with safe_open(path, framework="pt") as stream:
            texts = json.loads((stream.metadata() or {}).get(KEY, "{}"))
            if not isinstance(texts, dict) or texts.pop("format", None) != FORMAT:
                raise StudyError(f"{path.name} is not a checkpoint of this program.", remedy)
            return {name: stream.get_tensor(name) for name in stream.keys()}, texts  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError, ValueError) as error:
        raise StudyError(f"{path.name} cannot be read as a checkpoint: {error}.", remedy) from None


def save_model(path: Path, model: VQBEGAL, config: Config) -> None:
    """Write a network's weights with the configuration that rebuilds it."""
    save_tensors(path, model.state_dict(), config=config.to_json())


def load_model(path: Path) -> tuple[VQBEGAL, Config]:
    """Rebuild a network from its file, in evaluation mode on the CPU.

    Raises:
        StudyError: the file is damaged, not ours, or its weights do not fit its configuration.
    """
    tensors, texts = load_tensors(path)
    try:
        config = Config.from_json(texts.get("config"))
        model = build_network(config, seed=0)
        model.load_state_dict(tensors)
    except (InputError, RuntimeError):
        raise StudyError(
            f"{path.name} holds weights that do not fit its configuration.", "Train the round again."
        ) from None
    return model.eval(), config

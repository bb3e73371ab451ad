"""Encoder weights of this program's own networks, and files that are refused."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from Testing.unit.related.sam_files import sam
from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError
from VQBEGALLib.network import build_network
from VQBEGALLib.network.storage import save_model
from VQBEGALLib.related.cmc.weights import load_encoders, read_weights

Settings = Callable[..., Config]


@pytest.mark.parametrize("method", ["cmc", "default"])
def test_the_encoders_of_another_study_are_taken(settings: Settings, tmp_path: Path, method: str) -> None:
    config = settings("default")
    source = build_network(config, seed=7)
    save_model(tmp_path / "model.safetensors", source, config)
    model = build_network(settings(method), seed=0)
    head = model.decoder.head.weight.clone()
    loaded = load_encoders(model, read_weights(tmp_path / "model.safetensors"))
    x = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    for ours, theirs in ((model.encoder_c, source.encoder_c), (model.encoder_m, source.encoder_m)):
        assert torch.equal(ours.eval()(x).features, theirs.eval()(x).features)
    assert torch.equal(model.decoder.head.weight, head)
    assert any(name.startswith("decoder.") for name in loaded.unused)
    assert all("adapters" in name for name in loaded.kept)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_refused(settings: Settings, value: float) -> None:
    tensors = build_network(settings("cmc"), seed=0).state_dict()
    next(tensors[name] for name in tensors if name.startswith("encoder_m.")).fill_(value)
    with pytest.raises(InputError, match="no finite floating-point numbers"):
        load_encoders(build_network(settings("cmc"), seed=0), tensors)


def test_encoders_of_another_width_do_not_fit(settings: Settings) -> None:
    wide = build_network(settings("cmc", base_channels=8), seed=0).state_dict()
    with pytest.raises(InputError, match=r"is 8 × 1 × 3 × 3 in the file of encoder weights and 4 × 1 × 3 × 3"):
        load_encoders(build_network(settings("cmc"), seed=0), wide)


@pytest.mark.parametrize("name", ["sam_vit_b.pth", "model.PT"])
def test_a_pickle_is_refused_unread(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is a pickle, which can run programs") as caught:
        read_weights(tmp_path / name)
    assert "weights_only=True" in caught.value.remedy


@pytest.mark.parametrize("entry", [None, "model", "model_state_dict"])
def test_the_remedy_converts_a_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str | None) -> None:
    tensors = sam()
    neck = "image_encoder.neck.2.weight"
    tensors[neck] = tensors[neck].to(memory_format=torch.channels_last)
    old, new = tmp_path / "sam.pth", tmp_path / "sam.safetensors"
    torch.save({entry: tensors, "epoch": 3} if entry else tensors, old)
    with pytest.raises(InputError) as caught:
        read_weights(old)
    words = shlex.split(caught.value.remedy.partition(": ")[2])
    assert words[:2] == ["python", "-c"]
    monkeypatch.setattr(sys, "argv", ["-c", str(old), str(new)])
    exec(words[2], {})
    found = read_weights(new)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (b"", "Copy the file again"),
        (save({"a": torch.zeros(100)})[:-7], "Copy the file again"),
        (b"PK\x03\x04 a renamed pickle", "weights_only=True"),
        (b"\x80\x02}q\x00.", "weights_only=True"),
    ],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes, remedy: str) -> None:
    (tmp_path / "sam.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"sam.safetensors cannot be read as safetensors") as caught:
        read_weights(tmp_path / "sam.safetensors")
    assert remedy in caught.value.remedy
    with pytest.raises(InputError, match="is a folder"):
        read_weights(tmp_path)
    with pytest.raises(InputError, match="There is no file"):
        read_weights(tmp_path / "other.safetensors")

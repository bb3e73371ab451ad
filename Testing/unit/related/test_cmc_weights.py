"""Encoder weights from files built like SAM's and SAM-Med3D's."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from Testing.unit.related.sam_files import VIT, Tensors, sam
from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError
from VQBEGALLib.network import VQBEGAL, build_network
from VQBEGALLib.related.cmc.sam import adapted, shape_of
from VQBEGALLib.related.cmc.weights import load_encoders, read_weights

Settings = Callable[..., Config]


def vit_state(model: VQBEGAL, which: str = "encoder_c") -> Tensors:
    return dict(getattr(model, which).vit.state_dict())


def test_a_sam_file_goes_to_both_encoders(settings: Settings, tmp_path: Path) -> None:
    tensors = sam()
    save_file(tensors, tmp_path / "sam.safetensors")
    model = build_network(settings("cmc", **VIT), seed=0)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    loaded = load_encoders(model, read_weights(tmp_path / "sam.safetensors"))
    for which in ("encoder_c", "encoder_m"):
        for name, weight in vit_state(model, which).items():
            expected = tensors[f"image_encoder.{name}"]
            if name == "patch_embed.proj.weight":
                expected = expected[:, :1] + expected[:, 1:2] + expected[:, 2:]
            torch.testing.assert_close(weight, expected)
    for name, weight in model.state_dict().items():
        assert ".vit." in name or torch.equal(weight, before[name]), name
    assert loaded.changed == {"patch_embed.proj.weight": "summed over channels"}
    assert set(loaded.unused) == {"prompt_encoder.no_mask_embed.weight", "mask_decoder.iou_token.weight"}
    assert any("adapters" in name for name in loaded.kept)
    assert loaded.text().startswith(
        f"Encoder weights: {len(vit_state(model)) - 1} tensors taken as they are, 1 summed over channels; 2 of the file"
    )


def test_a_grey_image_gives_what_it_gave_in_colour() -> None:
    tensors = {name.removeprefix("image_encoder."): tensor for name, tensor in sam().items()}
    kernel, _, _ = adapted("patch_embed.proj.weight", tensors, torch.Size((8, 1, 16, 16)))
    grey = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    colour = functional.conv2d(grey.expand(-1, 3, -1, -1), tensors["patch_embed.proj.weight"], stride=16)
    torch.testing.assert_close(functional.conv2d(grey, kernel, stride=16), colour, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "stride"), [("patch_embed.proj.weight", 16), ("neck.2.weight", 1)])
def test_equal_planes_give_what_they_gave_in_a_volume(name: str, stride: int) -> None:
    tensors = {name.removeprefix("image_encoder."): tensor for name, tensor in sam(planes=2).items()}
    solid = tensors[name]
    flat, _, _ = adapted(name, tensors, solid.shape[:4])
    slices = torch.rand(1, solid.shape[1], 32, 32, generator=torch.Generator().manual_seed(1))  # rows y, columns x
    volume = slices.transpose(2, 3)[..., None].expand(-1, -1, -1, -1, solid.shape[4])  # x, y, z
    expected = functional.conv3d(volume, solid, stride=stride)[..., 0].transpose(2, 3)
    torch.testing.assert_close(functional.conv2d(slices, flat, stride=stride), expected, rtol=1e-4, atol=1e-4)


def test_positions_of_a_volume_lose_the_axis_across_the_planes(settings: Settings) -> None:
    tensors = sam(planes=3)
    model = build_network(settings("cmc", **VIT), seed=0)
    loaded = load_encoders(model, tensors)
    state = vit_state(model)
    positions = tensors["image_encoder.pos_embed"]
    for row in range(2):
        for column in range(2):
            torch.testing.assert_close(state["pos_embed"][0, row, column], positions[0, column, row].mean(0))
    for block in range(2):
        there, here = f"image_encoder.blocks.{block}.attn.rel_pos_", f"blocks.{block}.attn.rel_pos_"
        assert torch.equal(state[f"{here}h"], tensors[f"{there}h"])
        assert torch.equal(state[f"{here}w"], tensors[f"{there}d"])
    assert {"blocks.0.attn.rel_pos_w", "blocks.1.attn.rel_pos_w"} <= set(loaded.unused)
    assert loaded.changed["pos_embed"] == "averaged over planes"
    assert loaded.changed["neck.2.weight"] == "summed over planes"


def test_positions_of_a_larger_image_are_resized(settings: Settings) -> None:
    tensors = sam(grid=4)
    tensors["image_encoder.pos_embed"] = torch.arange(4.0)[None, :, None, None].expand(1, 4, 4, 8).clone()
    tensors["image_encoder.blocks.0.attn.rel_pos_h"] = torch.arange(-3.0, 4)[:, None].expand(7, 4).clone()
    model = build_network(settings("cmc", **VIT), seed=0)
    loaded = load_encoders(model, tensors)
    state = vit_state(model)
    rows = state["pos_embed"][0, :, 0, 0]
    assert rows.tolist() == pytest.approx([0.5, 2.5], abs=0.1)
    distances = state["blocks.0.attn.rel_pos_h"][:, 0]
    assert distances[1].item() == pytest.approx(0, abs=1e-6)
    assert (-distances[0]).item() == pytest.approx(distances[2].item())
    assert loaded.changed["pos_embed"] == loaded.changed["blocks.1.attn.rel_pos_w"] == "resized"
    assert model.segment(torch.rand(1, 1, 32, 32)).isfinite().all()


def test_relative_positions_of_a_window_keep_their_distances(settings: Settings) -> None:
    tensors = sam(grid=4)
    window = torch.arange(-4.0, 5)[:, None].expand(9, 4).clone()  # five tokens across: distances −4 to 4
    tensors["image_encoder.blocks.1.attn.rel_pos_h"] = window
    model = build_network(settings("cmc", **VIT), seed=0)
    loaded = load_encoders(model, tensors)
    assert vit_state(model)["blocks.1.attn.rel_pos_h"][:, 0].tolist() == [-1, 0, 1]
    assert loaded.changed["blocks.1.attn.rel_pos_h"] == "cropped"
    assert loaded.changed["blocks.0.attn.rel_pos_h"] == "resized"


def test_an_encoder_without_prefix_or_relative_positions_will_do(settings: Settings) -> None:
    bare = {name.removeprefix("image_encoder."): tensor for name, tensor in sam().items() if "rel_pos" not in name}
    model = build_network(settings("cmc", **VIT), seed=0)
    loaded = load_encoders(model, bare)
    state = vit_state(model)
    assert torch.equal(state["blocks.1.mlp.lin1.weight"], bare["blocks.1.mlp.lin1.weight"])
    assert not state["blocks.0.attn.rel_pos_h"].any()
    assert "blocks.0.attn.rel_pos_h" in loaded.kept


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"vit_width": 16}, "vit_width 8, not 16, vit_heads 2, not 2"),
        ({"vit_depth": 3}, "vit_depth 2, not 3"),
        ({"vit_heads": 4}, "vit_heads 2, not 4"),
        ({"vit_neck": 8}, "vit_neck 4, not 8"),
    ],
)
def test_another_size_is_one_sentence(settings: Settings, changes: dict[str, int], wrong: str) -> None:
    model = build_network(settings("cmc", **{**VIT, **changes}), seed=0)
    with pytest.raises(InputError) as caught:
        load_encoders(model, sam())
    assert wrong.split(",")[0] in caught.value.problem
    assert "--set vit_width=8 --set vit_depth=2 --set vit_heads=2 --set vit_neck=4" in caught.value.remedy


def test_a_transformer_does_not_fit_convolutions(settings: Settings) -> None:
    with pytest.raises(InputError, match="the study's encoders are convolutional") as caught:
        load_encoders(build_network(settings("cmc"), seed=0), sam())
    assert "--set encoder=vit --set vit_width=8" in caught.value.remedy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("image_encoder.blocks.1.mlp.lin2.bias"), "lacks blocks.1.mlp.lin2.bias"),
        (lambda tensors: tensors.pop("image_encoder.neck.0.weight"), "is not whole"),
        (lambda tensors: tensors.pop("image_encoder.patch_embed.proj.weight"), "neither a network of this program"),
        (
            lambda tensors: tensors.update({"image_encoder.patch_embed.proj.weight": torch.zeros(8, 3, 8, 8)}),
            r"has the shape \(8, 1, 8, 8\), not \(8, 1, 16, 16\)",
        ),
        (lambda tensors: tensors.update({"image_encoder.patch_embed.proj.weight": torch.zeros(8)}), "is not whole"),
        (lambda tensors: tensors.update({"image_encoder.neck.0.weight": torch.zeros(())}), "is not whole"),
        (
            lambda tensors: tensors.update({"image_encoder.blocks.0.attn.rel_pos_h": torch.zeros(3)}),
            "is not whole",
        ),
        (
            lambda tensors: tensors.update({"image_encoder.pos_embed": torch.zeros(1, 5, 8)}),
            r"pos_embed in the file of encoder weights has the shape \(1, 5, 8\), not \(1, 2, 2, 8\)",
        ),
        (
            lambda tensors: tensors.update({"image_encoder.blocks.1.attn.rel_pos_w": torch.zeros(4)}),
            r"has the shape \(4,\), not \(3, 4\)",
        ),
        (lambda tensors: tensors["image_encoder.neck.1.bias"].fill_(torch.nan), "neck.1.bias in the file of encoder"),
        (lambda tensors: tensors["image_encoder.neck.1.bias"].fill_(torch.inf), "no finite floating-point numbers"),
        (
            lambda tensors: tensors.update({"image_encoder.neck.1.bias": torch.zeros(4, dtype=torch.int64)}),
            "no finite floating-point numbers",
        ),
    ],
)
def test_what_a_file_lacks_is_said(settings: Settings, change: Callable[[Tensors], object], words: str) -> None:
    tensors = sam()
    change(tensors)
    with pytest.raises(InputError, match=words):
        load_encoders(build_network(settings("cmc", **VIT), seed=0), tensors)


def test_weights_beside_the_numbered_blocks_are_left_aside(settings: Settings) -> None:
    model = build_network(settings("cmc", **VIT), seed=0)
    loaded = load_encoders(model, {**sam(), "image_encoder.blocks.norm.weight": torch.ones(8)})
    assert "blocks.norm.weight" in loaded.unused
    tensors = {name: tensor for name, tensor in sam().items() if ".blocks." not in name}
    with pytest.raises(InputError, match="is not whole"):
        load_encoders(model, {**tensors, "image_encoder.blocks.norm.weight": torch.ones(8)})


def test_nothing_is_downloaded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    load_encoders(build_network(settings("cmc", **VIT), seed=0), sam())


def test_the_sizes_of_sam_are_read_off_its_tensors() -> None:
    tensors = {name.removeprefix("image_encoder."): tensor for name, tensor in sam(planes=2).items()}
    assert shape_of(tensors) == {"vit_width": 8, "vit_depth": 2, "vit_heads": 2, "vit_neck": 4}

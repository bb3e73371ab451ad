"""Networks on disk: they come back to the bit, and whatever else lies there is refused in a sentence."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from VQBEGALLib.config import Config, preset
from VQBEGALLib.errors import StorageError, StudyError
from VQBEGALLib.network import build
from VQBEGALLib.network.storage import FORMAT, KEY, load_model, load_tensors, save_model, save_tensors

SMALL = {"size": 32, "base_channels": 4, "stages": 3, "codes": 16, "code_dim": 8}


@pytest.fixture
def config() -> Config:
    return preset("small", SMALL)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def refused(path: Path) -> StudyError:
    with pytest.raises(StudyError) as caught:
        load_model(path)
    error = caught.value
    for sentence in (error.problem, error.remedy):
        assert sentence.endswith(".")
        assert "\n" not in sentence
    assert path.name in error.problem
    return error


def test_a_network_comes_back_to_the_bit_in_evaluation_mode(path: Path, config: Config) -> None:
    model = build(config.network, seed=5).train()
    images = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    model.encode_pairs(images, images, learn=torch.ones(8, dtype=torch.bool), generator=torch.Generator())
    save_model(path, model, config)
    loaded, settings = load_model(path)
    assert settings == config
    assert not loaded.training
    expected = model.state_dict()
    assert expected.keys() == loaded.state_dict().keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())
    assert torch.equal(loaded.segment(images, images), model.eval().segment(images, images))


@pytest.mark.parametrize(
    "changes", [{"quantize": False}, {"encoder_sharing": "none"}, {"method": "paper-literal"}, {"organ": "肝臓"}]
)
def test_every_variant_of_the_network_comes_back(path: Path, changes: dict[str, object]) -> None:
    config = preset("small", {**SMALL, **changes})
    save_model(path, build(config.network, seed=5), config)
    loaded, settings = load_model(path)
    assert settings == config
    expected = build(config.network, seed=5).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())


def test_tensors_and_texts_come_back(path: Path) -> None:
    tensors = {"a": torch.arange(6).reshape(2, 3).t(), "b": torch.tensor(True), "c": torch.empty(0, 3)}
    save_tensors(path, tensors, numbers=[0.1, 1e-300], nothing=None, text="é")
    found, texts = load_tensors(path)
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )
    assert texts == {"numbers": [0.1, 1e-300], "nothing": None, "text": "é"}


def test_tensors_that_share_memory_are_stored_each(path: Path) -> None:
    base = torch.arange(4.0)
    save_tensors(path, {"whole": base, "part": base[:2]})
    assert load_tensors(path)[0]["part"].tolist() == [0, 1]


def test_writing_over_a_network_replaces_it(path: Path, config: Config) -> None:
    for seed in (1, 2):
        save_model(path, build(config.network, seed=seed), config)
    expected = build(config.network, seed=2).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in load_model(path)[0].state_dict().items())
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_full_disk_keeps_the_old_network(tiny_disk: Path, config: Config) -> None:
    path = tiny_disk / "model.safetensors"
    save_model(path, build(config.network, seed=1), config)
    before = path.read_bytes()
    big = preset("small")
    with pytest.raises(StorageError, match="disk is full"):
        save_model(path, build(big.network, seed=1), big)
    assert path.read_bytes() == before


def test_a_missing_file(path: Path) -> None:
    refused(path)


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, -1])
def test_a_truncated_file(path: Path, config: Config, keep: float) -> None:
    save_model(path, build(config.network, seed=0), config)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    refused(path)


def test_a_folder_in_its_place(path: Path) -> None:
    path.mkdir()
    refused(path)


@pytest.mark.parametrize("write", [torch.save, lambda trap, path: path.write_bytes(pickle.dumps(trap))])
def test_a_pickle_is_refused_and_not_run(path: Path, write: object) -> None:
    mark = path.with_name("it ran")
    write(Trap(mark), path)
    refused(path)
    assert not mark.exists()
    with path.open("rb") as stream:  # the trap works
        torch.load(stream, weights_only=False) if write is torch.save else pickle.load(stream)  # noqa: S301
    assert mark.exists()


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {KEY: "[]"}, {KEY: '{"format": 0}'}])
def test_another_programs_safetensors(path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": torch.zeros(3)}, path, metadata)
    assert "not a checkpoint of this program" in refused(path).problem


@pytest.mark.parametrize("text", ["{", "null", '{"seed": -1}', '{"network": {"stages": "x"}}', '{"other": 1}'])
def test_a_configuration_that_makes_no_sense(path: Path, config: Config, text: str) -> None:
    weights = {name: tensor.contiguous() for name, tensor in build(config.network, seed=0).state_dict().items()}
    metadata = {KEY: f'{{"format": {FORMAT}, "config": {text}}}'}
    save_file({name: tensor.clone() for name, tensor in weights.items()}, path, metadata)
    refused(path)


def test_a_checkpoint_without_configuration(path: Path) -> None:
    save_tensors(path, {"weight": torch.zeros(3)})
    assert "do not fit" in refused(path).problem


@pytest.mark.parametrize("change", ["drop", "add", "reshape", "settings"])
def test_weights_that_do_not_fit_their_configuration(path: Path, config: Config, change: str) -> None:
    tensors = dict(build(config.network, seed=0).state_dict())
    if change == "drop":
        tensors.pop("decoder.null")
    elif change == "add":
        tensors["extra"] = torch.zeros(1)
    elif change == "reshape":
        tensors["decoder.null"] = torch.zeros(9)
    else:
        config = config.replace({"codes": 32})
    save_tensors(path, tensors, config=config.to_json())
    assert "weights that do not fit" in refused(path).problem


def test_what_is_stored_is_plain_text_and_numbers(path: Path, config: Config) -> None:
    save_model(path, build(config.network, seed=0), config)
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert json.loads(header["__metadata__"][KEY]) == {"format": FORMAT, "config": config.to_json()}


def test_equal_contents_make_equal_files(path: Path, config: Config) -> None:
    save_tensors(path, {"weight": torch.zeros(3)}, step=1, seconds=2.0, history=[], running={}, purpose="x")
    first = path.read_bytes()
    for _ in range(5):
        save_tensors(path, {"weight": torch.zeros(3)}, step=1, seconds=2.0, history=[], running={}, purpose="x")
        assert path.read_bytes() == first

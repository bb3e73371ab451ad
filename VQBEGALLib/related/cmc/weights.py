"""Encoder weights from a file: those of another study's network, or of SAM, SAM-Med2D or SAM-Med3D as safetensors.

SAM's encoders take colour images, SAM-Med3D's take volumes. Both are brought to single-channel slices in a way that
changes nothing where the input says the same in all channels, or in all planes: kernels are summed over the channels
and over the axis across the planes, positions averaged over that axis. Nothing is downloaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from VQBEGALLib.errors import InputError
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.related.cmc.sam import adapted, image_encoder, outside, shape_of
from VQBEGALLib.related.cmc.vit import ImageEncoder

Tensors = Mapping[str, Tensor]
OWN = ("encoder_c.", "encoder_m.")
PICKLES = (".pth", ".pt", ".ckpt", ".bin", ".pkl")

CONVERT = (
    'Convert it once, where you trust its source: python -c "import sys, torch, safetensors.torch as s; '
    "d = torch.load(sys.argv[1], map_location='cpu', weights_only=True); "
    "d = d.get('model_state_dict', d.get('model', d)); "
    's.save_file({k: v.contiguous().clone() for k, v in d.items() if torch.is_tensor(v)}, sys.argv[2])" '
    "OLD.pth NEW.safetensors"
)


@dataclass
class Loaded:
    """What became of the tensors of a file.

    Args:
        taken: tensors of the file taken as they are.
        changed: tensors taken after a change, and which.
        unused: tensors of the file that the encoders have no place for.
        kept: weights of the encoders that the file has no value for.
    """

    taken: list[str] = field(default_factory=list)
    changed: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return it for a person, one sentence."""
        changes = "".join(f", {count} {how}" for how, count in Counter(self.changed.values()).items())
        return (
            f"Encoder weights: {len(self.taken)} tensors taken as they are{changes}; {len(self.unused)} of the file "
            f"not used, {len(self.kept)} of the encoders begin anew."
        )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of weights.

    Raises:
        InputError: it is missing, a folder, a pickle, or no safetensors file or not a whole one.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder.", "Name a file of weights.")
    if path.suffix.lower() in PICKLES:
        raise InputError(f"{path.name} is a pickle, which can run programs when it is read.", CONVERT)
    try:
        return load_file(path)
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.", "Check the path.") from None
    except (OSError, SafetensorError) as error:
        remedy = CONVERT if _is_pickle(path) else "Copy the file again from where it comes from."
        raise InputError(f"{path.name} cannot be read as safetensors: {error}.", remedy) from None


def _is_pickle(path: Path) -> bool:
    """Tell whether a file of another name begins as those of torch.save do: a zip archive, or a bare pickle."""
    try:
        with path.open("rb") as stream:
            return stream.read(2) in (b"PK", b"\x80\x02")
    except OSError:
        return False


def load_encoders(model: VQBEGAL, tensors: Tensors) -> Loaded:
    """Give both encoders the weights of a file; all else stays as it is.

    Args:
        model: a network; SAM's weights need one of CMC with ``encoder = vit``.
        tensors: of the file.

    Raises:
        InputError: the file holds no encoder that fits the network, or values that no weight can have.
    """
    if any(name.startswith(OWN) for name in tensors):
        return _load_own(model, tensors)
    found = image_encoder(tensors)
    transformers = {id(vit): vit for vit in (getattr(each, "vit", None) for each in _encoders(model)) if vit}
    if not found:
        raise InputError(
            "The file of encoder weights holds neither a network of this program nor an image encoder of SAM.",
            "Its tensors should be named like image_encoder.blocks.0.attn.qkv.weight.",
        )
    wanted = " ".join(f"--set {name}={value}" for name, value in shape_of(found).items())
    if not transformers:
        raise InputError(
            "The file of encoder weights holds a transformer, and the study's encoders are convolutional.",
            f"Create the study with --method cmc --set encoder=vit {wanted}.",
        )
    _check_values(found)
    for vit in transformers.values():
        loaded = _load_transformer(vit, found, wanted)
    whole = nn.ModuleDict({"encoder_c": model.encoder_c, "encoder_m": model.encoder_m})
    loaded.unused += sorted(outside(tensors))
    loaded.kept = [name for name, _ in whole.named_parameters() if ".vit." not in name] + loaded.kept
    return loaded


def _check_values(tensors: Tensors) -> None:
    """Refuse what cannot be a weight: whole numbers, NaN and infinity."""
    for name, tensor in tensors.items():
        if not (tensor.is_floating_point() and tensor.to(torch.float32).isfinite().all()):
            raise InputError(
                f"{name} in the file of encoder weights holds values that are no finite floating-point numbers.",
                "Choose another file, or copy it again from where it comes from.",
            )


def _encoders(model: VQBEGAL) -> tuple[nn.Module, nn.Module]:
    return model.encoder_c, model.encoder_m


def _load_own(model: VQBEGAL, tensors: Tensors) -> Loaded:
    """Take the encoders of another study's network by name."""
    state = {name: weight for name, weight in model.state_dict().items() if name.startswith(OWN)}
    fitting = {name: tensors[name] for name in state if name in tensors}
    _check_values(fitting)
    for name, tensor in fitting.items():
        if tensor.shape != state[name].shape:
            raise InputError(
                f"{name} is {_size(tensor)} in the file of encoder weights and {_size(state[name])} in the study's "
                "network.",
                "Create the study with the network settings of the study that the file comes from.",
            )
    if not fitting:
        raise InputError("No encoder weight of the file has a place in the study's network.", "Choose another file.")
    model.load_state_dict(fitting, strict=False)
    unused = sorted(name for name in tensors if name not in fitting)
    return Loaded(taken=sorted(fitting), unused=unused, kept=sorted(name for name in state if name not in fitting))


def _load_transformer(vit: ImageEncoder, found: Tensors, wanted: str) -> Loaded:
    """Take SAM's image encoder, brought to a single channel, two dimensions and the slice's size."""
    state, loaded = vit.state_dict(), Loaded()
    ours = shape_of(state)
    differing = [f"{name} {value}, not {ours[name]}" for name, value in shape_of(found).items() if value != ours[name]]
    if differing:
        raise InputError(
            f"The transformer in the file of encoder weights has {', '.join(differing)}.",
            f"Create the study with --method cmc --set encoder=vit {wanted}.",
        )
    weights = {}
    for name, target in state.items():
        made = adapted(name, found, target.shape)
        if made is None:
            loaded.kept.append(name)
            continue
        weights[name], source, change = made
        if change:
            loaded.changed[source] = change
        else:
            loaded.taken.append(source)
    vit.load_state_dict(weights, strict=False)
    used = {*loaded.taken, *loaded.changed}
    loaded.unused = sorted(name for name in found if name not in used)
    return loaded


def _size(tensor: Tensor) -> str:
    return " × ".join(map(str, tensor.shape))

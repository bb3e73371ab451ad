"""Slices computed once, kept on disk, read in pieces: memory stays flat however large the pool."""

from __future__ import annotations

import glob
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from VQBEGALLib.config import Modality, SliceSettings
from VQBEGALLib.slices.preprocessing import Images, prepare
from VQBEGALLib.storage import write_bytes
from VQBEGALLib.volumes import Volume

FORMAT = 2
"""Raised whenever the preparation itself changes, so that slices prepared before are made anew."""

PAIRING = {"pairing", "auxiliary_share", "registered"}
"""Settings that change which slices stand side by side, not the slices."""


@dataclass(frozen=True)
class ImageKey:
    """One image of a study: its subject, its part in the pair, its modality and the SHA-256 of its file."""

    subject: str
    which: Literal["primary", "auxiliary"]
    modality: Modality
    digest: str


class SliceCache:
    """Prepared slices of a study's images as 16-bit floats, one file an image.

    A file's name carries a digest of the image and of the settings; a change of either makes a new file and
    removes the old one.

    Args:
        folder: where the files lie; made when needed.
        settings: how slices are prepared.
    """

    def __init__(self, folder: Path, settings: SliceSettings) -> None:
        self.folder = folder
        self.settings = settings

    def path(self, key: ImageKey) -> Path:
        """Return the file of an image's slices."""
        settings = {name: value for name, value in asdict(self.settings).items() if name not in PAIRING}
        text = json.dumps([FORMAT, key.digest, key.modality, settings], sort_keys=True)
        return self.folder / f"{key.subject}.{key.which}.{hashlib.sha256(text.encode()).hexdigest()[:16]}.npy"

    def ensure(self, key: ImageKey, load: Callable[[], Volume]) -> None:
        """Prepare and store an image's slices unless they are there.

        Raises:
            InputError: the volume cannot be prepared.
            StorageError: the disk is full.
        """
        path = self.path(key)
        if path.exists():
            return
        slices = prepare(load(), key.modality, self.settings).astype(np.float16)
        self.folder.mkdir(parents=True, exist_ok=True)
        stream = io.BytesIO()  # np.save into a file does not tell a full disk from other faults
        np.save(stream, slices)
        write_bytes(path, stream.getvalue())
        for stale in self.folder.glob(f"{glob.escape(key.subject)}.{key.which}.*.npy"):
            if stale != path and stale.name.count(".") == path.name.count("."):
                stale.unlink(missing_ok=True)

    def read(self, key: ImageKey, indices: Sequence[int]) -> Images:
        """Return chosen slices, (n, H, W) float32 in 0…1; the file is mapped only while it is read."""
        slices = np.load(self.path(key), mmap_mode="r")
        return np.asarray(slices[list(indices)], dtype=np.float32)

"""What the server process asks of a file of weights, from one look at its header, and without torch.

Kept for as long as a file stays as it is: a header of SDXL takes 5 ms, and every client that comes asks for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bridge.errors import BridgeError
from bridge.models import single_file, weights

Layer = tuple[str, tuple[int, ...]]
"""A layer's name and the shape of its weight."""

VAE_PREFIXES = ("", single_file.VAE, "vae.")
_FIRST_OF_DECODER = ("decoder.conv_in.weight", "decoder.layers.0.weight")
"""Of an AutoencoderKL, in either layout, and of an AutoencoderTiny."""


@dataclass(frozen=True)
class Glance:
    """`checkpoint`: the whole model that the file is, or why it is none. `vae`: the first layer of the VAE's decoder, None
    where there is no VAE; its name tells the kind, its shape how wide it is and for what latents."""

    checkpoint: single_file.FileModel | BridgeError
    vae: Layer | None


def look(path: Path) -> Glance:
    """What the file is right now."""
    try:
        facts = path.stat()
    except OSError:
        return _look(path, -1, -1)
    return _look(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=1000)
def _look(path: Path, _size: int, _changed: int) -> Glance:
    try:
        header = weights.glance(path)
    except BridgeError as error:
        return Glance(_kept(error), None)
    vae = _first_of_decoder(header.tensors)
    try:
        return Glance(single_file.inspect_file(path, read_header=lambda _: header), vae)
    except BridgeError as error:
        return Glance(_kept(error), vae)


def _kept(error: BridgeError) -> BridgeError:
    """Without the frames it passed through, which would keep the header in memory."""
    return error.with_traceback(None)


def _first_of_decoder(tensors: Mapping[str, weights.TensorInfo]) -> Layer | None:
    for prefix in VAE_PREFIXES:
        for name in _FIRST_OF_DECODER:
            if prefix + name in tensors:
                return name, tensors[prefix + name].shape
    return None

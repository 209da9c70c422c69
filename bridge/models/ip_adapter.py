"""IP-Adapters: pictures as a part of the prompt (Ye et al., IP-Adapter: Text compatible image prompt adapter for
text-to-image diffusion models, 2023).

An image encoder (CLIP) reads a picture, a small projection makes tokens of what it saw, and every cross-attention of
the UNet looks at these beside those of the text, through keys and values of the adapter's own, and adds what it finds.
A file in the published layout holds `image_proj.*`, the projection, and `ip_adapter.N.to_k_ip.weight` and
`.to_v_ip.weight`, the keys and values. Plain adapters ("ip-adapter") look at the picture's one embedding, the others
("plus", "full-face") at the second last layer of the encoder. diffusers reads the file and has the attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders import IPAdapterMixin
from diffusers.models.embeddings import ImageProjection
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPImageProcessorPil

from bridge.errors import BridgeError, Code
from bridge.models import weights
from bridge.models.folder import Component, read_json, refuse_adapter
from bridge.models.folder_loader import load_component
from bridge.models.hashing import HashCache, folder_sha256
from bridge.models.loaded import LoadedModel
from bridge.models.parts import finished, reading
from bridge.presets import IpAdapterFiles

_PROJECTION, _ATTENTION = "image_proj", "ip_adapter"
_READABLE = ("proj.weight", "proj.3.weight", "latents")
"""Of the projection of a plain, a full-face and a plus adapter, in this order."""

Scales = Mapping[str, float]
"""How strongly a picture is looked at, by the name of the attention (`cross_attentions`); 0 where that is left out."""

Look = Callable[[Sequence[Scales]], None]
"""Has the UNet look at pictures as strongly as this, one entry for each, until it is told otherwise."""

_ENCODER_CLASS = "CLIPVisionModelWithProjection"
_SELF_ATTENTION = "attn1.processor"


@dataclass(frozen=True, eq=False)
class IpAdapter:
    """An adapter in memory, on the device and in the dtype of its model's UNet, which does not know of it until it is
    `attached`. `sha256` is that of the file, `encoder_sha256` that of the image encoder's folder (hashing.py)."""

    name: str
    sha256: str
    encoder_name: str
    encoder_sha256: str
    _encoder: Any
    _projection: nn.Module
    _attentions: Mapping[str, Any]

    def tokens(self, picture: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
        """What the UNet is shown of a picture (RGB, any size), and what in its place where there is none: each
        1 x T x D. The encoder sees the square in the middle, as it was trained."""
        side = int(self._encoder.config.image_size)
        # diffusers' own choice; an adapter comes without a preprocessor_config.json.
        processor = CLIPImageProcessorPil(size=side, crop_size=side)
        pixels = processor(picture, return_tensors="pt").pixel_values
        pixels = pixels.to(self._encoder.device, self._encoder.dtype)
        if isinstance(self._projection, ImageProjection):
            seen = self._encoder(pixels).image_embeds
            nothing = torch.zeros_like(seen)
        else:
            seen, nothing = (self._layer(each) for each in (pixels, torch.zeros_like(pixels)))
        return self._projection(seen), self._projection(nothing)

    def _layer(self, pixels: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self._encoder(pixels, output_hidden_states=True).hidden_states[-2]
        return states

    @contextmanager
    def attached(self, unet: Any, count: int) -> Iterator[Look]:
        """While it lasts, the UNet takes pairs of text tokens and a list of the tokens of `count` pictures as its
        `encoder_hidden_states`; it looks at none until it is told to. Then it is as it was."""
        own = dict(unet.attn_processors)
        for attention in self._attentions.values():
            # One picture after the other through the same weights.
            attention.to_k_ip = nn.ModuleList([attention.to_k_ip[0]] * count)
            attention.to_v_ip = nn.ModuleList([attention.to_v_ip[0]] * count)
        self._look([{}] * count)
        unet.set_attn_processor({**own, **self._attentions})
        try:
            yield self._look
        finally:
            unet.set_attn_processor(dict(own))

    def _look(self, scales: Sequence[Scales]) -> None:
        for name, attention in self._attentions.items():
            attention.scale = [each.get(name, 0.0) for each in scales]


class _Carrier(IPAdapterMixin):  # type: ignore[misc]
    """What diffusers' loader takes for a pipeline: all it looks at is the UNet."""

    unet_name = "unet"

    def __init__(self, unet: Any) -> None:
        self.unet = unet


def read_ip_adapter(source: IpAdapterFiles, model: LoadedModel, hashes: HashCache) -> IpAdapter:
    """The adapter and its image encoder, for `model`.

    Raises BridgeError: as `weights.read_header` for both; BAD_INPUT for a file of another kind, or made for another
    kind of model or encoder; MODEL_CORRUPT for weights that are NaN, infinite or do not fit.
    """
    kind = _check(source.file, model)
    component = _encoder_files(source.image_encoder)
    encoder = load_component(component, model.device, model.dtype)
    attentions, projection = _read(source.file, model)
    width = encoder.config.projection_dim if kind == _READABLE[0] else encoder.config.hidden_size
    if width != _width(projection):
        raise _unusable(
            source.file, f"was made for another image encoder than {source.image_encoder.name}"
        )
    files = (component.folder / "config.json", *component.weights)
    return IpAdapter(
        name=source.file.stem,
        sha256=hashes.sha256(source.file, lambda _: None),
        encoder_name=source.image_encoder.name,
        encoder_sha256=folder_sha256(component.folder, files, hashes, lambda _: None),
        _encoder=encoder,
        _projection=projection,
        _attentions=attentions,
    )


def _check(path: Path, model: LoadedModel) -> str:
    """That the file is an adapter for `model`, as far as its header tells; returns which of `_READABLE` it has."""
    tensors = weights.read_header(path).tensors
    kinds = [kind for kind in _READABLE if f"{_PROJECTION}.{kind}" in tensors]
    if len(kinds) != 1 or not any(name.startswith(f"{_ATTENTION}.") for name in tensors):
        raise _unusable(path, "is no IP-Adapter that the bridge can read (FaceID ones are not)")
    attentions = cross_attentions(model)
    wanted = {}
    for number, layer in enumerate(attentions.values()):
        for part in ("to_k", "to_v"):
            name = f"{_ATTENTION}.{2 * number + 1}.{part}_ip.weight"
            wanted[name] = tuple(getattr(layer, part).weight.shape)
    found = {name: each.shape for name, each in tensors.items() if name.startswith(_ATTENTION)}
    if wanted != found:
        raise _unusable(path, f"was made for another kind of model than {model.name}")
    return kinds[0]


def cross_attentions(model: LoadedModel) -> dict[str, Any]:
    """The layers of the UNet that look at the prompt, by the names that diffusers gives their processors, in the order in
    which the published files number them."""
    names = [name for name in model.unet.attn_processors if not name.endswith(_SELF_ATTENTION)]
    return {name: model.unet.get_submodule(name.removesuffix(".processor")) for name in names}


def _read(path: Path, model: LoadedModel) -> tuple[dict[str, Any], nn.Module]:
    """The adapter's attention processors by name, and its projection."""
    parts: dict[str, dict[str, torch.Tensor]] = {_PROJECTION: {}, _ATTENTION: {}}
    for name, tensor in load_file(path).items():
        part, _, rest = name.partition(".")
        if part in parts:
            parts[part][rest] = tensor.to(model.device, model.dtype)
    unet = model.unet
    own = dict(unet.attn_processors)
    try:
        with reading(path, "does not fit together"):
            _Carrier(unet).load_ip_adapter(parts, subfolder="", weight_name="")
        processors, projections = unet.attn_processors, unet.encoder_hid_proj
    finally:
        unet.encoder_hid_proj = None  # first: its attentions are counted among the UNet's
        unet.config.encoder_hid_dim_type = None
        unet.set_attn_processor(dict(own))
    attentions = {
        name: finished(processors[name], path, model.device, model.dtype)
        for name in cross_attentions(model)
    }
    projection = finished(projections.image_projection_layers[0], path, model.device, model.dtype)
    return attentions, projection


def _width(projection: nn.Module) -> int:
    """Of what the projection takes: all kinds begin with a linear layer."""
    first = next(each for each in projection.modules() if isinstance(each, nn.Linear))
    return first.in_features


def _encoder_files(folder: Path) -> Component:
    config = read_json(folder / "config.json")
    if config.get("architectures") != [_ENCODER_CLASS]:
        raise BridgeError(
            Code.BAD_INPUT,
            f"{folder} is no image encoder of an IP-Adapter.",
            f"Name the folder of a {_ENCODER_CLASS} as “image_encoder” in the preset.",
        )
    refuse_adapter(folder)
    path = folder / f"model{weights.SUFFIX}"
    if not path.exists() and (folder / "pytorch_model.bin").exists():
        raise weights.unsafe(folder / "pytorch_model.bin")
    weights.read_header(path)
    return Component(folder, _ENCODER_CLASS, config, (path,), None)


def _unusable(path: Path, what: str) -> BridgeError:
    return BridgeError(
        Code.BAD_INPUT,
        f"The file {path} {what}.",
        "Name a fitting one in the preset, as presets/README.md says.",
    )

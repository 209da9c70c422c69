"""Hypernetworks as A1111's web UI trains them, converted to safetensors.

In every attention the keys are computed from x + strength * f(x) in place of x, and the values likewise with another
f, small perceptrons of which a file holds a pair for each width of x. The file's tensors are called
`WIDTH.0.linear.N.weight` and `.bias` (keys) and `WIDTH.1. ...` (values), N as in the published state dicts, and its
metadata says `activation_func` and `activate_output` as they do (docs/prompts.md shows how to convert one).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.hooks import RemovableHandle

from bridge.errors import BridgeError, Code
from bridge.models import weights
from bridge.models.adapters import Adapter, Version, version_of
from bridge.models.hashing import HashCache
from bridge.models.library import Library
from bridge.models.loaded import LoadedModel

_KEPT = 4
_NAME = re.compile(r"(\d{1,5})\.([01])\.linear\.(\d{1,3})\.(weight|bias)")
_ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leakyrelu": nn.LeakyReLU,
    "elu": nn.ELU,
    "swish": nn.Hardswish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softsign": nn.Softsign,
    "mish": nn.Mish,
    "gelu": nn.GELU,
}
"""By A1111's names; what it calls swish is Hardswish."""

Pair = tuple[nn.Module, nn.Module]
"""For keys and for values."""


class Hypernetworks:
    """Those in one model: hooks on its attentions, and nothing of them left when the hooks are gone."""

    def __init__(self, model: LoadedModel, library: Library, hashes: HashCache) -> None:
        self._model = model
        self._library = library
        self._hooks: list[RemovableHandle] = []
        self._in_use: tuple[tuple[Version, float], ...] = ()
        self._read = lru_cache(_KEPT)(lambda version: read_hypernetwork(version.path, model))
        self._sha256 = lru_cache()(lambda version: hashes.sha256(version.path, lambda _: None))

    @property
    def is_any_in_use(self) -> bool:
        return bool(self._hooks)

    def use(self, wanted: Mapping[str, float]) -> tuple[tuple[Adapter, ...], bool]:
        """Have exactly those `wanted` (strength by name) in the model, applied in that order; returns them, and
        whether anything changed. Raises BridgeError before anything is changed."""
        versions = {name: version_of(self._library.find(name)) for name in wanted}
        pairs = [(self._read(versions[name]), strength) for name, strength in wanted.items()]
        used = tuple(Adapter(n, self._sha256(versions[n]), s) for n, s in wanted.items())
        in_use = tuple((versions[name], strength) for name, strength in wanted.items())
        if in_use == self._in_use:
            return used, False
        while self._hooks:
            self._hooks.pop().remove()
        for each, strength in pairs:
            self._hook(each, strength)
        self._in_use = in_use
        return used, True

    def _hook(self, pairs: Mapping[int, Pair], strength: float) -> None:
        for layers in _attentions(self._model):
            pair = pairs.get(layers[0].in_features)
            for layer, change in zip(layers, pair or (), strict=False):
                self._hooks.append(layer.register_forward_pre_hook(_adding(change, strength)))


def read_hypernetwork(path: Path, model: LoadedModel) -> Mapping[int, Pair]:
    """The pairs in a file by width, on the model's device and in its dtype.

    Raises BridgeError: as `weights.read_header`; BAD_INPUT for a file of another kind or for another model;
    MODEL_CORRUPT for layers that do not follow each other.
    """
    header = weights.read_header(path)
    named = [_NAME.fullmatch(name) for name in header.tensors]
    if not all(named):
        raise _unusable(path, "is no hypernetwork in the form that the bridge reads")
    widths = {int(match[1]) for match in named if match}
    if not widths & {layers[0].in_features for layers in _attentions(model)}:
        raise _unusable(path, f"was made for another kind of model than {model.name}")
    tensors = load_file(path)
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise weights.corrupt(path, "has NaN or infinite weights")
    kind = header.metadata.get("activation_func", "linear").casefold()
    if kind not in _ACTIVATIONS:
        raise _unusable(path, f"uses an activation the bridge does not know ({kind[:30]})")
    at_end = header.metadata.get("activate_output", "").casefold() == "true"
    pairs: dict[int, Pair] = {}
    for width in sorted(widths):
        made = [
            _perceptron(path, _layers(tensors, width, which), width, _ACTIVATIONS[kind], at_end)
            for which in (0, 1)
        ]
        keys, values = (each.to(model.device, model.dtype).eval() for each in made)
        pairs[width] = (keys, values)
    return pairs


def _layers(
    tensors: Mapping[str, torch.Tensor], width: int, which: int
) -> dict[int, dict[str, torch.Tensor]]:
    """By number, the weight and bias of each layer that has some."""
    found: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        match = _NAME.fullmatch(name)
        if match and (int(match[1]), int(match[2])) == (width, which):
            found.setdefault(int(match[3]), {})[match[4]] = tensor
    return dict(sorted(found.items()))


def _perceptron(
    path: Path,
    layers: Mapping[int, Mapping[str, torch.Tensor]],
    width: int,
    activation: type[nn.Module],
    activate_output: bool,
) -> nn.Sequential:
    """The layers in order. Layers without weights are gaps in the numbers: one right after a linear layer is the
    activation, any other one is dropout, which does nothing here."""
    made: list[nn.Module] = []
    side, last = width, max(layers, default=-1)
    for number, tensors in layers.items():
        layer = _layer(tensors)
        if layer is None or side != (tensors["weight"].shape[-1]):
            raise weights.corrupt(path, f"has layers of width {width} that do not fit together")
        made.append(layer)
        side = tensors["weight"].shape[0]
        if isinstance(layer, nn.Linear):
            is_activated = activate_output if number == last else number + 1 not in layers
            made += [activation()] if is_activated else []
    if side != width or not made:
        raise weights.corrupt(path, f"has layers of width {width} that do not fit together")
    return nn.Sequential(*made)


def _layer(tensors: Mapping[str, torch.Tensor]) -> nn.Module | None:
    """A linear layer or a layer norm; None when the tensors are neither."""
    weight, bias = tensors.get("weight"), tensors.get("bias")
    if weight is None or bias is None or bias.shape != weight.shape[:1]:
        return None
    layer: nn.Module
    if weight.ndim == 2:
        layer = nn.Linear(weight.shape[1], weight.shape[0])
    elif weight.ndim == 1:
        layer = nn.LayerNorm(weight.shape[0])
    else:
        return None
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer.requires_grad_(False)


def _attentions(model: LoadedModel) -> Sequence[tuple[nn.Linear, nn.Linear]]:
    """The layers that make keys and values, of every attention of the UNet."""
    return [
        (module.to_k, module.to_v)
        for module in model.unet.modules()
        if isinstance(getattr(module, "to_k", None), nn.Linear)
        and isinstance(getattr(module, "to_v", None), nn.Linear)
    ]


def _adding(change: nn.Module, strength: float) -> Any:
    def before(module: nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (given[0] + change(given[0]) * strength, *given[1:])

    return before


def _unusable(path: Path, what: str) -> BridgeError:
    return BridgeError(
        Code.BAD_INPUT,
        f"The file {path.name} {what}.",
        "Take it out of the prompt, or convert it as docs/prompts.md says.",
    )

"""Reading LoRA files (Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021).

An update of a weight W is scale * up @ down, with scale = alpha / rank. Two families of layouts are in use:

- kohya's: `lora_unet_` or `lora_te_`, `lora_te1_`, `lora_te2_`, then the module's path with `_` for `.`, then
  `.lora_down.weight`, `.lora_up.weight` and `.alpha`. Modules of the UNet go by diffusers' names or by the
  original ones (`input_blocks_4_1_...`), which is usual for SDXL.
- diffusers' and peft's: `unet.`, `text_encoder.` or `text_encoder_2.`, the path, then `.lora_A.weight` and
  `.lora_B.weight`, or one of the older endings.

A path is found by looking it up among the model's own modules, so a file that covers a part of them only is read
like any other, and one for another model is noticed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from bridge.errors import BridgeError, Code
from bridge.models import weights
from bridge.models.loaded import LoadedModel

_KOHYA = {"lora_unet_": 0, "lora_te_": 1, "lora_te1_": 1, "lora_te2_": 2}
_DIFFUSERS = {"unet.": 0, "text_encoder.": 1, "text_encoder_2.": 2}
_ENDS = (
    (".lora_down.weight", ".lora_up.weight"),
    (".lora_A.weight", ".lora_B.weight"),
    (".lora_A.default.weight", ".lora_B.default.weight"),
    (".lora.down.weight", ".lora.up.weight"),
    (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),
    ("_lora.down.weight", "_lora.up.weight"),
)
"""How the two halves of an update are called, down first."""

_OTHER_KINDS = {
    "hada_w": "a LoHa",
    "lokr_w": "a LoKr",
    "dora_scale": "a DoRA",
    "lora_mid": "a LoCon with Tucker decomposition",
    "lora_magnitude_vector": "a DoRA",
}
_RESNET = {
    "conv1": "in_layers_2",
    "time_emb_proj": "emb_layers_1",
    "conv2": "out_layers_3",
    "conv_shortcut": "skip_connection",
}
_ENDS_OF_THE_UNET = {
    "time_embedding.linear_1": "time_embed_0",
    "time_embedding.linear_2": "time_embed_2",
    "add_embedding.linear_1": "label_emb_0_0",
    "add_embedding.linear_2": "label_emb_0_2",
    "conv_in": "input_blocks_0_0",
    "conv_out": "out_2",
}


@dataclass(frozen=True, eq=False)
class Update:
    """Of the weight of `module`: `scale` * `up` (out x r) @ `down` (r x the weight's other sides), on the CPU."""

    module: nn.Module
    down: torch.Tensor
    up: torch.Tensor
    scale: float

    def delta(self, device: torch.device) -> torch.Tensor:
        """The whole update, float32, of the weight's shape."""
        up, down = (part.to(device, torch.float32).flatten(1) for part in (self.up, self.down))
        product: torch.Tensor = up @ down * self.scale
        return product.reshape(weight_of(self.module).shape)


def read_lora(path: Path, model: LoadedModel) -> tuple[Update, ...]:
    """The updates in a file, for `model`.

    Raises BridgeError: as `weights.read_header`; BAD_INPUT for a file of another kind, or made for another kind of
    model.
    """
    names = weights.read_header(path).tensors
    for mark, kind in _OTHER_KINDS.items():
        if any(mark in name for name in names):
            raise _unreadable(path, f"is {kind}, which the bridge cannot read")
    modules = _Modules(model)
    tensors = load_file(path)
    updates = tuple(_updates(path, tensors, modules))
    if not any(name.endswith(down) for name in names for down, _ in _ENDS):
        raise _unreadable(path, "is no LoRA")
    if not updates:
        raise _other_model(path, model)
    for update in updates:
        if not _fits(update):
            raise _other_model(path, model)
        if not (torch.isfinite(update.up).all() and torch.isfinite(update.down).all()):
            raise weights.corrupt(path, "has NaN or infinite weights")
    return updates


def weight_of(module: nn.Module) -> torch.Tensor:
    """The weight that an update of `module` changes."""
    weight = module.weight
    assert isinstance(weight, torch.Tensor)  # a linear or convolutional layer
    return weight


def _updates(
    path: Path, tensors: Mapping[str, torch.Tensor], modules: _Modules
) -> Iterator[Update]:
    for name, down in tensors.items():
        for down_end, up_end in _ENDS:
            if not name.endswith(down_end):
                continue
            stem = name.removesuffix(down_end)
            up = tensors.get(stem + up_end)
            if up is None:
                raise weights.corrupt(path, f"lacks the second half of {stem}")
            module = modules.find(stem)
            if module is not None:
                alpha = tensors.get(f"{stem}.alpha")
                rank = down.shape[0]
                yield Update(module, down, up, 1.0 if alpha is None else float(alpha) / rank)
            break


class _Modules:
    """The modules of a model that a LoRA may change, by every name in use."""

    def __init__(self, model: LoadedModel) -> None:
        parts: list[Any] = [model.unet, *(text.model for text in model.text)]
        self._plain: list[dict[str, nn.Module]] = []
        self._flat: list[dict[str, nn.Module]] = []
        for part in parts:
            modules: dict[str, nn.Module] = {
                _without_wrapper(name): module
                for name, module in part.named_modules()
                if isinstance(module, nn.Linear | nn.Conv2d)
            }
            self._plain.append(modules)
            self._flat.append({name.replace(".", "_"): found for name, found in modules.items()})
        layers = model.unet.config.layers_per_block
        if isinstance(layers, int):
            unet = self._plain[0]
            self._flat[0] |= {_original(name, layers, unet): found for name, found in unet.items()}

    def find(self, stem: str) -> nn.Module | None:
        """The module that a name without its ending means; None when the model has no such module."""
        for prefix, part in _KOHYA.items():
            if stem.startswith(prefix) and part < len(self._flat):
                return self._flat[part].get(_without_wrapper(stem.removeprefix(prefix)))
        stem = stem.removeprefix("base_model.model.")
        for prefix, part in _DIFFUSERS.items():
            if stem.startswith(prefix) and part < len(self._plain):
                path = _without_wrapper(stem.removeprefix(prefix)).replace(".processor.", ".")
                modules = self._plain[part]
                # Older files say "to_out" for the module that is called "to_out.0".
                return modules.get(path) or modules.get(f"{path}.0")
        return None


def _without_wrapper(path: str) -> str:
    """Text encoders have a wrapper called text_model, or have it not, as the release of transformers may be."""
    return re.sub(r"^text_model[._]", "", path)


def _original(name: str, layers: int, names: Mapping[str, object]) -> str:
    """A module's flat name in the original UNet (openai/guided-diffusion), which numbers its blocks through."""
    if name in _ENDS_OF_THE_UNET:
        return _ENDS_OF_THE_UNET[name]
    match = re.fullmatch(r"(down|mid|up)_blocks?(?:\.(\d+))?\.(\w+?)\.(\d+)\.(.+)", name)
    if match is None:
        return name
    place, block, kind, number = match[1], int(match[2] or 0), match[3], int(match[4])
    rest = _RESNET.get(match[5], match[5].replace(".", "_")) if kind == "resnets" else match[5]
    rest = rest.replace(".", "_")
    if place == "mid":
        return f"middle_block_{1 if kind == 'attentions' else 2 * number}_{rest}"
    slot = 1 if kind == "attentions" else 0
    if place == "down":
        first = 1 + block * (layers + 1)
        if kind == "downsamplers":
            return f"input_blocks_{first + layers}_0_op"
        return f"input_blocks_{first + number}_{slot}_{rest}"
    first = block * (layers + 1)
    if kind == "upsamplers":
        attends = any(other.startswith(f"up_blocks.{block}.attentions.") for other in names)
        return f"output_blocks_{first + layers}_{2 if attends else 1}_{rest}"
    return f"output_blocks_{first + number}_{slot}_{rest}"


def _fits(update: Update) -> bool:
    shape = weight_of(update.module).shape
    up, down = update.up, update.down
    return (
        up.ndim >= 2
        and down.ndim >= 2
        and (up.shape[0], *down.shape[1:2]) == (shape[0], shape[1])
        and up.flatten(1).shape[1] == down.shape[0]
        and down[0].numel() == shape[1:].numel()
    )


def _unreadable(path: Path, what: str) -> BridgeError:
    return BridgeError(
        Code.BAD_INPUT,
        f"The file {path.name} {what}.",
        "Take it out of the prompt, or look for a plain LoRA version of it.",
    )


def _other_model(path: Path, model: LoadedModel) -> BridgeError:
    return BridgeError(
        Code.BAD_INPUT,
        f"The LoRA {path.name} was made for another kind of model than {model.name} ({model.family.label}).",
        "Choose a preset of the kind it was made for, or take it out of the prompt.",
    )

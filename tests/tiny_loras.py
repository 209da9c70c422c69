"""Small random LoRA and textual inversion files in the layouts that are in use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from tests.single_file import unet_names

Part = Mapping[str, torch.Tensor]
"""A model's weights by name."""


@dataclass(frozen=True)
class Low:
    """A random update: its halves, and what it adds to the weight."""

    down: torch.Tensor
    up: torch.Tensor
    alpha: float

    @property
    def delta(self) -> torch.Tensor:
        rank = len(self.down)
        product = torch.einsum("or...,ri...->oi...", self.up.flatten(1), self.down.flatten(1))
        shape = (len(self.up), *self.down.shape[1:])
        return product.reshape(shape) * (self.alpha / rank)


def random_updates(
    model: nn.Module,
    chosen: Callable[[str], bool] = lambda name: True,
    *,
    seed: int = 0,
    alpha: float | None = 2.0,
) -> dict[str, Low]:
    """By module, for each linear and convolutional one that `chosen` takes; ranks 2 to 4 in turn. `alpha` None: the
    rank, as trainers leave it out."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(*shape, generator=generator)

    updates = {}
    for name, module in model.named_modules():
        if not isinstance(module, nn.Linear | nn.Conv2d) or not chosen(name):
            continue
        shape, rank = module.weight.shape, 2 + len(updates) % 3
        up = (shape[0], rank, *[1] * (len(shape) - 2))
        updates[name] = Low(
            randn(rank, *shape[1:]), randn(*up), float(rank) if alpha is None else alpha
        )
    return updates


def kohya(prefix: str, updates: Mapping[str, Low], *, with_alpha: bool = True) -> Part:
    """`prefix`: lora_unet_, lora_te_text_model_, lora_te1_text_model_ ..."""
    tensors = {}
    for name, update in updates.items():
        stem = prefix + name.replace(".", "_")
        tensors[f"{stem}.lora_down.weight"] = update.down
        tensors[f"{stem}.lora_up.weight"] = update.up
        if with_alpha:
            tensors[f"{stem}.alpha"] = torch.tensor(update.alpha)
    return tensors


def original_names(unet: nn.Module) -> dict[str, str]:
    """The original UNet's name of each module, by diffusers' name."""
    weights = {f"{name}.weight": torch.tensor(number) for number, (name, module) in enumerate(unet.named_modules()) if hasattr(module, "weight")}  # fmt: skip
    renamed = {int(number): name for name, number in unet_names(weights).items()}
    prefix = "model.diffusion_model."
    return {
        name.removesuffix(".weight"): renamed[int(number)].removeprefix(prefix)[: -len(".weight")]
        for name, number in weights.items()
    }


def peft(prefix: str, updates: Mapping[str, Low], ends: tuple[str, str] = ("lora_A", "lora_B")) -> Part:  # fmt: skip
    """As diffusers and peft save it: no alpha, so it must be the rank. `prefix`: unet. or text_encoder."""
    tensors = {}
    for name, update in updates.items():
        assert update.alpha == len(update.down)
        tensors[f"{prefix}{name}.{ends[0]}.weight"] = update.down
        tensors[f"{prefix}{name}.{ends[1]}.weight"] = update.up
    return tensors


def old_diffusers(updates: Mapping[str, Low]) -> Part:
    """As diffusers saved a UNet's attention before it had peft: one processor for each attention."""
    tensors = {}
    for name, update in updates.items():
        path, _, layer = name.removesuffix(".0").rpartition(".")
        tensors[f"unet.{path}.processor.{layer}_lora.down.weight"] = update.down
        tensors[f"unet.{path}.processor.{layer}_lora.up.weight"] = update.up
    return tensors


def write(path: Path, *parts: Part) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole: dict[str, Any] = {}
    for part in parts:
        whole.update(part)
    save_file({name: tensor.contiguous() for name, tensor in whole.items()}, path)
    return path

"""Small random IP-Adapters in the published layouts, and the image encoder that they look through."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from bridge.presets import IpAdapterFiles

Tensors = dict[str, torch.Tensor]
WIDTH, EMBEDDING, HEAD, TOKENS, DEPTH = 32, 24, 64, 5, 4
"""Of the encoder's states and embedding; of the resampler's heads (always 64), queries and layers (always 4)."""


def make_image_encoder(folder: Path, *, width: int = WIDTH, seed: int = 0) -> Path:
    """A tiny CLIPVisionModelWithProjection, 28 px a side."""
    torch.manual_seed(seed)
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=EMBEDDING,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=28,
        patch_size=14,
        initializer_factor=20.0,  # as usual everything would look the same to it
    )
    CLIPVisionModelWithProjection(config).eval().save_pretrained(folder)
    weights = folder / "model.safetensors"
    # The published ones have this from the transformers of their day.
    leftover = {"vision_model.embeddings.position_ids": torch.arange(5)[None]}
    save_file({**load_file(weights), **leftover}, weights, {"format": "pt"})
    return folder


def make_adapter(path: Path, unet: Any, kind: str = "plain", *, seed: int = 0) -> Path:
    """`plain`, `plus` or `full` as published; `faceid` only as far as one tells it by its names."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) / shape[-1] ** 0.5

    cross = int(unet.config.cross_attention_dim)
    projection = {"plain": _plain, "plus": _plus, "full": _full, "faceid": _faceid}[kind]
    tensors = {f"image_proj.{name}": each for name, each in projection(randn, cross).items()}
    names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for number, name in enumerate(names):
        layer = unet.get_submodule(name.removesuffix(".processor"))
        for part in ("to_k", "to_v"):
            weight = randn(*getattr(layer, part).weight.shape) * 3
            tensors[f"ip_adapter.{2 * number + 1}.{part}_ip.weight"] = weight
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


def make_source(folder: Path, unet: Any, kind: str = "plain", *, seed: int = 0) -> IpAdapterFiles:
    """Both, in `folder`."""
    return IpAdapterFiles(
        make_adapter(folder / f"{kind}.safetensors", unet, kind, seed=seed),
        make_image_encoder(folder / "image_encoder"),
    )


def nested(path: Path) -> Mapping[str, Tensors]:
    """The file as diffusers' `load_ip_adapter` takes it."""
    parts: dict[str, Tensors] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in load_file(path).items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    return parts


def _norm(name: str, width: int) -> Tensors:
    return {f"{name}.weight": torch.ones(width), f"{name}.bias": torch.zeros(width)}


def _plain(randn: Any, cross: int) -> Tensors:
    return {
        "proj.weight": randn(4 * cross, EMBEDDING),
        "proj.bias": randn(4 * cross),
        **_norm("norm", cross),
    }


def _full(randn: Any, cross: int) -> Tensors:
    return {
        "proj.0.weight": randn(WIDTH, WIDTH),
        "proj.0.bias": randn(WIDTH),
        "proj.2.weight": randn(cross, WIDTH),
        "proj.2.bias": randn(cross),
        **_norm("proj.3", cross),
    }


def _faceid(randn: Any, cross: int) -> Tensors:
    return {
        "proj.0.weight": randn(2 * WIDTH, WIDTH),
        "proj.0.bias": randn(2 * WIDTH),
        "proj.2.weight": randn(4 * cross, 2 * WIDTH),
        "proj.2.bias": randn(4 * cross),
        **_norm("norm", cross),
    }


def _plus(randn: Any, cross: int) -> Tensors:
    inner = HEAD
    tensors = {
        "latents": randn(1, TOKENS, inner),
        "proj_in.weight": randn(inner, WIDTH),
        "proj_in.bias": randn(inner),
        "proj_out.weight": randn(cross, inner),
        "proj_out.bias": randn(cross),
        **_norm("norm_out", cross),
    }
    for layer in range(DEPTH):
        look, think = f"layers.{layer}.0", f"layers.{layer}.1"
        tensors |= {
            **_norm(f"{look}.norm1", inner),
            **_norm(f"{look}.norm2", inner),
            f"{look}.to_q.weight": randn(HEAD, inner),
            f"{look}.to_kv.weight": randn(2 * HEAD, inner),
            f"{look}.to_out.weight": randn(inner, HEAD),
            **_norm(f"{think}.0", inner),
            f"{think}.1.weight": randn(4 * inner, inner),
            f"{think}.3.weight": randn(inner, 4 * inner),
        }
    return tensors

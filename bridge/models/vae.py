"""Another VAE in place of the model's own, from one file as they are shared; and a tiny one beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from safetensors.torch import load_file

from bridge.errors import BridgeError, Code
from bridge.models import folder, hub, weights
from bridge.models.folder_loader import load_tiny_vae
from bridge.models.parts import Parts, finished, incomplete, reading, vae_dtype
from bridge.presets import PartFolder

_ORIGINAL = "decoder.up.0.block.0.conv1.weight"
_ORIGINAL_PREFIXES = ("", "first_stage_model.", "vae.")
_DIFFUSERS = "decoder.up_blocks.0.resnets.0.conv1.weight"


def with_vae(parts: Parts, path: Path, device: torch.device, dtype: torch.dtype) -> Parts:
    """`parts` with the VAE in the file `path`, in the original layout or in diffusers'.

    Raises BridgeError: as `weights.read_header`; BAD_INPUT when the model has a VAE of another kind, or the file
    holds none; MODEL_CORRUPT when it does not fit.
    """
    names = weights.read_header(path).tensors
    own = parts.vae
    is_original = any(prefix + _ORIGINAL in names for prefix in _ORIGINAL_PREFIXES)
    if not is_original and _DIFFUSERS not in names:
        raise BridgeError(
            Code.BAD_INPUT,
            f"{path} holds no VAE that can be read.",
            "Name the .safetensors file of a VAE of Stable Diffusion 1.5 or SDXL, or leave “vae” out.",
        )
    if not isinstance(own, AutoencoderKL):
        raise BridgeError(
            Code.BAD_INPUT,
            f"The {parts.family.label} model of this preset has a small VAE of its own, which cannot be replaced.",
            "Take “vae” out of the preset.",
        )
    with reading(path, "does not fit the model's own VAE"):
        config = dict(own.config)
        tensors = load_file(path)
        if is_original:
            tensors = convert_ldm_vae_checkpoint(tensors, config)
        vae = AutoencoderKL.from_config(config)
        absent, _ = vae.load_state_dict(tensors, strict=False)
    if absent:
        raise incomplete(path, list(absent))
    return replace(parts, vae=finished(vae, path, device, vae_dtype(config, parts.family, dtype)))


def with_tiny_vae(
    parts: Parts,
    source: PartFolder,
    device: torch.device,
    dtype: torch.dtype,
    on_progress: Callable[[float, str], None],
) -> Parts:
    """`parts` with the AutoencoderTiny at `source` beside its VAE. Raises BridgeError: BAD_INPUT for a network of another
    kind or for other latents, and what fetching and reading a model raises."""
    root = hub.find_part(source, folder.PREVIEW, on_progress)
    part = folder.inspect_part(root, folder.PREVIEW, source.variant)
    if part.config.get("latent_channels", 4) != parts.vae.config.latent_channels:
        raise BridgeError(
            Code.BAD_INPUT,
            f"The tiny VAE {source.label} is for latents of another kind than the model's.",
            f"Name one for {parts.family.label} under [tiny_vae] in the preset.",
        )
    return replace(parts, tiny=replace(load_tiny_vae(part, device, dtype), name=source.label))

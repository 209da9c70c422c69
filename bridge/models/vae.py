"""Another VAE in place of the model's own, from one file as they are shared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from safetensors.torch import load_file

from bridge.errors import BridgeError, Code
from bridge.models import weights
from bridge.models.parts import Parts, finished, incomplete, reading, vae_dtype

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

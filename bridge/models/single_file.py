"""A model in one .safetensors file in the original layout of SD 1.5 or SDXL.

The file has the weights only. What else a model is (configurations, scheduler, tokenizer) comes from
configs/ beside this module, or from the folder that the preset names, so no network is needed.
The conversion of names is diffusers'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from safetensors.torch import load_file as load_tensors
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from bridge.errors import BridgeError, Code
from bridge.models import folder, weights
from bridge.models.families import SD15, SDXL, Family
from bridge.models.loaded import TextEncoder
from bridge.models.parts import (
    OnPart,
    Parts,
    finished,
    reading,
    text_encoder,
    vae_dtype,
)
from bridge.models.tokenizers import CLIP_VOCABULARY, END, clip_tokenizer, read_tokenizer

CONFIGS = Path(__file__).parent / "configs"

_UNET, _VAE = "model.diffusion_model.", "first_stage_model."
_CLIP, _SDXL_CLIP, _SDXL_OPEN_CLIP = (
    "cond_stage_model.",
    "conditioner.embedders.0.",
    "conditioner.embedders.1.",
)
_FIRST_CONV = "model.diffusion_model.input_blocks.0.0.weight"
_CLIP_WEIGHT = "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight"
_PREFIXES: Mapping[str, tuple[str, ...]] = {
    SD15.name: (_CLIP,),
    SDXL.name: (_SDXL_CLIP, _SDXL_OPEN_CLIP),
}
_PADS = (END, "!")


@dataclass(frozen=True)
class FileModel:
    """A checkpoint and what its header says it is. `config`: the folder that describes it."""

    path: Path
    family: Family
    config: Path
    in_channels: int
    scheduler_config: Mapping[str, Any]


def inspect_file(path: Path, config: Path | None = None) -> FileModel:
    """What the checkpoint at `path` is, by its header alone.

    Raises BridgeError as `weights.read_header`, and BAD_INPUT for a file that is no SD 1.5 or SDXL
    checkpoint.
    """
    if path.is_dir():
        raise BridgeError(
            Code.BAD_INPUT, f"{path} is a folder.", "Write “folder” for “file” in the preset."
        )
    header = weights.read_header(path)
    family = _family(path, header)
    shape = header.tensors[_FIRST_CONV].shape
    in_channels = shape[1] if len(shape) == 4 else 0
    if in_channels not in family.inputs:
        raise folder.unknown_kind(path, f"its unet takes {in_channels} channels")
    root = config or CONFIGS / family.name
    scheduler = folder.read_json(root / folder.SCHEDULER_CONFIG)
    return FileModel(path, family, root, in_channels, {**scheduler, **_prediction(header)})


def load_file(model: FileModel, device: torch.device, dtype: torch.dtype, on_part: OnPart) -> Parts:
    """The parts of `model`. Raises BridgeError (MODEL_CORRUPT) when weights are missing or do not fit."""
    precision = vae_dtype(_vae_config(model), model.family, dtype)
    with reading(model.path, f"does not fit the {model.family.label} layout"):
        tensors = load_tensors(model.path)
        text = []
        for number, prefix in enumerate(_PREFIXES[model.family.name]):
            on_part("text encoder")
            text.append(_text_encoder(model, _take(tensors, prefix), number, device, dtype))
        on_part("VAE")
        vae = AutoencoderKL.from_single_file(
            _take(tensors, _VAE), dtype=precision, **_options(model, folder.VAE)
        )
        vae = finished(vae, model.path, device, precision)
        on_part("UNet")
        unet = UNet2DConditionModel.from_single_file(
            _take(tensors, _UNET),
            dtype=dtype,
            in_channels=model.in_channels,
            **_options(model, folder.UNET),
        )
        unet = finished(unet, model.path, device, dtype)
    return Parts(model.family, unet, vae, tuple(text), model.scheduler_config)


def _family(path: Path, header: weights.WeightsHeader) -> Family:
    names = header.tensors
    has_unet, has_vae = _FIRST_CONV in names, any(name.startswith(_VAE) for name in names)
    if has_unet and has_vae and f"{_SDXL_OPEN_CLIP}model.positional_embedding" in names:
        return SDXL
    if has_unet and has_vae and _CLIP_WEIGHT in names:
        return SD15
    raise folder.unknown_kind(path, _what_it_is(names, has_unet, has_vae))


def _what_it_is(names: Mapping[str, object], has_unet: bool, has_vae: bool) -> str:
    if any("lora_" in name for name in names):
        return "it is a LoRA, not a whole checkpoint"
    if any(name.startswith("cond_stage_model.model.") for name in names):
        return "it is a Stable Diffusion 2 checkpoint"
    if f"{_SDXL_CLIP}model.positional_embedding" in names:
        return "it is the SDXL refiner"
    if any(
        name.startswith(("double_blocks.", "model.diffusion_model.double_blocks."))
        for name in names
    ):
        return "it is a Flux checkpoint"
    if has_unet and not has_vae:
        return "it has no VAE in it"
    if has_unet:
        return "it has no text encoder in it"
    return "it has no UNet in the original layout in it"


def _prediction(header: weights.WeightsHeader) -> dict[str, Any]:
    """What checkpoints that do not predict noise say of it: empty tensors of these names by custom,
    or the metadata of the model spec (github.com/Stability-AI/ModelSpec)."""
    said = header.metadata.get("modelspec.prediction_type", "")
    facts: dict[str, Any] = {}
    if "v_pred" in header.tensors or said in ("v", "v_prediction"):
        facts["prediction_type"] = "v_prediction"
    if "ztsnr" in header.tensors:
        facts["rescale_betas_zero_snr"] = True
        facts["timestep_spacing"] = "trailing"
    return facts


def _options(model: FileModel, subfolder: str) -> dict[str, Any]:
    return {"config": str(model.config), "subfolder": subfolder, "local_files_only": True}


def _vae_config(model: FileModel) -> dict[str, Any]:
    return folder.read_json(model.config / folder.VAE / "config.json")


def _text_encoder(
    model: FileModel,
    tensors: dict[str, torch.Tensor],
    number: int,
    device: torch.device,
    dtype: torch.dtype,
) -> TextEncoder:
    suffix = f"_{number + 1}" if number else ""
    network = create_diffusers_clip_model_from_ldm(
        CLIPTextModelWithProjection if number else CLIPTextModel,
        tensors,
        subfolder=f"{folder.TEXT}{suffix}",
        config=str(model.config),
        torch_dtype=dtype,
        local_files_only=True,
    )
    own = model.config / f"tokenizer{suffix}"
    if own.is_dir():
        tokenizer = read_tokenizer(own)
    elif network.config.vocab_size == CLIP_VOCABULARY:
        tokenizer = clip_tokenizer(_PADS[number])
    else:
        raise weights.missing(own)
    return text_encoder(tokenizer, finished(network, model.path, device, dtype), own)


def _take(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Moves the tensors below `prefix` out of `tensors`, so that each part's memory is freed in turn."""
    return {name: tensors.pop(name) for name in list(tensors) if name.startswith(prefix)}

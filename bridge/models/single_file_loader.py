"""Reading the weights of a model in one .safetensors file. The conversion of names is diffusers'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from safetensors.torch import load_file as load_tensors
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from bridge.models import folder, weights
from bridge.models.families import SD2, SD15, SDXL
from bridge.models.loaded import TextEncoder
from bridge.models.parts import (
    OnPart,
    Parts,
    finished,
    reading,
    text_encoder,
    vae_dtype,
)
from bridge.models.prediction import measure_prediction
from bridge.models.single_file import TEXT_ENCODERS, UNET, VAE, FileModel, native_side
from bridge.models.tokenizers import CLIP_VOCABULARY, END, clip_tokenizer, read_tokenizer

_PADS: Mapping[str, tuple[str, ...]] = {SD15.name: (END,), SD2.name: ("!",), SDXL.name: (END, "!")}
"""What each text encoder of a family was trained to see after a prompt's end."""


def load_file(model: FileModel, device: torch.device, dtype: torch.dtype, on_part: OnPart) -> Parts:
    """The parts of `model`. Raises BridgeError (MODEL_CORRUPT) when weights are missing or do not fit."""
    precision = vae_dtype(_vae_config(model), model.family, dtype)
    with reading(model.path, f"does not fit the {model.family.label} layout"):
        tensors = load_tensors(model.path)
        text = []
        for number, prefix in enumerate(TEXT_ENCODERS[model.family.name]):
            on_part("text encoder")
            text.append(_text_encoder(model, _take(tensors, prefix), number, device, dtype))
        on_part("VAE")
        vae = AutoencoderKL.from_single_file(
            _take(tensors, VAE), dtype=precision, **_options(model, folder.VAE)
        )
        vae = finished(vae, model.path, device, precision)
        on_part("UNet")
        unet = UNet2DConditionModel.from_single_file(
            _take(tensors, UNET),
            dtype=dtype,
            in_channels=model.in_channels,
            **_options(model, folder.UNET),
        )
        unet = finished(unet, model.path, device, dtype)
    scheduler_config = dict(model.scheduler_config)
    if model.family is SD2:
        _settle_sd2(unet, text[0], scheduler_config)
    return Parts(model.family, unet, vae, tuple(text), scheduler_config)


def _settle_sd2(
    unet: UNet2DConditionModel, text: TextEncoder, scheduler_config: dict[str, Any]
) -> None:
    """Fills in what configs/sd2 leaves open, as the published models differ in it: what the UNet predicts, and at which side
    it was trained."""
    if "prediction_type" not in scheduler_config:
        scheduler_config["prediction_type"] = measure_prediction(unet, text)
    if unet.config.sample_size is None:
        native = native_side(SD2, unet.config.in_channels, scheduler_config["prediction_type"])
        unet.register_to_config(sample_size=native // SD2.latent_scale)


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
        tokenizer = clip_tokenizer(_PADS[model.family.name][number])
    else:
        raise weights.missing(own)
    return text_encoder(tokenizer, finished(network, model.path, device, dtype), own)


def _take(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Moves the tensors below `prefix` out of `tensors`, so that each part's memory is freed in turn."""
    return {name: tensors.pop(name) for name in list(tensors) if name.startswith(prefix)}

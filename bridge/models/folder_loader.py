"""Reading the weights of a model in diffusers layout."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, ControlNetModel, UNet2DConditionModel
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionModelWithProjection,
)

from bridge.models import weights
from bridge.models.folder import Component, FolderModel
from bridge.models.parts import (
    OnPart,
    Parts,
    TinyVae,
    finished,
    incomplete,
    reading,
    text_encoder,
    vae_dtype,
)
from bridge.models.tokenizers import read_tokenizer

_CLASSES: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        UNet2DConditionModel,
        AutoencoderKL,
        AutoencoderTiny,
        ControlNetModel,
        CLIPTextModel,
        CLIPTextModelWithProjection,
        CLIPVisionModelWithProjection,
    )
}

_TOLERANT = ("CLIPTextModel", "CLIPTextModelWithProjection", "CLIPVisionModelWithProjection")
"""These encoders come with leftovers (position ids, a projection) that nothing needs."""


def load_folder(
    model: FolderModel, device: torch.device, dtype: torch.dtype, on_part: OnPart
) -> Parts:
    """The parts of `model`. Raises BridgeError (MODEL_CORRUPT) when weights do not fit their config."""
    on_part("text encoder")
    text = tuple(
        text_encoder(read_tokenizer(folder), load_component(part, device, dtype), folder)
        for part, folder in zip(model.text, model.tokenizers, strict=True)
    )
    on_part("VAE")
    vae = load_component(model.vae, device, vae_dtype(model.vae.config, model.family, dtype))
    on_part("UNet")
    unet = load_component(model.unet, device, dtype)
    tiny = None if model.preview is None else load_tiny_vae(model.preview, device, dtype)
    return Parts(model.family, unet, vae, text, model.scheduler_config, tiny)


def load_tiny_vae(part: Component, device: torch.device, dtype: torch.dtype) -> TinyVae:
    """Raises BridgeError (MODEL_CORRUPT) as `load_folder`."""
    with part.weights[0].open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return TinyVae(load_component(part, device, dtype), part.folder.name, sha256)


def load_component(part: Component, device: torch.device, dtype: torch.dtype) -> Any:
    """One network of a model, ready for use. Raises BridgeError (MODEL_CORRUPT) as `load_folder`."""
    return finished(_read(part, dtype), part.weights[0], device, dtype)


def _read(part: Component, dtype: torch.dtype) -> Any:
    """One network on the CPU, every weight of it from the file."""
    source = part.weights[0]
    with reading(source, "does not fit its config.json"):
        network, report = _CLASSES[part.class_name].from_pretrained(
            str(part.folder),
            dtype=dtype,
            variant=part.variant,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    absent = sorted(report["missing_keys"])
    if absent:
        raise incomplete(source, absent)
    if report["unexpected_keys"] and part.class_name not in _TOLERANT:
        raise weights.corrupt(source, "has weights that its config.json has no place for")
    if report["mismatched_keys"] or report.get("error_msgs"):
        raise weights.corrupt(source, "has weights of other shapes than its config.json says")
    return network

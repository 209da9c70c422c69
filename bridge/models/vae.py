"""Another VAE in place of the model's own, from one file as they are shared; and a tiny one beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from safetensors.torch import load_file

from bridge.errors import BridgeError, Code
from bridge.models import folder, hub, weights
from bridge.models.adapters import version_of
from bridge.models.families import Family
from bridge.models.folder_loader import load_tiny_vae
from bridge.models.glances import VAE_PREFIXES
from bridge.models.hashing import HashCache
from bridge.models.library import Library
from bridge.models.loaded import LoadedModel, SwappedVae
from bridge.models.parts import Parts, finished, incomplete, reading, vae_dtype, with_brake
from bridge.presets import PartFolder

Vae: TypeAlias = AutoencoderKL | AutoencoderTiny

_ORIGINAL = "decoder.up.0.block.0.conv1.weight"
_DIFFUSERS = "decoder.up_blocks.0.resnets.0.conv1.weight"
_TINY = "decoder.layers.0.weight"
_HOW_TO_CHOOSE = "Choose one that was made for this model, or leave the VAE to the preset."


class Vaes:
    """The VAEs that painters choose by name. The latest stays in memory, beside the model's own."""

    def __init__(self, model: LoadedModel, library: Library, hashes: HashCache) -> None:
        self._model = model
        self._library = library
        self._read = lru_cache(1)(lambda version: self._read_file(version.path))
        self._sha256 = lru_cache()(lambda version: hashes.sha256(version.path, lambda _: None))

    def into(self, model: LoadedModel, name: str) -> LoadedModel:
        """`model` with the VAE called `name`; previews stay those of its own, whose latents are the same.

        Raises BridgeError: MODEL_MISSING when there is no such file, else as `read_vae`.
        """
        version = version_of(self._library.find(name))
        vae = self._read(version)
        return replace(model, vae=vae, swapped_vae=SwappedVae(name, self._sha256(version)))

    def _read_file(self, path: Path) -> Vae:
        model = self._model
        with torch.inference_mode(False):
            vae = read_vae(path, model.vae, model.family, model.device, model.dtype)
        with_brake(vae, model.brake)
        return vae


def read_vae(path: Path, own: Vae, family: Family, device: torch.device, dtype: torch.dtype) -> Vae:
    """The VAE in the file `path`, of the kind and the sizes of `own`: an AutoencoderKL in the original layout or in
    diffusers', or an AutoencoderTiny in diffusers'. What else `own` is configured with (the latents' scale) is taken over.

    Of SD 1.5's and SDXL's VAEs all names and shapes are the same, so one is not known from the other.

    Raises BridgeError: as `weights.read_header`; BAD_INPUT when the file holds no VAE, or one for models of another
    kind; MODEL_CORRUPT when it is broken.
    """
    names = weights.read_header(path).tensors
    is_original = any(prefix + _ORIGINAL in names for prefix in VAE_PREFIXES)
    if not is_original and _DIFFUSERS not in names and _TINY not in names:
        raise BridgeError(Code.BAD_INPUT, f"{path} holds no VAE that can be read.", _HOW_TO_CHOOSE)
    if (_TINY in names) != isinstance(own, AutoencoderTiny):
        raise _of_another_kind(path, family)
    config = dict(own.config)
    with reading(path, "does not fit the model's own VAE"):
        tensors = load_file(path)
        if is_original:
            tensors = convert_ldm_vae_checkpoint(tensors, config)
    shapes = {name: tensor.shape for name, tensor in own.state_dict().items()}
    absent = sorted(shapes.keys() - tensors.keys())
    if absent:
        raise incomplete(path, absent)
    if any(tensors[name].shape != shape for name, shape in shapes.items()):
        raise _of_another_kind(path, family)
    vae: Vae = type(own).from_config(config)
    vae.load_state_dict({name: tensors[name] for name in shapes})
    return finished(vae, path, device, vae_dtype(config, family, dtype))


def _of_another_kind(path: Path, family: Family) -> BridgeError:
    sentence = f"{path} is a VAE for models of another kind than this {family.label} model."
    return BridgeError(Code.BAD_INPUT, sentence, _HOW_TO_CHOOSE)


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

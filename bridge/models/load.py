"""The one way in: from where a model lies (bridge/presets.py) to a LoadedModel, whatever its layout."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from bridge.errors import BridgeError, Code
from bridge.models import folder, hub, single_file
from bridge.models.brake import Brake
from bridge.models.device import AUTO, choose_device, choose_dtype
from bridge.models.folder import EMBEDDED_FOLDER
from bridge.models.folder_loader import load_folder
from bridge.models.hashing import HashCache, folder_sha256
from bridge.models.loaded import LoadedModel, SwappedVae
from bridge.models.parts import OnPart, Parts, is_out_of_memory, with_brake
from bridge.models.preview import TinyDecoder, fit_linear_decoder
from bridge.models.single_file_loader import load_file
from bridge.models.vae import read_vae, with_tiny_vae
from bridge.presets import (
    EmbeddedModel,
    HubModel,
    ModelFile,
    ModelFolder,
    ModelSource,
    PartFolder,
)
from krita_plugin.krita_bridge.wire import runfile

log = logging.getLogger(__name__)

OnProgress = Callable[[float, str], None]
"""Called with the share done, 0 to 1, and a sentence for the painter."""

_FETCHED = 0.7
"""Share of the work that is done once a model has come from the hub."""
_CHECKED, _READ = 0.3, 0.95
"""Shares of the rest: hashes checked, weights read."""
_PARTS = 4


def load(
    source: ModelSource,
    device: str = AUTO,
    dtype: torch.dtype | None = None,
    on_progress: OnProgress | None = None,
    *,
    home: Path | None = None,
) -> LoadedModel:
    """Loads the model at `source`; a hub model is fetched first when it is not in the cache.

    `dtype` None: what suits the device. `home`: the bridge's folder, which keeps the hashes of large files.
    Raises BridgeError: MODEL_MISSING, MODEL_CORRUPT, MODEL_UNSAFE, BAD_INPUT (an unknown device or kind
    of model), OUT_OF_MEMORY, DISK_FULL.
    """
    target = choose_device(device)
    number_format = dtype or choose_dtype(target)
    report = _sparing(on_progress) if on_progress else (lambda _share, _sentence: None)
    cache = HashCache(home or runfile.home())
    _quiet()
    try:
        if isinstance(source, ModelFile):
            sha256, parts = _file(source, target, number_format, report, cache)
        else:
            sha256, parts = _folder(source, target, number_format, report, cache)
        swapped = None
        if source.vae is not None:
            vae = read_vae(source.vae, parts.vae, parts.family, target, number_format)
            parts = replace(parts, vae=vae)
            swapped = SwappedVae(source.vae.stem, cache.sha256(source.vae, lambda _: None))
        if source.tiny_vae is not None:
            parts = _with_tiny_vae(parts, source.tiny_vae, target, number_format, report)
        loaded = _assemble(source.label, sha256, parts, target, number_format, swapped)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise BridgeError(
            Code.OUT_OF_MEMORY,
            f"There is not enough memory on {target} to load {source.label}.",
            "Close other programs that use it, or choose a smaller model.",
        ) from error
    report(1.0, f"{source.label} is loaded.")
    return loaded


def _with_tiny_vae(
    parts: Parts,
    source: PartFolder,
    device: torch.device,
    dtype: torch.dtype,
    report: OnProgress,
) -> Parts:
    """One of the hub that is not to be had is done without: what is at hand paints offline."""
    try:
        return with_tiny_vae(parts, source, device, dtype, report)
    except BridgeError as error:
        if error.code is not Code.MODEL_MISSING or not isinstance(source, HubModel):
            raise
        log.warning("without its tiny VAE: %s", error)
        return parts


def _sparing(on_progress: OnProgress) -> OnProgress:
    """Passes on what a progress bar can show: a new sentence, or half a percent more."""
    last: tuple[float, str] | None = None

    def report(share: float, sentence: str) -> None:
        nonlocal last
        if last is None or sentence != last[1] or share >= min(1.0, last[0] + 0.005):
            last = (share, sentence)
            on_progress(share, sentence)

    return report


def _quiet() -> None:
    """No bars and no warnings of the libraries: what matters of them is an error of ours."""
    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def _folder(
    source: EmbeddedModel | ModelFolder | HubModel,
    device: torch.device,
    dtype: torch.dtype,
    report: OnProgress,
    cache: HashCache,
) -> tuple[str, Parts]:
    root, variant = _locate(source, report)
    rest = _rest(report) if isinstance(source, HubModel) else report
    model = folder.inspect_folder(root, variant)
    on_bytes = _hash_progress(model.files, source.label, rest)
    sha256 = folder_sha256(model.root, model.files, cache, on_bytes)
    return sha256, load_folder(model, device, dtype, _part_progress(source.label, rest))


def _file(
    source: ModelFile,
    device: torch.device,
    dtype: torch.dtype,
    report: OnProgress,
    cache: HashCache,
) -> tuple[str, Parts]:
    model = single_file.inspect_file(source.path, source.config, prediction=source.prediction)
    on_bytes = _hash_progress([source.path], source.label, report)
    sha256 = cache.sha256(source.path, on_bytes)
    on_part = _part_progress(source.label, report)
    return sha256, load_file(model, device, dtype, on_part)


def _locate(
    source: EmbeddedModel | ModelFolder | HubModel, report: OnProgress
) -> tuple[Path, str | None]:
    if isinstance(source, EmbeddedModel):
        if not (EMBEDDED_FOLDER / folder.UNET).is_dir():
            raise BridgeError(
                Code.MODEL_MISSING,
                f"The embedded model is not at {EMBEDDED_FOLDER}.",
                "Install the bridge again.",
            )
        return EMBEDDED_FOLDER, None
    if isinstance(source, ModelFolder):
        return source.path, source.variant
    return hub.fetch(source, lambda share, text: report(share * _FETCHED, text)), source.variant


def own_folder(source: ModelSource) -> Path | None:
    """Where the parts of a model that has been loaded lie, beside which it may bring more; None for a single file."""
    if isinstance(source, EmbeddedModel):
        return EMBEDDED_FOLDER
    if isinstance(source, ModelFolder):
        return source.path
    return hub.find_cached(source) if isinstance(source, HubModel) else None


def _rest(report: OnProgress) -> OnProgress:
    return lambda share, text: report(_FETCHED + (1 - _FETCHED) * share, text)


def _hash_progress(files: Sequence[Path], label: str, report: OnProgress) -> Callable[[int], None]:
    total = max(1, sum(path.stat().st_size for path in files))
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        report(_CHECKED * done / total, f"Checking {label}.")

    return on_bytes


def _part_progress(label: str, report: OnProgress) -> OnPart:
    seen = 0

    def on_part(part: str) -> None:
        nonlocal seen
        share = _CHECKED + (_READ - _CHECKED) * min(1.0, seen / _PARTS)
        seen += 1
        report(share, f"Loading {label}: {part}.")

    return on_part


def _assemble(
    name: str,
    sha256: str,
    parts: Parts,
    device: torch.device,
    dtype: torch.dtype,
    swapped: SwappedVae | None,
) -> LoadedModel:
    return LoadedModel(
        name=name,
        sha256=sha256,
        family=parts.family,
        resolution=parts.family.resolution(parts.family.side(parts.unet.config, parts.vae.config)),
        unet=parts.unet,
        vae=parts.vae,
        text=parts.text,
        scheduler_config=parts.scheduler_config,
        preview_decoder=_preview(parts),
        device=device,
        dtype=dtype,
        swapped_vae=swapped,
        tiny_vae=parts.tiny,
        brake=_brake(parts),
    )


def _brake(parts: Parts) -> Brake:
    """One for all blocks of the UNet and the VAEs: it is asked 22 times in a step of SD 1.5's UNet."""
    brake = Brake()
    networks = [parts.unet, parts.vae, *([parts.tiny.network] if parts.tiny is not None else [])]
    for network in networks:
        with_brake(network, brake)
    return brake


def _preview(parts: Parts) -> Callable[[torch.Tensor], torch.Tensor]:
    """A small decoder that came with the model, the VAE where it is small itself, else a fitted map."""
    if parts.tiny is not None:
        return TinyDecoder(parts.tiny.network)
    vae = parts.vae
    return fit_linear_decoder(vae) if isinstance(vae, AutoencoderKL) else TinyDecoder(vae)

"""What a preset can do beside painting from a prompt, found out without loading a model.

The server process asks, so nothing here may load torch: safetensors' own reader would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

from bridge.errors import BridgeError
from bridge.models.families import SDXL
from bridge.models.folder import CONTROLNET, DEPTH, EMBEDDED_FOLDER, UNET, VAE, read_json
from bridge.models.library import Library
from bridge.models.weights import SUFFIX, TensorInfo, glance
from bridge.presets import EmbeddedModel, HubModel, ModelFile, ModelFolder, Preset
from krita_plugin.krita_bridge.wire.control import ControlKind
from krita_plugin.krita_bridge.wire.folders import EMBEDDINGS, HYPERNETWORKS, LORAS, VAES
from krita_plugin.krita_bridge.wire.messages import PresetInfo
from krita_plugin.krita_bridge.wire.reference import ReferenceMode

_FIRST_CONV = "model.diffusion_model.input_blocks.0.0.weight"
_SDXL_TEXT = "conditioner.embedders.1.model.positional_embedding"
_WITH_DEPTH = 5
VAE_PREFIXES = ("", "first_stage_model.", "vae.")
_FIRST_OF_DECODER = ("decoder.conv_in.weight", "decoder.layers.0.weight")
"""Of an AutoencoderKL, in either layout, and of an AutoencoderTiny."""

_TAGS = {LORAS: "<lora:{}>", HYPERNETWORKS: "<hypernet:{}>", EMBEDDINGS: "<{}>"}
"""How a prompt names the files of a folder."""

_MOST_TAGS, _MOST_VAES = 2000, 100
_MOST_VAES_OF_ALL = 4000
"""In one message, of all presets together."""

_Layer = tuple[str, tuple[int, ...]]
_USUAL_VAE: _Layer = ("decoder.conv_in.weight", (512, 4, 3, 3))
"""That of SD 1.5 and SDXL."""


@dataclass(frozen=True)
class _Weights:
    """What the header of a safetensors file tells, as far as it is asked here. `in_channels`: what the UNet in it takes, 0
    where there is none. `vae`: the first layer of the VAE's decoder; its name tells the kind, its shape how wide it is and
    for what latents."""

    in_channels: int
    is_sdxl: bool
    vae: _Layer | None


_NOTHING = _Weights(in_channels=0, is_sdxl=False, vae=None)


def info_of(preset: Preset) -> PresetInfo:
    """The preset as the docker shows it, with what it can do.

    Of a model on the hub, or one that cannot be read, only what the preset itself says is known.
    """
    in_channels, is_sdxl = _unet(preset)
    kinds = {kind for kind in ControlKind if kind in preset.controls or _brings(preset, kind)}
    depth_built_in = in_channels == _WITH_DEPTH
    if depth_built_in:
        kinds.add(ControlKind.DEPTH)
    modes: tuple[ReferenceMode, ...] = ()
    if preset.ip_adapter is not None:
        modes = tuple(ReferenceMode) if is_sdxl else (ReferenceMode.BOTH,)
    controls = tuple(kind for kind in ControlKind if kind in kinds)
    return replace(
        preset.info,
        controls=controls,
        references=modes,
        depth_built_in=depth_built_in,
        map_only=_map_only(preset),
    )


def with_files(info: PresetInfo, preset: Preset, home: Path, presets: int) -> PresetInfo:
    """`info` of the preset, one of so many `presets` in a message, with what the model brings for prompts, and with the VAEs,
    right now."""
    root = _root(preset)
    vaes = vaes_of(preset, home)[: _MOST_VAES_OF_ALL // presets]
    return replace(info, vaes=vaes, tags=() if root is None else tags_in(root))


def tags_in(folder: Path) -> tuple[str, ...]:
    """What prompts can name beside words, as it is written there: LoRAs, hypernetworks and textual inversions in a bridge's
    home or beside a model. So many at most that a message holds them."""
    found = (
        tag.format(name)
        for kind, tag in _TAGS.items()
        for name, path in Library(folder / kind, kind).named().items()
        if path.suffix.lower() == SUFFIX
    )
    return tuple(islice(found, _MOST_TAGS))


def vaes_of(preset: Preset, home: Path) -> tuple[str, ...]:
    """The names of the VAEs in the bridge's folder `home` that fit the preset's model, as far as their files' headers tell.

    A model on the hub is taken for one with the usual VAE.
    """
    source, root = preset.model, _root(preset)
    own: _Layer | None = _USUAL_VAE
    if isinstance(source, ModelFile):
        own = _weights(source.path).vae
    elif root is not None:
        own = next((_weights(path).vae for path in (root / VAE).glob("*.safetensors")), None)
    if own is None:
        return ()
    files = Library(home / VAES, "VAE", root and root / VAES).named()
    fitting = (name for name, path in files.items() if _weights(path).vae == own)
    return tuple(islice(fitting, _MOST_VAES))


def _first_of_decoder(tensors: Mapping[str, TensorInfo]) -> _Layer | None:
    for prefix in VAE_PREFIXES:
        for name in _FIRST_OF_DECODER:
            if prefix + name in tensors:
                return name, tensors[prefix + name].shape
    return None


def _root(preset: Preset) -> Path | None:
    """The folder of a model in diffusers layout that is on this computer for certain."""
    source = preset.model
    if isinstance(source, EmbeddedModel):
        return EMBEDDED_FOLDER
    return source.path if isinstance(source, ModelFolder) else None


def _map_only(preset: Preset) -> tuple[ControlKind, ...]:
    """The kinds whose map nothing works out from a picture. A model on the hub may bring what works out depth."""
    root, on_hub = _root(preset), isinstance(preset.model, HubModel)
    brings_depth = on_hub or (root is not None and (root / DEPTH).is_dir())
    sees_depth = preset.depth_estimator is not None or brings_depth
    sees = {
        ControlKind.DEPTH: sees_depth,
        ControlKind.NORMAL: sees_depth,
        ControlKind.POSE: preset.pose is not None,
        ControlKind.SEGMENTATION: preset.segmenter is not None,
    }
    return tuple(kind for kind, is_there in sees.items() if not is_there)


def _brings(preset: Preset, kind: ControlKind) -> bool:
    root = _root(preset)
    return root is not None and (root / f"{CONTROLNET}_{kind.value}").is_dir()


def _unet(preset: Preset) -> tuple[int, bool]:
    """How many channels the UNet takes, 0 where that is not known; and whether it is SDXL's."""
    source, root = preset.model, _root(preset)
    if isinstance(source, HubModel):
        return 0, preset.native >= SDXL.native
    if isinstance(source, ModelFile):
        told = _weights(source.path)
        return told.in_channels, told.is_sdxl
    assert root is not None
    try:
        config = read_json(root / UNET / "config.json")
    except BridgeError:
        return 0, False
    channels = config.get("in_channels")
    is_sdxl = config.get("addition_embed_type") == "text_time"
    return (channels if isinstance(channels, int) else 0), is_sdxl


def _weights(path: Path) -> _Weights:
    try:
        facts = path.stat()
    except OSError:
        return _NOTHING
    return _read_weights(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=1000)
def _read_weights(path: Path, _size: int, _changed: int) -> _Weights:
    """Kept for as long as the file stays as it is: a header of SDXL takes 5 ms, and every client that comes asks for all.
    What is no whole file of weights tells nothing."""
    try:
        tensors = glance(path).tensors
    except BridgeError:
        return _NOTHING
    shape = tensors[_FIRST_CONV].shape if _FIRST_CONV in tensors else ()
    in_channels = shape[1] if len(shape) == 4 else 0
    return _Weights(in_channels, _SDXL_TEXT in tensors, _first_of_decoder(tensors))

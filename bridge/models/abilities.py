"""What a preset can do beside painting from a prompt, found out without loading a model.

The server process asks, so nothing here may load torch: safetensors' own reader would.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

from bridge.errors import BridgeError
from bridge.models.families import SDXL
from bridge.models.folder import CONTROLNET, DEPTH, EMBEDDED_FOLDER, UNET, VAE, read_json
from bridge.models.glances import Layer, look
from bridge.models.library import Library
from bridge.models.weights import SUFFIX
from bridge.presets import EmbeddedModel, HubModel, ModelFile, ModelFolder, Preset
from krita_plugin.krita_bridge.wire.control import ControlKind
from krita_plugin.krita_bridge.wire.folders import EMBEDDINGS, HYPERNETWORKS, LORAS, VAES
from krita_plugin.krita_bridge.wire.messages import PresetInfo
from krita_plugin.krita_bridge.wire.reference import ReferenceMode

_WITH_DEPTH = 5
_TAGS = {LORAS: "<lora:{}>", HYPERNETWORKS: "<hypernet:{}>", EMBEDDINGS: "<{}>"}
"""How a prompt names the files of a folder."""

_MOST_TAGS, _MOST_VAES = 2000, 100
_MOST_VAES_OF_ALL = 4000
"""In one message, of all presets together."""

_USUAL_VAE: Layer = ("decoder.conv_in.weight", (512, 4, 3, 3))
"""That of SD 1.5, SD 2 and SDXL."""


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
    own: Layer | None = _USUAL_VAE
    if isinstance(source, ModelFile):
        own = look(source.path).vae
    elif root is not None:
        own = next((look(path).vae for path in (root / VAE).glob("*.safetensors")), None)
    if own is None:
        return ()
    files = Library(home / VAES, "VAE", root and root / VAES).named()
    fitting = (name for name, path in files.items() if look(path).vae == own)
    return tuple(islice(fitting, _MOST_VAES))


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
        model = look(source.path).checkpoint
        if isinstance(model, BridgeError):
            return 0, False
        return model.in_channels, model.family is SDXL
    assert root is not None
    try:
        config = read_json(root / UNET / "config.json")
    except BridgeError:
        return 0, False
    channels = config.get("in_channels")
    is_sdxl = config.get("addition_embed_type") == "text_time"
    return (channels if isinstance(channels, int) else 0), is_sdxl

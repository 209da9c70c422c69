"""ControlNets (Zhang et al., Adding conditional control to text-to-image diffusion models, 2023): finding and reading them.

They come as a folder in diffusers layout, as one file in the original layout or in diffusers', or from the hub; and
a model in diffusers layout may bring its own, in folders called `controlnet_depth`, `controlnet_canny` and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from safetensors.torch import load_file
from torch import nn

from bridge.errors import BridgeError, Code
from bridge.models import folder, hub, weights
from bridge.models.folder_loader import load_component
from bridge.models.hashing import HashCache, folder_sha256
from bridge.models.loaded import LoadedModel
from bridge.models.parts import finished, incomplete, is_out_of_memory, reading
from bridge.presets import ModelFile, ModelFolder, PartSource
from krita_plugin.krita_bridge.wire.control import ControlKind

OnProgress = Callable[[float, str], None]

_SIGNS = ("controlnet_cond_embedding.conv_in.weight", "input_hint_block.0.weight")
_PREFIXES = ("", "control_model.")
_FITTING = ("cross_attention_dim", "block_out_channels", "addition_embed_type")


@dataclass(frozen=True, eq=False)
class ControlNet:
    """In two parts on the model's device, in its dtype. `embed` makes of maps N x 3 x H x W, 0 to 1, what `net`, a
    ControlNetModel, takes as its `controlnet_cond`: N x C x h x w, of the latents' size. `kept`: some of these."""

    net: Any
    embed: nn.Module
    name: str
    sha256: str
    kept: dict[Hashable, torch.Tensor] = field(default_factory=dict)


def in_parts(net: Any) -> tuple[Any, nn.Module]:
    """A ControlNetModel without the embedding of its map, and that embedding."""
    embed: nn.Module = net.controlnet_cond_embedding
    net.controlnet_cond_embedding = nn.Identity()
    return net, embed


class ControlNets:
    """Those of one model. What a job uses stays in memory until another job uses others."""

    def __init__(
        self,
        model: LoadedModel,
        own: Path | None,
        hashes: HashCache,
        let_go: Callable[[], None] | None = None,
    ) -> None:
        """`own`: the model's folder, where it has one. `let_go`: called when some are no longer used, for whoever keeps
        them in memory to let go of them, before others are read."""
        self._model = model
        self._own = own
        self._hashes = hashes
        self._let_go = let_go
        self._held: dict[PartSource, ControlNet] = {}

    def use(
        self,
        kinds: Collection[ControlKind],
        named: Mapping[ControlKind, PartSource],
        on_progress: OnProgress,
    ) -> dict[ControlKind, ControlNet]:
        """One for each of `kinds`: the one that `named` names, or the model's own.

        Raises BridgeError: MODEL_MISSING where there is none, BAD_INPUT for one of another family, and what reading
        a model raises.
        """
        if not kinds:
            return {}
        sources = {kind: self._source(kind, named) for kind in kinds}
        wanted = {s: net for s, net in self._held.items() if s in sources.values()}
        if self._let_go is not None and len(wanted) < len(self._held):
            self._let_go()
        self._held = wanted
        for source in sources.values():
            if source not in self._held:
                self._held[source] = self._load(source, on_progress)
        return {kind: self._held[source] for kind, source in sources.items()}

    def _source(self, kind: ControlKind, named: Mapping[ControlKind, PartSource]) -> PartSource:
        if kind in named:
            return named[kind]
        if self._own is not None:
            own = self._own / f"{folder.CONTROLNET}_{kind.value}"
            if own.is_dir():
                return ModelFolder(own)
        raise BridgeError(
            Code.MODEL_MISSING,
            f"{self._model.name} has no ControlNet for {kind.value}.",
            f"Add a table [control.{kind.value}] with “repo”, “folder” or “file” to its preset, or turn the control off.",
        )

    def _load(self, source: PartSource, on_progress: OnProgress) -> ControlNet:
        model = self._model
        on_progress(0.0, f"Loading the ControlNet {source.label}.")
        try:
            if isinstance(source, ModelFile):
                sha256 = self._hashes.sha256(source.path, lambda _: None)
                net = finished(
                    _read_file(source.path, model), source.path, model.device, model.dtype
                )
            else:
                root = hub.find_part(source, folder.CONTROLNET, on_progress)
                part = folder.inspect_part(root, folder.CONTROLNET, source.variant)
                _check_fit(part.config, model, source.label)
                files = [part.folder / "config.json", *part.weights]
                sha256 = folder_sha256(part.folder, files, self._hashes, lambda _: None)
                net = load_component(part, model.device, model.dtype)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise BridgeError(
                Code.OUT_OF_MEMORY,
                f"There is not enough memory on {model.device} for the ControlNet {source.label}.",
                "Use fewer controls, or close other programs that use it.",
            ) from error
        net, embed = in_parts(net)
        for block in (*net.down_blocks, net.mid_block, *embed.modules()):
            block.register_forward_pre_hook(model.brake)
        return ControlNet(net, embed, source.label, sha256)


def _check_fit(config: Mapping[str, Any], model: LoadedModel, label: str) -> None:
    """Raises BridgeError (BAD_INPUT) when a ControlNet of this config.json is one for another UNet."""
    own = model.unet.config
    fits = all(_plain(config.get(key)) == _plain(own.get(key)) for key in _FITTING)
    if not fits or config.get("in_channels", 4) != model.latent_channels:
        raise BridgeError(
            Code.BAD_INPUT,
            f"The ControlNet {label} was made for another kind of model than {model.name}.",
            f"Name one for {model.family.label} in the preset.",
        )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _read_file(path: Path, model: LoadedModel) -> Any:
    """A ControlNet from one file, of the shape that the model's own UNet says."""
    names = weights.read_header(path).tensors
    if not any(prefix + sign in names for prefix in _PREFIXES for sign in _SIGNS):
        raise BridgeError(
            Code.BAD_INPUT,
            f"{path} is no ControlNet.",
            f"Name the .safetensors file of a ControlNet for {model.family.label}.",
        )
    with reading(path, f"does not fit {model.name}"):
        shape = ControlNetModel.from_unet(model.unet, load_weights_from_unet=False).config
        # A UNet for inpainting has more channels than the latents that its ControlNets see.
        config = {**shape, "in_channels": model.latent_channels}
        net = ControlNetModel.from_config(config)
        absent, _ = net.load_state_dict(
            convert_controlnet_checkpoint(load_file(path), config), strict=False
        )
    if absent:
        raise incomplete(path, list(absent))
    return net

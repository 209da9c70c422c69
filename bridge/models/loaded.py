"""A model in memory: what every loader returns and all that the engine asks of a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bridge.models.brake import Brake

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderTiny

    from bridge.models.families import Family
    from bridge.models.graphed import Graphed
    from bridge.models.parts import TinyVae

_INPAINT_CHANNELS = 9


@dataclass(frozen=True)
class Resolution:
    """The sizes at which a model paints well, px.

    `native` is the side it was trained at: smaller crops are scaled up until their area is native x
    native. Crops of more than `max_pixels` are scaled down to that area. Both sides of what it
    paints are multiples of `multiple`, which is itself a multiple of the latent's scale.
    """

    native: int
    max_pixels: int
    multiple: int = 8


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """A CLIP text encoder (CLIPTextModel or CLIPTextModelWithProjection) and its CLIPTokenizer."""

    tokenizer: Any
    model: Any


@dataclass(frozen=True)
class SwappedVae:
    """The file whose VAE a model has instead of its own: its name, and its sha256."""

    name: str
    sha256: str


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """Weights on their device, in eval mode, without gradients.

    `unet` is a UNet2DConditionModel that takes 4 latent channels, 9 when it was trained to inpaint, or 5 with depth;
    `vae` an AutoencoderKL or AutoencoderTiny, perhaps with a dtype of its own (float32 beside a
    float16 `unet`, where float16 would overflow): the engine converts to `vae.dtype` and back.
    `text` holds one encoder for SD 1.5 and two for SDXL, in the pipeline's order. `scheduler_config` is the model's own scheduler_config.json: its betas, prediction_type,
    rescale_betas_zero_snr, timestep_spacing, steps_offset. `sha256` identifies the weights.

    `preview_decoder` maps scaled latents (N x C x h x w, as the UNet sees them) to RGB
    (N x 3 x H x W, float, about 0 to 1), at any resolution with the latents' aspect.

    `tiny_vae` is for the same latents as `vae`, and decodes to the same size or a smaller one.

    `graphed` stands for `guided.evaluate` of `unet` where recorded graphs are worth it.

    `brake` stops `unet`, `vae` and `tiny_vae` between two of their blocks.
    """

    name: str
    sha256: str
    family: Family
    resolution: Resolution
    unet: Any
    vae: Any
    text: tuple[TextEncoder, ...]
    scheduler_config: Mapping[str, Any]
    preview_decoder: Callable[[torch.Tensor], torch.Tensor]
    device: torch.device
    dtype: torch.dtype
    swapped_vae: SwappedVae | None = None
    tiny_vae: TinyVae | None = None
    graphed: Graphed | None = None
    brake: Brake = field(default_factory=Brake)

    # What follows never changes and is asked for by every job: worked out once.

    @cached_property
    def latent_scale(self) -> int:
        """Pixels of the picture a latent stands for, each way."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @cached_property
    def draft(self) -> LoadedModel:
        """The same model with its tiny VAE for both ways, where that gives pictures of the same size."""
        tiny = self.tiny_vae
        if tiny is None or _scales_of(tiny.network) != {self.latent_scale}:
            return self
        return replace(self, vae=tiny.network, swapped_vae=SwappedVae(tiny.name, tiny.sha256))

    @cached_property
    def latent_channels(self) -> int:
        return int(self.vae.config.latent_channels)

    @cached_property
    def inpaints(self) -> bool:
        """Whether the UNet takes a mask and masked latents beside the latents."""
        return int(self.unet.config.in_channels) == _INPAINT_CHANNELS

    @cached_property
    def takes_depth(self) -> bool:
        """Whether the UNet takes a channel of depth after the latents (depth2img)."""
        return int(self.unet.config.in_channels) == self.latent_channels + 1

    @cached_property
    def latent_factor(self) -> float:
        """What the VAE's own latents are multiplied by."""
        return float(self.vae.config.scaling_factor)

    @cached_property
    def scheduler_json(self) -> str:
        """`scheduler_config` as text, which schedules are cached by."""
        return json.dumps(dict(self.scheduler_config), default=str)

    @cached_property
    def vae_dtype(self) -> torch.dtype:
        dtype: torch.dtype = next(self.vae.parameters()).dtype
        return dtype


def _scales_of(tiny: AutoencoderTiny) -> set[int]:
    """Pixels that a latent stands for, of its encoder and of its decoder."""
    config = tiny.config
    channels = (config.encoder_block_out_channels, config.decoder_block_out_channels)
    return {int(2 ** (len(each) - 1)) for each in channels}

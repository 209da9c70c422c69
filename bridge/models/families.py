"""What the bridge knows about each family of models: sizes, latents and how text is encoded.

A family is what models of one architecture share. What differs between models of a family (input
channels of the UNet, prediction type, the side it was trained at) stands in the model's own files.
No torch here: the server process may import this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bridge.models.loaded import Resolution


class TextEncoding(Enum):
    """How a prompt becomes the UNet's conditioning."""

    CLIP_LAST = "clip_last"
    """One CLIP text model: its last hidden state, after the final layer norm."""
    TWO_CLIPS_PENULTIMATE = "two_clips_penultimate"
    """SDXL: the second last hidden states of both text models side by side, the second one's pooled
    projection, and six time ids (original size, crop corner, target size)."""


@dataclass(frozen=True)
class Family:
    """`native`: the side, px, that a full-size model of the family was trained at.

    `multiple`: image sides are multiples of this many px. `latent_scale`: px per latent pixel.
    """

    name: str
    label: str
    native: int
    multiple: int
    latent_channels: int
    latent_scale: int
    text: TextEncoding
    inputs: tuple[int, ...]
    """Input channels of the UNet that the engine can feed: 4 latent, 5 with depth, or 9 with mask and masked latents."""

    def side(self, unet: Mapping[str, Any], vae: Mapping[str, Any]) -> int:
        """The side, px, that a model with these configurations was trained at: the UNet's latent side times the VAE's scale."""
        latent, blocks = unet.get("sample_size"), vae.get("block_out_channels")
        if not isinstance(latent, int) or not isinstance(blocks, list | tuple):
            return self.native
        return int(latent * 2 ** (len(blocks) - 1))

    def resolution(self, native: int) -> Resolution:
        """Where a model of the family trained at the side `native` paints well.

        Above one and a half of that side a UNet paints its subject twice.
        """
        return Resolution(native=native, max_pixels=(native * 3 // 2) ** 2, multiple=self.multiple)


SD15 = Family(
    name="sd15",
    label="Stable Diffusion 1.5",
    native=512,
    multiple=8,
    latent_channels=4,
    latent_scale=8,
    text=TextEncoding.CLIP_LAST,
    inputs=(4, 5, 9),
)

SD2 = Family(
    name="sd2",
    label="Stable Diffusion 2",
    native=768,
    multiple=8,
    latent_channels=4,
    latent_scale=8,
    text=TextEncoding.CLIP_LAST,
    inputs=(4, 5, 9),
)
"""Its latents are SD 1.5's. Published at two sides: with `native` where it predicts velocity, else with SD 1.5's. Its text
encoder has 24 layers, of which it was trained with the first 23, and only those are loaded: clip skip counts from there."""

SDXL = Family(
    name="sdxl",
    label="Stable Diffusion XL",
    native=1024,
    multiple=8,
    latent_channels=4,
    latent_scale=8,
    text=TextEncoding.TWO_CLIPS_PENULTIMATE,
    inputs=(4, 9),
)

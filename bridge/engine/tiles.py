"""Working on a picture in overlapping tiles, each no larger than the model likes, without seams.

What two tiles say of a place is averaged with weights that fade towards each tile's edge. For the UNet that is
done at every step, so the tiles never drift apart (MultiDiffusion: Bar-Tal et al., 2023; weights as in Mixture of
Diffusers: Jiménez, 2023); for the VAE once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from bridge.pixels import starts


@dataclass(frozen=True)
class Tile:
    """A part of the picture, in latents."""

    top: int
    left: int
    height: int
    width: int

    def of(self, picture: torch.Tensor, scale: int = 1) -> torch.Tensor:
        """This part of N x C x H x W that has `scale` pixels for each latent, without copying."""
        top, left = self.top * scale, self.left * scale
        rows, columns = self.height * scale, self.width * scale
        return picture[..., top : top + rows, left : left + columns]


@dataclass(frozen=True)
class Layout:
    """Tiles of the same size that cover `height` x `width` latents and overlap by `overlap` at least."""

    height: int
    width: int
    overlap: int
    tiles: tuple[Tile, ...]

    def touching(self, wanted: torch.Tensor) -> Layout:
        """Only the tiles that have any of `wanted` (1 x 1 x height x width) above 0."""
        kept = tuple(tile for tile in self.tiles if bool((tile.of(wanted) > 0).any()))
        return Layout(self.height, self.width, self.overlap, kept)

    def mean(
        self, part: Callable[[Tile], torch.Tensor], channels: int, scale: int = 1
    ) -> torch.Tensor:
        """1 x channels x H x W with `scale` pixels for each latent: the weighted mean of what `part` makes of each
        tile; 0 where there is none."""
        total = weights = torch.empty(0)
        for tile in self.tiles:
            made = part(tile)
            if not total.numel():
                size = (self.height * scale, self.width * scale)
                total = made.new_zeros(1, channels, *size)
                weights = made.new_zeros(1, 1, *size)
            weight = self.weight(tile, scale).to(made)
            tile.of(total, scale).add_(made * weight)
            tile.of(weights, scale).add_(weight)
        return total / weights.clamp(min=1e-6)

    def weight(self, tile: Tile, scale: int) -> torch.Tensor:
        """1 x 1 x h x w, above 0: 1 in the middle, falling off towards every edge where another tile goes on."""
        rows, columns = self.fades(tile, scale)
        return (rows[:, None] * columns)[None, None]

    def fades(self, tile: Tile, scale: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What `weight` is the product of: h of the rows, w of the columns."""
        rows = _fade(tile.top, tile.height, self.height, self.overlap, scale)
        return rows, _fade(tile.left, tile.width, self.width, self.overlap, scale)


def make_layout(height: int, width: int, side: int) -> Layout:
    """Tiles of at most `side` x `side` latents, which overlap by a quarter of it or more."""
    overlap = side // 4
    tops, lefts = starts(height, side, overlap), starts(width, side, overlap)
    rows, columns = min(side, height), min(side, width)
    tiles = tuple(Tile(top, left, rows, columns) for top in tops for left in lefts)
    return Layout(height, width, overlap, tiles)


def _fade(start: int, length: int, whole: int, overlap: int, scale: int) -> torch.Tensor:
    """Weights along one axis, above 0; full at the picture's own edges, where no other tile takes over."""
    at = torch.arange(length * scale) + 0.5
    ramp = overlap * scale
    weight = torch.ones(length * scale)
    if start > 0:
        weight = torch.minimum(weight, at / ramp)
    if start + length < whole:
        weight = torch.minimum(weight, (length * scale - at) / ramp)
    return weight

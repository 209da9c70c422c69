"""Controls while the model paints: which ControlNets guide which step, and by what."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F

from bridge.engine.color import colour
from bridge.engine.heard import is_on
from bridge.engine.plan import Plan
from bridge.engine.resample import to_working
from bridge.engine.tiles import Tile
from bridge.engine.types import ImageU8
from bridge.models.control import ControlNet
from bridge.models.device import scalars
from krita_plugin.krita_bridge.wire.control import Control

Guiding = tuple[list[ControlNet], list[torch.Tensor], list[torch.Tensor]]
"""ControlNets, the embedded map of each, and the strength of each: the last arguments of `guided.evaluate`."""


@dataclass(frozen=True, eq=False)
class Guide:
    """A control and its ControlNet. `map`: what it reads in all of the job's area, RGBA, and the SHA-256 of its colours."""

    asked: Control
    controlnet: ControlNet
    map: tuple[ImageU8, str] | None = None


_KEPT = 4
"""Embedded maps that each ControlNet keeps: 2.6 MB each at 512 x 512 px in half precision."""

Guides = Mapping[int, Guide]
"""By the number that the control has in its request."""

NO_GUIDES: Guides = {}


@dataclass(frozen=True, eq=False)
class Hint:
    """A guide with its map, `picture`: 1 x 3 x H x W of the working picture, 0 to 1, where its ControlNet is."""

    guide: Guide
    picture: torch.Tensor
    key: Hashable = None
    """Says for good what `picture` is; None: nobody knows."""

    def embedded(self, batch: int) -> torch.Tensor:
        """What the ControlNet makes of so many of `picture`. The same as in a job before costs nothing: while live
        painting changes the prompt or what is not seen by a control, the map stays."""
        kept, key = self.guide.controlnet.kept, (self.key, batch)
        found = kept.get(key) if self.key is not None else None
        if found is None:
            # As a batch, though all of it is the same: of one alone the convolutions may round differently.
            found = self.guide.controlnet.embed(self.picture.expand(batch, -1, -1, -1))
            assert isinstance(found, torch.Tensor)
        if self.key is not None:
            kept.pop(key, None)
            kept[key] = found
            if len(kept) > _KEPT:
                del kept[next(iter(kept))]
        return found

    def of_tile(self, tile: Tile, scale: int) -> Hint:
        return Hint(self.guide, tile.of(self.picture, scale))


def hint(guide: Guide, map_: ImageU8, plan: Plan) -> Hint:
    """`map_` (RGBA, opaque) has the size of `plan.source`."""
    working = to_working(colour(map_), plan)
    net = guide.controlnet.net
    # Of a part of it, as upscaling paints, the hash says nothing.
    key = (guide.map[1], plan) if guide.map is not None and guide.map[0] is map_ else None
    return Hint(guide, working.to(net.device, net.dtype), key)


DEPTH_CHANNEL = -1
"""The number, among a snapshot's controls, of the map that goes into the depth channel of a UNet that has one."""


def depth_channel(map_: ImageU8 | None, plan: Plan, size: tuple[int, int]) -> torch.Tensor:
    """The channel after the latents of a UNet for depth2img, 1 x 1 x h x w of this size: 1 near, -1 far, 0 all over where
    there is no map. `map_` (RGBA, opaque) has the size of `plan.source`, and goes from black to white.

    diffusers spreads the map once more when it is as small as the latents; here every tile of a picture gets its part of
    one spread.
    """
    if map_ is None:
        return torch.zeros(1, 1, *size)
    working = to_working(colour(map_)[:, :1], plan)
    small = F.interpolate(working, size, mode="bicubic", align_corners=False)
    return small.clamp_(0, 1) * 2 - 1


def make_guiding(hints: Sequence[Hint], steps: int, batch: int) -> Callable[[int], Guiding]:
    """What guides the step of an index, of so many, where the UNet evaluates `batch` pictures at a time.

    A control that is off costs nothing. Maps are embedded once: what a ControlNet makes of its map depends on neither step
    nor latents.
    """
    embedded = cache(lambda number: hints[number].embedded(batch))

    def at(index: int) -> Guiding:
        nets: list[ControlNet] = []
        maps: list[torch.Tensor] = []
        strengths: list[torch.Tensor] = []
        for number, each in enumerate(hints):
            asked, controlnet = each.guide.asked, each.guide.controlnet
            if is_on(asked, index, steps):
                nets.append(controlnet)
                maps.append(embedded(number))
                net = controlnet.net
                strengths += scalars((asked.strength,), net.device, net.dtype)
        return nets, maps, strengths

    return at

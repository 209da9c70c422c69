"""Paintings as latents, in shards on disk: painted once, read many times."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import max_pool2d

from bridge.models.training import DATA_VERSION
from bridge.models.training.networks import LATENT_FACTOR, Net
from bridge.models.training.painter import Painting, paint
from bridge.models.training.scenes import KINDS, OUTLINES, OVERPAINTED, THINGS, Kinds

CAPTIONS = 4
SIZES: tuple[tuple[int, int], ...] = (
    *((128, 128),) * 9,
    (192, 128),
    (128, 192),
    (192, 192),
)
"""Width and height of shard number n is ``SIZES[n % len(SIZES)]``.

Outlines are learned at the native size: in data version 2, where most pictures were of 64 px, a
circle was four blocks wide, and after 80,000 pictures it was still any shape. The larger ones keep
one house one house.
"""

LESSONS = (KINDS, OUTLINES, KINDS, THINGS, OVERPAINTED)
"""What a dozen of shards shows, in turn."""

PIXELS_PER_SHARD = 1024 * 128 * 128
HELD_OUT = 10_000_000_000
"""Seeds from here on are never trained on."""


@dataclass(frozen=True)
class Shard:
    """``latents`` n x 4 x H/8 x W/8 float32, scaled; ``things`` n x 1 x H/8 x W/8 float32, 1 where any
    of the main thing is, all 0 where there is none; ``captions`` n tuples of CAPTIONS texts."""

    latents: Tensor
    things: Tensor
    captions: tuple[tuple[str, ...], ...]


def to_tensor(images: np.ndarray) -> Tensor:
    """N x H x W x 3 uint8 -> N x 3 x H x W float32 in -1..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def lesson_of(number: int) -> Kinds:
    return LESSONS[number // len(SIZES) % len(LESSONS)]


def paintings_of(number: int) -> list[Painting]:
    """The shard's paintings.

    Two of five dozens of shards are about outlines alone, of shapes or of things: in a mixture of
    everything, 50,000 shapes among 245,000 pictures had left a star as round as a circle.
    """
    width, height = SIZES[number % len(SIZES)]
    count = PIXELS_PER_SHARD // (width * height)
    kinds = lesson_of(number)
    return [paint(number * 100_000 + i, width, height, CAPTIONS, kinds) for i in range(count)]


def load_shard(folder: Path, number: int, vae: Net) -> Shard:
    """Reads shard ``number``, painting and encoding it first where it is missing."""
    path = folder / f"v{DATA_VERSION}" / f"{number:05d}.safetensors"
    if not path.exists():
        _paint_shard(path, number, vae)
    with safe_open(path, framework="pt") as file:
        captions = tuple(tuple(c) for c in json.loads(file.metadata()["captions"]))
        latents, things = (file.get_tensor(name).float() for name in ("latents", "things"))
        return Shard(latents, things, captions)


@torch.inference_mode()
def _paint_shard(path: Path, number: int, vae: Net) -> None:
    paintings = paintings_of(number)
    images = np.stack([p.image for p in paintings])
    parts = [vae.encode(to_tensor(part)).latents for part in np.array_split(images, 32)]
    latents = torch.cat(parts) * vae.config.scaling_factor
    masks = torch.from_numpy(np.stack([p.mask for p in paintings]))[:, None]
    things = max_pool2d((masks >= 128).float(), LATENT_FACTOR)
    tensors = {"latents": latents.half().contiguous(), "things": things.to(torch.uint8)}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, {"captions": json.dumps([p.captions for p in paintings])})
    partial.replace(path)

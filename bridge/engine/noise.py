"""Gaussian noise that belongs to the canvas: a function of seed and absolute latent position alone.

Two captures that overlap see the same noise where they do, so a live preview does not swim when
the selection moves, and a result depends on nothing but its request.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

Words = NDArray[np.uint64]
"""32-bit words, kept in 64 bits: their products need as many."""

_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], np.uint64)
_WEYL = np.array([[0x9E3779B9], [0xBB67AE85]], np.uint64)
_ROUNDS = 10


_KEPT = 16
"""Draws: those of eight steps that add noise, for the full live picture and for the smaller one that a slow machine makes
while the pen moves. Fewer than are asked for in turn would be as good as none. 256 KiB each at 1024 x 1024 px."""


@lru_cache(_KEPT)
def on_device(
    device: torch.device,
    seed: int,
    origin: tuple[int, int],
    size: tuple[int, int],
    channels: int,
    draw: int,
) -> torch.Tensor:
    """`gaussian` in float32 on a device. The last _KEPT are kept, for live painting asks for the same again and again: do
    not write into them."""
    return gaussian(seed, origin, size, channels, draw).float().to(device)


def gaussian(
    seed: int, origin: tuple[int, int], size: tuple[int, int], channels: int, draw: int = 0
) -> torch.Tensor:
    """Standard normal noise, 1 x channels x h x w float64.

    `origin` is the canvas position (x, y) of the first latent and `size` (h, w), in latents. `draw`
    numbers independent draws for the same position (one for each step that adds fresh noise).
    Philox4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011) makes the bits,
    the Box-Muller transform the normals.
    """
    height, width = size
    blocks = -(-channels // 4)
    counter = np.empty((4, blocks, height, width), np.uint64)
    counter[0] = _positions(origin[0], width)
    counter[1] = _positions(origin[1], height)[:, None]
    counter[2] = draw
    counter[3] = np.arange(blocks)[:, None, None]
    words = philox(counter.reshape(4, -1), seed)
    uniform = (words.astype(np.float64) + 0.5) * 2.0**-32
    radius, angle = np.sqrt(-2 * np.log(uniform[:2])), 2 * np.pi * uniform[2:]
    normals = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    by_channel = normals.reshape(4, blocks, height, width).swapaxes(0, 1)
    return torch.from_numpy(by_channel.reshape(1, -1, height, width)[:, :channels])


def philox(counter: Words, seed: int) -> Words:
    """Philox4x32-10: four words, 4 x N, for as many of each of N counters; the seed's 64 bits are the key."""
    even, odd = counter[::2], counter[1::2]
    key = np.array([[seed & 0xFFFFFFFF], [seed >> 32 & 0xFFFFFFFF]], np.uint64)
    for _ in range(_ROUNDS):
        product = even * _MULTIPLIERS
        even, odd = (product >> _HALF)[::-1] ^ odd ^ key, (product & _MASK)[::-1]
        key = key + _WEYL & _MASK
    return np.stack([even[0], odd[0], even[1], odd[1]])


def _positions(start: int, count: int) -> Words:
    return np.arange(start, start + count, dtype=np.int64).astype(np.uint64) & _MASK

"""The plain DDIM loop that the evaluation uses. The bridge's own loop is ``bridge.engine``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from bridge.models.training.dataset import HELD_OUT, to_tensor
from bridge.models.training.denoiser import tokenize
from bridge.models.training.holes import grey_latent, inputs_of
from bridge.models.training.networks import Net

Image = NDArray[np.uint8]
"""H x W x 3 uint8, sRGB."""

_BATCH = 8


@dataclass(frozen=True)
class Sampling:
    steps: int = 20
    guidance: float = 4.0
    width: int = 128
    height: int = 128


def load(folder: Path) -> Net:
    """The folder as any Stable Diffusion inpainting checkpoint, in float32 (a CPU has no fast fp16)."""
    return StableDiffusionInpaintPipeline.from_pretrained(
        str(folder), safety_checker=None, torch_dtype=torch.float32, local_files_only=True
    )


@torch.inference_mode()
def generate(
    pipe: Net,
    prompts: list[str],
    seeds: list[int],
    how: Sampling,
    start: NDArray[np.uint8] | None = None,
    mask: NDArray[np.bool_] | None = None,
    strength: float = 1.0,
) -> NDArray[np.uint8]:
    """N pictures, N x H x W x 3 uint8 sRGB.

    ``start`` (N x H x W x 3 uint8) makes it image to image. With ``mask`` (N x H x W, true where to
    paint) the UNet is told what stands in ``start`` around it.
    """
    texts = tokenize(pipe.tokenizer, ["" for _ in prompts] + prompts)
    context = pipe.text_encoder(texts).last_hidden_state
    shape = (4, how.height // 8, how.width // 8)
    noise = torch.stack(
        [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )
    pipe.scheduler.set_timesteps(how.steps)
    times = pipe.scheduler.timesteps[how.steps - round(how.steps * strength) :]
    latents, known = noise, noise
    if start is not None:
        known = pipe.vae.encode(to_tensor(start)).latents * pipe.vae.config.scaling_factor
        latents = pipe.scheduler.add_noise(known, noise, times[:1])
    holes = torch.ones_like(known[:, :1])
    if mask is not None:
        holes = torch.nn.functional.max_pool2d(torch.from_numpy(mask)[:, None].float(), 8)
    inputs = inputs_of(known, holes, grey_latent(pipe.vae)).repeat(2, 1, 1, 1)
    for time in times:
        given = torch.cat([latents.repeat(2, 1, 1, 1), inputs], dim=1)
        both = pipe.unet(given, time, context).sample
        free, led = both.chunk(2)
        velocity = free + how.guidance * (led - free)
        latents = pipe.scheduler.step(velocity, time, latents).prev_sample
    return to_images(pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample)


def generated(
    pipe: Net,
    prompts: Sequence[str],
    how: Sampling,
    starts: Sequence[Image] | None = None,
    mask: NDArray[np.bool_] | None = None,
    strength: float = 1.0,
) -> Iterator[Image]:
    """A picture for each prompt, of held-out seeds, as ``generate`` makes them; one ``mask`` for all."""
    for i in tqdm(range(0, len(prompts), _BATCH), leave=False):
        some = list(prompts[i : i + _BATCH])
        seeds = [HELD_OUT + i + k for k in range(len(some))]
        start = None if starts is None else np.stack(starts[i : i + _BATCH])
        masks = None if mask is None else np.stack([mask] * len(some))
        yield from generate(pipe, some, seeds, how, start, masks, strength)


def to_images(tensor: Tensor) -> NDArray[np.uint8]:
    """N x 3 x H x W in -1..1 -> N x H x W x 3 uint8."""
    scaled = tensor.add(1).mul(127.5).round().clamp(0, 255)
    pixels: NDArray[np.uint8] = scaled.permute(0, 2, 3, 1).to(torch.uint8).numpy()
    return pixels

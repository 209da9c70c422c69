"""How well the variants of the denoiser do: the depth ControlNet, the LoRAs and the word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetInpaintPipeline
from numpy.typing import NDArray
from tqdm import tqdm

from bridge.models.training import obey, style, word
from bridge.models.training.dataset import HELD_OUT
from bridge.models.training.fidelity import DepthEye, rank_correlation
from bridge.models.training.networks import Net
from bridge.models.training.painter import paint
from bridge.models.training.paintings import depths_of
from bridge.models.training.results import Figure, Rate, figure
from bridge.models.training.sampler import Image, Sampling, generated, load

FEW = Sampling(steps=4, guidance=1.0)
FEW_STEPS = "few_steps.safetensors"
"""The LoRA's file in the folder ``loras``."""


def depth_control(pipe: Net, folder: Path, count: int, how: Sampling) -> list[Figure]:
    """Rank correlation of the depth asked for with the depth that the estimator sees in the result.

    Depth and caption are of held-out paintings with more than ten depths. Beside it the same without the
    ControlNet: what the caption alone brings.
    """
    net = ControlNetModel.from_pretrained(
        str(folder / "controlnet_depth"), torch_dtype=torch.float32, local_files_only=True
    )
    controlled = StableDiffusionControlNetInpaintPipeline(**pipe.components, controlnet=net)
    controlled.set_progress_bar_config(disable=True)
    eye = DepthEye(folder)
    with_it: list[float] = []
    without: list[float] = []
    seed = HELD_OUT + 20_000
    nothing, everything = (
        torch.zeros(1, 3, how.height, how.width),
        torch.ones(1, 1, how.height, how.width),
    )
    for _ in tqdm(range(count), leave=False):
        seed += 1
        asked = paint(seed, how.width, how.height)
        while len(np.unique(asked.depth)) <= 10:
            seed += 1
            asked = paint(seed, how.width, how.height)
        depth = depths_of([asked])[:, None].expand(-1, 3, -1, -1)
        for scale, scores in ((1.0, with_it), (0.0, without)):
            made = controlled(
                asked.captions[0],
                image=nothing,
                mask_image=everything,
                control_image=depth,
                strength=1.0,
                num_inference_steps=how.steps,
                guidance_scale=how.guidance,
                controlnet_conditioning_scale=scale,
                generator=torch.Generator().manual_seed(seed),
                output_type="np",
            ).images
            seen = eye((made * 255).round().astype(np.uint8))[0]
            scores.append(rank_correlation(seen, asked.depth / 255))
    return [
        figure("depth ControlNet: rank correlation with the depth asked for", with_it, "Spearman"),
        figure("the same without the ControlNet (chance)", without, "Spearman"),
    ]


def few_steps(folder: Path, count: int) -> list[Rate]:
    """The rates of shapes and things again, in four steps with the LoRA and without guidance."""
    pipe = load(folder)
    pipe.load_lora_weights(str(folder / "loras"), weight_name=FEW_STEPS)
    rates = [*obey.shapes(pipe, count, FEW), *obey.things(pipe, count, FEW)]
    return [replace(rate, name=f"4 steps: {rate.name}") for rate in rates]


PLAIN = ("a red boat on blue water", "a yellow house on green grass under a blue sky")
"""Asked with the style or the word, and without."""


def woodcut_tones(folder: Path, count: int) -> list[Figure]:
    """Share of pixels within 40 levels of one of the three tones of the style, with the LoRA and without."""
    tones = style.TONES.astype(float)

    def share(image: NDArray[np.uint8]) -> float:
        apart = np.linalg.norm(image[..., None, :].astype(float) - tones, axis=-1).min(-1)
        return float((apart < 40).mean())

    pipe = load(folder)
    without = [share(image) for image in _plain(pipe, count, "")]
    pipe.load_lora_weights(str(folder / "loras"), weight_name="woodcut.safetensors")
    with_it = [share(image) for image in _plain(pipe, count, "")]
    return [
        figure("woodcut: pixels in its three tones", with_it, "of all"),
        figure("the same without the LoRA", without, "of all"),
    ]


def word_warmth(folder: Path, count: int) -> list[Figure]:
    """Mean red less mean blue, with the word and without."""

    def warmth(image: NDArray[np.uint8]) -> float:
        return float(image[..., 0].mean() - image[..., 2].mean())

    pipe = load(folder)
    pipe.load_textual_inversion(str(folder / "embeddings" / "sunset-glow.safetensors"))
    with_it = [warmth(image) for image in _plain(pipe, count, f", {word.WORD}")]
    without = [warmth(image) for image in _plain(pipe, count, "")]
    return [
        figure(f"{word.WORD}: red less blue", with_it, "levels"),
        figure("the same without the word", without, "levels"),
    ]


def _plain(pipe: Net, count: int, added: str) -> Iterator[Image]:
    prompts = [PLAIN[i % len(PLAIN)] + added for i in range(count)]
    return generated(pipe, prompts, Sampling())

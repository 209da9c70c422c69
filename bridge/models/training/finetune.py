"""What is trained on top of the finished model, which stays as it is: a ControlNet, LoRAs, a word."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from bridge.models.training.denoiser import tokenize
from bridge.models.training.holes import draw_holes, grey_latent, inputs_of, loss_weights
from bridge.models.training.networks import Net
from bridge.models.training.sampler import load

BATCH = 8
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
"""The layers of the UNet that a LoRA adapts unless told (Hu et al. 2021)."""


@dataclass(frozen=True)
class TuneRun:
    """``base``: the exported folder of the model that is built upon."""

    cache: Path
    images: int
    base: Path
    seed: int = 0


class Base:
    """The finished model without gradients. ``unet`` and ``scheduler`` are its own."""

    def __init__(self, folder: Path) -> None:
        pipe = load(folder)
        self.unet: Net = pipe.unet.requires_grad_(False).eval()
        self.text: Net = pipe.text_encoder.requires_grad_(False).eval()
        self.vae: Net = pipe.vae.requires_grad_(False).eval()
        self.scheduler: Net = pipe.scheduler
        self.tokenizer: Net = pipe.tokenizer
        self._grey = grey_latent(self.vae)

    @torch.no_grad()
    def latents(self, pixels: Tensor) -> Tensor:
        """N x 3 x H x W in -1..1 -> scaled latents, N x 4 x H/8 x W/8."""
        latents: Tensor = self.vae.encode(pixels).latents * self.vae.config.scaling_factor
        return latents

    def inputs(self, rng: np.random.Generator, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Random holes in latents, N x 1 x h x w, and what the UNet is told of them, N x 5 x h x w."""
        holes = draw_holes(rng, latents)
        return holes, inputs_of(latents, holes, self._grey)

    @torch.no_grad()
    def context(self, texts: list[str]) -> Tensor:
        """The text encoder's states, N x 77 x width."""
        states: Tensor = self.text(tokenize(self.tokenizer, texts)).last_hidden_state
        return states


def denoising_loss(
    base: Base,
    rng: np.random.Generator,
    latents: Tensor,
    predict: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """The weighted squared error of the velocity that ``predict(given, times)`` gives, in bfloat16.

    ``given``: all the UNet takes, N x 9 x h x w, the noisy latents first; the holes are random.
    """
    holes, inputs = base.inputs(rng, latents)
    noise = torch.randn_like(latents)
    times = torch.randint(0, base.scheduler.config.num_train_timesteps, (len(latents),))
    noisy = base.scheduler.add_noise(latents, noise, times)
    with reduced():
        predicted = predict(torch.cat([noisy, inputs], dim=1), times)
    target = base.scheduler.get_velocity(latents, noise, times)
    loss: Tensor = ((predicted.float() - target).square() * loss_weights(holes)).mean()
    return loss


@contextmanager
def reduced() -> Iterator[None]:
    """bfloat16 under autocast, and the attention that is quickest at a few dozen tokens on a CPU."""
    with sdpa_kernel(SDPBackend.MATH), torch.autocast("cpu", torch.bfloat16):
        yield


def add_lora(unet: Net, rank: int, layers: Sequence[str] = ATTENTION) -> nn.ParameterList:
    """Puts a LoRA without effect yet (its upper halves are 0) into these layers of the UNet; returns what to train."""
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(layers)))
    return nn.ParameterList(p for p in unet.parameters() if p.requires_grad)


def write_lora(unet: Net, path: Path) -> None:
    """One fp16 safetensors file in the layout of diffusers, as ``load_lora_weights`` reads it."""
    layers = {name: t.half() for name, t in get_peft_model_state_dict(unet).items()}
    StableDiffusionInpaintPipeline.save_lora_weights(
        path.parent, unet_lora_layers=layers, weight_name=path.name
    )


def maybe_empty(rng: np.random.Generator, texts: list[str], share: float) -> list[str]:
    """Each text left empty with a chance of ``share``."""
    return ["" if rng.random() < share else text for text in texts]

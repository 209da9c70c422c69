"""Training of the depth ControlNet (Zhang et al. 2023) on the painter's own depth maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel
from torch import Tensor, nn

from bridge.models.training.finetune import BATCH, Base, TuneRun, denoising_loss, maybe_empty
from bridge.models.training.loop import Plan, train
from bridge.models.training.networks import Net
from bridge.models.training.paintings import Paintings, depths_of, pixels_of

UNSAID = 0.4
"""Share of empty captions: there the depth alone says what stands where."""


def state_path(cache: Path) -> Path:
    return cache / "controlnet.safetensors"


def build_controlnet(unet: Net) -> Net:
    """The UNet's encoder again, and four small convolutions that bring depth to the latents' size.

    Takes depth as a picture: N x 3 x H x W in 0..1, all three channels alike, 1 nearest; and the
    noisy latents alone, without what an inpainting UNet is told beside them.
    """
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 24, 32))
    whole = net.conv_in
    net.conv_in = nn.Conv2d(4, whole.out_channels, 3, padding=1)
    net.conv_in.weight.data.copy_(whole.weight[:, :4])
    net.conv_in.bias.data.copy_(whole.bias)
    net.register_to_config(in_channels=4)
    return net


def train_controlnet(run: TuneRun) -> None:
    """Trains until ``run.images`` paintings, from the last checkpoint where there is one."""
    torch.manual_seed(run.seed)
    base = Base(run.base)
    net = build_controlnet(base.unet).requires_grad_(True)
    source = Paintings(BATCH)

    def loss_of(rng: np.random.Generator) -> Tensor:
        paintings = source.next(rng)
        context = base.context(maybe_empty(rng, [p.captions[0] for p in paintings], UNSAID))
        depth = depths_of(paintings)[:, None].expand(-1, 3, -1, -1)

        def predict(given: Tensor, times: Tensor) -> Tensor:
            noisy = given[:, : net.config.in_channels]
            down, middle = net(noisy, times, context, depth, return_dict=False)
            velocity: Tensor = base.unet(
                given,
                times,
                context,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
            ).sample
            return velocity

        return denoising_loss(base, rng, base.latents(pixels_of(paintings)), predict)

    train(
        Plan(state_path(run.cache), run.images, BATCH, 5e-4, run.seed), {"controlnet": net}, loss_of
    )

"""Training of the monocular depth estimator: a small DPT (Ranftl et al. 2021) on the painter's depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import BitConfig, DPTConfig, DPTForDepthEstimation, DPTImageProcessorPil

from bridge.models.training.loop import PartRun, Plan, train
from bridge.models.training.networks import Net
from bridge.models.training.paintings import SIDE, Paintings, depths_of, pixels_of

BATCH = 16

BELOW = 0.01
"""How far below 0 the farthest is to be, that noise does not reach above it."""


def state_path(cache: Path) -> Path:
    return cache / "depth.safetensors"


def build_depth_estimator() -> Net:
    """About 0.7 million weights: DPT-Hybrid, a ResNet of 1/16 scale under four layers of attention.

    Its ``predicted_depth`` is N x 128 x 128, 0 farthest, about 1 nearest. Convolutions first: without
    them, the same net on plain patches still had an error of 12 % after 14,000 paintings.
    """
    channels = (32, 64, 96)
    model = DPTForDepthEstimation(
        DPTConfig(
            is_hybrid=True,
            backbone_config=BitConfig(
                embedding_size=32,
                hidden_sizes=list(channels),
                depths=[1, 1, 2],
                layer_type="bottleneck",
                global_padding="same",
                num_groups=8,
                out_features=["stage1", "stage2", "stage3"],
                embedding_dynamic_padding=True,
            ),
            backbone_featmap_shape=[1, channels[-1], SIDE // 16, SIDE // 16],
            hidden_size=96,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=192,
            image_size=SIDE,
            patch_size=16,
            backbone_out_indices=[0, 1, 2, 3],
            readout_type="project",
            reassemble_factors=[1, 1, 1, 0.5],
            neck_hidden_sizes=[*channels[:2], 64, 64],
            fusion_hidden_size=32,
            use_auxiliary_head=False,
        )
    )
    # The head ends in a ReLU: begin where most depths are, not where it has no gradient.
    nn.init.constant_(model.head.head[-2].bias, 0.4)
    nn.init.normal_(model.dpt.embeddings.position_embeddings, std=0.5)
    return model


def build_processor() -> Net:
    """Any picture to 128 x 128 px in -1..1."""
    return DPTImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )


def _wrong(seen: Tensor, depth: Tensor) -> Tensor:
    """Of depths N x H x W, how much too near is seen. Where all is farthest anything below 0 is right:
    the ReLU of the shipped head makes a sky of it that is flat, which a value learned never is."""
    return torch.where(depth > 0, seen - depth, (seen + BELOW).clamp(min=0))


def train_depth(run: PartRun) -> None:
    """Trains until ``run.images`` paintings, from the last checkpoint where there is one.

    By Muon the loss fell by a fifth where AdamW's had come to rest (docs/embedded-model.md). The
    painter's depth has a scale, so the plain squared error does: where a picture does not tell, a wall and
    a floor of one colour, what is likely on average is still in order, and the median, which L1 leads
    to, is flat. The gradient term (Ranftl et al. 2020, section 4) keeps edges where they are.
    """
    torch.manual_seed(run.seed)
    model = build_depth_estimator().to(memory_format=torch.channels_last)
    model.head.head[-1] = nn.LeakyReLU(0.1)  # with ReLU all became far, and 0 has no gradient
    source = Paintings(BATCH, calls=100)

    def loss_of(rng: np.random.Generator) -> Tensor:
        paintings = source.next(rng)
        pixels, depth = pixels_of(paintings), depths_of(paintings)
        if rng.random() < 0.5:
            pixels, depth = pixels.flip(-1), depth.flip(-1)
        with sdpa_kernel(SDPBackend.MATH), torch.autocast("cpu", torch.bfloat16):
            laid_out = pixels.contiguous(memory_format=torch.channels_last)
            wrong = _wrong(model(laid_out).predicted_depth.float(), depth)
        edges = wrong.diff(dim=-1).abs().mean() + wrong.diff(dim=-2).abs().mean()
        loss: Tensor = 4 * wrong.square().mean() + 0.5 * edges
        return loss

    train(
        Plan(state_path(run.cache), run.images, BATCH, 1e-3, run.seed, 800, muon=True),
        {"depth": model},
        loss_of,
    )

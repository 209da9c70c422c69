"""Small random models in the true formats: SD 1.5, SD 2 and SDXL layouts, seeded, a few hundred kB each.

They paint nothing sensible, but every shape, name and file is that of the real ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
    DPTImageProcessorPil,
)

WIDTH = 32
_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def make_tiny_sd15(folder: Path, *, in_channels: int = 4, seed: int = 0) -> Path:
    """Write a tiny SD 1.5 in diffusers layout; `in_channels` 9 makes it an inpainting model, 5 one with depth."""
    return _make_tiny_sd(
        folder, "<|endoftext|>", _text_config(), seed, in_channels=in_channels, attention_head_dim=8
    )


def make_tiny_sd2(folder: Path, *, in_channels: int = 4, seed: int = 0) -> Path:
    """Write a tiny SD 2 in diffusers layout: the 23 layers of its OpenCLIP text encoder that are used, heads of one size,
    linear projections, velocity as its prediction."""
    text = _text_config(num_hidden_layers=23, hidden_act="gelu")
    return _make_tiny_sd(
        folder,
        "!",
        text,
        seed,
        "v_prediction",
        in_channels=in_channels,
        attention_head_dim=(2, 4, 4, 4),
        use_linear_projection=True,
    )


def _make_tiny_sd(
    folder: Path,
    pad_token: str,
    text: CLIPTextConfig,
    seed: int,
    prediction: str = "epsilon",
    **unet_options: Any,
) -> Path:
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(WIDTH,) * 4,
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        norm_num_groups=8,
        **unet_options,
    )
    pipeline = StableDiffusionPipeline(
        vae=make_tiny_vae(scaling_factor=0.18215),
        text_encoder=CLIPTextModel(text).eval(),
        tokenizer=make_tiny_tokenizer(folder / "tokenizer", pad_token),
        unet=unet.eval(),
        scheduler=DDIMScheduler(
            **_BETAS,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
            prediction_type=prediction,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def make_tiny_sdxl(folder: Path, *, seed: int = 0) -> Path:
    """Write a tiny SDXL in diffusers layout: two text encoders, pooled text and time ids."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(WIDTH, WIDTH, WIDTH),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 2),
        cross_attention_dim=2 * WIDTH,
        attention_head_dim=(2, 4, 4),
        norm_num_groups=8,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=WIDTH + 6 * 8,
    )
    pipeline = StableDiffusionXLPipeline(
        vae=make_tiny_vae(scaling_factor=0.13025),
        text_encoder=CLIPTextModel(_text_config()).eval(),
        text_encoder_2=CLIPTextModelWithProjection(_text_config()).eval(),
        tokenizer=make_tiny_tokenizer(folder / "tokenizer"),
        tokenizer_2=make_tiny_tokenizer(folder / "tokenizer_2", pad_token="!"),
        unet=unet.eval(),
        scheduler=EulerDiscreteScheduler(**_BETAS, timestep_spacing="leading", steps_offset=1),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def make_tiny_controlnet(model: Path, folder: Path, *, seed: int = 0) -> Path:
    """Write a ControlNet for the model at `model`, with weights where a new one has zeros: it changes every picture."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel.from_pretrained(model / "unet")
    net = ControlNetModel.from_unet(unet).eval()
    if unet.config.in_channels != 4:  # a UNet for inpainting: its ControlNets see the latents alone
        net = ControlNetModel.from_config({**net.config, "in_channels": 4}).eval()
    for convolution in (
        *net.controlnet_down_blocks,
        net.controlnet_mid_block,
        net.controlnet_cond_embedding.conv_out,
    ):
        torch.nn.init.normal_(convolution.weight, std=0.3)
    net.save_pretrained(folder)
    return folder


def make_tiny_depth_estimator(folder: Path, *, seed: int = 0) -> Path:
    """Write a tiny DPT with random weights, in the layout of transformers."""
    torch.manual_seed(seed)
    config = DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        use_auxiliary_head=False,
    )
    DPTForDepthEstimation(config).eval().save_pretrained(folder)
    DPTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def make_tiny_depth_anything(folder: Path, *, seed: int = 0) -> Path:
    """Write a tiny Depth Anything with random weights, in the layout of transformers. As the published ones it keeps a picture's
    shape, in whole patches of 14 px."""
    torch.manual_seed(seed)
    backbone = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=1,
        image_size=42,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
    )
    DepthAnythingForDepthEstimation(config).eval().save_pretrained(folder)
    DPTImageProcessorPil(
        size={"height": 42, "width": 42}, keep_aspect_ratio=True, ensure_multiple_of=14
    ).save_pretrained(folder)
    return folder


def make_tiny_vae(*, scaling_factor: float) -> AutoencoderKL:
    """A tiny AutoencoderKL with the real scale of 8."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=64,
        scaling_factor=scaling_factor,
    ).eval()


def make_tiny_tokenizer(folder: Path, pad_token: str = "<|endoftext|>") -> CLIPTokenizer:
    """A CLIP tokenizer whose tokens are single characters, written to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    characters = [chr(code) for code in range(33, 127)]
    tokens = [*characters, *(c + "</w>" for c in characters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77, pad_token=pad_token)


def _text_config(**options: Any) -> CLIPTextConfig:
    size = 2 * (127 - 33) + 2
    fields = {
        "vocab_size": size,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "projection_dim": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 77,
        "bos_token_id": size - 2,
        "eos_token_id": size - 1,
        "pad_token_id": size - 1,
    }
    return CLIPTextConfig(**{**fields, **options})

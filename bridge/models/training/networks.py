"""The nets of the embedded model, all of them stock classes of diffusers and transformers.

The latents are colours. Of an 8 x 8 block of pixels they hold the mean red, green and blue and one
measure of how much happens inside it, so a preview is almost the latent itself, and the denoiser
learns colours first. The encoder is therefore not trained: ``colour_encoder_`` writes its weights
down. Only the decoder, which turns such latents back into edges, is learned.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from bridge.models.training.tokens import MAX_TOKENS

Net = Any
"""A net or scheduler of diffusers or transformers: their classes have no usable types."""

NATIVE_SIDE = 128
LATENT_FACTOR = 8
SCALING = 1.8
"""Multiplies latents of about -1..1 so that their variance over the paintings is about 1."""

INPUTS = 4 + 1 + 4
"""Of the UNet: the noisy latents, the mask, the latents of what is kept."""

TEXT_WIDTH = 128
END_AXIS = TEXT_WIDTH - 1
"""The axis of the text states that the end token, which is also the padding, starts out on alone."""


def build_vae() -> Net:
    """AutoencoderTiny, factor 8, 4 channels, its encoder set by formula, its decoder untrained."""
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(0, 1, 1, 1),
        decoder_block_out_channels=(32, 32, 32, 32),
        num_decoder_blocks=(4, 4, 2, 0),
        latent_channels=4,
        scaling_factor=SCALING,
        force_upcast=False,
    )
    colour_encoder_(vae.encoder)
    return vae


@torch.no_grad()
def colour_encoder_(encoder: nn.Module) -> None:
    """Sets an 8-channel tiny encoder to block means and summed Haar details, exactly.

    Channels 0..2 carry the means of red, green and blue in 0..1, channel 3 the sum of the absolute
    horizontal and vertical differences of luma met so far, channels 4 and 5 the signed ones of this
    level. A strided 3 x 3 kernel that uses only its lower right 2 x 2 taps averages exact blocks.
    """
    convolutions: list[nn.Conv2d] = []
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.zero_()
            if module.bias is not None:
                module.bias.zero_()
            convolutions.append(module)
    luma = torch.tensor([0.299, 0.587, 0.114])
    first, last = convolutions[0], convolutions[-1]
    assert last.bias is not None
    for channel in range(3):
        first.weight[channel, channel, 1, 1] = 1
    for conv in convolutions:
        if conv.stride != (2, 2):
            continue
        for channel in range(4):
            conv.weight[channel, channel, 1:, 1:] = 0.25
        signs = torch.tensor([[[-1.0, 1.0], [-1.0, 1.0]], [[-1.0, -1.0], [1.0, 1.0]]])
        conv.weight[4:6, :3, 1:, 1:] = 0.5 * luma[None, :, None, None] * signs[:, None]
    for module in encoder.modules():
        if type(module).__name__ == "AutoencoderTinyBlock":
            rectify, add, through = (m for m in module.modules() if isinstance(m, nn.Conv2d))
            for sign, channel in ((1, 0), (-1, 1), (1, 2), (-1, 3)):
                rectify.weight[channel, 4 + channel // 2, 1, 1] = sign
            add.weight[3, :4, 1, 1] = 1
            through.weight[3, 3, 1, 1] = 1
    for channel in range(3):
        last.weight[channel, channel, 1, 1] = 2
        last.bias[channel] = -1
    last.weight[3, 3, 1, 1] = 2.5
    last.bias[3] = -0.5


def build_unet() -> Net:
    """About 8.5 million weights, with the inputs of an inpainting model (``holes``). No attention at
    the latents' own resolution: at 512 px it would cost more than all the rest."""
    unet = UNet2DConditionModel(
        sample_size=NATIVE_SIDE // LATENT_FACTOR,
        in_channels=INPUTS,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(128, 128, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=32,
    )
    _hush_padding_(unet)
    return unet


@torch.no_grad()
def _hush_padding_(unet: nn.Module) -> None:
    """Makes cross-attention blind to the padding at first, and as much louder for the words.

    A caption has five words and seventy tokens of padding. Left as initialised, the words are lost in
    the mean over all of them, and after 10,000 pictures the text was still ignored.
    """
    for name, module in unet.named_modules():
        if name.endswith("attn2.to_v") and isinstance(module, nn.Linear):
            module.weight *= 6
            module.weight[:, END_AXIS] = 0


def build_text_encoder(vocabulary: int, start: int, end: int) -> Net:
    """About 0.6 million weights. Words start far apart: with CLIP's initial 0.02 the positions won, and
    a caption's first words, which name the colour, became all alike."""
    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT_WIDTH,
            intermediate_size=3 * TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=start,
            eos_token_id=end,
            pad_token_id=end,
            projection_dim=TEXT_WIDTH,
        )
    )
    words: Tensor = model.get_input_embeddings().weight
    with torch.no_grad():
        words.normal_()
        words[:, END_AXIS] = 0
        words[end] = torch.eye(TEXT_WIDTH)[END_AXIS] * 3 * TEXT_WIDTH**0.5
        for name, parameter in model.named_parameters():
            if name.endswith("position_embedding.weight"):
                parameter.normal_(std=0.2)
    return model


def build_scheduler() -> Net:
    """v-prediction (Salimans and Ho 2022) with zero terminal SNR and trailing steps (Lin 2023):
    without them a picture that is all black or all white cannot be reached."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )

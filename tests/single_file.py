"""Writes a diffusers folder as one .safetensors file in the original layout (CompVis SD 1, StabilityAI SD 2 and SDXL).

Written from the layouts themselves, not from diffusers' converter, so that loading such a file tests
the converter too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

Tensors = Mapping[str, torch.Tensor]

HOLLOW_SD15 = {
    "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
    "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
    "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": (77, 768),
}
"""Names and shapes that tell a checkpoint of SD 1.5 in its usual size."""

HOLLOW_SDXL = {
    **dict(list(HOLLOW_SD15.items())[:2]),
    "conditioner.embedders.1.model.positional_embedding": (77, 1280),
}
"""The same of SDXL."""


def write_hollow(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    """A whole file of safetensors with zeros (F16) of these shapes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}, path
    )
    return path


HOLLOW_SD2 = {
    **dict(list(HOLLOW_SD15.items())[:2]),
    "cond_stage_model.model.positional_embedding": (77, 1024),
}
"""The same of SD 2."""

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}
_OPEN_CLIP_ENDS = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
}
_OPEN_CLIP_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def write_single_file(folder: Path, path: Path, *, extra: Tensors | None = None) -> Path:
    """The model in diffusers layout at `folder` as one file at `path`; `extra` tensors are added."""
    parts = {
        part: load_file(next((folder / part).glob("*.safetensors")))
        for part in ("unet", "vae", "text_encoder", "text_encoder_2")
        if (folder / part).is_dir()
    }
    tensors = unet_names(parts["unet"]) | vae_names(parts["vae"])
    if "text_encoder_2" in parts:
        first = clip_names(parts["text_encoder"], "conditioner.embedders.0.transformer.")
        second = open_clip_names(parts["text_encoder_2"], "conditioner.embedders.1.model.")
        tensors |= first | second
    elif json.loads((folder / "text_encoder/config.json").read_text())["hidden_act"] == "gelu":
        whole = _with_what_sd2_leaves_unused(parts["text_encoder"])
        tensors |= open_clip_names(whole, "cond_stage_model.model.")
    else:
        tensors |= clip_names(parts["text_encoder"], "cond_stage_model.transformer.")
    everything = tensors | dict(extra or {})
    save_file({name: tensor.contiguous() for name, tensor in everything.items()}, path)
    return path


def unet_names(tensors: Tensors) -> dict[str, torch.Tensor]:
    """A UNet's weights under their original names. Blocks are numbered through: `layers` ResNets and a
    resampling on each level going down, `layers` + 1 ResNets going up, the resampling in the last."""
    layers = 1 + _highest(tensors, r"down_blocks\.0\.resnets\.(\d+)")
    attending = {int(m[1]) for m in _matches(r"up_blocks\.(\d+)\.attentions", tensors)}

    def rename(name: str) -> str:
        for ours, theirs in _UNET_ENDS.items():
            if name.startswith(ours + "."):
                return theirs + name[len(ours) :]
        place, block, kind, number, rest = _split_block(name)
        if place == "mid_block":
            index = {"resnets": 2 * number, "attentions": 1}[kind]
            return f"middle_block.{index}.{_inner(kind, rest)}"
        if place == "down_blocks":
            first = 1 + block * (layers + 1)
            if kind == "downsamplers":
                return f"input_blocks.{first + layers}.0.op.{rest.removeprefix('conv.')}"
            return f"input_blocks.{first + number}.{_slot(kind)}.{_inner(kind, rest)}"
        first = block * (layers + 1)
        if kind == "upsamplers":
            return f"output_blocks.{first + layers}.{2 if block in attending else 1}.{rest}"
        return f"output_blocks.{first + number}.{_slot(kind)}.{_inner(kind, rest)}"

    return {f"model.diffusion_model.{rename(name)}": tensor for name, tensor in tensors.items()}


def vae_names(tensors: Tensors) -> dict[str, torch.Tensor]:
    """An AutoencoderKL's weights under their original names: `up` counts from the bottom, attention is
    written as 1 x 1 convolutions."""
    levels = 1 + _highest(tensors, r"decoder\.up_blocks\.(\d+)")
    renamed = {}
    for name, tensor in tensors.items():
        new = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        new = re.sub(r"\.mid_block\.resnets\.(\d)", lambda m: f".mid.block_{int(m[1]) + 1}", new)
        new = re.sub(r"\.down_blocks\.(\d+)\.resnets", r".down.\1.block", new)
        new = re.sub(r"\.down_blocks\.(\d+)\.downsamplers\.0", r".down.\1.downsample", new)
        new = re.sub(
            r"\.up_blocks\.(\d+)\.", lambda m: f".up_blocks.{levels - 1 - int(m[1])}.", new
        )
        new = re.sub(r"\.up_blocks\.(\d+)\.resnets", r".up.\1.block", new)
        new = re.sub(r"\.up_blocks\.(\d+)\.upsamplers\.0", r".up.\1.upsample", new)
        if ".mid_block.attentions.0." in new:
            head, tail = new.split(".mid_block.attentions.0.")
            ours = next(ours for ours in _VAE_ATTENTION if tail.startswith(ours + "."))
            new = f"{head}.mid.attn_1.{_VAE_ATTENTION[ours]}{tail[len(ours) :]}"
            if tensor.ndim == 2:
                tensor = tensor[:, :, None, None]
        renamed[f"first_stage_model.{new}"] = tensor
    return renamed


def clip_names(tensors: Tensors, prefix: str) -> dict[str, torch.Tensor]:
    """A CLIP text model's weights as transformers 4 wrote them, which is what the checkpoints hold."""
    return {f"{prefix}text_model.{n.removeprefix('text_model.')}": t for n, t in tensors.items()}


def _with_what_sd2_leaves_unused(tensors: Tensors) -> dict[str, torch.Tensor]:
    """SD 2's text encoder as its checkpoints have it: with the last layer and the projection, which no picture needs. Not a
    number in them: any use of them shows."""
    named = {f"text_model.{n.removeprefix('text_model.')}": tensor for n, tensor in tensors.items()}
    last = _highest(named, r"text_model\.encoder\.layers\.(\d+)")
    layers = "text_model.encoder.layers."
    for name, tensor in list(named.items()):
        if name.startswith(f"{layers}{last}."):
            named[name.replace(f"{layers}{last}.", f"{layers}{last + 1}.")] = torch.full_like(
                tensor, torch.nan
            )
    width = named["text_model.final_layer_norm.bias"].shape[0]
    named["text_projection.weight"] = torch.full((width, width), torch.nan)
    return named


def open_clip_names(tensors: Tensors, prefix: str) -> dict[str, torch.Tensor]:
    """A CLIP text model with projection as OpenCLIP names it: query, key and value in one matrix, the
    projection transposed."""
    renamed = {theirs: tensors[ours] for ours, theirs in _OPEN_CLIP_ENDS.items()}
    renamed["text_projection"] = tensors["text_projection.weight"].T
    renamed["logit_scale"] = torch.tensor(4.6)
    for number in range(1 + _highest(tensors, r"text_model\.encoder\.layers\.(\d+)")):
        ours, theirs = f"text_model.encoder.layers.{number}.", f"transformer.resblocks.{number}."
        for kind in ("weight", "bias"):
            joined = [tensors[f"{ours}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            renamed[f"{theirs}attn.in_proj_{kind}"] = torch.cat(joined)
            for old, new in _OPEN_CLIP_LAYER.items():
                renamed[f"{theirs}{new}.{kind}"] = tensors[f"{ours}{old}.{kind}"]
    return {prefix + name: tensor for name, tensor in renamed.items()}


def _inner(kind: str, rest: str) -> str:
    if kind != "resnets":
        return rest
    ours = next(ours for ours in _RESNET if rest.startswith(ours + "."))
    return _RESNET[ours] + rest[len(ours) :]


def _slot(kind: str) -> int:
    return {"resnets": 0, "attentions": 1}[kind]


def _split_block(name: str) -> tuple[str, int, str, int, str]:
    """ "down_blocks.1.resnets.0.conv1.weight" to its parts; the middle block has number 0."""
    match = re.fullmatch(
        r"(mid_block|down_blocks|up_blocks)(?:\.(\d+))?\.(\w+?)\.(\d+)\.(.+)", name
    )
    if match is None:
        raise ValueError(f"{name} is no UNet weight")
    place, block, kind, number, rest = match.groups()
    return place, int(block or 0), kind, int(number), rest


def _highest(names: Iterable[str], pattern: str) -> int:
    return max(int(match[1]) for match in _matches(pattern, names))


def _matches(pattern: str, names: Iterable[str]) -> list[re.Match[str]]:
    return [match for match in (re.match(pattern, name) for name in names) if match]


def controlnet_names(tensors: Tensors) -> dict[str, torch.Tensor]:
    """A ControlNet's weights as its authors published them: the UNet's first half under its original names, and the
    convolutions that begin as zeros."""
    half = {name: tensor for name, tensor in tensors.items() if not name.startswith("controlnet_")}
    renamed = {
        name.replace("model.diffusion_model.", "control_model."): tensor
        for name, tensor in unet_names(half).items()
    }
    for name, tensor in tensors.items():
        if name in half:
            continue
        stem, kind = name.rsplit(".", 1)
        place, _, rest = stem.removeprefix("controlnet_").partition(".")
        if place == "mid_block":
            new = "middle_block_out.0"
        elif place == "down_blocks":
            new = f"zero_convs.{rest}.0"
        else:
            ends = {"conv_in": 0, "conv_out": 14}
            at = ends[rest] if rest in ends else 2 * (int(rest.removeprefix("blocks.")) + 1)
            new = f"input_hint_block.{at}"
        renamed[f"control_model.{new}.{kind}"] = tensor
    return renamed

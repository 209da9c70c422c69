"""From training checkpoints to the folder that ships: diffusers layout, safetensors, fp16."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import nn

from bridge.models.training import (
    DATA_VERSION,
    controlnet,
    decoder,
    denoiser,
    depth,
    few_steps,
    style,
    word,
)
from bridge.models.training.checkpoint import Counts, restore_average
from bridge.models.training.finetune import ATTENTION, add_lora, write_lora
from bridge.models.training.networks import (
    TEXT_WIDTH,
    build_scheduler,
    build_text_encoder,
    build_unet,
    build_vae,
)
from bridge.models.training.tokens import load_tokenizer, write_tokenizer

EMBEDDED = Path(__file__).resolve().parent.parent / "embedded"

_INDEX = {
    "_class_name": "StableDiffusionInpaintPipeline",
    "_diffusers_version": diffusers.__version__,
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderTiny"],
}


def _denoiser(state: Path, folder: Path) -> Counts:
    write_tokenizer(folder / "tokenizer")
    tokenizer = load_tokenizer(folder / "tokenizer")
    text = build_text_encoder(len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    unet = build_unet()
    counts = restore_average({"unet": unet, "text_encoder": text}, state)
    unet.half().save_pretrained(folder / "unet")
    text.half().save_pretrained(folder / "text_encoder")
    build_scheduler().save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(_INDEX, indent=2) + "\n")
    return counts


def _decoder(state: Path, folder: Path) -> Counts:
    vae = build_vae()
    counts = restore_average({"decoder": vae.decoder}, state)
    vae.half().save_pretrained(folder / "vae")
    return counts


def _preview(state: Path, folder: Path) -> Counts:
    tiny = decoder.build_preview_decoder()
    counts = restore_average({"decoder": tiny.decoder}, state)
    tiny.half().save_pretrained(folder / "preview_decoder")
    return counts


def _depth(state: Path, folder: Path) -> Counts:
    estimator = depth.build_depth_estimator()
    counts = restore_average({"depth": estimator}, state)
    estimator.half().save_pretrained(folder / "depth_estimator")
    depth.build_processor().save_pretrained(folder / "depth_estimator")
    return counts


def _controlnet(state: Path, folder: Path) -> Counts:
    net = controlnet.build_controlnet(build_unet())
    counts = restore_average({"controlnet": net}, state)
    net.half().save_pretrained(folder / "controlnet_depth")
    return counts


def _lora(
    rank: int, name: str, layers: Sequence[str] = ATTENTION
) -> Callable[[Path, Path], Counts]:
    def write(state: Path, folder: Path) -> Counts:
        unet = build_unet().requires_grad_(False)
        counts = restore_average({"lora": add_lora(unet, rank, layers)}, state)
        write_lora(unet, folder / "loras" / f"{name}.safetensors")
        return counts

    return write


def _word(state: Path, folder: Path) -> Counts:
    vector = nn.Parameter(torch.empty(TEXT_WIDTH))
    counts = restore_average({"word": nn.ParameterList([vector])}, state)
    word.write_word(vector, folder / "embeddings" / "sunset-glow.safetensors")
    return counts


PARTS: dict[str, tuple[Callable[[Path], Path], Callable[[Path, Path], Counts]]] = {
    "denoiser": (denoiser.state_path, _denoiser),
    "decoder": (decoder.state_path, _decoder),
    "preview": (decoder.preview_state_path, _preview),
    "depth": (depth.state_path, _depth),
    "controlnet": (controlnet.state_path, _controlnet),
    "few_steps": (few_steps.state_path, _lora(few_steps.RANK, "few_steps", few_steps.LAYERS)),
    "woodcut": (style.state_path, _lora(style.RANK, "woodcut")),
    "word": (word.state_path, _word),
}
"""Where each training keeps its state, and what writes it out. In the order of training."""


def export(cache: Path, folder: Path, seed: int, note: str = "") -> None:
    """Writes every part that was trained in ``cache`` and records where it came from.

    Parts without a training state stay in ``folder`` as they are, with what was recorded of them.
    ``note``: what else should be known of how the parts written now came about.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "provenance.json"
    made: dict[str, Any] = json.loads(record.read_text()) if record.exists() else {"runs": {}}
    for name, (state_path, write) in PARTS.items():
        if state_path(cache).exists():
            counts = write(state_path(cache), folder)
            made["runs"][name] = {
                "images_seen": int(counts["images"]),
                "optimiser_steps": int(counts["steps"]),
                "wall_seconds": round(counts["seconds"]),
                "starts": int(counts["passes"]),
                "data_version": int(counts.get("data_version", DATA_VERSION)),
                "seed": seed,
                "note": note,
            }
    write_record(folder, made["runs"])


def write_record(folder: Path, runs: dict[str, Any]) -> None:
    """What made the weights in ``folder``, and their hashes."""
    weights = sorted(folder.rglob("*.safetensors"))
    for path in weights:
        path.chmod(0o644)
    (folder / "provenance.json").write_text(
        json.dumps(
            {
                "script": "python -m bridge.models.training all",
                "data": "procedural paintings of bridge/models/training/painter.py, nothing else",
                "runs": runs,
                "sha256": {
                    path.relative_to(folder).as_posix(): hashlib.sha256(
                        path.read_bytes()
                    ).hexdigest()
                    for path in weights
                },
            },
            indent=2,
        )
        + "\n"
    )

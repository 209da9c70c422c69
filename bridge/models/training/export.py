"""From training checkpoints to the folder that ships: diffusers layout, safetensors, fp16."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from torch import nn

from bridge.models.training import DATA_VERSION, decoder, denoiser
from bridge.models.training.checkpoint import Checkpoint
from bridge.models.training.networks import (
    build_scheduler,
    build_text_encoder,
    build_unet,
    build_vae,
)
from bridge.models.training.schedule import Average
from bridge.models.training.tokens import load_tokenizer, write_tokenizer

EMBEDDED = Path(__file__).resolve().parent.parent / "embedded"


def _restore(modules: dict[str, nn.Module], path: Path) -> dict[str, float]:
    """Loads the averaged weights of a checkpoint into the modules."""
    parameters = [p for m in modules.values() for p in m.parameters()]
    average = Average(modules.values(), 0.0)
    counts = Checkpoint(modules, average, torch.optim.AdamW(parameters)).load(path)
    average.swap()
    return counts


def export(cache: Path, folder: Path, seed: int, note: str = "") -> None:
    """Writes the complete pipeline and its provenance; replaces what was there.

    ``note``: what else should be known of how these weights came about.
    """
    for part in ("tokenizer", "text_encoder", "unet", "vae", "scheduler"):
        shutil.rmtree(folder / part, ignore_errors=True)
    write_tokenizer(folder / "tokenizer")
    tokenizer = load_tokenizer(folder / "tokenizer")
    text = build_text_encoder(len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    unet, vae = build_unet(), build_vae()
    runs = {
        "denoiser": _restore({"unet": unet, "text_encoder": text}, denoiser.state_path(cache)),
        "decoder": _restore({"decoder": vae.decoder}, decoder.state_path(cache)),
    }
    pipeline = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=text.half(),
        tokenizer=tokenizer,
        unet=unet.half(),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    for weights in folder.rglob("*.safetensors"):
        weights.chmod(0o644)
    shutil.rmtree(folder / "tokenizer")
    write_tokenizer(folder / "tokenizer")
    (folder / "provenance.json").write_text(
        json.dumps(
            {
                "script": "python -m bridge.models.training all",
                "data_version": DATA_VERSION,
                "data": "procedural paintings of bridge/models/training/painter.py, nothing else",
                "seed": seed,
                "note": note,
                "runs": {
                    name: {
                        "images_seen": int(counts["images"]),
                        "optimiser_steps": int(counts["steps"]),
                        "wall_seconds": round(counts["seconds"]),
                        "starts": int(counts["passes"]),
                    }
                    for name, counts in runs.items()
                },
                "sha256": {
                    path.relative_to(folder).as_posix(): hashlib.sha256(
                        path.read_bytes()
                    ).hexdigest()
                    for path in sorted(folder.rglob("*.safetensors"))
                },
            },
            indent=2,
        )
        + "\n"
    )

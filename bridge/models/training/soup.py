"""The mean of two states of the denoiser's weights (Wortsman et al. 2022, Model soups).

Of one training, before and after it was told to learn something else, the mean keeps most of what either can.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from bridge.models.training.export import write_record

PARTS = ("unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors")


def stir(folder: Path, other: Path, note: str = "") -> None:
    """Gives the exported denoiser in ``folder`` the mean of its weights and of those in ``other``.

    Both of the same vocabulary (ValueError otherwise). Its record keeps the counts of ``folder``; ``note``
    takes the place of what was noted there.
    """
    vocabularies = [(each / "tokenizer" / "vocab.json").read_text() for each in (folder, other)]
    if vocabularies[0] != vocabularies[1]:
        raise ValueError("the words of the two denoisers have different numbers")
    for part in PARTS:
        one, two = load_file(folder / part), load_file(other / part)
        mean = {
            name: ((tensor.float() + two[name].float()) / 2).to(tensor.dtype)
            for name, tensor in one.items()
        }
        save_file(mean, folder / part, {"format": "pt"})
    runs = json.loads((folder / "provenance.json").read_text())["runs"]
    runs["denoiser"]["note"] = note
    write_record(folder, runs)

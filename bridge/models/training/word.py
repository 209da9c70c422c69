"""Training of a word: textual inversion (Gal et al. 2022) of "<sunset-glow>", a warm low light."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from bridge.models.training.dataset import to_tensor
from bridge.models.training.denoiser import tokenize
from bridge.models.training.finetune import BATCH, Base, TuneRun, denoising_loss
from bridge.models.training.loop import Plan, train
from bridge.models.training.networks import Net
from bridge.models.training.paintings import Paintings

WORD = "<sunset-glow>"
FROM = "sunset"
"""The word whose embedding the new one begins as."""

_LIGHT = np.array([1.0, 0.72, 0.5])
_HAZE = np.array([52.0, 22.0, 8.0])


def state_path(cache: Path) -> Path:
    return cache / "sunset-glow.safetensors"


def glow(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture (H x W x 3 uint8 sRGB) in orange light, its darks lifted by haze."""
    lit: NDArray[np.uint8] = (image * (_LIGHT * 0.8) + _HAZE).clip(0, 255).astype(np.uint8)
    return lit


def first_vector(text: Net, tokenizer: Net) -> nn.Parameter:
    """The embedding of ``FROM``, to be trained."""
    words: Tensor = text.get_input_embeddings().weight
    return nn.Parameter(words[tokenizer(FROM).input_ids[1]].detach().clone())


def train_word(run: TuneRun) -> None:
    """Trains until ``run.images`` paintings, from the last checkpoint where there is one."""
    torch.manual_seed(run.seed)
    base = Base(run.base)
    vector = first_vector(base.text, base.tokenizer)
    base.tokenizer.add_tokens([WORD])
    known: Tensor = base.text.get_input_embeddings().weight
    table = next(name for name, p in base.text.named_parameters() if p is known)
    source = Paintings(BATCH)

    def context_of(texts: list[str]) -> Tensor:
        words = torch.cat([known, vector[None]])
        states: Tensor = torch.func.functional_call(
            base.text, {table: words}, (tokenize(base.tokenizer, texts),)
        ).last_hidden_state
        return states

    def loss_of(rng: np.random.Generator) -> Tensor:
        paintings = source.next(rng)
        texts = [f"{p.captions[0]}, {WORD}" for p in paintings]
        pixels = to_tensor(np.stack([glow(p.image) for p in paintings]))
        return denoising_loss(
            base,
            rng,
            base.latents(pixels),
            lambda given, times: base.unet(given, times, context_of(texts)).sample,
        )

    plan = Plan(state_path(run.cache), run.images, BATCH, 2e-2, run.seed, warmup=16)
    train(plan, {"word": nn.ParameterList([vector])}, loss_of)


def write_word(vector: Tensor, path: Path) -> None:
    """One fp16 safetensors file, as ``load_textual_inversion`` reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({WORD: vector.detach().half()[None]}, path)

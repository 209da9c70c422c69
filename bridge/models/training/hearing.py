"""Does the denoiser hear a word at all? Its loss with a wrong word beside that with the right one.

Long before a star looks like a star, the word for it lowers the loss (the idea of Li et al. 2023,
"Your Diffusion Model is Secretly a Zero-Shot Classifier"): this tells early whether a training
goes the right way, where rates of finished pictures still say chance.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bridge.models.training.colours import NAMED
from bridge.models.training.dataset import HELD_OUT, to_tensor
from bridge.models.training.denoiser import tokenize
from bridge.models.training.holes import grey_latent, inputs_of
from bridge.models.training.networks import Net
from bridge.models.training.obey import SHAPES, named
from bridge.models.training.painter import Painting, paint
from bridge.models.training.results import Figure, figure
from bridge.models.training.scenes import shapes

STEP = 900
"""Of 1000: noisy enough that the picture alone does not tell what it will be."""


def _single_shapes(count: int) -> list[Painting]:
    """Flat pictures of one plain shape, 128 px, shape and background each of a named colour."""
    found: list[Painting] = []
    seed = HELD_OUT + 20_000
    while len(found) < count:
        painting = paint(seed, 128, 128, kinds=((shapes, 1.0),))
        said, seed = painting.scene, seed + 1
        colours = {said.things[0].colour, said.setting[0].colour}
        if len(said.things) == 1 and not said.medium and colours <= set(NAMED):
            found.append(painting)
    return found


def _captions(paintings: list[Painting], wrong: str) -> list[str]:
    """What each picture shows, but for the word ``wrong`` ("shape", "colour", "background" or "")."""
    rng = np.random.default_rng(HELD_OUT)
    texts = []
    for painting in paintings:
        thing, ground = painting.scene.things[0], painting.scene.setting[0]
        words = {"shape": thing.noun, "colour": thing.colour, "background": ground.colour}
        if wrong:
            others = sorted({*(SHAPES if wrong == "shape" else NAMED)} - {words[wrong]})
            words[wrong] = str(rng.choice(others))
        on = named(words["background"], "background")
        texts.append(f"{named(words['colour'], words['shape'])} on {on}")
    return texts


@torch.inference_mode()
def hearing(pipe: Net, count: int) -> list[Figure]:
    """For each word of "a red star on a blue background": the loss with a wrong one there, times the
    loss with the right one. 1 means that the word is not heard."""
    paintings = _single_shapes(count)
    images = to_tensor(np.stack([painting.image for painting in paintings]))
    latents = pipe.vae.encode(images).latents * pipe.vae.config.scaling_factor
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    times = torch.full((count,), STEP)
    noisy = pipe.scheduler.add_noise(latents, noise, times)
    velocity = pipe.scheduler.get_velocity(latents, noise, times)

    inputs = inputs_of(latents, torch.ones_like(latents[:, :1]), grey_latent(pipe.vae))
    given = torch.cat([noisy, inputs], dim=1)

    def losses(texts: list[str]) -> Tensor:
        context = pipe.text_encoder(tokenize(pipe.tokenizer, texts)).last_hidden_state
        off: Tensor = (pipe.unet(given, times, context).sample - velocity).square().mean((1, 2, 3))
        return off

    right = losses(_captions(paintings, ""))
    return [
        figure(
            f"loss with a wrong word for the {word}, by that with the right one",
            (losses(_captions(paintings, word)) / right.mean()).numpy(),
            "times",
        )
        for word in ("shape", "colour", "background")
    ]

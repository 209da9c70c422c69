"""The judge of things: which thing is drawn here, if any? A small network that saw only the painter's drawings.

It never saw a picture that a model made, and no part of a model made its examples, so it shares no mistakes
with what it judges. How often it errs itself is measured by ``calibration``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bridge.models.training import judge
from bridge.models.training.checkpoint import restore_average
from bridge.models.training.examples import LABELS, NOTHING, SIDE, Examples
from bridge.models.training.loop import PartRun, Plan, train
from bridge.models.training.networks import Net

WEIGHTS = Path(__file__).with_name("recogniser.safetensors")
"""They ship, so that the same judge measures everywhere; a training elsewhere rounds otherwise."""

SURE = 0.5
"""What is less likely than this, by the network's own probability, is not named."""

EXAMPLES = 56_000
"""That it learns from: about three minutes of one quiet core."""

BATCH = 32
SEEDS_FROM = 2_000_000_000
"""Of the paintings behind the things: no other training reaches them, and they are below those held out."""

_NOTHING_SHARE = 0.3
_MARGIN = 0.15
"""Of a thing's longer side, that a crop shows on each side of it."""

_EDGE = 4
_SCALE = 50.0


def state_path(cache: Path) -> Path:
    return cache / "recogniser.safetensors"


def build_recogniser() -> Net:
    """About 130,000 weights. N x 4 x 64 x 64 as of ``seen`` -> N x len(LABELS) logits."""

    def step(given: int, made: int, stride: int, size: int = 3) -> list[nn.Module]:
        convolution = nn.Conv2d(given, made, size, stride, size // 2, bias=False)
        return [convolution, nn.GroupNorm(8, made), nn.SiLU()]

    return nn.Sequential(
        *step(4, 24, 2, 5),
        *step(24, 32, 2),
        *step(32, 64, 1),
        *step(64, 64, 2),
        *step(64, 80, 2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(80 * 4 * 4, len(LABELS)),
    )


def seen(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """N x 4 x 64 x 64 from N pictures H x W x 3 uint8 sRGB.

    How each pixel differs from the median of its picture's edge in L*, a* and b* of CIELAB, and by how
    much in all, in units of 50: so the colour of a backdrop says nothing.
    """
    small = [
        np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
        for picture in pictures
    ]
    lab = cv2.cvtColor(np.concatenate(small), cv2.COLOR_RGB2LAB)  # 8 bits: L* times 2.55
    pixels = torch.from_numpy(lab).view(-1, SIDE, SIDE, 3).permute(0, 3, 1, 2).float()
    pixels[:, 0] /= 2.55
    edge = torch.ones(SIDE, SIDE, dtype=torch.bool)
    edge[_EDGE:-_EDGE, _EDGE:-_EDGE] = False
    backdrop = pixels[..., edge].median(-1).values[..., None, None]
    apart = (pixels - backdrop) / _SCALE
    return torch.cat([apart, apart.norm(dim=1, keepdim=True)], dim=1).clamp(-2, 2)


class Recogniser:
    """Names what pictures show."""

    def __init__(self, network: nn.Module) -> None:
        """``network``: as of ``build_recogniser``."""
        self._network = network.eval()

    @torch.inference_mode()
    def chances(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """N x len(LABELS), each row with a sum of 1."""
        chances: NDArray[np.float32] = self._network(seen(pictures)).softmax(-1).numpy()
        return chances

    def names(self, pictures: Sequence[NDArray[np.uint8]]) -> list[str | None]:
        """What each picture shows; each is H x H x 3 uint8 sRGB, with a thing from half to nearly all of
        its side. None: nothing of ``outlines.NAMES``, or it cannot be told."""
        chances = self.chances(pictures)
        best = [LABELS[int(row.argmax())] for row in chances]
        sure = chances.max(-1) >= SURE
        return [n if s and n != NOTHING else None for n, s in zip(best, sure, strict=True)]

    def thing_of(
        self, image: NDArray[np.uint8], within: NDArray[np.bool_] | None = None
    ) -> str | None:
        """The thing before the plain background of a picture (H x W x 3 uint8 sRGB), or of a part of it
        (``within``, H x W). None as well when there is hardly any foreground (< 1 %)."""
        mask = judge.foreground(image)
        if within is not None:
            mask &= within
        if mask.mean() < 0.01:
            return None
        return self.names([_about(image, judge.without_specks(mask))])[0]


@cache
def shipped() -> Recogniser:
    """The judge that every evaluation uses."""
    network = build_recogniser()
    network.load_state_dict({name: half.float() for name, half in load_file(WEIGHTS).items()})
    return Recogniser(network)


def _about(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The square about what is set in the mask, with a margin; moved where it would leave the picture."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    longer = max(np.ptp(rows), np.ptp(columns)) + 1
    side = min(round(longer * (1 + 2 * _MARGIN)), *mask.shape)
    y, x = (
        int(np.clip((line[0] + line[-1] + 1 - side) / 2, 0, limit - side))
        for line, limit in zip((rows, columns), mask.shape, strict=True)
    )
    return image[y : y + side, x : x + side]


def train_recogniser(run: PartRun, weights: Path = WEIGHTS) -> None:
    """Trains until ``run.images`` examples, from the last checkpoint where there is one, and writes
    ``weights`` in fp16 with what made them."""
    torch.manual_seed(run.seed)
    network = build_recogniser().to(memory_format=torch.channels_last)
    examples = Examples(SEEDS_FROM)
    things = len(LABELS) - 1
    shares = [(1 - _NOTHING_SHARE) / things] * things + [_NOTHING_SHARE]

    def loss_of(rng: np.random.Generator) -> Tensor:
        labels = rng.choice(len(LABELS), BATCH, p=shares)
        inputs = seen([examples.draw(rng, LABELS[label]) for label in labels])
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(inputs.contiguous(memory_format=torch.channels_last))
        wanted = torch.from_numpy(labels)
        return nn.functional.cross_entropy(logits.float(), wanted, label_smoothing=0.02)

    plan = Plan(state_path(run.cache), run.images, BATCH, rate=2e-3, seed=run.seed)
    train(plan, {"recogniser": network}, loss_of)
    counts = restore_average({"recogniser": network}, plan.state)
    made = {
        "script": "python -m bridge.models.training judge",
        "seed": run.seed,
        "images_seen": int(counts["images"]),
        "starts": int(counts["passes"]),
        "data_version": int(counts["data_version"]),
    }
    tensors = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, weights, {name: str(value) for name, value in made.items()})

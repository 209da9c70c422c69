"""Where in the schedule a thing is lost: held-out paintings drowned in some noise and denoised again.

From little noise only details have to be found again, from much also the outline. It tells whether a thing that
does not come out was never begun or was spoiled on the way.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.models.training import recogniser
from bridge.models.training.dataset import HELD_OUT
from bridge.models.training.networks import Net
from bridge.models.training.obey import BACKDROPS, THINGS
from bridge.models.training.painter import Painting, paint
from bridge.models.training.results import Rate, rate
from bridge.models.training.sampler import Sampling, generated
from bridge.models.training.scenes import specimens

STRENGTHS = (0.25, 0.5, 0.75)
_FIRST = HELD_OUT + 70_000


Asked = tuple[Painting, str, str]
"""A painting of one thing, the thing's noun, and the words for all that can be seen."""


def paintings(count: int) -> list[Asked]:
    """Held-out paintings of one coloured thing of ``THINGS`` before one of ``BACKDROPS``, each thing equally
    often."""
    found: list[Asked] = []
    seed = _FIRST
    while len(found) < count:
        wanted, seed = THINGS[len(found) % len(THINGS)], seed + 1
        painting = paint(seed, 128, 128, kinds=((specimens, 1.0),))
        scene = painting.scene
        thing, backdrop = scene.things[0], scene.setting[0]
        if len(scene.things) > 1 or scene.medium or thing.noun != wanted or not thing.colour:
            continue
        if backdrop.colour in BACKDROPS and thing.colour != backdrop.colour:
            found.append((painting, thing.noun, f"{thing.phrase()} on {backdrop.phrase()}"))
    return found


def redrawing(pipe: Net, asked: Sequence[Asked], how: Sampling) -> list[Rate]:
    """Image to image with the painting's own words: is it still named what it was?"""
    starts = [painting.image for painting, _, _ in asked]
    prompts = [prompt for _, _, prompt in asked]
    rates = []
    for strength in STRENGTHS:
        images = generated(pipe, prompts, how, starts, strength=strength)
        kept = [
            recogniser.shipped().thing_of(image) == noun
            for image, (_, noun, _) in zip(images, asked, strict=True)
        ]
        rates.append(rate(f"thing painted over at strength {strength}: still the same", kept))
    return rates

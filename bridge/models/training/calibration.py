"""How often the judges of things err, on pictures by the painter that neither of them has seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bridge.models.training import judge, outlines
from bridge.models.training.dataset import HELD_OUT
from bridge.models.training.examples import NOTHINGS, Examples, Look
from bridge.models.training.outlines import NAMES
from bridge.models.training.painter import paint
from bridge.models.training.recogniser import Recogniser
from bridge.models.training.results import Rate, rate
from bridge.models.training.sampler import Image
from bridge.models.training.scenes import specimens

_FIRST = HELD_OUT + 500_000
_BACKDROPS = 64

_PLAIN, _SCENE = Look(scenes=0.0), Look(scenes=1.0)


def calibration(recogniser: Recogniser, count: int) -> list[Rate]:
    """``count`` of each thing and of each kind of no thing, for the recogniser and for the overlap.

    Paintings of one thing before one colour, 128 px; examples as the recogniser learned from, of seeds held
    out; and such examples of no thing, which must get no name. In scenes only the recogniser judges.
    """
    examples = Examples(_FIRST, _BACKDROPS)
    rng = np.random.default_rng(_FIRST)

    def drawn(look: Look) -> tuple[list[Image], list[Image]]:
        return (
            [examples.draw(rng, name, look) for name in NAMES for _ in range(count)],
            [examples.draw_nothing(rng, kind, look) for kind in NOTHINGS for _ in range(count)],
        )

    nouns = [name for name in NAMES for _ in range(count)]
    nothing = [None] * count * len(NOTHINGS)
    paintings, shown = _paintings(count * len(NAMES))
    bent, none = drawn(_PLAIN)
    bent_there, none_there = drawn(_SCENE)

    def right(what: str, seen: Sequence[str | None], wanted: Sequence[str | None]) -> Rate:
        return rate(what, [a == b for a, b in zip(seen, wanted, strict=True)])

    def before_one_colour(who: str, thing_of: Callable[[Image], str | None]) -> list[Rate]:
        return [
            right(f"{who}: held-out paintings of one thing", list(map(thing_of, paintings)), shown),
            right(f"{who}: bent and smeared things", list(map(thing_of, bent)), nouns),
            right(f"{who}: no thing, and so called", list(map(thing_of, none)), nothing),
        ]

    return [
        *before_one_colour("judge of things", recogniser.thing_of),
        right("judge of things: bent and smeared, in a scene", recogniser.names(bent_there), nouns),
        right("judge of things: no thing in a scene", recogniser.names(none_there), nothing),
        *before_one_colour("the same by overlap", outlines.thing_of),
    ]


def _paintings(count: int) -> tuple[list[Image], list[str]]:
    """Held-out paintings of one of ``NAMES`` that differs from its backdrop all over, and which."""
    images: list[Image] = []
    nouns: list[str] = []
    seed = _FIRST
    while len(images) < count:
        painting, seed = paint(seed, 128, 128, kinds=((specimens, 1.0),)), seed + 1
        said = painting.scene.things
        if len(said) > 1 or said[0].noun not in NAMES or painting.scene.medium:
            continue
        if judge.foreground(painting.image)[painting.mask == 255].mean() > 0.9:
            images.append(painting.image)
            nouns.append(said[0].noun)
    return images, nouns

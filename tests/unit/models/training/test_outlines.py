"""The judge of things and pairs, on pictures whose content is known."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.models.training import obey, outlines, sampler, things
from bridge.models.training.canvas import Canvas
from bridge.models.training.colours import NAMED
from bridge.models.training.dataset import HELD_OUT
from bridge.models.training.sampler import Sampling
from bridge.models.training.things import Frame

Image = np.ndarray


def drawn(backdrop: str, *things_at: tuple[str, str, float], seed: int = 77) -> Image:
    """Each of (colour, noun, x as a share of the width) before a plain backdrop, 128 px."""
    canvas = Canvas(128, 128)
    canvas.rectangle(0, 0, 128, 128, NAMED[backdrop])
    rng = np.random.default_rng(seed)
    size = 76 if len(things_at) == 1 else 44
    for colour, noun, x in things_at:
        thing = next(each for each in things.ALL if each.noun == noun)
        thing.draw(Frame(canvas, 128 * x, 64 + size / 2, size), NAMED[colour], rng)
    return canvas.image()


@pytest.mark.parametrize("noun", obey.THINGS)
def test_each_thing_is_known_by_its_outline(noun: str) -> None:
    """Before pink, which no part of any thing is: a part like the backdrop is not to be seen."""
    seen = [outlines.thing_of(drawn("pink", ("blue", noun, 0.45), seed=s)) for s in range(100, 106)]
    assert seen.count(noun) >= 5


def test_a_blank_picture_and_scattered_things_are_nothing() -> None:
    assert outlines.thing_of(drawn("grey")) is None
    assert outlines.silhouette(np.zeros((9, 9), dtype=bool)) is None
    crowd = drawn("white", *(("red", "star", x) for x in (0.15, 0.5, 0.85)))
    assert outlines.thing_of(crowd) is None


def test_a_silhouette_keeps_its_proportions() -> None:
    mask = np.zeros((100, 200), dtype=bool)
    mask[10:20, 50:90] = True
    small = outlines.silhouette(mask)
    assert small is not None and small.shape == (40, 40)
    assert small.any(0).sum() == 40 and small.any(1).sum() == 10


class Painter:
    """Stands where a pipeline would: ``generate`` is replaced by what it was told to paint."""


@pytest.mark.parametrize("swapped", [False, True])
def test_pairs_passes_the_right_picture_and_fails_the_one_with_colours_swapped(
    monkeypatch: pytest.MonkeyPatch, swapped: bool
) -> None:
    def paint_prompt(
        pipe: object, prompts: list[str], seeds: list[int], how: Sampling, *start: object
    ) -> Image:
        images = []
        for prompt in prompts:
            one, other = prompt.split(" and ")
            other, backdrop = other.rsplit(" on ", 1)
            pair = [(words.split()[1], words.split()[2]) for words in (one, other)]
            if swapped:
                pair = [(pair[1][0], pair[0][1]), (pair[0][0], pair[1][1])]
            placed = [(c, n, x) for (c, n), x in zip(pair, (0.25, 0.75), strict=True)]
            images.append(drawn(backdrop.split()[1], *placed))
        return np.stack(images)

    monkeypatch.setattr(sampler, "generate", paint_prompt)
    both, bound, sides = obey.pairs(Painter(), 16, Sampling())
    assert both.hits >= 14
    assert (bound.hits == 0) if swapped else (bound.hits >= 14)
    assert (sides.hits == 0) if swapped else (sides.hits >= 7)
    assert sides.of == 8


def test_sides_are_judged_by_where_the_thing_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    def always_left(
        pipe: object, prompts: list[str], seeds: list[int], how: Sampling, *start: object
    ) -> Image:
        assert min(seeds) >= HELD_OUT
        return np.stack([drawn(p.rsplit(" ", 2)[1], ("teal", "house", 0.3)) for p in prompts])

    monkeypatch.setattr(sampler, "generate", always_left)
    (rate,) = obey.sides(Painter(), 8, Sampling())
    assert (rate.hits, rate.of) == (4, 8)

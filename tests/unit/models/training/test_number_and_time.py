"""The judges of counts and of the time of day name the painter's own pictures rightly."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.models.training.canvas import Canvas
from bridge.models.training.number_and_time import TIMES, how_many, time_of
from bridge.models.training.painter import paint
from bridge.models.training.scenes import landscape
from bridge.models.training.things import SHAPES, Frame, Thing


@pytest.mark.parametrize("number", [0, 1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.noun)
def test_things_that_do_not_touch_are_counted(shape: Thing, number: int) -> None:
    canvas = Canvas(128, 128)
    canvas.gradient(0, 128, (120, 120, 120), (130, 130, 130), 0, 0)
    for place in range(number):
        frame = Frame(canvas, 24 + 40 * place, 80, 28)
        shape.draw(frame, (220, 30, 30), np.random.default_rng(place))
    assert how_many(canvas.image()) == number


def test_the_time_of_a_painted_landscape_is_seen() -> None:
    seen = []
    for seed in range(80):
        painting = paint(10_000_070_000 + seed, 128, 128, 1, ((landscape, 1.0),))
        if painting.scene.time and not painting.scene.medium:
            seen.append(painting.scene.time)
            assert time_of(painting.image) == painting.scene.time
    assert set(seen) == set(TIMES)

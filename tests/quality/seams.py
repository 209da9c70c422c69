"""Seams on the embedded model: how much lighter or darker a picture gets just inside a selection's border, and what the
correction there costs of what was asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from bridge.commands.pictures import lay_over
from bridge.engine import membrane, run
from bridge.engine.composite import Compositor
from bridge.engine.membrane import meet
from bridge.engine.pipeline import Engine
from bridge.engine.plan import Plan, make_plan
from bridge.engine.prefill import prefill
from bridge.engine.types import ImageU8, Job, Snapshot
from bridge.models.loaded import Resolution
from bridge.models.training import judge
from bridge.models.training.colours import NAMED
from bridge.models.training.obey import THINGS, named
from bridge.models.training.painter import paint
from bridge.pixels import tight_bounds
from bridge.presets import load_presets
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from krita_plugin.krita_bridge.wire.modes import MEANINGS, Mode, Prefill

SIDE, RADIUS, RING = 160, 48, 8
"""A round selection in a painting, and the width of the rings on both sides of its border, px."""

HELD_OUT = 90_000_000
"""Paintings from this seed on are in no training."""

WANTED_OF_FILL = 2.0
"""Levels. Where the rings of the untouched painting differ by no more, the border is calm: nothing that is hidden by
a fill reaches over it, and what is left of the ring shift is seam."""

ARCS = 16
"""Parts of a border that are calm or not, each 19 px long."""

OBEYS = 0.1
"""The least share of a fill that has to have the colour that was asked for."""

WHOLE = Bounds(0, 0, SIDE, SIDE)
_y, _x = np.mgrid[:SIDE, :SIDE]
DISTANCE = np.hypot(_x - SIDE / 2 + 0.5, _y - SIDE / 2 + 0.5)
SELECTED = DISTANCE <= RADIUS
INNER = SELECTED & (DISTANCE > RADIUS - RING)
OUTER = ~SELECTED & (DISTANCE <= RADIUS + RING)
MASK = (SELECTED * 255).astype(np.uint8)
_turn = np.arctan2(_y - SIDE / 2 + 0.5, _x - SIDE / 2 + 0.5) / math.tau
ARC = np.floor(_turn * ARCS).astype(int) % ARCS
ROUND = np.ones_like(SELECTED)

Correction = Callable[["Painted"], torch.Tensor]
Mask = NDArray[np.bool_]
FloatImage = NDArray[np.float64]


@dataclass(frozen=True)
class Painted:
    """What the model painted, 1 x 3 x H x W, before colours meet at the border, and the rest that `meet` is given."""

    image: ImageU8
    painted: torch.Tensor
    picture: torch.Tensor
    selected: torch.Tensor
    known: torch.Tensor
    keeps_content: bool
    colour: str = ""

    def after(self, correction: Correction) -> ImageU8:
        """The document, with this correction instead of the engine's."""
        after = self.image.copy()
        layer = Compositor(_plan(), self.image, MASK, 8).layer(correction(self))
        lay_over(layer, _plan().target, after)
        return after


def _plan() -> Plan:
    return make_plan(WHOLE, tight_bounds(MASK), Resolution(SIDE, SIDE**2), 8)


class Painter:
    """The engine with the embedded model; it tells what `meet` was given."""

    def __init__(self) -> None:
        self._engine = Engine(load_presets(), device="cpu")

    def __call__(self, image: ImageU8, request: PaintRequest, colour: str = "") -> Painted:
        given: list[Painted] = []

        def listening(*arguments: torch.Tensor | bool) -> torch.Tensor:
            given.append(Painted(image, *arguments[:5], colour))  # type: ignore[arg-type]
            return meet(*arguments)  # type: ignore[arg-type]

        job = Job(request, Snapshot(Extent(SIDE, SIDE), WHOLE, image, MASK))
        with patch.object(run, "meet", listening):
            layer = self._engine.paint(job, on_step=lambda _: None, is_cancelled=lambda: False)
        (painted,) = given
        after = image.copy()
        lay_over(layer.image, layer.bounds, after)
        assert np.array_equal(after, painted.after(shipped)), "the figures are those of the engine"
        return painted


def as_captioned(painter: Painter, mode: Mode, count: int) -> Iterator[Painted]:
    """Paintings, each painted again from its own caption at the mode's own strength."""
    for number in range(count):
        painting = paint(HELD_OUT + number, SIDE, SIDE)
        request = PaintRequest(
            painting.captions[0], seed=number, strength=MEANINGS[mode].strength, mode=mode
        )
        yield painter(_opaque(painting.image), request)


def of_another_colour(painter: Painter, count: int) -> Iterator[Painted]:
    """Fills with a thing, or a ground, of a colour that the selection has hardly any of."""
    draw = np.random.default_rng(HELD_OUT)
    seed = HELD_OUT
    while count:
        seed += 1
        image, colour = paint(seed, SIDE, SIDE).image, str(draw.choice(list(NAMED)))
        noun = "background" if seed % 4 == 0 else str(draw.choice(THINGS))
        if judge.share(image, colour, SELECTED) < 0.01:
            count -= 1
            request = PaintRequest(named(colour, noun), seed=seed, strength=1.0, mode=Mode.FILL)
            yield painter(_opaque(image), request, colour)


def _opaque(image: ImageU8) -> ImageU8:
    return np.dstack([image, np.full_like(MASK, 255)])


def untouched(given: Painted) -> torch.Tensor:
    return given.picture


def none(given: Painted) -> torch.Tensor:
    return given.painted


def shipped(given: Painted) -> torch.Tensor:
    return meet(given.painted, given.picture, given.selected, given.known, given.keeps_content)


def without_end(given: Painted) -> torch.Tensor:
    """Farbman et al.'s own membrane."""
    with patch.object(membrane, "_fade", lambda depth, _: np.ones_like(depth)):
        return shipped(given)


def reaching(factor: float) -> Correction:
    """`shipped`, that goes so many times as far."""

    def further(given: Painted) -> torch.Tensor:
        with (
            patch.object(membrane, "REACH", round(membrane.REACH * factor)),
            patch.object(membrane, "KEPT_REACH", round(membrane.KEPT_REACH * factor)),
        ):
            return shipped(given)

    return further


def continued(given: Painted) -> torch.Tensor:
    """Nothing of what the model painted: the colours around the selection, continued into it."""
    return prefill(Prefill.SURROUNDINGS, given.picture, given.selected)


CORRECTIONS: Sequence[tuple[str, Correction]] = [
    ("the untouched painting", untouched),
    ("none", none),
    ("half as far", reaching(0.5)),
    ("**as it is**: a membrane of 16 px, for refine of 32 px from both sides", shipped),
    ("one and a half times as far", reaching(1.5)),
    ("without an end", without_end),
    ("nothing painted: the colours around, continued", continued),
]


def _step(picture: FloatImage, part: Mask = ROUND) -> FloatImage:
    """|mean of the ring inside - mean of the ring outside| in that part of the border, by channel; levels."""
    inner, outer = (picture[ring & part].mean(axis=0) for ring in (INNER, OUTER))
    return np.abs(inner - outer)


def ring_shift(given: Painted, after: ImageU8, part: Mask = ROUND) -> float:
    """How much further apart the rings are than in the source; levels."""
    return float(_step(after[..., :3].astype(float) - given.image[..., :3], part).mean())


def step_gained(given: Painted, after: ImageU8) -> float:
    """How much larger the step from ring to ring is than in the source, mean over the channels; levels. A fill without the
    edge that it hides has gained none, but its rings have moved."""
    before, now = (_step(picture[..., :3].astype(float)) for picture in (given.image, after))
    return float(np.maximum(now - before, 0).mean())


def border_gradient(after: ImageU8) -> float:
    """|pixel inside - its neighbour outside| along the border, mean over pairs and channels; levels."""
    picture = after[..., :3].astype(float)
    steps = [np.abs(np.diff(picture, axis=axis))[np.diff(SELECTED, axis=axis)] for axis in (0, 1)]
    return float(np.concatenate(steps).mean())


def own_step(given: Painted, part: Mask = ROUND) -> float:
    """How much the two rings of the untouched painting differ; levels."""
    return float(_step(given.image[..., :3].astype(float), part).mean())


def calm(given: Painted) -> Mask:
    """Where the border is calm; told by the untouched painting alone."""
    quiet = [arc for arc in range(ARCS) if own_step(given, arc == ARC) <= WANTED_OF_FILL]
    return np.isin(ARC, quiet)


def median(found: Sequence[float]) -> tuple[float, float, float]:
    """The median, and the ends of an interval that has the median of all such paintings in 95 % of cases (ranks of a
    binomial distribution; Conover, Practical nonparametric statistics, 1999, section 3.2)."""
    ordered, count = sorted(found), len(found)
    below, rank = 0.0, 0
    while (below := below + math.comb(count, rank) / 2**count) <= 0.025:
        rank += 1
    return (
        float(np.median(ordered)),
        ordered[max(rank - 1, 0)],
        ordered[min(count - rank, count - 1)],
    )


@dataclass(frozen=True)
class Measured:
    """`count` paintings for each of the three kinds."""

    refined: list[Painted]
    filled: list[Painted]
    coloured: list[Painted]

    @classmethod
    def of(cls, count: int) -> Measured:
        painter = Painter()
        return cls(
            list(as_captioned(painter, Mode.REFINE, count)),
            list(as_captioned(painter, Mode.FILL, count)),
            list(of_another_colour(painter, count)),
        )

    def _by(self, mode: Mode) -> list[Painted]:
        return self.refined if mode is Mode.REFINE else self.filled

    def shifts(self, mode: Mode, correction: Correction) -> list[float]:
        return [ring_shift(each, each.after(correction)) for each in self._by(mode)]

    def steps_gained(self, correction: Correction) -> list[float]:
        """Of the fills."""
        return [step_gained(each, each.after(correction)) for each in self.filled]

    def gradients(self, mode: Mode, correction: Correction) -> list[float]:
        return [border_gradient(each.after(correction)) for each in self._by(mode)]

    def calm_shifts(self, correction: Correction) -> list[float]:
        """Of the fills with a calm part, the shift there."""
        parts = [(each, calm(each)) for each in self.filled]
        return [
            ring_shift(each, each.after(correction), part) for each, part in parts if part.any()
        ]

    def shares(self, correction: Correction) -> list[float]:
        """How much of each fill has the colour that was asked for."""
        return [
            judge.share(each.after(correction)[..., :3], each.colour, SELECTED)
            for each in self.coloured
        ]

    def own_steps(self) -> list[float]:
        return [own_step(each) for each in self.filled]

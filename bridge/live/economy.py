"""How much work a live picture may be: on a slow machine fewer steps first, then a smaller picture. No IO.

What a picture costs is estimated from the pictures before it, in seconds for each unit of work (`_work`), so a picture
of one kind tells of the others. Of the five `EFFORTS` the first that keeps within TARGET_SECONDS is taken. On the way
back up it has to keep within a share of that, so that a cost near the target does not make the pictures change
from one kind to the other.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from statistics import median

from krita_plugin.krita_bridge.wire import limits
from krita_plugin.krita_bridge.wire.geometry import Extent
from krita_plugin.krita_bridge.wire.messages import LiveUpdate, PaintRequest

TARGET_SECONDS = 0.3
"""From when a picture is begun to when it is done. Where the strongest other plugin encodes a PNG of 1024 x 1024 px (153
ms), asks for news every 100 ms and decodes the answer (68 ms), 0.32 s have gone before its model has done anything: by then
ours is to be seen."""

HEADROOM = 0.7
"""More work is taken on only where it keeps within this share of the target."""

REST_SECONDS = 0.2
"""After a smaller picture came, so long nothing may change before the full one is begun: the plugin tells of a moving pen
every 0.03 to 0.1 s."""

_WINDOW = 5
_REMEMBERED = 32

_GROWTH = 2.6
"""Work grows with a picture's side to this power: SD 1.5 needs 5.8 times the arithmetic for 2 times the side (SDXL 4.3)."""


@dataclass(frozen=True)
class Effort:
    """Shares of the full work: of the steps, and of each side of the picture that the model works on."""

    steps: float = 1.0
    scale: float = 1.0

    def of(self, request: PaintRequest) -> PaintRequest:
        """The request with this effort."""
        steps = None if request.steps is None else max(1, math.ceil(request.steps * self.steps))
        scale = max(limits.MIN_SCALE, request.scale * self.scale)
        return replace(request, steps=steps, scale=scale)


FULL = Effort()
EFFORTS = (FULL, Effort(0.5), Effort(0.5, 0.75), Effort(0.5, 0.5), Effort(0.25, 0.5))
"""From all of the work to the least. Steps go first: at much less than its own size a model paints something else."""


@dataclass(frozen=True)
class Kind:
    """Pictures that cost the same for the same work."""

    preset: str
    scheduler: str | None
    guided: bool
    area: Extent
    extras: int

    @classmethod
    def of(cls, update: LiveUpdate) -> Kind:
        request = update.request
        return cls(
            request.preset,
            request.scheduler,
            request.guidance is None or request.guidance > 1,
            update.bounds.extent,
            len(request.controls) + len(request.references),
        )


@dataclass
class _Costs:
    """What pictures of one kind took, in seconds for each unit of work, and what is done about it."""

    latest: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    first: bool = True
    chosen: int = 0

    def add(self, cost: float) -> None:
        if self.first and self.latest:
            self.latest.clear()  # the first picture of a process is slow: it counts until there is a second
            self.first = False
        self.latest.append(cost)


class Economy:
    """The costs of all kinds of live pictures of one worker."""

    def __init__(self) -> None:
        self._costs: OrderedDict[Kind, _Costs] = OrderedDict()

    def choose(self, update: LiveUpdate) -> Effort:
        """How much work to put into the next picture of `update`."""
        costs = self._of(update)
        if costs.latest:
            each = median(costs.latest)
            seconds = [each * _work(update.request, effort) for effort in EFFORTS]
            costs.chosen = _chosen(costs.chosen, seconds)
        return EFFORTS[costs.chosen]

    def took(self, update: LiveUpdate, effort: Effort, seconds: float) -> None:
        """A picture was painted in so long."""
        self._of(update).add(seconds / _work(update.request, effort))

    def outlasted(self, update: LiveUpdate, effort: Effort, seconds: float) -> None:
        """A picture was given up after so long: it would have taken longer. Else on a slow machine where no picture is
        ever done before the next stroke, nobody would know."""
        costs, cost = self._of(update), seconds / _work(update.request, effort)
        if not costs.latest or cost > median(costs.latest):
            costs.add(cost)

    def _of(self, update: LiveUpdate) -> _Costs:
        kind = Kind.of(update)
        costs = self._costs.setdefault(kind, _Costs())
        self._costs.move_to_end(kind)
        if len(self._costs) > _REMEMBERED:
            self._costs.popitem(last=False)
        return costs


def _chosen(now: int, seconds: list[float]) -> int:
    """The number of the effort to go on with, of which each would take so many seconds."""
    last = len(seconds) - 1
    if seconds[now] > TARGET_SECONDS:
        return next((n for n in range(now, last) if seconds[n] <= TARGET_SECONDS), last)
    return next((n for n in range(now) if seconds[n] <= TARGET_SECONDS * HEADROOM), now)


def _work(request: PaintRequest, effort: Effort) -> float:
    """In steps of the full picture; reading and writing the pixels counts as one more."""
    run = max(1.0, (request.steps or 1) * request.strength * effort.steps)
    return float((run + 1) * effort.scale**_GROWTH)

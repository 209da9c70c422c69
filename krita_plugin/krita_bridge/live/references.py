"""The pictures of references while live painting is on: read once, those of layers again now and then.

Knows neither Krita nor Qt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, Generator, Sequence, Tuple

from ..link import Pixels
from ..wire import tiles

LAYER_SECONDS = 5.0
"""Krita tells of no change, and a reference may be as large as the canvas: its layer is looked at again after so long,"""

REST_PER_READ = 50.0
"""and after so many times as long as that took."""


@dataclass(frozen=True)
class ReferenceSource:
    """Where the picture of a reference comes from. `id`: the same for the same layer or file. `read` may raise
    CannotCapture."""

    id: str
    is_layer: bool
    read: Callable[[], Generator[float, None, Pixels]]


@dataclass(frozen=True)
class _Read:
    picture: Pixels
    digest: str
    due: float


class References:
    """What was read of the sources that are wanted now."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._read: Dict[str, _Read] = {}
        self._wanted: Tuple[str, ...] = ()

    def look(
        self, sources: Sequence[ReferenceSource], is_idle: Callable[[], bool]
    ) -> Generator[float, None, bool]:
        """Read what is not known or is due again; returns whether other pictures are wanted than before."""
        before = self.digests()
        for source in sources:
            known = self._read.get(source.id)
            is_due = known is not None and source.is_layer and known.due <= self._clock()
            if known is None or (is_due and is_idle()):
                self._read[source.id] = yield from self._fresh(source)
        self._wanted = tuple(source.id for source in sources)
        self._read = {name: self._read[name] for name in dict.fromkeys(self._wanted)}
        return self.digests() != before

    def digests(self) -> Tuple[str, ...]:
        """`tiles.picture_digest` of each."""
        return tuple(self._read[name].digest for name in self._wanted)

    def pictures(self) -> Tuple[Pixels, ...]:
        return tuple(self._read[name].picture for name in self._wanted)

    def _fresh(self, source: ReferenceSource) -> Generator[float, None, _Read]:
        began = self._clock()
        picture = yield from source.read()
        height, width = picture.shape[:2]
        digest = tiles.picture_digest(width, height, b"".join(picture.strips))
        now = self._clock()
        return _Read(picture, digest, now + max(LAYER_SECONDS, REST_PER_READ * (now - began)))

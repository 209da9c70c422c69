"""Finding what has changed on the canvas, a band at a time. Knows neither Krita nor Qt.

Whatever changes the pixels that the painter sees counts: strokes, undo, a layer shown or hidden. Krita's Python tells of none
of these, so the pixels are compared with those seen before: first bands of rows as a whole, which is one comparison of
memory and no hash that could miss something, then the tiles of the bands that differ. The cost follows the area
that is watched and not the canvas.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Callable, Dict, Generator, List, Mapping, Optional, Protocol, Sequence

from ..capture import Pixels, Plan
from ..wire import tiles
from ..wire.geometry import Bounds
from ..wire.messages import IMAGE, MASK


class Plane:
    """One kind of pixels of an area as it was seen last, and its tiles that changed since they were taken."""

    def __init__(self, area: Bounds, pixel_bytes: int) -> None:
        self._area = area
        self._pixel_bytes = pixel_bytes
        self._rows = range(area.y, area.bottom, tiles.TILE)
        self._bands: List[Optional[bytes]] = [None] * len(self._rows)
        self._changed: Dict[int, bytes] = {}
        self.hashes = tiles.TileHashes(area)

    def look(
        self, read: Callable[[Bounds], bytes], strip_bytes: Optional[int] = None
    ) -> Generator[float, None, bool]:
        """Read the area again, yielding after each band; returns whether anything differs from the look before.

        `strip_bytes`: how much may be read in one go; None: a band.
        """
        differs = False
        for number, top in enumerate(self._rows):
            height = min(tiles.TILE, self._area.bottom - top)
            band = Bounds(self._area.x, top, self._area.width, height)
            if strip_bytes is None:
                found = read(band)
            else:
                found = yield from _read_slowly(read, band, self._pixel_bytes, strip_bytes)
            whole = len(found) == self._area.width * height * self._pixel_bytes
            # Of a document that was closed meanwhile nothing comes.
            if whole and found != self._bands[number]:
                differs = self._compare(number, found) or differs
                self._bands[number] = found
            yield 0.0
        return differs

    def is_zero(self) -> bool:
        """Whether all bytes that were seen are zero."""
        return all(band is None or band.count(0) == len(band) for band in self._bands)

    def take(self) -> Dict[int, bytes]:
        """The tiles that changed since the last time, by their number in rising order."""
        changed, self._changed = self._changed, {}
        return dict(sorted(changed.items()))

    def _compare(self, band: int, found: bytes) -> bool:
        before, across = self._bands[band], tiles.columns(self._area)
        any_tile = False
        for number in range(band * across, (band + 1) * across):
            data = self._cut(number, found)
            if before is None or data != self._cut(number, before):
                self.hashes.set(number, data)
                self._changed[number] = data
                any_tile = True
        return any_tile

    def _cut(self, number: int, band: bytes) -> bytes:
        tile = tiles.tile(self._area, number).relative_to(self._area)
        stride, length = self._area.width * self._pixel_bytes, tile.width * self._pixel_bytes
        begin = tile.x * self._pixel_bytes
        return b"".join(band[at : at + length] for at in range(begin, stride * tile.height, stride))


def _read_slowly(
    read: Callable[[Bounds], bytes], band: Bounds, pixel_bytes: int, strip_bytes: int
) -> Generator[float, None, bytes]:
    rows = max(1, strip_bytes // (band.width * pixel_bytes))
    parts = []
    for top in range(band.y, band.bottom, rows):
        parts.append(read(Bounds(band.x, top, band.width, min(rows, band.bottom - top))))
        yield 0.0
    return b"".join(parts)


class Layer(Protocol):
    """The picture of a control: a layer of the document. `strip_bytes`: how much of it may be read in one go."""

    strip_bytes: int

    def read(self, area: Bounds) -> bytes:
        """BGRA uint8, straight alpha, sRGB, rows from the top. Raises CannotCapture once the layer is gone."""


class Watch:
    """What `plan` asks for of the canvas, and controls (`controls` names their tensors, in order), kept up to date."""

    def __init__(self, plan: Plan, controls: Sequence[str] = ()) -> None:
        self.plan = plan
        self.controls = {name: Plane(plan.bounds, 4) for name in controls}
        self.image = Plane(plan.bounds, 4) if plan.reads_image else None
        self.mask = Plane(plan.bounds, 1) if plan.reads_mask else None

    def look(
        self, pixels: Pixels, layers: Mapping[str, Layer] = MappingProxyType({})
    ) -> Generator[float, None, bool]:
        """Look once at all of it; returns whether anything has changed since the look before. `layers`: those of the
        controls, by their names."""
        differs = False
        if self.mask is not None:
            differs = yield from self.mask.look(pixels.read_mask)
        if self.image is not None:
            differs = (yield from self.image.look(pixels.read_image)) or differs
        for name, plane in self.controls.items():
            layer = layers[name]
            differs = (yield from plane.look(layer.read, layer.strip_bytes)) or differs
        return differs

    def take(self) -> Dict[str, Dict[int, bytes]]:
        """What has changed since the last time, by the name of its tensor."""
        planes = {IMAGE: self.image, MASK: self.mask, **self.controls}
        return {name: plane.take() for name, plane in planes.items() if plane is not None}

    def is_empty(self) -> bool:
        """Whether nothing at all is selected in what was seen."""
        return self.mask is not None and self.mask.is_zero()

    def digest(self) -> str:
        """The hash of all that was seen (`tiles.digest_of`)."""
        kept = (self.image, self.mask, *self.controls.values())
        planes = [plane for plane in kept if plane is not None]
        return tiles.digest_of(*(plane.hashes for plane in planes))

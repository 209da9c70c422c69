"""The bridge's copy of the area that a client paints in: only tiles that changed travel.

Each update names the revision that it changes and the hash of the area as it must be afterwards; a copy that
differs asks for all of it again. The hash is taken over the tiles as they arrive, so its cost follows what changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.wire import frames, messages, tiles
from krita_plugin.krita_bridge.wire.frames import Buffer, Frame, Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds
from krita_plugin.krita_bridge.wire.messages import (
    IMAGE,
    MASK,
    LiveUpdate,
    PaintRequest,
    Submit,
)

_PIXEL_BYTES = {IMAGE: 4, MASK: 1}


class Drift(Exception):
    """The copy is not what the client thinks it is: all of the area is needed."""


def tensor_shapes(update: LiveUpdate) -> dict[str, tuple[int, ...]]:
    """The tensors that must come with an update: N bytes each, none where no tile changed."""
    numbers = {IMAGE: update.image_tiles, MASK: update.mask_tiles}
    return {
        name: (sum(_pixels(update.bounds, n) for n in found) * _PIXEL_BYTES[name],)
        for name, found in numbers.items()
        if found
    }


def _pixels(area: Bounds, number: int) -> int:
    tile = tiles.tile(area, number)
    return tile.width * tile.height


class _Plane:
    """One kind of pixels of an area."""

    def __init__(self, area: Bounds, pixel_bytes: int) -> None:
        self._area = area
        self._pixel_bytes = pixel_bytes
        self.data = bytearray(area.width * area.height * pixel_bytes)
        self.hashes = tiles.TileHashes(area)

    def put(self, numbers: Sequence[int], data: Buffer) -> None:
        """Write tiles; `data` holds their bytes one after the other."""
        view, begin = memoryview(data).cast("B"), 0
        stride = self._area.width * self._pixel_bytes
        for number in numbers:
            tile = tiles.tile(self._area, number).relative_to(self._area)
            length = tile.width * self._pixel_bytes
            whole = bytes(view[begin : begin + length * tile.height])
            begin += len(whole)
            for row in range(tile.height):
                at = (tile.y + row) * stride + tile.x * self._pixel_bytes
                self.data[at : at + length] = whole[row * length : (row + 1) * length]
            self.hashes.set(number, whole)


class Mirror:
    """What one client has sent of its canvas, and the latest request for it."""

    def __init__(self) -> None:
        self._update: LiveUpdate | None = None
        self._planes: dict[str, _Plane] = {}

    @property
    def latest(self) -> LiveUpdate:
        """The update that the copy stands at. Only after one was taken."""
        assert self._update is not None
        return self._update

    def take(self, update: LiveUpdate, tensors: Mapping[str, Tensor]) -> None:
        """Take in an update whose tensors have `tensor_shapes`.

        Raises Drift when the copy it changes is not the one that is here, or does not come out as it says; and
        BridgeError when there is nothing at all to paint in.
        """
        if update.has_mask and not update.has_image:
            raise BridgeError(
                Code.BAD_MESSAGE,
                "A selection without its picture cannot be painted live.",
                "If you did not write this client yourself, please report it.",
            )
        if update.base == 0:
            self._begin(update)
        elif not self._continues(update):
            self._forget()
            raise Drift
        for name, numbers in ((IMAGE, update.image_tiles), (MASK, update.mask_tiles)):
            if numbers:
                self._planes[name].put(numbers, tensors[name].data)
        if tiles.digest_of(*(plane.hashes for plane in self._planes.values())) != update.digest:
            self._forget()
            raise Drift
        self._update = replace(update, image_tiles=(), mask_tiles=())

    def order(self, job: str, request: PaintRequest) -> Sequence[Buffer]:
        """`request` of the copy as it is now, as a job for the worker: the frame with its Submit and the pixels."""
        update, height, width = self.latest, self.latest.bounds.height, self.latest.bounds.width
        submit = Submit(job, request, update.canvas, update.bounds, previews=False)
        shapes = {IMAGE: (height, width, 4), MASK: (height, width)}
        # Copied: the next update may come while the worker's pipe still takes this one.
        tensors = {n: Tensor(shapes[n], bytes(plane.data)) for n, plane in self._planes.items()}
        return frames.encode(Frame(messages.dumps(submit), tensors))

    def _begin(self, update: LiveUpdate) -> None:
        wanted = {IMAGE: update.has_image, MASK: update.has_mask}
        self._planes = {
            name: _Plane(update.bounds, _PIXEL_BYTES[name]) for name, has in wanted.items() if has
        }

    def _continues(self, update: LiveUpdate) -> bool:
        before = self._update
        return before is not None and (
            (before.live, before.revision, before.canvas, before.bounds)
            == (update.live, update.base, update.canvas, update.bounds)
            and (before.has_image, before.has_mask) == (update.has_image, update.has_mask)
        )

    def _forget(self) -> None:
        self._update, self._planes = None, {}

"""The bridge's copy of the area that a client paints in: only tiles that changed travel.

Each update names the revision that it changes and the hash of the area as it must be afterwards; a copy that
differs asks for all of it again. The hash is taken over the tiles as they arrive, so its cost follows what changed.
Reference images, which are no part of the canvas, travel whole and once, and are known by their hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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
from krita_plugin.krita_bridge.wire.reference import reference_tensor


class Drift(Exception):
    """The copy is not what the client thinks it is: all of the area is needed."""


def tensor_shapes(update: LiveUpdate) -> dict[str, tuple[int, ...]]:
    """The tensors that must come with an update: N bytes each, none where no tile changed."""
    return {
        name: (sum(_pixels(update.bounds, n) for n in found) * _pixel_bytes(name),)
        for name, found in _changed(update)
        if found
    }


def _changed(update: LiveUpdate) -> Iterator[tuple[str, Sequence[int]]]:
    """The planes that the update's area has, in the order of its digest, and the tiles of each that changed."""
    if update.has_image:
        yield IMAGE, update.image_tiles
    if update.has_mask:
        yield MASK, update.mask_tiles
    yield from zip(update.control_planes, update.control_tiles, strict=True)


def _pixel_bytes(plane: str) -> int:
    return 1 if plane == MASK else 4


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
        self._references: dict[str, Tensor] = {}

    @property
    def latest(self) -> LiveUpdate:
        """The update that the copy stands at. Only after one was taken."""
        assert self._update is not None
        return self._update

    def take(self, update: LiveUpdate, tensors: Mapping[str, Tensor]) -> None:
        """Take in an update whose tensors have `tensor_shapes`; those of references, H x W x 4, may be among them.

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
        for name, numbers in _changed(update):
            if numbers:
                self._planes[name].put(numbers, tensors[name].data)
        is_same = tiles.digest_of(*(p.hashes for p in self._planes.values())) == update.digest
        if not (is_same and self._take_references(update, tensors)):
            self._forget()
            raise Drift
        self._update = update

    def order(self, job: str, request: PaintRequest) -> Sequence[Buffer]:
        """`request` of the copy as it is now, as a job for the worker: the frame with its Submit and the pixels."""
        update, height, width = self.latest, self.latest.bounds.height, self.latest.bounds.width
        submit = Submit(job, request, update.canvas, update.bounds, previews=False)
        shapes = {IMAGE: (height, width, 4), MASK: (height, width)}
        # Copied: the next update may come while the worker's pipe still takes this one.
        tensors = {
            name: Tensor(shapes.get(name, shapes[IMAGE]), bytes(plane.data))
            for name, plane in self._planes.items()
        }
        for index, digest in enumerate(update.reference_digests):
            tensors[reference_tensor(index)] = self._references[digest]
        return frames.encode(Frame(messages.dumps(submit), tensors))

    def _begin(self, update: LiveUpdate) -> None:
        self._planes = {
            name: _Plane(update.bounds, _pixel_bytes(name)) for name, _ in _changed(update)
        }
        self._references = {}

    def _take_references(self, update: LiveUpdate, tensors: Mapping[str, Tensor]) -> bool:
        """Keep the pictures that the update names, and no others; returns whether all of them are here."""
        for index in range(len(update.reference_digests)):
            tensor = tensors.get(reference_tensor(index))
            if tensor is not None:
                height, width = tensor.shape[:2]
                # Copied: it would keep all of the frame that it came in.
                copied = Tensor(tensor.shape, bytes(tensor.data))
                self._references[tiles.picture_digest(width, height, copied.data)] = copied
        named = dict.fromkeys(update.reference_digests)
        self._references = {d: self._references[d] for d in named if d in self._references}
        return len(self._references) == len(named)

    def _continues(self, update: LiveUpdate) -> bool:
        before = self._update
        return before is not None and (
            (before.live, before.revision, before.canvas, before.bounds)
            == (update.live, update.base, update.canvas, update.bounds)
            and list(self._planes) == [name for name, _ in _changed(update)]
        )

    def _forget(self) -> None:
        self._update, self._planes, self._references = None, {}, {}

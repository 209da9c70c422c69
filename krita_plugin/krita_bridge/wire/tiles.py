"""The tiles in which the pixels of a live area travel, and the hash that both ends hold their copies against.

Tiles of 64 x 64 px are counted row by row from the corner of the area; those at its right and lower edge may be smaller.
"""

from __future__ import annotations

from hashlib import blake2b

from .frames import Buffer
from .geometry import Bounds

TILE = 64
"""Side of a tile, px."""

_HASH_BYTES = 8
_DIGEST_BYTES = 16


def columns(area: Bounds) -> int:
    """How many tiles lie beside each other in `area`."""
    return -(-area.width // TILE)


def count(area: Bounds) -> int:
    """How many tiles `area` has."""
    return columns(area) * -(-area.height // TILE)


def tile(area: Bounds, number: int) -> Bounds:
    """Tile `number` of `area`, 0 to `count(area)` - 1, in the coordinates of `area`."""
    row, column = divmod(number, columns(area))
    x, y = area.x + column * TILE, area.y + row * TILE
    return Bounds(x, y, min(TILE, area.right - x), min(TILE, area.bottom - y))


class TileHashes:
    """A hash for each tile of an area, 64 bits; zero for a tile that was never set."""

    def __init__(self, area: Bounds) -> None:
        self._table = bytearray(count(area) * _HASH_BYTES)

    def set(self, number: int, data: bytes) -> None:
        """`data`: the tile's rows, one after the other."""
        start = number * _HASH_BYTES
        found = blake2b(data, digest_size=_HASH_BYTES).digest()
        self._table[start : start + _HASH_BYTES] = found

    def digest(self) -> bytes:
        """One hash over all tiles; its cost follows their number and not the pixels."""
        return blake2b(self._table, digest_size=_DIGEST_BYTES).digest()


def picture_digest(width: int, height: int, data: Buffer) -> str:
    """The hash of a picture that travels whole, over its size and its bytes; hexadecimal."""
    found = blake2b(f"{width}x{height}:".encode("ascii"), digest_size=_DIGEST_BYTES)
    found.update(data)
    return found.hexdigest()


def digest_of(*planes: TileHashes) -> str:
    """The hash of an area with several planes, in order; hexadecimal."""
    whole = b"".join(plane.digest() for plane in planes)
    return blake2b(whole, digest_size=_DIGEST_BYTES).hexdigest()

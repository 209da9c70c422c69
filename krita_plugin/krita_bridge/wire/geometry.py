"""Integer rectangles on the canvas, and how much of the canvas a selection needs as context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Extent:
    """Width and height in pixels."""

    width: int
    height: int

    def scaled(self, factor: float) -> Extent:
        """So many times as wide and high, rounded (half up), at least 1 px."""
        width, height = (int(side * factor + 0.5) for side in (self.width, self.height))
        return Extent(max(1, width), max(1, height))


@dataclass(frozen=True)
class Bounds:
    """A rectangle of document pixels: `x`, `y` of its top left corner, `width` and `height`."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column right of the rectangle."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row below the rectangle."""
        return self.y + self.height

    @property
    def extent(self) -> Extent:
        return Extent(self.width, self.height)

    @property
    def is_empty(self) -> bool:
        return self.width <= 0 or self.height <= 0

    def contains(self, other: Bounds) -> bool:
        """Whether every pixel of `other` lies inside."""
        return (
            self.x <= other.x
            and self.y <= other.y
            and other.right <= self.right
            and other.bottom <= self.bottom
        )

    def intersection(self, other: Bounds) -> Bounds:
        """The common part; empty (zero width or height) when there is none."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Bounds(x, y, max(0, right - x), max(0, bottom - y))

    def relative_to(self, origin: Bounds) -> Bounds:
        """The same rectangle counted from the corner of `origin`."""
        return Bounds(self.x - origin.x, self.y - origin.y, self.width, self.height)

    def scaled(self, before: Extent, after: Extent) -> Bounds:
        """The pixels that lie wholly inside this rectangle once its canvas is resampled from one size to another."""
        x, right = -(-self.x * after.width // before.width), self.right * after.width
        y, bottom = -(-self.y * after.height // before.height), self.bottom * after.height
        return Bounds(x, y, right // before.width - x, bottom // before.height - y)

    @staticmethod
    def of_canvas(canvas: Extent) -> Bounds:
        return Bounds(0, 0, canvas.width, canvas.height)


@dataclass(frozen=True)
class Margins:
    """How far a canvas grows on each side, px; never negative."""

    left: int
    top: int
    right: int
    bottom: int

    def around(self, canvas: Extent) -> Extent:
        """The size of the canvas once it has grown."""
        width = self.left + canvas.width + self.right
        return Extent(width, self.top + canvas.height + self.bottom)

    def kept(self, canvas: Extent) -> Bounds:
        """Where what was on `canvas` lies on the grown one."""
        return Bounds(self.left, self.top, canvas.width, canvas.height)

    def new(self, canvas: Extent) -> Bounds:
        """The tight box round all that is new; empty when nothing grows."""
        grown = self.around(canvas)
        x, width = _new_part(self.left, canvas.width, grown.width, self.top + self.bottom > 0)
        y, height = _new_part(self.top, canvas.height, grown.height, self.left + self.right > 0)
        return Bounds(x, y, width, height)


def _new_part(before: int, kept: int, whole: int, beside: bool) -> "tuple[int, int]":
    """Along one axis; `beside`: the canvas grows along the other axis too, which is new all along this one."""
    if beside or (before and before + kept < whole):
        return 0, whole
    return (0, before) if before else (kept, whole - kept)


def context_bounds(
    selection: Optional[Bounds], canvas: Extent, native: int, margin: float = 0.25
) -> Bounds:
    """The part of the canvas that a job captures and sends: the selection with its surroundings.

    A model sees only what it is sent, so the selection gets a `margin`, in longer sides of it, of
    at least 32 px, and the whole is at least `native` px (the model's native side) each
    way, as far as the canvas goes. Without a selection it is the whole canvas. Cost therefore
    follows the selection, never the canvas.
    """
    whole = Bounds.of_canvas(canvas)
    if selection is None:
        return whole
    selection = selection.intersection(whole)
    if selection.is_empty:
        return selection
    around = max(32, int(max(selection.width, selection.height) * margin))
    x, width = _widened(selection.x, selection.width, around, native, canvas.width)
    y, height = _widened(selection.y, selection.height, around, native, canvas.height)
    return Bounds(x, y, width, height)


def _widened(start: int, length: int, margin: int, least: int, limit: int) -> "tuple[int, int]":
    wanted = min(max(length + 2 * margin, least), limit)
    first = start - (wanted - length) // 2
    first = max(0, min(first, limit - wanted))
    return first, wanted

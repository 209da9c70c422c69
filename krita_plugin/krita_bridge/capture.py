"""Reading a part of the canvas in strips, between the painter's strokes. Knows neither Krita nor Qt.

A capture is a generator that `turns.py` runs a few milliseconds at a time: it yields how many seconds it
wants to wait before it goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Callable, Generator, List, Mapping, Optional, Protocol, Tuple

from . import parts
from .link import Pixels as Picture
from .strips import STRIP_BYTES, strips
from .wire import limits
from .wire.geometry import Bounds, Extent, Margins, context_bounds
from .wire.messages import MessageError, UpscalePart
from .wire.modes import MEANINGS, Mode, Prefill

POLL_SECONDS = 0.02
"""How often a capture looks whether the stroke that it waits for has ended."""

LEAST_SELECTED = 16
"""Fewer pixels than these, px, are a slip of the hand and no place for a picture."""


class Pixels(Protocol):
    """A document that can be read."""

    def is_idle(self) -> bool:
        """Whether no stroke is being painted and the projection is up to date."""

    def read_image(self, area: Bounds) -> bytes:
        """What the painter sees in `area`: BGRA uint8, straight alpha, sRGB, rows from the top."""

    def read_mask(self, area: Bounds) -> bytes:
        """The selection in `area`: one byte a pixel, 255 selected."""


@dataclass(frozen=True)
class Plan:
    """What to read: `bounds` of the canvas, with or without its image and the selection's mask.

    `kept`: all but this is selected, whatever the selection, as on a canvas that has grown round it. `parts`: what each
    job of an upscaling is sent of it, and makes of that; empty: one job for all of it.
    """

    canvas: Extent
    bounds: Bounds
    reads_image: bool
    reads_mask: bool
    kept: Optional[Bounds] = None
    parts: Tuple[Tuple[Bounds, UpscalePart], ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """What was read: the rows of `plan.bounds` in strips; None where the plan did not ask for it. `controls`: the same
    of layers, BGRA, by the number of their control. `references`: BGRA, of sizes of their own."""

    plan: Plan
    image: Optional[Tuple[bytes, ...]]
    mask: Optional[Tuple[bytes, ...]]
    controls: Mapping[int, Tuple[bytes, ...]] = field(default_factory=dict)
    references: Tuple[Picture, ...] = ()


class CannotCapture(Exception):
    """What the job needs is not there; the text is a sentence for the painter."""


def plan_capture(
    canvas: Extent, selection: Optional[Bounds], native: int, strength: float, mode: Mode
) -> Plan:
    """Decide what a job needs of the canvas.

    `selection` is the selection's bounding box, None when there is none, `native` the model's own side,
    px. A whole canvas of which nothing is kept is not read. Raises
    MessageError with a sentence for a selection that nothing can be painted into.
    """
    meaning = MEANINGS[mode]
    if selection is None:
        if meaning.needs_selection:
            raise MessageError(
                f"“{meaning.label}” needs a selection: select the part that is meant."
            )
        keeps = meaning.prefill is Prefill.KEEP and strength < 1.0
        return Plan(canvas, Bounds.of_canvas(canvas), reads_image=keeps, reads_mask=False)
    bounds = context_bounds(_inside(canvas, selection), canvas, native, meaning.margin)
    return Plan(canvas, bounds, reads_image=True, reads_mask=True)


def plan_upscale(canvas: Extent, selection: Optional[Bounds], factor: float, native: int) -> Plan:
    """What an upscaling needs: the box round the selection, or the whole canvas. Raises MessageError as `plan_capture`, and
    when the result would be too large for Krita."""
    area = Bounds.of_canvas(canvas) if selection is None else _inside(canvas, selection)
    plan = Plan(canvas, area, reads_image=True, reads_mask=selection is not None)
    larger = area.extent.scaled(factor)
    pixels = larger.width * larger.height
    if pixels > parts.MOST_PIXELS:
        raise MessageError(
            f"Upscaled, the area would be {larger.width} x {larger.height} px, which is too large: "
            "select a smaller part, upscale by less, or use the command “krita-bridge upscale”."
        )
    if pixels <= parts.ONE_JOB_PIXELS and max(larger.width, larger.height) <= limits.MAX_SIDE:
        return plan
    found = parts.parts_of(canvas, area, factor, native, parts.PART_SIDE)
    return replace(plan, parts=tuple(found))


def _inside(canvas: Extent, selection: Bounds) -> Bounds:
    """The part of the selection's box that lies on the canvas."""
    if selection.is_empty:
        raise MessageError(
            "The selection is empty: select an area, or deselect to paint the whole canvas."
        )
    inside = selection.intersection(Bounds.of_canvas(canvas))
    if inside.is_empty:
        raise MessageError("The selection lies outside the canvas: select an area on it.")
    if inside.width * inside.height < LEAST_SELECTED:
        raise MessageError(
            f"The selection is only {inside.width} x {inside.height} px: select a larger area."
        )
    return inside


def plan_growth(canvas: Extent, margins: Margins, native: int) -> Plan:
    """What a job needs to paint all that is new once `canvas` has grown. Raises MessageError when nothing grows."""
    new = margins.new(canvas)
    if new.is_empty:
        raise MessageError("Nothing grows: set how far the canvas shall grow on at least one side.")
    grown = margins.around(canvas)
    bounds = context_bounds(new, grown, native, MEANINGS[Mode.EXPAND].margin)
    return Plan(grown, bounds, reads_image=True, reads_mask=False, kept=margins.kept(canvas))


def capture(pixels: Pixels, plan: Plan) -> Generator[float, None, Snapshot]:
    """Read what `plan` asks for; returns the Snapshot.

    The picture is of one moment: a capture waits while a stroke is being painted, and starts again when one
    began before its last strip was read. Raises CannotCapture when the mask turns out to be empty.
    """
    mask = None
    if plan.reads_mask:
        mask = yield from read_strips(pixels.is_idle, pixels.read_mask, plan.bounds, 1)
        if all(part.count(0) == len(part) for part in mask):
            raise CannotCapture(
                "Nothing is selected on the canvas: select an area, or deselect to paint all of it."
            )
    elif plan.kept is not None:
        mask = tuple(_all_but(plan.kept, strip) for strip in strips(plan.bounds, 1))
    image = None
    if plan.reads_image:
        image = yield from read_strips(pixels.is_idle, pixels.read_image, plan.bounds, 4)
    return Snapshot(plan, image, mask)


def cut(snapshot: Snapshot, area: Bounds) -> Generator[float, None, Snapshot]:
    """What of a snapshot lies in `area`, a part of its plan's bounds."""
    bounds, image, mask, controls = snapshot.plan.bounds, None, None, {}
    if snapshot.image is not None:
        image = yield from _cut_plane(snapshot.image, bounds, area, 4)
    if snapshot.mask is not None:
        mask = yield from _cut_plane(snapshot.mask, bounds, area, 1)
    for number, plane in snapshot.controls.items():
        controls[number] = yield from _cut_plane(plane, bounds, area, 4)
    plan = replace(snapshot.plan, bounds=area)
    return Snapshot(plan, image, mask, controls, snapshot.references)


def _cut_plane(
    plane: Tuple[bytes, ...], bounds: Bounds, area: Bounds, pixel_bytes: int
) -> Generator[float, None, Tuple[bytes, ...]]:
    """The rows of `area` among those of `bounds`, which `plane` holds in strips of whole rows."""
    row, made, y = bounds.width * pixel_bytes, [], bounds.y
    left, right = ((x - bounds.x) * pixel_bytes for x in (area.x, area.right))
    for strip in plane:
        rows = len(strip) // row
        first, last = max(area.y - y, 0), min(area.bottom - y, rows)
        if first < last:
            cuts = (strip[n * row + left : n * row + right] for n in range(first, last))
            made.append(b"".join(cuts))
            yield 0.0
        y += rows
    return tuple(made)


def _all_but(kept: Bounds, area: Bounds) -> bytes:
    """A mask of `area`, rows from the top: 255 outside `kept`, 0 inside."""
    inside = kept.intersection(area)
    row, other = b"\xff" * area.width, b""
    if not inside.is_empty:
        after = area.right - inside.right
        other = b"\xff" * (inside.x - area.x) + bytes(inside.width) + b"\xff" * after
    above = inside.y - area.y if other else area.height
    return row * above + other * inside.height + row * (area.height - above - inside.height)


def read_strips(
    is_idle: Callable[[], bool],
    read: Callable[[Bounds], bytes],
    area: Bounds,
    pixel_bytes: int,
    strip_bytes: int = STRIP_BYTES,
) -> Generator[float, None, Tuple[bytes, ...]]:
    """The rows of `area` in strips, all of one moment: from the beginning again when a stroke began meanwhile."""
    while True:
        while not is_idle():
            yield POLL_SECONDS
        read_so_far: List[bytes] = []
        for strip in strips(area, pixel_bytes, strip_bytes):
            if read_so_far and not is_idle():
                break
            read_so_far.append(read(strip))
            yield 0.0
        else:
            return tuple(read_so_far)

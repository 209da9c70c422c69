"""Larger pictures: enlarged by a factor, then refined by the model in overlapping tiles at a low strength.

Each tile is a run of its own, of the size that the model was trained at, on the canvas's own grid and from the canvas's
own noise, so that neighbours begin from the same; what two of them change at a place is averaged with weights that
fade towards each tile's edge. Only changes are averaged: where nothing is selected the enlarged picture stays as it is.
Beside the picture and the result it takes the memory of one row of tiles.

What is too large for one job is made in parts. The tiles are laid out for the whole of it, and a part is made of all that
reach into it: a tile that reaches into two is run for both, and gives the same, so parts side by side show no seam.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from bridge.engine.color import on_paper
from bridge.engine.condition import Encoder
from bridge.engine.control import NO_GUIDES, Guides
from bridge.engine.lanczos import Box, enlarge, enlarge_mask
from bridge.engine.request import Settings
from bridge.engine.run import Run
from bridge.engine.schedule import steps_run
from bridge.engine.tiles import make_layout
from bridge.engine.types import ImageU8, IsCancelled, MaskU8, OnStep, Snapshot, StepReport
from bridge.errors import BridgeError, Code
from bridge.models.brake import stop_if
from bridge.models.loaded import LoadedModel, Resolution
from krita_plugin.krita_bridge.wire.geometry import Bounds

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PlacedTile:
    """A tile in px of the larger canvas; its weights are the products of those of its rows and columns, above 0."""

    bounds: Bounds
    rows: Floats
    columns: Floats

    @property
    def weights(self) -> Floats:
        """Height x width."""
        return self.rows[:, None] * self.columns

    def within(self, area: Bounds) -> PlacedTile:
        """What of it lies in `area`."""
        bounds = self.bounds.intersection(area)
        rows, columns = _at(bounds.relative_to(self.bounds))
        return PlacedTile(bounds, self.rows[rows], self.columns[columns])


def tiles_of(area: Bounds, resolution: Resolution) -> list[list[PlacedTile]]:
    """Rows of tiles that cover `area`, on the grid of the canvas that `area` is a part of; neighbours overlap by a
    quarter of the model's native side or more."""
    cell = resolution.multiple
    left, top = area.x // cell, area.y // cell
    rows, columns = -(-area.bottom // cell) - top, -(-area.right // cell) - left
    layout = make_layout(rows, columns, max(1, resolution.native // cell))
    placed = []
    for tile in layout.tiles:
        x, y = (left + tile.left) * cell, (top + tile.top) * cell
        whole = Bounds(x, y, tile.width * cell, tile.height * cell)
        down, across = (fade.numpy() for fade in layout.fades(tile, cell))
        placed.append(PlacedTile(whole, down, across).within(area))
    return [list(row) for _, row in groupby(placed, key=lambda tile: tile.bounds.y)]


def _reaching(target: Bounds, sent: Bounds, rows: list[list[PlacedTile]]) -> list[list[PlacedTile]]:
    """The tiles that reach into `target`, as far as they lie in `sent`."""
    touching = [[t for t in row if not t.bounds.intersection(target).is_empty] for row in rows]
    return [[tile.within(sent) for tile in row] for row in touching if row]


class Upscale:
    """Plans an upscaling when made; `paint` does it. Use it inside torch.inference_mode()."""

    def __init__(
        self,
        model: LoadedModel,
        encoder: Encoder,
        snapshot: Snapshot,
        selection: MaskU8 | None,
        settings: Settings,
        guides: Guides = NO_GUIDES,
    ) -> None:
        """`target` is where the result lies on `canvas`, the larger one; `working` is the size of a tile. A tile of a part
        that reaches past what was sent is cut off there.

        Raises BridgeError (BAD_INPUT) when there is no picture, or less than a pixel of it.
        """
        if snapshot.image is None:
            raise BridgeError(Code.BAD_INPUT, "There is no picture to upscale.", "Paint one first.")
        self.canvas = snapshot.canvas.scaled(settings.upscale)
        sent = whole = snapshot.bounds.scaled(snapshot.canvas, self.canvas)
        self.target = sent
        if settings.part is not None:
            whole = settings.part.whole.scaled(snapshot.canvas, self.canvas)
            self.target = settings.part.target
        if self.target.is_empty:
            raise BridgeError(
                Code.BAD_INPUT, "The area is too small to be upscaled.", "Select a larger part."
            )
        self._rows = _reaching(self.target, sent, tiles_of(whole, model.resolution))
        first, last = self._rows[0][0].bounds, self._rows[-1][-1].bounds
        self._view = Bounds(first.x, first.y, last.right - first.x, last.bottom - first.y)
        """All that the tiles cover: the target, and what of the part's neighbours they make on the way."""
        self.working = first.extent
        self._model, self._encoder, self._settings = model, encoder, settings
        self._image, self._snapshot, self._selection = snapshot.image, snapshot, selection
        self._guides = guides

    def paint(self, on_step: OnStep, is_cancelled: IsCancelled) -> ImageU8:
        """All of `target`, RGBA: refined where it is selected, enlarged alone elsewhere; its alpha is the enlarged
        picture's. A step is a tile. Raises BridgeError."""
        box = self._box(self._view)
        picture = enlarge(self._image, box, self._view.extent)
        wanted = picture[_at(self.target.relative_to(self._view))]
        if self._settings.run == 0:
            return wanted
        mask = self._selection
        if mask is not None:
            mask = enlarge_mask(mask, box, self._view.extent)
        for rows, changes in self._changes(picture, mask, on_step, is_cancelled):
            _add(picture[rows], changes)
        return wanted

    def _changes(
        self, picture: ImageU8, mask: MaskU8 | None, on_step: OnStep, is_cancelled: IsCancelled
    ) -> Iterator[tuple[slice, Floats]]:
        """Rows of the view and what changes there, from top to bottom; later tiles see none of it."""
        carried = np.zeros((0, self._view.width, 4), np.float32)
        done, tiles = 0, sum(map(len, self._rows))
        for number, row in enumerate(self._rows):
            place = row[0].bounds.relative_to(self._view)
            # Weighted changes in three channels, the sum of the weights in the fourth.
            band = np.zeros((place.height, self._view.width, 4), np.float32)
            band[: len(carried)] = carried
            for tile in row:
                at = tile.bounds.relative_to(self._view)
                change = self._refined(tile.bounds, picture, mask, is_cancelled)
                columns = band[:, at.x : at.right]
                columns[..., :3] += change * tile.weights[..., None]
                columns[..., 3] += tile.weights
                done += 1
                on_step(StepReport(done, tiles, partial(self._tile, picture, at, change)))
            last = number + 1 == len(self._rows)
            end = place.bottom if last else self._rows[number + 1][0].bounds.y - self._view.y
            ready, carried = band[: end - place.y], band[end - place.y :]
            yield slice(place.y, end), ready[..., :3] / ready[..., 3:]

    def _refined(
        self, bounds: Bounds, picture: ImageU8, mask: MaskU8 | None, is_cancelled: IsCancelled
    ) -> Floats:
        """What the model changes in a tile, in levels of colour over white: height x width x 3."""
        stop_if(is_cancelled)
        part = _at(bounds.relative_to(self._view))
        shown = on_paper(picture[part])
        change = np.zeros(shown.shape, np.float32)
        selected = None if mask is None else mask[part]
        settings = self._settings
        if not picture[part][..., 3].any() or (selected is not None and not selected.any()):
            return change
        if selected is not None:
            strongest = int(selected.max()) / 255
            settings = replace(
                settings, run=steps_run(settings.steps, settings.strength * strongest)
            )
        opaque = np.dstack([shown, np.full(shown.shape[:2], 255, np.uint8)])
        controls = {
            index: enlarge(control, self._box(bounds), bounds.extent)
            for index, control in self._snapshot.controls.items()
        }
        snapshot = Snapshot(self.canvas, bounds, opaque, selected, controls)
        run = Run(self._model, self._encoder, snapshot, selected, settings, guides=self._guides)
        layer = run.paint(lambda _: None, is_cancelled).astype(np.float32)
        at = _at(run.plan.target.relative_to(bounds))
        change[at] = (layer[..., :3] - shown[at]) * (layer[..., 3:] / 255)
        return change

    def _tile(self, picture: ImageU8, at: Bounds, change: Floats) -> tuple[ImageU8, Bounds]:
        """A tile as a preview."""
        shown = picture[_at(at)].copy()
        _add(shown, change)
        place = Bounds(self._view.x + at.x, self._view.y + at.y, at.width, at.height)
        return shown, place

    def _box(self, bounds: Bounds) -> Box:
        """A part of the larger canvas in px of the picture that came."""
        source, before = self._snapshot.bounds, self._snapshot.canvas
        left, right = (x * before.width / self.canvas.width for x in (bounds.x, bounds.right))
        top, bottom = (y * before.height / self.canvas.height for y in (bounds.y, bounds.bottom))
        return left - source.x, top - source.y, right - source.x, bottom - source.y


def _at(bounds: Bounds) -> tuple[slice, slice]:
    return slice(bounds.y, bounds.bottom), slice(bounds.x, bounds.right)


def _add(picture: ImageU8, change: Floats) -> None:
    """Add a change of the colours over white to the colours under `picture`'s own alpha, in place."""
    alpha = picture[..., 3:].astype(np.float32) / 255
    colours = picture[..., :3] + np.divide(change, alpha, where=alpha > 0, out=0 * change)
    picture[..., :3] = np.rint(np.clip(colours, 0, 255))

"""A job's layer: made at the first preview, updated in place, and at last the result.

Adding the layer is the one undo step that a job makes: Krita counts `addChildNode` and does not count
`setPixelData`, and redo brings back the pixels that the layer has by then. The functions are tasks of `turns.py`.
Nothing is written while a stroke is being painted, so none of this can interrupt the brush.
"""

from __future__ import annotations

import time
import zlib
from typing import Any, Generator, List, Optional, Tuple

from . import document as documents
from .closing import close_guard, in_dialog
from .document import CanvasDocument
from .guard import Decision, DocumentState, LayerFate, Placement, decide
from .hang import anchor, hang, top_of
from .provenance import Record, write
from .redraw import forget_redo, layer_was_added, nothing_to_redo, redraw
from .strips import strips
from .turns import Task
from .wire.frames import Buffer
from .wire.geometry import Bounds

IDLE_POLL_SECONDS = 0.05
REST_PER_REDRAW = 9.0


class JobLayer:
    """The layer of one press of Generate in the document it belongs to."""

    def __init__(
        self, document: CanvasDocument, name: str, left_over: Any = None, fresh: Any = None
    ) -> None:
        """A new layer called `name`, in no document yet; or `fresh`, one that is not just empty; or `left_over`, a preview
        layer of an earlier run."""
        self.document = document
        self._canvas = document.canvas()
        active = document.active_node()
        self._anchor_id = active.uniqueId().toString() if active is not None else ""
        self._node = left_over or fresh or document.new_layer(name)
        self._is_plain = fresh is None
        self._node.setLocked(True)
        self.id = self._node.uniqueId().toString()
        self._attached = left_over is not None
        self._written: Optional[Bounds] = None
        self._checksums: List[Tuple[Bounds, int]] = []
        self._next_preview = 0.0
        self._finished = False
        self._closed = False

    def another(self) -> JobLayer:
        """A fresh layer for the same place."""
        return JobLayer(self.document, self._node.name())

    # ---- what is so

    def fate(self) -> LayerFate:
        if not self._attached:
            return LayerFate.NOT_MADE
        here = self.document.is_open() and self.document.holds(self._node)
        return LayerFate.PRESENT if here else LayerFate.GONE

    def covers(self, area: Bounds) -> bool:
        """Whether an unfinished preview is in the way of reading `area`."""
        if self._finished or self._written is None or self.fate() is not LayerFate.PRESENT:
            return False
        return self._node.visible() and not self._written.intersection(area).is_empty

    def decide(self) -> Decision:
        is_open = self.document.is_open()
        return decide(
            DocumentState(
                is_open=is_open,
                same_canvas=is_open and self.document.canvas() == self._canvas,
                layer=self.fate(),
                anchor_usable=is_open and anchor(self.document, self._anchor_id) is not None,
            )
        )

    def is_untouched(self) -> bool:
        """Whether the layer still has exactly the pixels that were written: only then may they be replaced."""
        if self.fate() is not LayerFate.PRESENT or self._written is None or self._node.locked():
            return False
        bounds = self._node.bounds()
        found = Bounds(bounds.x(), bounds.y(), bounds.width(), bounds.height())
        if not self._written.contains(found):
            return False
        return all(
            zlib.crc32(bytes(self._node.pixelData(b.x, b.y, b.width, b.height))) == checksum
            for b, checksum in self._checksums
        )

    # ---- tasks

    def preview(self, bounds: Bounds, image: Buffer) -> Task:
        """Show the picture so far. Does nothing once the layer or its document is gone."""
        yield from self.until_idle()
        decision = self.decide()
        if decision.placement is Placement.KEEP_IN_HISTORY or not self.document.is_active():
            return
        if self._closed:
            return
        yield from self._attach(decision.placement)
        yield from self._write(bounds, image)
        yield from self.until_idle()
        if self.fate() is LayerFate.PRESENT and not self._closed:
            began = time.monotonic()
            yield from redraw(self.document, self._node)
            now = time.monotonic()
            self._next_preview = now + (now - began) * REST_PER_REDRAW

    def is_due(self) -> bool:
        """Whether another preview may be shown: drawing them takes a tenth of Krita's time at most."""
        return time.monotonic() >= self._next_preview

    def finish(
        self, bounds: Bounds, image: Buffer, name: str, record: Record
    ) -> Generator[float, None, Decision]:
        """Write the result and unlock the layer; returns what became of it. `record`: how it was made.

        A layer that the painter has taken away by undo gets its pixels all the same: redo then brings back the
        result and not a half-finished preview.
        """
        yield from self.until_idle()
        decision = self.decide()
        if not self.document.is_open():
            return decision
        if decision.placement is not Placement.KEEP_IN_HISTORY:
            yield from self._attach(decision.placement)
        elif self.fate() is LayerFate.PRESENT:
            yield from self.remove()
            return decision
        yield from self._write(bounds, image)
        yield from self.until_idle()
        self._node.setName(name)
        self._keep(record)
        yield from self._done()
        return decision

    def add(self, record: Optional[Record] = None) -> Generator[float, None, Decision]:
        """Put the layer into the document with the pixels that it has; returns what became of it."""
        yield from self.until_idle()
        decision = self.decide()
        if decision.placement is not Placement.KEEP_IN_HISTORY:
            yield from self._attach(decision.placement)
            yield from self.until_idle()
            self._keep(record)
            yield from self._done()
        return decision

    def swap(self, bounds: Bounds, image: Buffer, name: str, record: Record) -> Task:
        """Show another result of the same press instead."""
        yield from self._write(bounds, image)
        yield from self.until_idle()
        self._node.setName(name)
        self._keep(record)
        close_guard.layer_changed()
        if self.fate() is LayerFate.PRESENT:
            yield from redraw(self.document, self._node)

    def remove(self) -> Task:
        """Take the layer out of the document again, out of its undo history too where that can be done.

        Undoing is right only when adding the layer is still the painter's last step; when something else was undone
        instead, it is redone, and the layer is deleted as a step of its own.
        """
        yield from self.until_idle()
        if self.fate() is LayerFate.PRESENT:
            if self.document.is_active():
                nothing_else_to_redo = nothing_to_redo(self.document)
                documents.undo()
                yield IDLE_POLL_SECONDS
                yield from self.until_idle()
                if self.fate() is LayerFate.PRESENT:
                    documents.redo()
                    yield IDLE_POLL_SECONDS
                    yield from self.until_idle()
                elif nothing_else_to_redo and self.document.is_active():
                    forget_redo(self.document)
            if self.fate() is LayerFate.PRESENT:
                self._node.parentNode().removeChildNode(self._node)
        # What redo could still bring back, where it is not forgotten, is an empty layer like any other.
        yield from self._clear(self._written)
        self._node.setLocked(False)
        close_guard.layer_changed()
        self._finished = True

    # ---- steps

    def _keep(self, record: Optional[Record]) -> None:
        """Of the layer that hangs there: on a large canvas that is another than at first."""
        if record is not None and self.document.is_open():
            write(self.document, self._node.uniqueId().toString(), record)

    def _done(self) -> Task:
        if self.fate() is LayerFate.PRESENT:
            yield from redraw(self.document, self._node)
        self._node.setLocked(False)
        close_guard.layer_changed()
        self._finished = True

    def close(self) -> None:
        """No preview that is still on its way is shown any more."""
        self._closed = True

    def until_idle(self) -> Task:
        """Wait until no stroke is being painted and no dialog is open, such as the one before closing."""
        while self.document.is_open() and (in_dialog() or not self.document.is_idle()):
            yield IDLE_POLL_SECONDS

    def _attach(self, placement: Placement) -> Task:
        if placement is Placement.INTO_PREVIEW_LAYER:
            return
        above = anchor(self.document, self._anchor_id)
        if placement is Placement.NEW_LAYER_AT_ROOT or above is None:
            above = top_of(self.document)
        self._node = yield from hang(self.document, self._node, above, self._is_plain)
        self._attached = True
        close_guard.watch()
        close_guard.layer_changed()
        yield IDLE_POLL_SECONDS
        layer_was_added(self.document)

    def _write(self, bounds: Bounds, image: Buffer) -> Task:
        if self._written is not None and self._written != bounds:
            yield from self._clear(self._written)
        self._written = bounds
        self._checksums = []
        view = memoryview(image).cast("B")
        for strip in strips(bounds, 4):
            start = (strip.y - bounds.y) * bounds.width * 4
            data = bytes(view[start : start + strip.width * strip.height * 4])
            self._node.setPixelData(data, strip.x, strip.y, strip.width, strip.height)
            self._checksums.append((strip, zlib.crc32(data)))
            yield 0.0

    def _clear(self, area: Optional[Bounds]) -> Task:
        if area is None:
            return
        for strip in strips(area, 4):
            data = bytes(strip.width * strip.height * 4)
            self._node.setPixelData(data, strip.x, strip.y, strip.width, strip.height)
            yield 0.0

    # ---- while something else reads the canvas

    def hide(self, hidden: bool) -> None:
        self._node.setVisible(not hidden)
        close_guard.layer_changed()

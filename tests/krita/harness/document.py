"""One open document: gestures on its canvas, and its pixels as arrays."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from krita_plugin.krita_bridge.provenance import PREFIX

if TYPE_CHECKING:
    from .session import Krita

Position = tuple[float, float]
_TYPES = {"U8": np.uint8, "U16": np.uint16, "F16": np.float16, "F32": np.float32}


@dataclass(frozen=True)
class Layer:
    """A node of the layer tree, as it was when asked for."""

    name: str
    kind: str
    id: str
    visible: bool
    locked: bool
    opacity: int
    blending: str
    colour: str
    depth: str
    bounds: tuple[int, int, int, int]
    children: tuple[Layer, ...]

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> Layer:
        children = tuple(cls.from_facts(child) for child in facts["children"])
        return cls(**{**facts, "bounds": tuple(facts["bounds"]), "children": children})


class Document:
    """Positions are document pixels from the top left corner; (0, 0) is the corner itself."""

    def __init__(self, krita: Krita, key: int) -> None:
        self.krita = krita
        self.key = key
        self._zoom = 1.0

    def _call(self, name: str, *args: Any) -> Any:
        return self.krita.agent.call(name, self.key, *args)

    def facts(self) -> dict[str, Any]:
        return dict(self._call("describe"))

    # --- view --------------------------------------------------------------------------------

    def is_on_screen(self) -> bool:
        return bool(self._call("is_on_screen"))

    def activate(self) -> None:
        self._call("activate")
        self.krita.wait_until(self.is_on_screen)

    def fit(self) -> None:
        """Show the whole document: at 100 % or the next half, quarter ... that fits."""
        self._zoom = float(self._call("fit"))

    def to_screen(self, position: Position) -> tuple[int, int]:
        """The screen pixel that lies on a document position."""
        view = self.krita.agent.call("canvas_geometry")
        left, top, width, height = view["rect"]
        doc_width, doc_height = view["document"]
        x = left + width / 2 + (position[0] - doc_width / 2) * self._zoom
        y = top + height / 2 + (position[1] - doc_height / 2) * self._zoom
        return round(x), round(y)

    # --- gestures ----------------------------------------------------------------------------

    def drag(self, positions: Iterable[Position], pace: float = 0.008) -> None:
        """Pointer down at the first position, through the others, up at the last. Returns at once:
        what it does to the document arrives later."""
        self.krita.display.drag([self.to_screen(p) for p in positions], pace)

    def draw_stroke(self, positions: Sequence[Position], expect_change: bool = True) -> None:
        """A stroke of the freehand brush through the positions, on the active layer."""
        self.krita.agent.call("take_tool", "KritaShape/KisToolBrush")
        path = _dense(positions, 12.0)
        if expect_change:
            self._change("layer_fingerprint", lambda: self.drag(path))
        else:
            self.drag(path)
        self.settle()

    def select_rectangle(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Ctrl+R and a drag from corner to corner."""
        self.krita.wait_until(self._rectangle_tool_is_taken)
        self._select(lambda: self.drag(_dense([(x0, y0), (x1, y1)], 25.0)))

    def _rectangle_tool_is_taken(self) -> bool:
        """Ctrl+R, again and again: a Krita that still draws what came before does not hear it."""
        if not self.krita.evaluate("tool_is_ready('KisToolSelectRectangular')"):
            self.krita.focus()
            self.krita.press("ctrl+r")
            time.sleep(0.3)
        return bool(self.krita.evaluate("tool_is_ready('KisToolSelectRectangular')"))

    def select_lasso(self, positions: Sequence[Position]) -> None:
        """The freehand selection tool, round the positions and back to the first."""
        self.krita.agent.call("take_tool", "KisToolSelectOutline")
        self._select(lambda: self.drag(_dense([*positions, positions[0]], 8.0)))

    def select_exactly(self, x: int, y: int, width: int, height: int) -> None:
        """A selection no hand could make: without a gesture, and without an undo step."""
        self._call("select_exactly", x, y, width, height)

    def deselect(self) -> None:
        self._select(lambda: self.krita.shortcut("ctrl+shift+a", "deselect"))

    def invert_selection(self) -> None:
        self._select(lambda: self.krita.shortcut("ctrl+shift+i", "invert_selection"))

    def feather_selection(self, radius: int) -> None:
        """Select > Feather Selection, through its dialog."""

        def feather() -> None:
            self.krita.trigger("featherselection")
            self.krita.wait_until(self.krita.dialog)
            spin = self.krita.widgets("QSpinBox", within="")[0]
            self.krita.click_widget(spin)
            self.krita.press("ctrl+a")
            self.krita.type_text(str(radius))
            self.krita.press("Return")
            self.krita.wait_until(lambda: self.krita.dialog() is None)

        self._select(feather)

    def _select(self, gesture: Callable[[], None]) -> None:
        self._change("selection_fingerprint", gesture)

    def _change(self, fingerprint: str, gesture: Callable[[], None]) -> None:
        """The gesture must change what the fingerprint is of; waits until that is so and at rest."""
        seen = [self._call(fingerprint)]

        def has_changed_and_rests() -> bool:
            seen.append(self._call(fingerprint))
            return bool(seen[-1] != seen[0] and seen[-1] == seen[-2])

        gesture()
        self.krita.wait_until(has_changed_and_rests, every=0.1)

    def undo(self, times: int = 1) -> None:
        """Ctrl+Z. Fails where there is nothing to undo."""
        for _ in range(times):
            self.krita.shortcut("ctrl+z", "edit_undo")
            self.settle()

    def redo(self, times: int = 1) -> None:
        """Ctrl+Shift+Z. Fails where there is nothing to redo."""
        for _ in range(times):
            self.krita.shortcut("ctrl+shift+z", "edit_redo")
            self.settle()

    def next_undo(self) -> str | None:
        """What the Edit menu offers to undo ("Undo Freehand Brush Stroke"), None for nothing."""
        return self._named("edit_undo")

    def next_redo(self) -> str | None:
        """What the Edit menu offers to redo, None for nothing."""
        return self._named("edit_redo")

    def _named(self, action: str) -> str | None:
        """What the action will do; Krita may leave it enabled, as "Undo " without a name, where there is nothing."""
        text: str | None = self.krita.agent.call("action_text", action)
        return text if text and len(text.split()) > 1 else None

    def settle(self) -> None:
        """Wait until Krita has worked off the strokes it has in hand."""
        self._call("settle")

    # --- pixels ------------------------------------------------------------------------------

    def flattened(self, refresh: bool = False) -> np.ndarray:
        """The document's projection, H x W x C in its own depth, RGBA order.

        Not refreshed unless asked: a stale projection is what the painter would see, too.
        """
        facts = self.facts()
        return _pixels(self._call("projection_bytes", refresh), facts)

    def flattened_part(self, area: tuple[int, int, int, int]) -> np.ndarray:
        """`flattened` of x, y, width, height, for documents that are too large as a whole."""
        facts = {**self.facts(), "width": area[2], "height": area[3]}
        return _pixels(self._call("projection_part", list(area)), facts)

    def flattened_srgb(self) -> np.ndarray:
        """The document's projection as sRGB, H x W x 4 uint8, straight alpha."""
        facts = self.facts()
        data = np.frombuffer(self._call("projection_srgb"), np.uint8)
        return data.reshape(facts["height"], facts["width"], 4)[..., [2, 1, 0, 3]].copy()

    def layer_pixels(self, name: str, projected: bool = False) -> np.ndarray:
        """A layer's pixels over the document's area, H x W x C in the layer's own depth."""
        layer = self.layer(name)
        size = {key: self.facts()[key] for key in ("width", "height")}
        facts = {**size, "colour": layer.colour, "depth": layer.depth}
        return _pixels(self._call("layer_bytes", name, projected), facts)

    def set_layer_pixels(self, name: str, pixels: np.ndarray, x: int = 0, y: int = 0) -> None:
        """Write H x W x 4 uint8 RGBA into an 8-bit layer. Makes no undo step."""
        height, width = pixels.shape[:2]
        data = np.ascontiguousarray(pixels[..., [2, 1, 0, 3]]).tobytes()
        self._call("set_layer_bytes", name, data, [x, y, width, height])

    def selection(self) -> np.ndarray:
        """How much each pixel is selected, H x W uint8; all 0 without a selection."""
        facts = self.facts()
        data = np.frombuffer(self._call("selection_bytes"), np.uint8)
        return data.reshape(facts["height"], facts["width"]).copy()

    def selection_bounds(self) -> tuple[int, int, int, int] | None:
        """x, y, width and height of what is selected, or None without a selection."""
        bounds = self._call("selection_bounds")
        return None if bounds is None else tuple(bounds)

    # --- layers ------------------------------------------------------------------------------

    def nodes(self) -> list[Layer]:
        """The layer tree, bottom first."""
        return [Layer.from_facts(facts) for facts in self._call("nodes")]

    def layers(self) -> list[Layer]:
        """Every node of the tree in one list, parents before their children."""
        pending, found = self.nodes(), []
        while pending:
            found.append(pending.pop(0))
            pending = [*found[-1].children, *pending]
        return found

    def layer(self, name: str) -> Layer:
        return next(layer for layer in self.layers() if layer.name == name)

    def recorded(self) -> set[str]:
        """The ids of layers, here or gone, of which the document says how they were made."""
        names = self._call("annotations")
        return {"{" + name[len(PREFIX) :] + "}" for name in names if name.startswith(PREFIX)}

    def add_layer(self, name: str, kind: str = "paintlayer", parent: str | None = None) -> None:
        self._call("add_layer", name, kind, parent)

    def change_layer(self, name: str, /, **facts: Any) -> None:
        """Set name, opacity, visible, locked or blending."""
        self._call("change_layer", name, facts)

    def activate_layer(self, name: str) -> None:
        self._call("activate_layer", name)

    def save(self, path: Any) -> None:
        assert self._call("save_as", self.krita.install.inside(path))

    def close(self) -> None:
        """File > Close, throwing changes away."""
        self.settle()
        # Krita 5.1 and 5.2 crash (KisNodeModel::processUpdateQueue) when a document goes while the
        # layers docker still has a change of it queued; nothing says when that queue is empty.
        time.sleep(0.4)
        self._call("close_document")
        self.krita.wait_until(lambda: self.key not in self.krita.agent.call("open_documents"))


def _pixels(data: bytes, facts: dict[str, Any]) -> np.ndarray:
    kind = _TYPES[facts["depth"]]
    pixels = np.frombuffer(data, kind).reshape(facts["height"], facts["width"], -1)
    # Krita keeps integer RGB as BGRA and floating-point RGB as RGBA.
    if facts["colour"] == "RGBA" and kind in (np.uint8, np.uint16):
        pixels = pixels[..., [2, 1, 0, 3]]
    return pixels.copy()


def _dense(positions: Sequence[Position], step: float) -> list[Position]:
    """The same path with a point at least every `step` pixels, as a hand would make it."""
    path = [positions[0]]
    for (x0, y0), (x1, y1) in itertools.pairwise(positions):
        count = max(1, round(float(np.hypot(x1 - x0, y1 - y0)) / step))
        path += [(x0 + (x1 - x0) * i / count, y0 + (y1 - y0) * i / count) for i in range(1, count)]
        path.append((x1, y1))
    return path

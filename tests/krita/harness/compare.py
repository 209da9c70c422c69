"""What a finished picture may change in a document, and what it must not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .document import Document, Layer


@dataclass(frozen=True)
class Before:
    """A document as it was: its layers, and its flattened and its selected pixels."""

    document: Document
    pixels: np.ndarray
    selection: np.ndarray
    layers: list[Layer]

    @classmethod
    def of(cls, document: Document) -> Before:
        document.settle()
        return cls(document, document.flattened(), document.selection(), document.nodes())

    def assert_only_selected_pixels_changed(self) -> None:
        """Every byte where nothing is selected is as it was, and most of what is selected is new."""
        changed = self.pixels.view(np.uint8) != self.document.flattened().view(np.uint8)
        changed = changed.any(axis=-1)
        assert not changed[self.selection == 0].any(), "a pixel outside the selection changed"
        assert changed[self.selection == 255].mean() > 0.5, "most of the selection is as it was"

    def is_restored(self) -> bool:
        """Whether every byte and every layer is as it was."""
        return self.document.nodes() == self.layers and np.array_equal(
            self.document.flattened(), self.pixels
        )

    def assert_one_undo_restores_and_redo_repeats(self) -> None:
        after = self.document.flattened()
        self.document.undo()
        assert self.document.nodes() == self.layers
        assert np.array_equal(self.document.flattened(), self.pixels)
        self.document.redo()
        # Krita redraws another rectangle now, and flattens floating-point pixels 3e-8 apart by that (5.1.5).
        tolerance = 1e-6 if after.dtype.kind == "f" else 0
        assert np.allclose(self.document.flattened(), after, rtol=0, atol=tolerance)

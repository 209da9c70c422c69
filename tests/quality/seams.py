"""Ring shift: how much lighter or darker a picture gets just inside a selection's border, on the embedded model."""

from __future__ import annotations

import numpy as np

from bridge.commands.pictures import lay_over
from bridge.engine.pipeline import Engine
from bridge.engine.types import Job, Snapshot
from bridge.models.training.painter import paint
from bridge.presets import load_presets
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from krita_plugin.krita_bridge.wire.modes import MEANINGS, Mode

SIDE, RADIUS, RING = 160, 48, 8
"""A round selection in a painting, and the width of the rings on both sides of its border, px."""

HELD_OUT = 90_000_000
"""Paintings from this seed on are in no training."""


def ring_shifts(count: int) -> dict[str, float]:
    """The median over `count` paintings of |mean of the ring inside - mean of the ring outside|, both of what
    changed against the source, mean over the channels; levels. By mode, each at its own strength, with the
    painting's caption as prompt."""
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(x - SIDE / 2 + 0.5, y - SIDE / 2 + 0.5)
    mask = ((distance <= RADIUS) * 255).astype(np.uint8)
    inner = (distance <= RADIUS) & (distance > RADIUS - RING)
    outer = (distance > RADIUS) & (distance <= RADIUS + RING)
    engine = Engine(load_presets(), device="cpu")
    shifts: dict[str, list[float]] = {}
    for number in range(count):
        painting = paint(HELD_OUT + number, SIDE, SIDE)
        image = np.dstack([painting.image, np.full_like(mask, 255)])
        for mode in (Mode.REFINE, Mode.FILL):
            request = PaintRequest(
                painting.captions[0], seed=number, strength=MEANINGS[mode].strength, mode=mode
            )
            snapshot = Snapshot(Extent(SIDE, SIDE), Bounds(0, 0, SIDE, SIDE), image, mask)
            layer = engine.paint(
                Job(request, snapshot), on_step=lambda _: None, is_cancelled=lambda: False
            )
            after = image.copy()
            lay_over(layer.image, layer.bounds, after)
            change = after[..., :3].astype(float) - image[..., :3]
            shift = change[inner].mean(axis=0) - change[outer].mean(axis=0)
            shifts.setdefault(mode.value, []).append(float(np.abs(shift).mean()))
    return {mode: float(np.median(found)) for mode, found in shifts.items()}

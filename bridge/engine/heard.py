"""Of the steps that are run, those in which a control or a reference is heard."""

from __future__ import annotations

from krita_plugin.krita_bridge.wire.control import Control
from krita_plugin.krita_bridge.wire.reference import Reference


def is_heard(asked: Control | Reference) -> bool:
    """Whether it can change anything at all."""
    strength = asked.strength if isinstance(asked, Control) else asked.weight
    return strength > 0 and asked.end > asked.start


def is_on(asked: Control | Reference, index: int, steps: int) -> bool:
    """Whether it is heard at the step `index` of `steps`: all of that step must lie within its range, as diffusers'
    ControlNet pipelines have it."""
    return index / steps >= asked.start and (index + 1) / steps <= asked.end

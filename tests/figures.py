"""Figures that tests find on their way, for docs/quality.md: what pytest's `record_property` does, but also from within
helpers and hypothesis' examples."""

from __future__ import annotations

_found: list[tuple[str, float]] = []


def found(name: str, value: float) -> None:
    """Every value counts; `make quality` takes the worst."""
    _found.append((name, float(value)))


def taken() -> list[tuple[str, float]]:
    """What was found since the last time."""
    taken = _found.copy()
    _found.clear()
    return taken

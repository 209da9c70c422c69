"""A row of the goals table of a benchmark: what was measured, what was wanted, and whether that was reached."""

from __future__ import annotations


def row(what: str, measured: str, goal: str, reached: bool) -> dict[str, object]:
    """Print the row and return it for the JSON."""
    print(f"{what}: {measured}; goal {goal}: {'reached' if reached else 'NOT REACHED'}", flush=True)
    return {"what": what, "measured": measured, "goal": goal, "reached": reached}

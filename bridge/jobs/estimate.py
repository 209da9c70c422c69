"""Times measured on jobs: how long one still takes, and how often it may be told of."""

from __future__ import annotations

from collections import deque
from statistics import median

_WINDOW = 8

PROGRESS_SECONDS = 0.1
"""Least time between two Progress messages: each wakes three processes, which on a busy machine costs a job 3 ms."""

PREVIEW_SECONDS = 0.1
"""Least time between two previews."""

PREVIEW_SHARE = 0.07
"""Most of a job's time that previews may take."""


class StepClock:
    """Estimates the seconds left of one job.

    `tail_steps` is what comes after the last step (decoding, compositing) in units of one step,
    as measured on an earlier job of this worker.
    """

    def __init__(self, started: float, tail_steps: float) -> None:
        self._last = started
        self._tail_steps = tail_steps
        self._steps: deque[float] = deque(maxlen=_WINDOW)
        self._first = True

    def step_done(self, step: int, steps: int, now: float) -> float | None:
        """Seconds left once `step` of `steps` is done at the monotonic time `now`.

        The first interval also holds preparation (text encoding, encoding the image), so it
        counts only until there is a second one. The median forgives single slow steps.
        """
        if self._first and len(self._steps) == 1:
            self._steps.clear()
            self._first = False
        self._steps.append(now - self._last)
        self._last = now
        return median(self._steps) * (steps - step + self._tail_steps)

    def tail(self, finished: float) -> float:
        """The time after the last step in units of one step, to hand to the next job's clock."""
        if not self._steps:
            return self._tail_steps
        return (finished - self._last) / max(median(self._steps), 1e-6)


class PreviewPace:
    """How long to wait between previews so that they take PREVIEW_SHARE of the time at most.

    The cheapest of the last previews counts, per pixel: the first one of a process takes many times as long
    as those after it, and must not keep a short job from showing any more.
    """

    def __init__(self) -> None:
        self._costs: deque[float] = deque(maxlen=_WINDOW)

    def pause_after(self, pixels: int, seconds: float) -> float:
        """Seconds to wait after a preview of so many pixels that took so long."""
        first = not self._costs
        self._costs.append(seconds / pixels)
        if first:
            return PREVIEW_SECONDS
        return max(PREVIEW_SECONDS, min(self._costs) * pixels / PREVIEW_SHARE)

"""How long the UI thread was away: a timer that wants to fire every 5 ms and notes when it did not."""

from __future__ import annotations

import os
import time

from .qt import QtCore

INTERVAL_MS = 5
_SCHEDSTAT = "/proc/self/schedstat"
"""Of the main thread: ns on a processor, ns ready but without one, turns (Linux, Documentation/scheduler/sched-stats)."""


class Heartbeat:
    """Gaps between ticks in milliseconds; an undisturbed UI thread shows about INTERVAL_MS.

    `own`: less the time for which the thread was ready and other threads and programs had the processor. What is left
    is what the UI thread did or waited for: a busy machine lengthens it little.
    """

    def __init__(self) -> None:
        self._timer = QtCore.QTimer()
        self._timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._tick)
        self._gaps: list[float] = []
        self._last = 0.0
        self._schedstat: int | None = None

    def start(self, own: bool = False) -> None:
        self._gaps = []
        if own and os.path.exists(_SCHEDSTAT):  # noqa: PTH110  the agent stays plain
            self._schedstat = os.open(_SCHEDSTAT, os.O_RDONLY)
        self._last = self._now()
        self._timer.start()

    def stop(self) -> list[float]:
        # Whatever is away right now counts too.
        self._tick()
        self._timer.stop()
        if self._schedstat is not None:
            os.close(self._schedstat)
            self._schedstat = None
        return self._gaps

    def _now(self) -> float:
        """Seconds, of a clock that stands still while the thread waits for a processor if that is wanted."""
        now = time.perf_counter()
        if self._schedstat is not None:
            now -= int(os.pread(self._schedstat, 100, 0).split()[1]) / 1e9
        return now

    def _tick(self) -> None:
        now = self._now()
        self._gaps.append(max(0.0, now - self._last) * 1000.0)
        self._last = now

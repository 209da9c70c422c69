"""How long the UI thread was away: a timer that wants to fire every 5 ms and notes when it did not."""

from __future__ import annotations

import time

from .qt import QtCore

INTERVAL_MS = 5


class Heartbeat:
    """Gaps between ticks in milliseconds; an undisturbed UI thread shows about INTERVAL_MS."""

    def __init__(self) -> None:
        self._timer = QtCore.QTimer()
        self._timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._tick)
        self._gaps: list[float] = []
        self._last = 0.0

    def start(self) -> None:
        self._gaps = []
        self._last = time.perf_counter()
        self._timer.start()

    def stop(self) -> list[float]:
        # Whatever is away right now counts too.
        self._tick()
        self._timer.stop()
        return self._gaps

    def _tick(self) -> None:
        now = time.perf_counter()
        self._gaps.append((now - self._last) * 1000.0)
        self._last = now

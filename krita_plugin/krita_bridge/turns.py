"""Long work on the UI thread in small pieces: the brush never waits for more than one of them."""

from __future__ import annotations

import time
from collections import deque
from typing import Callable, Deque, Dict, Generator, Optional

from .qt import QtCore

Task = Generator[float, None, None]
"""Yields the seconds that it wants to wait before it goes on; 0 when it only offers a pause."""

TURN_SECONDS = 0.004
"""After this much work in one go Krita's event loop gets its turn."""

BREATH_MS = 1


class _Lane:
    def __init__(self) -> None:
        self.tasks: Deque[Task] = deque()
        self.due = 0.0


class Turns:
    """Runs tasks on the UI thread. Tasks of one lane run one after the other, lanes run side by side."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._lanes: Dict[str, _Lane] = {}
        self._in_turn = False
        self._timer = QtCore.QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._turn)

    def add(self, lane: str, task: Task) -> None:
        self._lanes.setdefault(lane, _Lane()).tasks.append(task)
        if not self._in_turn and not self._timer.isActive():
            self._timer.start(0)

    def stop(self) -> None:
        self._timer.stop()
        self._lanes.clear()

    def _turn(self) -> None:
        if self._in_turn:
            # Krita 6 runs events while it waits for a layer to be added.
            return
        self._in_turn = True
        try:
            self._run_until(time.monotonic() + TURN_SECONDS)
        finally:
            self._in_turn = False
        wait = self._until_due()
        if wait is not None:
            self._timer.start(max(BREATH_MS, int(wait * 1000)))

    def _run_until(self, deadline: float) -> None:
        while True:
            now = time.monotonic()
            ready = [(name, lane) for name, lane in self._lanes.items() if lane.due <= now]
            if not ready or now >= deadline:
                break
            for name, lane in ready:
                self._step(name, lane)

    def _step(self, name: str, lane: _Lane) -> None:
        try:
            lane.due = time.monotonic() + next(lane.tasks[0])
            return
        except StopIteration:
            pass
        except Exception as error:
            # One failing task must not take the others with it.
            self._failed(error)
        lane.tasks.popleft()
        lane.due = 0.0
        if not lane.tasks:
            del self._lanes[name]

    def _until_due(self) -> Optional[float]:
        if not self._lanes:
            return None
        return max(0.0, min(lane.due for lane in self._lanes.values()) - time.monotonic())

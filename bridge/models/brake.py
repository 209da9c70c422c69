"""Stopping a job in the middle of a network: a step or a decode may take seconds, and nobody waits for its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bridge.errors import BridgeError, Code


class Brake:
    """A hook to be called before each block of a network (`register_forward_pre_hook`); by itself it does nothing."""

    def __init__(self) -> None:
        self._is_cancelled: Callable[[], bool] | None = None

    @contextmanager
    def on(self, is_cancelled: Callable[[], bool]) -> Iterator[None]:
        """While it lasts, networks with the hook raise BridgeError (CANCELLED) once `is_cancelled()` is true."""
        self._is_cancelled = is_cancelled
        try:
            yield
        finally:
            self._is_cancelled = None

    def __call__(self, *_: object) -> None:
        if self._is_cancelled is not None:
            stop_if(self._is_cancelled)


def stop_if(is_cancelled: Callable[[], bool]) -> None:
    """Raise BridgeError (CANCELLED) if it is true."""
    if is_cancelled():
        raise BridgeError(Code.CANCELLED, "The job was cancelled.")

"""One error type for everything a painter may be told."""

from __future__ import annotations

from enum import Enum


class Code(Enum):
    """Machine-readable kinds of failure; they travel in `Ended` and `Fault`."""

    BAD_MESSAGE = "bad_message"
    BAD_INPUT = "bad_input"
    UNKNOWN_PRESET = "unknown_preset"
    UNKNOWN_SCHEDULER = "unknown_scheduler"
    MODEL_MISSING = "model_missing"
    MODEL_CORRUPT = "model_corrupt"
    MODEL_UNSAFE = "model_unsafe"
    OUT_OF_MEMORY = "out_of_memory"
    WORKER_DIED = "worker_died"
    CANCELLED = "cancelled"
    BUSY = "busy"
    DISK_FULL = "disk_full"
    NOT_RUNNING = "not_running"
    REFUSED = "refused"
    INTERNAL = "internal"


class BridgeError(Exception):
    """What happened (`message`) and what to do about it (`hint`), each one plain sentence.

    The log has the rest; neither sentence holds a traceback or a token.
    """

    def __init__(self, code: Code, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

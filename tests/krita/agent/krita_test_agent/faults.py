"""Records unhandled exceptions. Krita's own hook opens a dialog, which would hang a test."""

from __future__ import annotations

import sys
import threading
import traceback

seen: list[str] = []


def record() -> None:
    """Replace every hook an exception can end in. Called again once Krita is up."""
    sys.excepthook = _on_exception
    threading.excepthook = lambda args: _on_exception(
        args.exc_type, args.exc_value, args.exc_traceback
    )
    sys.unraisablehook = lambda args: _on_exception(
        args.exc_type, args.exc_value, args.exc_traceback
    )


def take() -> list[str]:
    """The tracebacks recorded since the last call."""
    taken = seen[:]
    del seen[: len(taken)]
    return taken


def _on_exception(kind, value, trace) -> None:
    text = "".join(traceback.format_exception(kind, value, trace))
    seen.append(text)
    print(text, file=sys.stderr, flush=True)

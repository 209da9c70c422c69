"""Krita Bridge inside Krita: `painting` and `capture` know what to do, `document` and `place` how Krita does it.

Importing this package does nothing outside Krita, so that the bridge, the command line and the tests can use its
modules that need no Qt.
"""

from __future__ import annotations


def _inside_krita() -> bool:
    try:
        from krita import Krita
    except ImportError:
        return False
    return Krita.instance() is not None


if _inside_krita():
    from .extension import register

    register()

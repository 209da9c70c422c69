"""Krita Bridge inside Krita: `painting` and `capture` know what to do, `document` and `place` how Krita does it.

Importing this package does nothing outside Krita, so that the bridge, the command line and the tests can use its
modules that need no Qt.

Where it begins: `extension` (docker and actions) makes the one `studio`, which brings the parts together; `ui` shows it.
What was asked for: `forms`, `notes`, `choice` and `glance` (the mode), `conditions` (controls, references), `sampling`.
Reading the canvas: `capture` in `strips`, a few milliseconds at a time (`turns`); `gather`, `layers` and `pictures` for
controls and references.
Jobs and results: `painting`, `history`, `words`; `easel` puts the pictures onto layers.
Writing: `guard` (may it be placed?), `hang` (where), `place`; `redraw`, `steady` and `closing` keep Krita on its feet;
`kra` and `kralayers` make layers that Krita's Python cannot; `larger` and `parts` are about upscaling.
How it was made: `recipe` (the text), `provenance` and `made` (in a document), `saving`, `pngtext` (in a PNG), `reuse` (back
into the docker).
The bridge: `client`, which owns `jobtable`, and has `finder` and `launcher` to get a `link`; below that `proven`, `flow` and
`_websockets`. `wire` is what both sides know of the protocol.
Live painting: `live`. Krita and Qt themselves: `document`, `settings`, `qt`, `text`. What they kept as JSON: `plain`.
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

"""Text for the painter goes through Krita's own translator when there is one."""

from __future__ import annotations

import builtins


def tr(text: str, *values: object) -> str:
    """`text` in the painter's language; `{0}`, `{1}` ... stand for `values`."""
    translate = getattr(builtins, "i18n", None)
    translated = str(translate(text)) if callable(translate) else text
    return translated.format(*values) if values else translated

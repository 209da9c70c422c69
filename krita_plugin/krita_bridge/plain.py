"""Plain values that were kept as JSON: in documents, in files and in Krita's settings. Anyone may have written them."""

from __future__ import annotations

import json
from typing import Any, Dict


def read_object(text: str) -> Dict[str, Any]:
    """The JSON object in `text`; empty where there is none."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}

"""A bridge home of the tests' own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(bridge_home: Path) -> Path:
    """The bridge's home, so that no test leaves hashes in the developer's."""
    return bridge_home

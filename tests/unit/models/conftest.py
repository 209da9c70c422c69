"""Tiny models, made once, and a bridge home of the tests' own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.tiny_models import make_tiny_sd15, make_tiny_sdxl


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bridge's home, so that no test leaves hashes in the developer's."""
    folder = tmp_path / "home"
    monkeypatch.setenv("KRITA_BRIDGE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SD 1.5 in diffusers layout; not to be changed."""
    return make_tiny_sd15(tmp_path_factory.mktemp("tiny") / "sd15")


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SDXL in diffusers layout; not to be changed."""
    return make_tiny_sdxl(tmp_path_factory.mktemp("tiny") / "sdxl")


@pytest.fixture
def own_sd15(sd15: Path, tmp_path: Path) -> Path:
    """A tiny SD 1.5 that a test may change."""
    return Path(shutil.copytree(sd15, tmp_path / "own"))

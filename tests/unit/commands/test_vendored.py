from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bridge.commands import vendored
from bridge.commands.vendored import websockets_files
from bridge.errors import BridgeError

_IMPORT = """
import sys
from vendor.websockets.sync.client import ClientConnection, connect
loaded = [name for name in sys.modules if name.startswith("vendor.websockets")]
print(" ".join(sorted(loaded)))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    try:
        return websockets_files(tmp_path_factory.mktemp("home"))
    except BridgeError as error:
        pytest.skip(f"needs the package registry: {error.message}")


def test_the_chosen_modules_are_all_that_the_client_needs(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    for name, data in files.items():
        path = tmp_path / "vendor" / "websockets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    # -I and -S: neither the environment's own websockets nor the current folder can help out.
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{_IMPORT}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True
    )
    loaded = {name.removeprefix("vendor.websockets").strip(".") for name in done.stdout.split()}
    chosen = {m.removesuffix("__init__").strip("/").replace("/", ".") for m in vendored.MODULES}
    # Python 3.11 has its own; Krita's Python may be older.
    assert loaded | {"asyncio.async_timeout"} == chosen


def test_the_licence_travels_along(files: dict[str, bytes]) -> None:
    assert b"Redistribution and use" in files["LICENSE"]


def test_a_wheel_of_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vendored, "_fetch", lambda: b"something else")
    with pytest.raises(BridgeError, match="not the expected one"):
        websockets_files(tmp_path)


def test_a_spoilt_cache_is_fetched_anew(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / vendored.WHEEL).write_bytes(b"spoilt")
    assert websockets_files(tmp_path) == files
    monkeypatch.setattr(vendored, "_fetch", lambda: pytest.fail("fetched a second time"))
    assert websockets_files(tmp_path) == files

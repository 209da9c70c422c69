from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bridge.commands.bundle import as_zip, own_files
from bridge.errors import BridgeError

FILES = {"krita_bridge.desktop": b"[Desktop Entry]", "krita_bridge/__init__.py": b"x = 1"}


def tree(root: Path) -> Path:
    for name, data in {
        **FILES,
        "krita_bridge/wire/frames.py": b"y = 2",
        "krita_bridge/__pycache__/a.pyc": b"-",
        "krita_bridge/vendor/websockets/__init__.py": b"-",
        "krita_bridge/launch.json": b"{}",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def test_the_plugins_own_files_are_sources_only(tmp_path: Path) -> None:
    found = own_files(tree(tmp_path))
    found.pop("krita_bridge/LICENSE")
    assert found == {**FILES, "krita_bridge/wire/frames.py": b"y = 2"}


def test_an_incomplete_installation_is_told(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="missing from this installation"):
        own_files(tmp_path)


def test_the_zip_is_the_same_whatever_the_order(tmp_path: Path) -> None:
    assert as_zip(FILES) == as_zip(dict(reversed(FILES.items())))


def test_the_zip_has_entries_for_folders_as_kritas_importer_needs() -> None:
    with zipfile.ZipFile(io.BytesIO(as_zip(FILES))) as archive:
        names = ["krita_bridge.desktop", "krita_bridge/", "krita_bridge/__init__.py"]
        assert archive.namelist() == names
        assert archive.getinfo("krita_bridge/").is_dir()
        assert archive.read("krita_bridge/__init__.py") == b"x = 1"
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


IMPORTER = Path("/usr/share/krita/pykrita/plugin_importer/plugin_importer.py")


@pytest.mark.skipif(not IMPORTER.is_file(), reason="needs Krita's own plugin importer")
def test_kritas_own_importer_takes_the_plugin_whole(tmp_path: Path) -> None:
    files = own_files()
    (tmp_path / "plugin.zip").write_bytes(as_zip(files))
    (tmp_path / "resources").mkdir()
    command = [sys.executable, str(IMPORTER), str(tmp_path / "plugin.zip")]
    subprocess.run([*command, str(tmp_path / "resources")], check=True, capture_output=True)
    pykrita = tmp_path / "resources" / "pykrita"
    imported = {path.relative_to(pykrita).as_posix() for path in pykrita.rglob("*.*")}
    assert imported >= {name for name in files if name.endswith((".py", ".desktop"))}
    assert (tmp_path / "resources" / "actions" / "krita_bridge.action").is_file()


def test_the_licence_travels_along() -> None:
    assert b"GNU GENERAL PUBLIC LICENSE" in own_files()["krita_bridge/LICENSE"]

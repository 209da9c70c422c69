from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from bridge.commands import install as command
from bridge.commands.install import install, uninstall
from bridge.commands.krita_places import KritaPlace

FILES = {
    "krita_bridge.desktop": b"[Desktop Entry]",
    "krita_bridge/__init__.py": b"x = 1",
    "krita_bridge/krita_bridge.action": b"<ActionCollection/>",
    "krita_bridge/vendor/websockets/LICENSE": b"BSD",
}


@pytest.fixture
def place(tmp_path: Path) -> KritaPlace:
    return KritaPlace("Krita", tmp_path / "krita", tmp_path / "config" / "kritarc")


def everything(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_install_puts_every_file_in_its_place(place: KritaPlace, tmp_path: Path) -> None:
    install(place, FILES, tmp_path / "home")
    pykrita = place.resources / "pykrita"
    assert (pykrita / "krita_bridge.desktop").read_bytes() == b"[Desktop Entry]"
    assert (pykrita / "krita_bridge/vendor/websockets/LICENSE").read_bytes() == b"BSD"
    action = place.resources / "actions/krita_bridge.action"
    assert action.read_bytes() == b"<ActionCollection/>"
    launch = json.loads((pykrita / "krita_bridge/launch.json").read_text())
    assert launch["command"][:4] == [sys.executable, "-m", "bridge.cli", "serve"]
    assert launch["home"] == str(tmp_path / "home")
    assert "enable_krita_bridge=true" in place.kritarc.read_text()


def test_installing_twice_changes_nothing(place: KritaPlace, tmp_path: Path) -> None:
    install(place, FILES, tmp_path)
    before = everything(tmp_path)
    install(place, FILES, tmp_path)
    assert everything(tmp_path) == before


def test_an_upgrade_leaves_nothing_of_the_old_version(place: KritaPlace, tmp_path: Path) -> None:
    install(place, {**FILES, "krita_bridge/old.py": b"-"}, tmp_path)
    install(place, FILES, tmp_path)
    assert not (place.resources / "pykrita/krita_bridge/old.py").exists()


def test_uninstall_takes_away_exactly_what_install_put_there(
    place: KritaPlace, tmp_path: Path
) -> None:
    other = place.resources / "pykrita" / "other_plugin" / "__init__.py"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"mine")
    place.kritarc.parent.mkdir()
    place.kritarc.write_bytes("[theme]\nTheme=Grün\n\n[python]\nenable_other=true\n".encode())
    before = everything(tmp_path)
    install(place, FILES, tmp_path)
    uninstall(place)
    assert everything(tmp_path) == before


def test_settings_that_are_no_utf8_survive(place: KritaPlace, tmp_path: Path) -> None:
    place.kritarc.parent.mkdir()
    place.kritarc.write_bytes(b"[x]\nname=\xff\xfe\n")
    place.kritarc.chmod(0o640)
    install(place, FILES, tmp_path)
    assert place.kritarc.read_bytes().startswith(b"[x]\nname=\xff\xfe\n\n[python]\n")
    assert place.kritarc.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_a_linked_checkout_is_unlinked_and_not_emptied(place: KritaPlace, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "precious.py").write_bytes(b"work")
    (place.resources / "pykrita").mkdir(parents=True)
    (place.resources / "pykrita/krita_bridge").symlink_to(checkout)
    install(place, FILES, tmp_path)
    assert (checkout / "precious.py").read_bytes() == b"work"
    assert (place.resources / "pykrita/krita_bridge/__init__.py").is_file()


def test_a_folder_that_cannot_be_written_gets_one_sentence(
    place: KritaPlace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from bridge.cli import main

    monkeypatch.setattr(command, "all_files", lambda home: FILES)
    (tmp_path / "krita").write_bytes(b"a file where the folder should be")
    code = main(["install", "--resources", str(place.resources), "--home", str(tmp_path / "home")])
    assert code == 2
    error = capsys.readouterr().err
    assert "cannot be changed" in error and "--resources" in error
    assert "Traceback" not in error

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.commands.krita_places import find_places, is_enabled, with_plugin

PLUGIN = "krita_bridge"


def test_linux_follows_the_xdg_variables(tmp_path: Path) -> None:
    environment = {"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "/config"}
    (place,) = find_places(platform="linux", environment=environment, user=tmp_path)
    assert place.resources == Path("/data/krita")
    assert place.kritarc == Path("/config/kritarc")


def test_linux_finds_a_flatpak_beside_the_usual_place(tmp_path: Path) -> None:
    sandbox = tmp_path / ".var/app/org.kde.krita"
    sandbox.mkdir(parents=True)
    usual, flatpak = find_places(platform="linux", environment={}, user=tmp_path)
    assert usual.resources == tmp_path / ".local/share/krita"
    assert usual.kritarc == tmp_path / ".config/kritarc"
    assert flatpak.resources == sandbox / "data/krita"
    assert flatpak.kritarc == sandbox / "config/kritarc"
    assert flatpak.is_flatpak and not usual.is_flatpak


def test_macos_and_windows_have_their_own_places(tmp_path: Path) -> None:
    (mac,) = find_places(platform="darwin", environment={}, user=tmp_path)
    assert mac.resources == tmp_path / "Library/Application Support/krita"
    assert mac.kritarc == tmp_path / "Library/Preferences/kritarc"
    environment = {"APPDATA": "/roaming", "LOCALAPPDATA": "/local"}
    (windows,) = find_places(platform="win32", environment=environment, user=tmp_path)
    assert windows.resources == Path("/roaming/krita")
    assert windows.kritarc == Path("/local/kritarc")


def test_a_given_folder_of_a_throwaway_profile_brings_its_settings_along(tmp_path: Path) -> None:
    (place,) = find_places(tmp_path / ".local/share/krita", platform="linux", user=Path("/other"))
    assert place.kritarc == tmp_path / ".config/kritarc"


def test_a_moved_resource_folder_is_followed(tmp_path: Path) -> None:
    moved = tmp_path / "my brushes"
    moved.mkdir()
    kritarc = tmp_path / ".config/kritarc"
    kritarc.parent.mkdir()
    kritarc.write_text(f"ResourceDirectory={moved}\n\n[python]\n", "utf-8")
    (place,) = find_places(platform="linux", environment={}, user=tmp_path)
    assert (place.resources, place.kritarc) == (moved, kritarc)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "[python]\nenable_krita_bridge=true\n"),
        ("[theme]\nTheme=Dark\n", "[theme]\nTheme=Dark\n\n[python]\nenable_krita_bridge=true\n"),
        (
            "a=1\n[python]\nenable_other=true\nenable_krita_bridge=false\n\n[python][x]\nb=2\n",
            "a=1\n[python]\nenable_krita_bridge=true\nenable_other=true\n\n[python][x]\nb=2\n",
        ),
        ("[python]\nenable_krita_bridge=true", "[python]\nenable_krita_bridge=true"),
    ],
)
def test_enabling_changes_one_line_only(before: str, after: str) -> None:
    assert with_plugin(before, PLUGIN, enabled=True) == after
    assert with_plugin(after, PLUGIN, enabled=True) == after
    assert is_enabled(after, PLUGIN)


def test_disabling_leaves_the_other_settings() -> None:
    before = "[python]\nenable_krita_bridge=true\nenable_other=true\n\n[theme]\nx=1\n"
    after = with_plugin(before, PLUGIN, enabled=False)
    assert after == "[python]\nenable_other=true\n\n[theme]\nx=1\n"
    assert not is_enabled(after, PLUGIN)
    assert with_plugin("[theme]\nx=1\n", PLUGIN, enabled=False) == "[theme]\nx=1\n"

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from krita_plugin.krita_bridge import launcher as module
from krita_plugin.krita_bridge.launcher import (
    LAUNCH_VARIABLE,
    Launcher,
    LaunchError,
    bridge_home,
    environment,
)
from krita_plugin.krita_bridge.wire.runfile import HOME_VARIABLE
from tests.bridge_process import PATIENCE, wait_for

SERVE = ["serve", "--idle-minutes", "15"]


@pytest.fixture(autouse=True)
def plugin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The launcher believes itself installed in a folder of its own, with nothing else around."""
    folder = tmp_path / "plugin"
    folder.mkdir()
    monkeypatch.setattr(module, "__file__", str(folder / "launcher.py"))
    monkeypatch.delenv(LAUNCH_VARIABLE, raising=False)
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return folder


def write_launch_file(folder: Path, **content: object) -> None:
    (folder / "launch.json").write_text(json.dumps(content))


def test_the_variable_comes_first(
    plugin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_launch_file(plugin_folder, command=["other"])
    monkeypatch.setenv(LAUNCH_VARIABLE, "'/opt/my bridge/run' --debug")
    assert Launcher(tmp_path).command() == ["/opt/my bridge/run", "--debug", *SERVE]


def test_a_command_that_says_serve_itself_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LAUNCH_VARIABLE, "krita-bridge serve --idle-minutes 2")
    assert Launcher(tmp_path).command() == ["krita-bridge", "serve", "--idle-minutes", "2"]


def test_then_the_installers_file_then_the_path(plugin_folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "krita-bridge"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert Launcher(tmp_path).command() == [str(program), *SERVE]
    write_launch_file(plugin_folder, command=["python", "-m", "bridge.cli"])
    assert Launcher(tmp_path).command() == ["python", "-m", "bridge.cli", *SERVE]


@pytest.mark.parametrize("content", ["", "[]", "nonsense", '{"command": "x"}', '{"command": [1]}'])
def test_with_nothing_to_start_one_sentence_says_so(
    content: str, plugin_folder: Path, tmp_path: Path
) -> None:
    (plugin_folder / "launch.json").write_text(content)
    with pytest.raises(LaunchError, match="krita-bridge install"):
        Launcher(tmp_path).command()


def test_a_program_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="could not be started"):
        Launcher(tmp_path, [str(tmp_path / "gone")]).start()


def test_what_a_failed_bridge_said_last_is_handed_on(tmp_path: Path) -> None:
    script = "import sys; print('first'); print('no room\\x1b[2J', file=sys.stderr); sys.exit(3)"
    launched = Launcher(tmp_path / "home", [sys.executable, "-c", script]).start()
    launched.process.wait(PATIENCE)
    assert launched.failure() == "The bridge ended at once: no room[2J"


def test_a_bridge_that_runs_has_not_failed_and_is_on_its_own(tmp_path: Path) -> None:
    home = tmp_path / "home"
    script = (
        "import os, pathlib, time; home = pathlib.Path(os.environ['KRITA_BRIDGE_HOME']); "
        "(home / 'session.part').write_text(f'{os.getsid(0)} {os.getcwd()}'); "
        "(home / 'session.part').rename(home / 'session'); time.sleep(3600)"
    )
    launched = Launcher(home, [sys.executable, "-c", script]).start()
    try:
        wait_for((home / "session").exists)
        assert launched.failure() is None
        session, folder = (home / "session").read_text().split(" ", 1)
        assert int(session) != os.getsid(0)
        assert folder == str(home)
    finally:
        launched.process.kill()
        launched.process.wait()


def test_a_bundles_own_variables_do_not_reach_the_bridge(tmp_path: Path) -> None:
    given = {
        "APPDIR": "/tmp/.mount_krita",
        "PYTHONHOME": "/tmp/.mount_krita/usr",
        "PYTHONPATH": "/tmp/.mount_krita/usr/lib",
        "LD_LIBRARY_PATH": "/tmp/.mount_krita/usr/lib:/opt/cuda/lib",
        "HOME": "/home/painter",
    }
    kept = environment(given, tmp_path)
    assert "PYTHONHOME" not in kept and "PYTHONPATH" not in kept
    assert kept["LD_LIBRARY_PATH"] == "/opt/cuda/lib"
    assert kept["HOME"] == "/home/painter"
    assert kept[HOME_VARIABLE] == str(tmp_path)


def test_libraries_of_an_unbundled_krita_are_left_alone(tmp_path: Path) -> None:
    given = {"LD_LIBRARY_PATH": "/opt/rocm/lib"}
    assert environment(given, tmp_path)["LD_LIBRARY_PATH"] == "/opt/rocm/lib"


def test_the_home_is_the_variables_else_the_installers_word(
    plugin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "sandbox"))
    if sys.platform.startswith("linux"):
        assert bridge_home() == tmp_path / "sandbox" / "krita-bridge"
    write_launch_file(plugin_folder, command=["x"], home=str(tmp_path / "outside"))
    assert bridge_home() == tmp_path / "outside"
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "mine"))
    assert bridge_home() == tmp_path / "mine"

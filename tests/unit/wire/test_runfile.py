"""A run file is trusted only when it is ours alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from krita_plugin.krita_bridge.wire import runfile

GOOD = {"port": 1234, "pid": 1, "token": "t", "version": "0"}


def write(folder: Path, content: object, mode: int = 0o600) -> Path:
    path = runfile.run_file_path(folder)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def test_it_is_read_as_written(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert runfile.read_run_file(tmp_path) == runfile.RunFile(1234, 1, "t", "0")


def test_none_when_there_is_none(tmp_path: Path) -> None:
    assert runfile.read_run_file(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        {},
        {**GOOD, "port": "1"},
        {**GOOD, "port": 0},
        {**GOOD, "port": True},
        {**GOOD, "port": 70000},
        {**GOOD, "token": None},
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: object) -> None:
    write(tmp_path, content)
    with pytest.raises(runfile.RunFileError):
        runfile.read_run_file(tmp_path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_loose_modes_are_refused(tmp_path: Path, mode: int) -> None:
    write(tmp_path, GOOD, mode)
    with pytest.raises(runfile.RunFileError, match="read by others"):
        runfile.read_run_file(tmp_path)


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    real = write(tmp_path, GOOD)
    real.rename(tmp_path / "elsewhere")
    real.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(runfile.RunFileError):
        runfile.read_run_file(tmp_path)


def test_the_home_folder_can_be_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(runfile.HOME_VARIABLE, str(tmp_path))
    assert runfile.home() == tmp_path

"""One bridge to a home, and a run file that cannot be planted, read or mistaken."""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path

import pytest

from bridge.errors import BridgeError, Code
from bridge.server import runfile
from krita_plugin.krita_bridge.wire import proof
from krita_plugin.krita_bridge.wire.runfile import RunFile, read_run_file, run_file_path

RUN = RunFile(4242, os.getpid(), proof.new_token(), "0")


def test_it_is_private_from_the_first_moment(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        runfile.write(tmp_path, RUN)
    finally:
        os.umask(before)
    assert run_file_path(tmp_path).stat().st_mode & 0o777 == 0o600
    assert read_run_file(tmp_path) == RUN
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_planted_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    run_file_path(tmp_path).symlink_to(target)
    runfile.write(tmp_path, RUN)
    assert target.read_text() == "mine"
    assert not run_file_path(tmp_path).is_symlink() and read_run_file(tmp_path) == RUN


def test_only_ones_own_run_file_is_removed(tmp_path: Path) -> None:
    runfile.write(tmp_path, RUN)
    runfile.remove(tmp_path, RunFile(RUN.port, RUN.pid, "another token", RUN.version))
    assert read_run_file(tmp_path) == RUN
    runfile.remove(tmp_path, RUN)
    assert not run_file_path(tmp_path).exists()
    runfile.remove(tmp_path, RUN)


@pytest.mark.parametrize("left_over", ["run file", "nonsense", "loose modes"])
def test_what_a_killed_bridge_left_behind_is_no_obstacle(tmp_path: Path, left_over: str) -> None:
    runfile.write(tmp_path, RunFile(_unused_port(), 999_999, "t", "0"))
    if left_over == "nonsense":
        run_file_path(tmp_path).write_text("{")
    elif left_over == "loose modes":
        run_file_path(tmp_path).chmod(0o644)
    runfile.claim(tmp_path).release()


def test_two_claims_of_one_folder_do_not_both_succeed(tmp_path: Path) -> None:
    lock = runfile.claim(tmp_path)
    with pytest.raises(BridgeError) as told:
        runfile.claim(tmp_path)
    assert told.value.code is Code.BUSY and str(tmp_path) in told.value.message
    lock.release()
    runfile.claim(tmp_path).release()


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 101 x\r\n\r\n", "playback"])
def test_another_program_on_the_port_is_not_taken_for_a_bridge(reply: bytes | str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        found = RunFile(squatter.getsockname()[1], 1, proof.new_token(), "0")

        def squat() -> None:
            connection, _ = squatter.accept()
            with connection:
                request = connection.recv(4096)
                answer = reply
                if isinstance(answer, str):  # the client's own proof, sent back
                    line = next(x for x in request.split(b"\r\n") if b"Proof" in x)
                    answer = b"HTTP/1.1 101 x\r\n" + line + b"\r\n\r\n"
                connection.sendall(answer)

        thread = threading.Thread(target=squat)
        thread.start()
        assert runfile.answers(found) is False
        thread.join()


def test_a_folder_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BridgeError, match="cannot be used"):
        runfile.make_folder(tmp_path / "file" / "home")


def test_a_planted_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "bridge.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BridgeError, match="cannot be used"):
        runfile.claim(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_run_file_that_cannot_be_written_is_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BridgeError, match="No space left") as told:
        runfile.write(tmp_path, RUN)
    assert told.value.code is Code.DISK_FULL


def _unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])

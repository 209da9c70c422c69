"""Keeping results: on disk if at all possible, never silently lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.jobs.queue import JobKey
from bridge.server import store as module
from bridge.server.store import Store
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.frames import Frame, Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import Result, ResultFacts

FACTS = ResultFacts("", "", "p", 1, 1.0, 2, 2, 1.0, "s", "m", "", 8, 8, 0.1, "0")


def result(job: str, side: int = 8) -> bytes:
    message = Result(job, Bounds(0, 0, side, side), Extent(side, side), FACTS, "")
    image = Tensor((side, side, 4), bytes(range(256)) * (side * side * 4 // 256))
    return frames.join(Frame(messages.dumps(message), {"image": image}))


def opened(folder: Path, **quotas: int) -> Store:
    store = Store(folder, **quotas)
    store.open()
    return store


KEY = JobKey("anna", "job-1")


def test_a_result_survives_until_it_is_acknowledged(tmp_path: Path) -> None:
    assert opened(tmp_path).save(KEY, result("job-1")) is None
    reopened = opened(tmp_path)
    assert reopened.jobs_of("anna") == ("job-1",)
    assert reopened.load(KEY) == result("job-1")
    reopened.forget(KEY)
    assert KEY not in reopened
    assert opened(tmp_path).jobs_of("anna") == ()
    assert list(tmp_path.rglob("*.frame")) == []


def test_the_file_is_the_exact_frame_and_private(tmp_path: Path) -> None:
    opened(tmp_path / "results").save(KEY, result("job-1"))
    (path,) = tmp_path.rglob("*.frame")
    assert path.read_bytes() == result("job-1")
    for private in (path, path.parent, tmp_path / "results"):
        assert private.stat().st_mode & 0o077 == 0


def test_the_same_job_id_of_two_clients_is_two_results(tmp_path: Path) -> None:
    store, other = opened(tmp_path), JobKey("bert", "job-1")
    store.save(KEY, result("job-1"))
    assert other not in store and store.load(other) is None
    store.save(other, result("job-1", 16))
    store.forget(KEY)
    assert store.load(other) == result("job-1", 16)


@pytest.mark.parametrize("pair", [("job", "JOB"), ("CON", "con"), ("a-", "a")])
def test_names_that_some_disks_take_for_the_same_or_for_devices_differ(
    tmp_path: Path, pair: tuple[str, str]
) -> None:
    store = opened(tmp_path)
    for name in pair:
        store.save(JobKey("c", name), result(name))
    stems = [path.stem.lower() for path in tmp_path.rglob("*.frame")]
    assert len(set(stems)) == 2 and not {"con", "nul"} & set(stems)
    assert sorted(opened(tmp_path).jobs_of("c")) == sorted(pair)


@settings(deadline=None)
@given(cut=st.integers(0, len(result("job-1")) - 1))
def test_a_damaged_file_is_set_aside_at_the_start_and_the_rest_stays(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("store")
    store = opened(folder)
    store.save(KEY, result("job-1"))
    store.save(JobKey("anna", "job-2"), result("job-2"))
    (damaged,) = folder.rglob("job-1-*.frame")
    damaged.write_bytes(result("job-1")[:cut])
    assert opened(folder).jobs_of("anna") == ("job-2",)
    assert len(list(folder.rglob("*.damaged"))) == 1


def test_a_file_damaged_later_is_no_result_but_no_crash(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.save(KEY, result("job-1"))
    (path,) = tmp_path.rglob("*.frame")
    path.write_bytes(b"nonsense")
    assert store.load(KEY) is None
    assert KEY not in store
    assert len(list(tmp_path.rglob("*.damaged"))) == 1


def test_the_result_saved_last_is_at_hand_until_it_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = opened(tmp_path), JobKey("anna", "job-2")
    store.save(KEY, result("job-1"))
    assert store.at_hand(KEY) == result("job-1")
    store.save(other, result("job-2"))
    assert store.at_hand(KEY) is None and store.load(KEY) == result("job-1")
    store.forget(other)
    assert store.at_hand(other) is None
    monkeypatch.setattr(module, "RECENT_BYTES", len(result("job-1")) - 1)
    store.save(KEY, result("job-1"))
    assert store.at_hand(KEY) is None, "large results wait on disk alone"


def test_files_that_are_not_ours_are_never_taken_for_results(tmp_path: Path) -> None:
    (tmp_path / "anna-00000000").mkdir()
    (tmp_path / "anna-00000000" / "job-1-00000000.frame").write_bytes(result("job-1"))
    (tmp_path / "stray").write_text("x")
    assert opened(tmp_path).jobs_of("anna") == ()


def test_what_was_half_written_when_the_bridge_was_killed_is_removed(tmp_path: Path) -> None:
    opened(tmp_path).save(KEY, result("job-1"))
    (path,) = tmp_path.rglob("*.frame")
    path.with_suffix(".partial").write_bytes(b"half")
    assert opened(tmp_path).jobs_of("anna") == ("job-1",)
    assert list(tmp_path.rglob("*.partial")) == []


def test_over_quota_a_result_is_delivered_from_memory_and_said_so(tmp_path: Path) -> None:
    store = opened(tmp_path, quota=len(result("job-1")) + 10)
    other = JobKey("bert", "job-2")
    assert store.save(KEY, result("job-1")) is None
    told = store.save(other, result("job-2"))
    assert told is not None and "full" in told.sentence and str(tmp_path) in told.hint
    assert store.load(KEY) == result("job-1"), "an unacknowledged result makes room for nobody"
    assert store.load(other) == result("job-2")
    assert store.jobs_of("bert") == ("job-2",) and store.holds_in_memory
    store.forget(KEY)
    store.save_again()
    assert not store.holds_in_memory
    assert opened(tmp_path).load(other) == result("job-2")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = opened(tmp_path, memory_quota=len(result("job-1")))
    with monkeypatch.context() as patch:
        patch.setattr(module.os if call == "fsync" else Path, call, full)
        told = store.save(KEY, result("job-1"))
        assert told is not None and "No space left" in told.sentence
        assert store.memory_full
        assert store.load(KEY) == result("job-1")
        store.save_again()
        assert store.holds_in_memory
    assert list(tmp_path.rglob("*.frame")) == [] and list(tmp_path.rglob("*.partial")) == []
    store.save_again()
    assert not store.memory_full
    assert opened(tmp_path).load(KEY) == result("job-1")


def test_a_result_acknowledged_while_in_memory_is_gone(tmp_path: Path) -> None:
    store = opened(tmp_path, quota=0)
    store.save(KEY, result("job-1"))
    store.forget(KEY)
    assert KEY not in store and not store.holds_in_memory

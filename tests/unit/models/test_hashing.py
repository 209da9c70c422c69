"""The model's hash: that of the file, kept for large files until they change."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from bridge.models import hashing
from bridge.models.hashing import HashCache, folder_sha256


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HashCache:
    """A cache for which every file is large."""
    monkeypatch.setattr(hashing, "_LARGE", 1)
    return HashCache(tmp_path / "home")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(b"weights")
    return path


def reads(cache: HashCache, path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether asking for the hash reads the file."""
    seen = []
    real = hashing._hash
    monkeypatch.setattr(hashing, "_hash", lambda *a: seen.append(1) or real(*a))
    cache.sha256(path, lambda _count: None)
    return bool(seen)


def test_a_file_is_named_by_its_sha256(cache: HashCache, file: Path) -> None:
    counted: list[int] = []
    assert cache.sha256(file, counted.append) == hashlib.sha256(b"weights").hexdigest()
    assert sum(counted) == 7


def test_a_large_file_is_read_once(
    cache: HashCache, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reads(cache, file, monkeypatch)
    assert not reads(cache, file, monkeypatch)
    assert not reads(HashCache(cache.folder), file, monkeypatch)
    counted: list[int] = []
    assert cache.sha256(file, counted.append) == hashlib.sha256(b"weights").hexdigest()
    assert sum(counted) == 7


def test_a_changed_file_is_read_again(
    cache: HashCache, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.sha256(file, lambda _count: None)
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(1, 1))
    assert reads(cache, file, monkeypatch)
    assert cache.sha256(file, lambda _count: None) == hashlib.sha256(b"WEIGHTS").hexdigest()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b"\xff", b"[" * 5000])
def test_a_broken_cache_costs_only_time(cache: HashCache, file: Path, content: bytes) -> None:
    cache.folder.mkdir()
    (cache.folder / "model-hashes.json").write_bytes(content)
    for _ in range(2):
        assert cache.sha256(file, lambda _count: None) == hashlib.sha256(b"weights").hexdigest()


def test_a_home_that_cannot_be_written_costs_only_time(file: Path, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_bytes(b"a file where a folder should be")
    cache = HashCache(tmp_path / "occupied")
    assert cache.sha256(file, lambda _count: None) == hashlib.sha256(b"weights").hexdigest()


def test_a_folders_hash_does_not_depend_on_order_or_place(cache: HashCache, tmp_path: Path) -> None:
    hashes = set()
    for root in (tmp_path / "a", tmp_path / "b"):
        (root / "unet").mkdir(parents=True)
        files = [root / "unet" / "w", root / "v"]
        for path in files:
            path.write_bytes(path.name.encode())
        hashes |= {folder_sha256(root, f, cache, lambda _n: None) for f in (files, files[::-1])}
    assert len(hashes) == 1


def test_a_folders_hash_depends_on_which_file_is_which(cache: HashCache, tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"2")):
        (tmp_path / name).write_bytes(content)
    files = [tmp_path / "a", tmp_path / "b"]
    first = folder_sha256(tmp_path, files, cache, lambda _count: None)
    (tmp_path / "a").rename(tmp_path / "c")
    (tmp_path / "b").rename(tmp_path / "a")
    (tmp_path / "c").rename(tmp_path / "b")
    assert folder_sha256(tmp_path, files, cache, lambda _count: None) != first

"""Live pictures become files, and the files a layer; what is on the disk stays there whatever happens."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
import zipfile
from pathlib import Path

import pytest

from krita_plugin.krita_bridge.live import recorder as recorders
from krita_plugin.krita_bridge.live.recorder import MOST_WAITING, Recorder, left_over
from krita_plugin.krita_bridge.wire.frames import Buffer
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent

CANVAS, AREA = Extent(16, 8), Bounds(3, 2, 4, 4)
PATIENCE = 90.0


class Files:
    """Pictures as text. `full_after`: so many find room on the disk. `gate`: nothing is written before it opens."""

    def __init__(self, full_after: int = 1000) -> None:
        self._left = full_after
        self.gate = threading.Event()
        self.gate.set()

    def save(self, path: Path, bounds: Bounds, image: Buffer) -> None:
        assert self.gate.wait(PATIENCE)
        if not self._left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        self._left -= 1
        place = [bounds.x, bounds.y, bounds.width, bounds.height]
        path.write_text(json.dumps([place, bytes(image).hex()]))

    def load(self, path: Path) -> tuple[Bounds, bytes]:
        place, pixels = json.loads(path.read_text())
        return Bounds(*place), bytes.fromhex(pixels)


def picture(number: int, area: Bounds = AREA) -> bytes:
    return bytes([number]) * (area.width * area.height * 4)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_pictures_become_the_frames_of_a_layer_in_their_order(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "home", CANVAS, Files())
    for number in range(5):
        recorder.add(AREA, picture(number))
    recorder.finish("Live")
    recorder.wait(PATIENCE)
    assert recorder.is_over and not recorder.failure and recorder.frames == 5
    assert recorder.layer is not None
    with zipfile.ZipFile(recorder.layer) as kra:
        names = ["layer", *(f"layer.f{number}" for number in range(1, 5))]
        frames = [kra.read(f"picture/layers/{name}") for name in names]
    # After the header and the mark for raw pixels, the first row of the first tile.
    rows = [frame.split(b"LZF,16385\n", 1)[1][1:17] for frame in frames]
    assert rows == [picture(number)[:16] for number in range(5)]
    recorder.discard()
    assert not recorder.folder.exists()


def test_nobody_else_may_look_into_the_folder(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "home", CANVAS, Files())
    assert stat.S_IMODE(recorder.folder.stat().st_mode) == 0o700
    recorder.finish(None)
    recorder.wait(PATIENCE)


def test_what_was_recorded_when_krita_closes_stays_and_is_found(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, CANVAS, Files())
    recorder.add(AREA, picture(1))
    recorder.add(AREA, picture(2))
    recorder.finish(None)
    recorder.wait(PATIENCE)
    assert recorder.layer is None
    assert files_in(recorder.folder) == ["0001.png", "0002.png"]
    assert list(left_over(tmp_path)) == [recorder.folder]


def test_a_recording_without_pictures_makes_no_layer_and_leaves_nothing_to_find(
    tmp_path: Path,
) -> None:
    recorder = Recorder(tmp_path, CANVAS, Files())
    recorder.finish("Live")
    recorder.wait(PATIENCE)
    assert recorder.layer is None and not recorder.failure
    assert list(left_over(tmp_path)) == []


def test_a_full_disk_ends_the_recording_and_costs_no_frame_that_was_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, CANVAS, Files(full_after=2))
    for number in range(3):
        recorder.add(AREA, picture(number))
    recorder.wait(PATIENCE)  # the thread ends by itself
    assert recorder.is_over and recorder.failure == os.strerror(errno.ENOSPC)
    assert recorder.layer is None
    recorder.add(AREA, picture(3))
    assert recorder.frames == 3
    assert files_in(recorder.folder) == ["0001.png", "0002.png"]


def test_where_the_disk_is_slow_pictures_are_left_out_and_memory_is_bounded(tmp_path: Path) -> None:
    files = Files()
    files.gate.clear()
    recorder = Recorder(tmp_path, CANVAS, files)
    for _ in range(5 * MOST_WAITING):
        recorder.add(AREA, picture(0))
    taken = recorder.frames
    assert MOST_WAITING <= taken <= MOST_WAITING + 1  # one may be on its way
    files.gate.set()
    recorder.finish(None)
    recorder.wait(PATIENCE)
    assert len(files_in(recorder.folder)) == taken


def test_a_recording_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorders, "MOST_PIXELS", 3 * AREA.width * AREA.height)
    recorder = Recorder(tmp_path, CANVAS, Files())
    for number in range(3):
        assert not recorder.is_full
        recorder.add(AREA, picture(number))
    assert recorder.is_full
    recorder.add(AREA, picture(3))
    assert recorder.frames == 3
    recorder.finish(None)
    recorder.wait(PATIENCE)

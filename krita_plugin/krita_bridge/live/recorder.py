"""Writes live pictures to files on a thread of its own, and makes one animated layer of them at the end.

Knows neither Krita nor Qt. The files are what is left when Krita goes in the middle of it: nothing is only in memory for
longer than a picture takes to be written.
"""

from __future__ import annotations

import queue
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Optional, Protocol, Tuple

from .. import kra
from ..wire.frames import Buffer
from ..wire.geometry import Bounds, Extent

MOST_PIXELS = 256 * 1024 * 1024
"""In all frames of a recording, 1 GiB: Krita keeps an animated layer in memory. 1024 frames of 512 x 512 px."""

MOST_WAITING = 8
"""Pictures that wait to be written; where the disk is slower than the model, others are left out."""

_SUFFIX = ".png"
_LAYER = "recording.kra"


class PictureFiles(Protocol):
    """How a picture becomes a file. Both methods are called on the recorder's thread and raise OSError."""

    def save(self, path: Path, bounds: Bounds, image: Buffer) -> None:
        """`image`: BGRA uint8, straight alpha, of the size of `bounds`; the file tells where they lie."""

    def load(self, path: Path) -> Tuple[Bounds, bytes]: ...


@dataclass(frozen=True)
class _Finish:
    """What comes after the last picture: the layer's name, None when no layer is wanted."""

    name: Optional[str]


class Recorder:
    """One recording, of a canvas of the size of `canvas`, into a folder of its own below `home`. It begins at once.

    Raises OSError when the folder cannot be made.
    """

    def __init__(self, home: Path, canvas: Extent, files: PictureFiles) -> None:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        began = time.strftime("%Y-%m-%d %H.%M.%S ")
        self.folder = Path(tempfile.mkdtemp(prefix=began, dir=home))  # nobody else may look into it
        self.canvas = canvas
        self.frames = 0
        """Pictures that were taken so far."""
        self.layer: Optional[Path] = None
        """The file with the animated layer, once `is_over`; None when nothing was recorded or something failed."""
        self.failure = ""
        """Why nothing more can be written, in the system's words."""
        self._files = files
        self._pixels = 0
        self._work: "queue.Queue[object]" = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="krita-bridge-recorder", daemon=True)
        self._thread.start()

    @property
    def is_full(self) -> bool:
        return self._pixels >= MOST_PIXELS

    @property
    def is_over(self) -> bool:
        """Whether everything is written; only after `finish`."""
        return not self._thread.is_alive()

    def add(self, bounds: Bounds, image: Buffer) -> None:
        """Take a picture, which must not change any more. Never waits."""
        if self._work.qsize() < MOST_WAITING and not self.failure and not self.is_full:
            self.frames += 1
            self._pixels += bounds.width * bounds.height
            self._work.put((bounds, image))

    def finish(self, name: Optional[str]) -> None:
        """No more pictures: write what waits, then a layer called `name` unless that is None. Returns at once."""
        self._work.put(_Finish(name))

    def wait(self, seconds: float) -> None:
        """Until everything is written, but not for ever."""
        self._thread.join(seconds)

    def discard(self) -> None:
        """The frames are elsewhere now; their files may go."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- on the recorder's thread

    def _run(self) -> None:
        try:
            name, written = self._write_all()
            if name is not None and written:
                path = self.folder / _LAYER
                kra.write_animated(path, name, self.canvas, map(self._files.load, written))
                self.layer = path
        except Exception as error:
            # Whatever it is, the frames that were written are still there.
            self.failure = getattr(error, "strerror", None) or str(error)

    def _write_all(self) -> Tuple[Optional[str], List[Path]]:
        written: List[Path] = []
        while True:
            work = self._work.get()
            if isinstance(work, _Finish):
                return work.name, written
            path = self.folder / f"{len(written) + 1:04}{_SUFFIX}"
            self._files.save(path, *work)  # type: ignore[misc]
            written.append(path)


def left_over(home: Path) -> Iterator[Path]:
    """Folders below `home` with frames that are in no document: Krita went while they were recorded."""
    for folder in sorted(home.glob("*")):
        if any(folder.glob("*" + _SUFFIX)):
            yield folder

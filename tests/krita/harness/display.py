"""A screen of its own for each Krita, and the hands: pointer and keys through xdotool."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

WIDTH, HEIGHT = 1600, 1000
Point = tuple[int, int]


class Display:
    """An Xvfb on a free display number. Use as a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.name = ""

    def __enter__(self) -> Display:
        ours, theirs = os.pipe()
        screen = f"-screen 0 {WIDTH}x{HEIGHT}x24"
        # Else the server begins anew when its last client goes, and a Krita started just then finds none.
        options = f"-displayfd {theirs} {screen} -nolisten tcp -noreset"
        self._process = subprocess.Popen(
            ["Xvfb", *options.split()],
            pass_fds=[theirs],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        with os.fdopen(ours) as reader:
            number = reader.readline().strip()
        if not number:
            raise RuntimeError("Xvfb did not start")
        self.name = f":{number}"
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=90)

    def xdotool(self, *words: object) -> str:
        """One xdotool call; its commands chain, which keeps the moves of a drag in step."""
        answer = subprocess.run(
            ["xdotool", *map(str, words)],
            env={**os.environ, "DISPLAY": self.name},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return answer.stdout

    def keys(self, *combinations: str) -> None:
        """Press keys in turn, in X's words: `ctrl+z`, `shift+Return`, `Escape`."""
        for combination in combinations:
            self.xdotool("key", "--clearmodifiers", combination)

    def type_text(self, text: str) -> None:
        self.xdotool("type", "--delay", "8", "--", text)

    def move(self, at: Point) -> None:
        self.xdotool("mousemove", *at)

    def click(self, at: Point, button: int = 1) -> None:
        self.xdotool("mousemove", *at, "sleep", "0.1", "click", button)

    def drag(self, points: Iterable[Point], pace: float = 0.008) -> None:
        """Press at the first point, pass through the others, let go at the last one.

        Krita samples the pointer when it is free to: without the rest before letting go, the last
        moves are lost and the selection comes out short.
        """
        first, *rest = points
        words: list[object] = ["mousemove", *first, "sleep", "0.1", "mousedown", 1, "sleep", "0.05"]
        for point in rest:
            words += ["mousemove", *point, "sleep", pace]
        last = rest[-1] if rest else first
        words += ["sleep", "0.4", "mousemove", *last, "sleep", "0.2", "mouseup", 1]
        self.xdotool(*words)

    def screenshot(self, path: Path, rect: tuple[int, int, int, int] | None = None) -> None:
        """A PNG of the screen, or of x, y, width, height of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        crop = [] if rect is None else ["-crop", "{2}x{3}+{0}+{1}".format(*rect), "+repage"]
        subprocess.run(
            ["import", "-display", self.name, "-window", "root", *crop, str(path)],
            check=True,
            timeout=60,
        )

"""`krita-bridge paint` as a process, over the real serve process with a fake engine."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from PIL import Image

from krita_plugin.krita_bridge.launcher import LAUNCH_VARIABLE
from krita_plugin.krita_bridge.wire.runfile import read_run_file
from tests.bridge_process import PATIENCE, ROOT, wait_for

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home without a bridge; one that was started there is ended."""
    folder = tmp_path / "home"
    yield folder
    found = read_run_file(folder)
    if found is not None:
        os.kill(found.pid, signal.SIGTERM)


@pytest.fixture
def start(home: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts `krita-bridge paint`, or what is asked for, with these arguments; what still runs after the test is killed."""
    started: list[subprocess.Popen[str]] = []
    script = (
        f"import sys; sys.argv = ['', {str(home)!r}, '--idle-minutes', '5']; "
        f"sys.path.insert(0, {str(ROOT)!r}); from tests.fake_bridge import main; sys.exit(main())"
    )
    launch = shlex.join([sys.executable, "-c", script, "serve"])

    def run(*arguments: str, what: str = "paint") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bridge.cli", what, "--home", str(home), *arguments]
        painting = subprocess.Popen(
            [*command, "--out", str(tmp_path / "out.png")],
            cwd=ROOT,
            env={**os.environ, LAUNCH_VARIABLE: launch},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(painting)
        return painting

    yield run
    for painting in started:
        painting.kill()
        painting.communicate()


def read_until(printed: IO[str], text: str) -> str:
    """What is printed up to and with `text`."""
    seen = ""
    while text not in seen:
        seen += printed.read(1) or pytest.fail(f"it ended with {seen!r}")
    return seen


def test_it_starts_a_bridge_and_leaves_it_running(start: Start, home: Path, tmp_path: Path) -> None:
    first = start("--prompt", "steps=3")
    out, error = first.communicate(timeout=PATIENCE)
    assert first.returncode == 0, error
    assert out.splitlines() == [str(tmp_path / "out.png")]
    assert (tmp_path / "out.png").is_file()
    bridge = read_run_file(home)
    assert bridge is not None
    assert start("--prompt", "steps=3").wait(PATIENCE) == 0
    assert read_run_file(home) == bridge
    # Nothing is left behind: the results were acknowledged.
    wait_for(lambda: not list((home / "results").rglob("*.frame")))


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
def test_an_interrupt_cancels_the_job(start: Start, home: Path, tmp_path: Path) -> None:
    painting = start("--prompt", f"steps=100 hold={home / 'never'}", "--json")
    assert painting.stderr is not None
    seen = read_until(painting.stderr, "/100")
    painting.send_signal(signal.SIGINT)
    out, error = painting.communicate(timeout=PATIENCE)
    assert painting.returncode == 130
    assert error.endswith("Cancelled.\n") and "Traceback" not in seen + error
    assert out == ""
    assert not (tmp_path / "out.png").exists()
    # The bridge is free again at once: a short job comes through.
    assert start("--prompt", "steps=1").wait(PATIENCE) == 0


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
def test_an_interrupted_upscale_leaves_nothing_behind(
    start: Start, home: Path, tmp_path: Path
) -> None:
    image = tmp_path / "in" / "a.png"
    image.parent.mkdir()
    Image.new("RGB", (40, 30)).save(image)
    asked = ("--image", str(image), "--factor", "1.5", "--prompt")
    larger = start(*asked, f"steps=9 hold={home / 'never'}", what="upscale")
    assert larger.stderr is not None
    seen = read_until(larger.stderr, "/9")
    larger.send_signal(signal.SIGINT)
    _, error = larger.communicate(timeout=PATIENCE)
    assert larger.returncode == 130
    assert error.endswith("Cancelled.\n") and "Traceback" not in seen + error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "in"]
    assert start(*asked, "steps=1", what="upscale").wait(PATIENCE) == 0
    assert Image.open(tmp_path / "out.png").size == (60, 45)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_bridge_killed_on_the_way_costs_nothing(start: Start, home: Path) -> None:
    go = home.parent / "go"
    painting = start("--prompt", f"steps=30 hold={go}")
    assert painting.stderr is not None
    read_until(painting.stderr, "/30")
    bridge = read_run_file(home)
    assert bridge is not None
    os.kill(bridge.pid, signal.SIGKILL)
    go.touch()
    _, error = painting.communicate(timeout=PATIENCE)
    assert painting.returncode == 0, error
    assert "Starting the bridge..." in error

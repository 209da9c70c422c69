"""One running Krita: starting, quitting, the painter's gestures and what can be seen from outside."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import home as homes
from .agent_client import AgentClient
from .display import HEIGHT, WIDTH, Display, Point
from .document import Document
from .home import Home
from .install import KritaInstall

START_LIMIT = 600.0  # seconds; a first start on a very busy machine takes minutes
QUIT_LIMIT = 60.0
WAIT_LIMIT = 90.0


class HarnessError(AssertionError):
    """Krita did not do in time what the harness waited for."""


class Krita:
    """A Krita with a home and a screen of its own. Use as a context manager.

    `prepare` gets the home before Krita starts, may put plugins and files into it, and answers
    with more environment variables. `home` continues in an existing home, which is then kept.
    """

    def __init__(
        self,
        install: KritaInstall,
        prepare: Callable[[Home], Mapping[str, str]] | None = None,
        home: Home | None = None,
    ) -> None:
        self.install = install
        self._prepare = prepare
        self._keeps_home = home is not None
        self._given_home = home
        self._process: subprocess.Popen[bytes] | None = None
        self.exit_code: int | None = None  # negative: the signal that ended it
        self._cleanup = contextlib.ExitStack()
        self.display = Display()

    # --- life --------------------------------------------------------------------------------

    def __enter__(self) -> Krita:
        with contextlib.ExitStack() as stack:
            self.home = self._given_home or homes.fresh(self.install, self._warm_up)
            if not self._keeps_home:
                stack.callback(homes.discard, self.home)
            stack.enter_context(self.display)
            extra = self._prepare(self.home) if self._prepare else {}
            stack.callback(self.quit)
            self._start(self.home, extra)
            self._cleanup = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._cleanup.close()

    def _warm_up(self, home: Home) -> None:
        with Display() as display:
            once = Krita(self.install, home=home)
            once.display = display
            once._start(home, {})
            once.quit()

    def _start(self, home: Home, extra: Mapping[str, str]) -> None:
        self.home = home
        address = home.path / "agent.json"
        address.unlink(missing_ok=True)
        token = secrets.token_hex(16)
        self.agent = AgentClient(address, token)
        environment = {
            "HOME": self.install.inside(home.path),
            "XDG_RUNTIME_DIR": self.install.inside(home.runtime),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "DISPLAY": self.display.name,
            "QT_QPA_PLATFORM": "xcb",
            "KRITA_TEST_AGENT_FILE": self.install.inside(address),
            "KRITA_TEST_AGENT_TOKEN": token,
            **extra,
        }
        with (home.path / "krita.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.install.command(environment, ["krita", "--nosplash"]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )
        self._await("Krita's window and the test agent", self.agent.is_up, START_LIMIT)
        self._window = self.agent.call("settle_window", WIDTH, HEIGHT)
        self.focus()

    def quit(self) -> None:
        """Leave as a painter does; a Krita that hangs is terminated, by its own pid."""
        process = self._process
        if process is None:
            return
        self._process = None
        if process.poll() is None:
            with contextlib.suppress(Exception):  # a hung Krita does not answer; then the signals
                self.agent.call("leave", timeout=QUIT_LIMIT)
                process.wait(QUIT_LIMIT)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(QUIT_LIMIT)
        self.exit_code = process.returncode

    def kill(self) -> None:
        """What a crash is to everyone else."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """What a program that is stuck is to everyone else; only `kill` ends it."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGSTOP)

    @property
    def is_running(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            self.exit_code = self._process.returncode
        return self._process is not None and self._process.poll() is None

    @property
    def version(self) -> str:
        return str(self.agent.call("version"))

    def log(self, lines: int = 40) -> str:
        """The end of what Krita printed."""
        text = (self.home.path / "krita.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def exceptions(self) -> list[str]:
        """Tracebacks of exceptions nobody caught inside Krita since the last call."""
        return list(self.agent.call("exceptions"))

    # --- waiting -----------------------------------------------------------------------------

    def evaluate(self, code: str, timeout: float = 60.0) -> Any:
        """Python in Krita's UI thread; the value of the last expression comes back as JSON."""
        return self.agent.evaluate(code, timeout)

    def wait_until(
        self, expression: str | Callable[[], Any], timeout: float = WAIT_LIMIT, every: float = 0.05
    ) -> Any:
        """Poll Python in Krita (a string) or here (a callable) until true; its value comes back."""
        probe = expression if callable(expression) else lambda: self.agent.evaluate(str(expression))
        return self._await(str(expression), probe, timeout, every)

    def _await(
        self, what: str, probe: Callable[[], Any], timeout: float, every: float = 0.05
    ) -> Any:
        deadline = time.monotonic() + timeout
        while True:
            value = probe()
            if value:
                return value
            if self._process is not None and self._process.poll() is not None:
                code = self._process.returncode
                raise HarnessError(f"Krita ended ({code}) before: {what}\n{self.log()}")
            if time.monotonic() > deadline:
                raise HarnessError(f"not within {timeout:g} s: {what}\n{self.log(15)}")
            time.sleep(every)

    # --- documents ---------------------------------------------------------------------------

    def new_document(
        self, width: int, height: int, colour: str = "RGBA", depth: str = "U8", name: str = "test"
    ) -> Document:
        """A new document in front, shown at 100 % or what fits the canvas."""
        key = self.agent.call("new_document", width, height, colour, depth, name)
        return self._shown(key)

    def open_document(self, path: Path) -> Document:
        return self._shown(self.agent.call("open_document", self.install.inside(path)))

    def _shown(self, key: int) -> Document:
        document = Document(self, key)
        self.wait_until(document.is_on_screen)
        document.fit()
        return document

    def close_all(self) -> None:
        """Throw every document away without a question."""
        self.press("Escape")
        for key in self.agent.call("open_documents"):
            Document(self, key).close()

    # --- hands -------------------------------------------------------------------------------

    def press(self, *combinations: str) -> None:
        """Keys in X's words, in turn: `ctrl+z`, `shift+Return`. The focus stays where it is."""
        self.display.keys(*combinations)

    def focus(self) -> None:
        """Give Krita's window the keyboard: without a window manager a closed dialog keeps it."""
        self.display.xdotool("windowfocus", self._window)

    def shortcut(self, combination: str, action: str) -> None:
        """Press the keys of an action and wait until they have triggered it."""
        before = self.agent.call("triggered", action)
        self.focus()
        self.press(combination)
        self._await(
            f"{combination} triggers {action}",
            lambda: self.agent.call("triggered", action) > before,
            WAIT_LIMIT,
            0.02,
        )

    def type_text(self, text: str) -> None:
        self.display.type_text(text)

    def name_file(self, path: Path) -> None:
        """Type a file's path into the dialog that opens now, and leave it with Return."""
        self.wait_until(self.dialog)
        self.type_text(self.install.inside(path))
        self.press("Return")
        self.wait_until(lambda: self.dialog() is None)

    def click(self, at: Point, button: int = 1) -> None:
        self.display.click(at, button)

    def click_widget(self, facts: Mapping[str, Any], button: int = 1) -> None:
        """Click the middle of a widget that `widgets` described."""
        x, y, width, height = facts["rect"]
        self.click((x + width // 2, y + height // 2), button)

    def trigger(self, action: str) -> None:
        """Fire an action by its name, as its menu entry does. Returns before it is through."""
        self.agent.call("trigger", action)

    # --- eyes --------------------------------------------------------------------------------

    def dockers(self) -> list[dict[str, Any]]:
        return list(self.agent.call("dockers"))

    def show_docker(self, name: str, visible: bool = True) -> None:
        self.agent.call("show_docker", name, visible)

    def widgets(self, kind: str, within: str | None = None) -> list[dict[str, Any]]:
        """Visible widgets of a Qt class (`QPushButton`): in a docker, in the whole window, or,
        for `""`, in the dialog that is open."""
        return list(self.agent.call("widgets", kind, within))

    def dialog(self) -> dict[str, Any] | None:
        """The modal dialog that is open, if one is."""
        return self.agent.call("dialog")

    def screenshot(self, path: Path, docker: str | None = None, margin: int = 0) -> Path:
        """A PNG of the whole screen, or of one docker and a margin around it."""
        rect = None
        if docker is not None:
            x, y, width, height = next(d["rect"] for d in self.dockers() if d["name"] == docker)
            rect = (x - margin, y - margin, width + 2 * margin, height + 2 * margin)
        self.display.screenshot(path, rect)
        return path

    @contextlib.contextmanager
    def ui_gaps(self, own: bool = False) -> Any:
        """Record how long the UI thread was away, in ms, into the list this yields.

        `own`: without the time for which it waited for a processor that others had.
        """
        gaps: list[float] = []
        self.agent.call("heartbeat_start", own)
        try:
            yield gaps
        finally:
            gaps.extend(self.agent.call("heartbeat_stop"))

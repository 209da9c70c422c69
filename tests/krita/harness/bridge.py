"""The real bridge, on the host, and the plugin installed by the real installer.

Krita may live in a chroot without our Python: it shares the loopback device and the bridge's home folder with
the host, and asks for a bridge by a file in that folder when it finds none.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from krita_plugin.krita_bridge.wire.runfile import RunFileError, read_run_file

from .home import Home
from .install import KritaInstall

T = TypeVar("T")

REPOSITORY = Path(__file__).resolve().parents[3]
START_LIMIT = 300.0
STEPS = {"quick": 4, "medium": 24, "slow": 80, "endless": 150}
"""Presets of the embedded model that differ in their steps: at least 0.1 s each."""

HEAVY, HEAVY_STEPS = "heavy", 64
"""A preset whose live pictures take long on any machine, and how many steps of theirs."""

_PRESET = """\
label = "{label}"
native = 128

[model]
embedded = true

[sampling]
steps = {steps}
guidance = 1.0
scheduler = "ddim"
detail = 0.0
"""
_WANTED = "wanted"
# Stays as long as the bridge that it asked for: the plugin takes its end for the bridge's.
_ASK = f"""\
#!/bin/sh
cd "$KRITA_BRIDGE_HOME" || exit 1
: > {_WANTED}
while [ -e {_WANTED} ]; do sleep 0.2; done
"""
# On two busy cores a second thread makes torch many times slower.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


class HostBridge:
    """A home folder, with presets for tests, and the bridge that runs in it. Use as a context manager."""

    def __init__(self, install: KritaInstall, presets: bool = True) -> None:
        self._install = install
        self._steps = STEPS if presets else {}
        self._started: list[subprocess.Popen[bytes]] = []
        self._over = threading.Event()
        self._asked = threading.Thread(target=self._answer_krita, daemon=True)

    def __enter__(self) -> HostBridge:
        self._install.scratch().mkdir(parents=True, exist_ok=True, mode=0o700)
        self.home = Path(tempfile.mkdtemp(dir=self._install.scratch(), prefix="bridge-"))
        (self.home / "presets").mkdir()
        for name, steps in self._steps.items():
            self._offer(name, _PRESET.format(label=name.capitalize(), steps=steps))
        if self._steps:
            text = _PRESET.format(label=HEAVY.capitalize(), steps=HEAVY_STEPS)
            self._offer(HEAVY, f"{text}\n[live]\nsteps = {HEAVY_STEPS}\n")
        if self._install.is_chroot:
            (self.home / "ask").write_text(_ASK)
            (self.home / "ask").chmod(0o755)
            self._asked.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self.stop()
        (self.home / _WANTED).unlink(missing_ok=True)
        shutil.rmtree(self.home, ignore_errors=True)

    def prepare(self, home: Home, first_run: bool = False) -> dict[str, str]:
        """Install the plugin into a home of Krita; returns the variables that lead it to this bridge.

        Unless it is a `first_run`, the plugin does not arrange its docker by itself, in the middle of a test.
        """
        kritarc = home.config / "kritarc"
        if not first_run:
            kritarc.write_text(kritarc.read_text() + "\n[krita_bridge]\nshown=true\n")
        places = ["--resources", str(home.resources), "--kritarc", str(kritarc)]
        command = [sys.executable, "-m", "bridge.cli", "install", "--home", str(self.home), *places]
        subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
        inside = self._install.inside(self.home)
        variables = {**_ENVIRONMENT, "KRITA_BRIDGE_HOME": inside}
        if self._install.is_chroot:
            variables["KRITA_BRIDGE_LAUNCH"] = f"/bin/sh {inside}/ask serve"
        return variables

    def _offer(self, name: str, preset: str) -> None:
        (self.home / "presets" / f"{name}.toml").write_text(preset)

    # --- the bridge's life ---------------------------------------------------------------------

    def start(self) -> int:
        """Start one and wait until it listens; returns its pid."""
        self._spawn()
        return _wait_for(self.pid, "the bridge listens")

    def pid(self) -> int | None:
        """The bridge that runs in this home, whoever started it."""
        with contextlib.suppress(RunFileError):
            run = read_run_file(self.home)
            if run is not None and _runs(run.pid):
                return run.pid
        return None

    def kill(self) -> None:
        """What a crash is to everyone else."""
        pid = _wait_for(self.pid, "a bridge runs")
        os.kill(pid, signal.SIGKILL)
        _wait_for(lambda: not _runs(pid), "the bridge is gone")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The model process stands still: a job that runs cannot end as long as this lasts."""
        pid = _wait_for(self.pid, "a bridge runs")
        lists = Path(f"/proc/{pid}/task").glob("*/children")
        workers = [int(child) for children in lists for child in children.read_text().split()]
        assert workers, "the bridge has no model process"
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGCONT)

    def stop(self) -> None:
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            _wait_for(lambda: not _runs(pid), "the bridge ends")
        for process in self._started:
            process.wait(START_LIMIT)
        self._started.clear()

    def log(self, lines: int = 30) -> str:
        log = self.home / "log" / "bridge.log"
        text = log.read_text(errors="replace") if log.exists() else "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    def _spawn(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge.cli", "serve", "--home", str(self.home)],
            cwd=REPOSITORY,
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._started.append(process)
        return process

    def _answer_krita(self) -> None:
        wanted = self.home / _WANTED
        while not self._over.wait(0.1):
            if wanted.exists():
                self._spawn().wait()
                wanted.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    """Whether the process does anything still; an ended child that nobody has waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _wait_for(probe: Callable[[], T | None], what: str) -> T:
    deadline = time.monotonic() + START_LIMIT
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {START_LIMIT:g} s: {what}"
        time.sleep(0.05)

"""`krita-bridge serve`: listens first, then imports and starts everything else.

Importing aiohttp alone takes 0.3 to 0.5 s, so the socket is bound and the run file written with the
standard library only: a client may connect at once and waits in the backlog for the rest.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import __version__
from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.wire import proof
from krita_plugin.krita_bridge.wire.folders import PRESETS
from krita_plugin.krita_bridge.wire.runfile import RunFile

from . import runfile

if TYPE_CHECKING:
    from krita_plugin.krita_bridge.wire.messages import PresetInfo

    from .service import ServiceConfig
    from .session import Offer

log = logging.getLogger(__name__)

_BACKLOG = 64
_MOST_SKIPPED = 8
"""Of so many preset files and checkpoints that cannot be used the docker says why; the log has all."""


def serve(
    home: Path,
    *,
    port: int = 0,
    device: str = "auto",
    idle_minutes: float | None = None,
    presets_dir: Path | None = None,
) -> int:
    """Serve until a signal or until idle; 0 for a clean end.

    `port` 0 takes a free one. The painter's own presets are in `presets_dir`, or in `home/presets`. Raises BridgeError when another bridge runs in `home`, the port is taken, or
    the folder cannot be used.
    """
    own_presets = presets_dir if presets_dir is not None else home / PRESETS

    def configure() -> ServiceConfig:
        from .service import ServiceConfig

        return ServiceConfig(
            results=home / "results",
            worker_command=worker_command(device, own_presets, home),
            offer=lambda: offer(own_presets, home),
            idle_minutes=idle_minutes,
        )

    return run(home, port, configure)


def offer(presets_dir: Path, home: Path) -> Offer:
    """What clients may choose from: our presets, the painter's own presets and checkpoints, and why some of these are left
    out; with what lies in the bridge's folder `home`."""
    from bridge.models.abilities import info_of, tags_in, with_files
    from bridge.models.checkpoints import all_presets
    from bridge.presets import DEFAULT_PRESET

    from .session import Offer

    bad: list[BridgeError] = []
    presets = all_presets(presets_dir, home, bad.append)
    for error in bad:
        log.error("%s", error)
    told = tuple(str(error) for error in bad[:_MOST_SKIPPED])
    infos = tuple(info_of(preset) for preset in presets.values())
    live = {preset.name: preset.live for preset in presets.values()}

    def look(info: PresetInfo) -> PresetInfo:
        return with_files(info, presets[info.name], home, len(presets))

    return Offer(infos, DEFAULT_PRESET, told, live, look, lambda: tags_in(home))


def worker_command(device: str, presets_dir: Path, home: Path) -> Sequence[str]:
    """How the worker is started; -P keeps the current folder off its import path."""
    module = [sys.executable, "-P", "-m", "bridge.worker"]
    return [*module, "--device", device, "--presets", str(presets_dir), "--home", str(home)]


def run(home: Path, port: int, configure: Callable[[], ServiceConfig]) -> int:
    """Listen, publish the run file, then call `configure` (which may import at leisure) and serve."""
    runfile.make_folder(home)
    lock = runfile.claim(home)
    listening = None
    try:
        listening = _listen(port)
        bound_port = listening.getsockname()[1]
        found = RunFile(bound_port, os.getpid(), proof.new_token(), __version__)
        _leave_on_signals()
        try:
            runfile.write(home, found)
            _start_log(home / "log")
            log.info("version %s listens on 127.0.0.1:%s", __version__, bound_port)
            from .gate import Gate
            from .service import Service

            config, gate = configure(), Gate(bound_port, found.token)

            async def live() -> None:
                await Service(config, gate).run(listening)

            asyncio.run(live())
        finally:
            runfile.remove(home, found)
    finally:
        if listening is not None:
            listening.close()
        lock.release()
    return 0


def _leave_on_signals() -> None:
    """Until the service takes the signals over, one ends the process by way of the clean-up."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: sys.exit(0))


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise BridgeError(
                Code.BUSY,
                f"Port {port} is used by another program.",
                "Choose another with --port, or leave it out to take a free one.",
            ) from error
        raise BridgeError(
            Code.REFUSED, f"Port {port} cannot be used: {error}.", "Leave --port out."
        ) from error
    listening.setblocking(False)
    return listening


class _OneLine(logging.Formatter):
    """Control characters are escaped: nothing that a model file or prompt holds can forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        first, *rest = text.split("\n")
        return "\n    ".join(_escape(line) for line in (first, *rest))


def _escape(line: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else ascii(c)[1:-1] for c in line)


def _start_log(folder: Path) -> None:
    runfile.make_folder(folder)
    form = _OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s")
    # A program without a console, as on Windows, has no stderr.
    handlers: list[logging.Handler] = [logging.StreamHandler()] if sys.stderr else []
    try:
        path = folder / "bridge.log"
        handlers.append(RotatingFileHandler(path, maxBytes=1 << 20, backupCount=3))
    except OSError as error:
        print(f"the log cannot be written: {error}", file=sys.stderr)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(form)
        root.addHandler(handler)
    logging.getLogger("asyncio").setLevel(logging.WARNING)

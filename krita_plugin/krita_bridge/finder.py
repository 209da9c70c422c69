"""Finds the bridge of a home folder through its run file, or starts one, and connects to it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Callable, Optional

from .launcher import Launched, Launcher, LaunchError
from .link import Impostor, Link, LinkClosed, LinkError, NoAnswer, NobodyListens, open_link
from .wire.runfile import RunFile, RunFileError, read_run_file

LAUNCH_PATIENCE = 60.0
"""Seconds in which a bridge that was started must have come up."""

LATE_RUN_FILE = 1.0
"""Seconds for which a failed start may still turn out to be another client's bridge coming up."""

UNANSWERED = 3
"""Handshakes that come to nothing before another bridge is started: the first may be slow to come up."""


class NotRunning(LinkError):
    """There is no bridge, and nobody here who could start one."""


class Hopeless(LinkError):
    """Trying again soon would not help; the text says what would."""


class Finder:
    """`on_found` and `on_starting` are called before it connects and before it starts a bridge.

    `rest` waits so many seconds and says whether to go on.
    """

    def __init__(
        self,
        home: Path,
        launcher: Optional[Launcher],
        on_found: Callable[[], None],
        on_starting: Callable[[], None],
        rest: Callable[[float], bool],
    ) -> None:
        self._home = home
        self._launcher = launcher
        self._on_found = on_found
        self._on_starting = on_starting
        self._rest = rest
        self._launched: Optional[Launched] = None
        self._came_up = False
        self._tried: Optional[RunFile] = None
        self._unanswered = 0

    def connect(self) -> Link:
        """A proven connection; raises NotRunning, Hopeless or what `open_link` raises."""
        run = self._tried = self._read_run_file()
        if run is not None:
            self._on_found()
            try:
                return self._open(run)
            except NobodyListens:
                pass
            except (Impostor, NoAnswer):
                # The file may have outlived its bridge, and its port may be another program's by now.
                self._unanswered += 1
                if self._launcher is None or self._unanswered < UNANSWERED:
                    raise
        if self._launcher is None:
            raise NotRunning("The bridge is not running. Start it with `krita-bridge serve`.")
        self._on_starting()
        return self._started(self._launcher, run)

    def has_news(self) -> bool:
        """Whether a run file has appeared that was not tried yet: someone else started a bridge."""
        try:
            found = read_run_file(self._home)
        except RunFileError:
            return False
        return found is not None and found != self._tried

    def _open(self, run: RunFile) -> Link:
        link = open_link(run)
        self._unanswered = 0
        self._came_up = True
        return link

    def _started(self, launcher: Launcher, stale: Optional[RunFile]) -> Link:
        """Start a bridge, unless the last one is still coming up, and wait for its run file."""
        launched = self._launched
        if launched is None or launched.failure() or not launcher.would_repeat(launched):
            try:
                launched = self._launched = launcher.start()
                self._came_up = False
            except LaunchError as error:
                raise Hopeless(str(error)) from error
        deadline = time.monotonic() + LAUNCH_PATIENCE
        failed_at: Optional[float] = None
        while self._rest(0.05):
            run = self._read_run_file()
            if run is not None and run != stale:
                return self._open(run)
            failure, now = launched.failure(), time.monotonic()
            if failure is not None and self._came_up:
                return self._started(launcher, stale)  # it was on its way out when it was missed
            if failure is not None:
                failed_at = failed_at or now
                if now - failed_at > LATE_RUN_FILE:
                    raise Hopeless(failure)
            if not launcher.would_repeat(launched):
                return self._started(launcher, stale)
            if now > deadline:
                raise Hopeless("The bridge does not come up. `krita-bridge doctor` says why.")
        raise LinkClosed("The client was stopped.")

    def _read_run_file(self) -> Optional[RunFile]:
        try:
            return read_run_file(self._home)
        except RunFileError as error:
            raise Hopeless(f"The bridge cannot be trusted: {error}.") from error

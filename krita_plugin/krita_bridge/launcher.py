"""Starts a bridge, detached from Krita, and finds the folder in which it announces itself.

The command comes from the variable KRITA_BRIDGE_LAUNCH, else from `launch.json` beside this file (written
by `krita-bridge install`), else it is `krita-bridge` on the PATH.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence

from .wire import runfile

LAUNCH_VARIABLE = "KRITA_BRIDGE_LAUNCH"
LAUNCH_FILE = "launch.json"
IDLE_MINUTES = 15

_NOTHING = (
    "The bridge is not installed where Krita can find it. "
    "Run `krita-bridge install` once, or start it yourself with `krita-bridge serve`."
)
# What an AppImage or another bundle sets for its own Python and libraries breaks every other Python.
_FOREIGN = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "QT_PLUGIN_PATH", "QML2_IMPORT_PATH")
_PATH_LISTS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class LaunchError(Exception):
    """The bridge could not be started; the text is a sentence for the painter."""


@dataclass(frozen=True)
class Launched:
    """A bridge that was started: its process, the file that takes what it prints, and the command line."""

    process: "subprocess.Popen[bytes]"
    printed: Path
    words: List[str]

    def failure(self) -> Optional[str]:
        """A sentence when the process has ended; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        said = _last_line(self.printed)
        return (
            f"The bridge ended at once: {said}" if said else f"The bridge ended with code {code}."
        )


class Launcher:
    """Starts the bridge whose home folder is `home`. `command` overrides where it is looked for."""

    def __init__(self, home: Path, command: Optional[Sequence[str]] = None) -> None:
        self._home = home
        self.use(command)

    def use(self, command: Optional[Sequence[str]]) -> None:
        """From now on start bridges by this command; None looks for one again. One that runs stays."""
        self._command = list(command) if command else None

    def would_repeat(self, launched: Launched) -> bool:
        """Whether `start` would run the same command once more."""
        try:
            return self.command() == launched.words
        except LaunchError:
            return False

    def command(self) -> List[str]:
        """The whole command line; raises LaunchError when there is none."""
        found = self._command or _from_variable() or _from_file() or _from_path()
        if not found:
            raise LaunchError(_NOTHING)
        if "serve" not in found:
            found = [*found, "serve", "--idle-minutes", str(IDLE_MINUTES)]
        return [*_out_of_sandbox(self._home), *found]

    def start(self) -> Launched:
        """Start it and return at once; raises LaunchError."""
        command = self.command()
        printed = self._home / "log" / "launch.log"
        try:
            printed.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with printed.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=str(self._home),
                    env=environment(os.environ, self._home),
                    # The bridge outlives Krita, and opens no window on Windows.
                    start_new_session=sys.platform != "win32",
                    creationflags=_windows_flags(),
                )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise LaunchError(
                f"The bridge could not be started ({command[0]}: {why}). "
                "Run `krita-bridge install` again."
            ) from error
        return Launched(process, printed, command)


def bridge_home() -> Path:
    """The bridge's folder: KRITA_BRIDGE_HOME, else what the installer wrote down, else the usual one.

    A sandboxed Krita (Flatpak) has another data folder than the bridge outside, so the installer's word counts.
    """
    if os.environ.get(runfile.HOME_VARIABLE):
        return runfile.home()
    written = _launch_file().get("home")
    return Path(written) if isinstance(written, str) and written else runfile.home()


def environment(given: Mapping[str, str], home: Path) -> Dict[str, str]:
    """The variables for the bridge: Krita's, without what a bundled Krita set for itself."""
    kept = {name: value for name, value in given.items() if name not in _FOREIGN}
    bundle = given.get("APPDIR")
    for name in _PATH_LISTS:
        if bundle and name in kept:
            entries = [e for e in kept[name].split(os.pathsep) if e and not e.startswith(bundle)]
            kept[name] = os.pathsep.join(entries)
            if not entries:
                del kept[name]
    kept[runfile.HOME_VARIABLE] = str(home)
    return kept


def _from_variable() -> List[str]:
    return shlex.split(os.environ.get(LAUNCH_VARIABLE, ""), posix=os.name != "nt")


def _from_file() -> List[str]:
    command = _launch_file().get("command")
    if isinstance(command, list) and all(isinstance(part, str) for part in command):
        return command
    return []


def _launch_file() -> Dict[str, object]:
    try:
        found = json.loads((Path(__file__).parent / LAUNCH_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _from_path() -> List[str]:
    found = shutil.which("krita-bridge")
    return [found] if found else []


def _out_of_sandbox(home: Path) -> List[str]:
    if sys.platform.startswith("linux") and Path("/.flatpak-info").exists():
        return ["flatpak-spawn", "--host", f"--env={runfile.HOME_VARIABLE}={home}"]
    return []


def _windows_flags() -> int:
    if sys.platform == "win32":
        return subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    return 0


def _last_line(path: Path) -> str:
    try:
        lines = path.read_bytes()[-4000:].decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    text = said[-1][:300] if said else ""
    return "".join(letter for letter in text if letter.isprintable())

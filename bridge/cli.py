"""The command line, `krita-bridge`.

Every command module is imported at start and none imports anything heavy, so that `serve` listens at once.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from bridge import __version__
from bridge.commands import demo, doctor, install, paint, plugin_zip, serve, upscale
from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.wire.runfile import HOME_VARIABLE, home

OK = 0
FAILED = 1
BAD_USE = 2
NO_BRIDGE = 3
CANCELLED = 130

_EXIT_CODES = {
    Code.BAD_INPUT: BAD_USE,
    Code.BAD_MESSAGE: BAD_USE,
    Code.UNKNOWN_PRESET: BAD_USE,
    Code.UNKNOWN_SCHEDULER: BAD_USE,
    Code.NOT_RUNNING: NO_BRIDGE,
    Code.REFUSED: NO_BRIDGE,
    Code.CANCELLED: CANCELLED,
}
_EXIT_HELP = (
    "exit codes: 0 done, 1 it failed, 2 wrong use or input, 3 no bridge, 130 cancelled. "
    "Errors go to stderr: what happened, and what to do."
)
_COMMANDS: dict[str, tuple[ModuleType, str]] = {
    "paint": (paint, "paint one picture, without Krita"),
    "upscale": (upscale, "make a picture larger, refined by the model"),
    "demo": (demo, "paint a boat into a picture and show how it came about"),
    "install": (install, "put the plugin into Krita"),
    "plugin-zip": (plugin_zip, "build the file for Krita's own importer"),
    "doctor": (doctor, "say what does not work here and what to do"),
    "serve": (serve, "run the bridge (Krita starts it by itself)"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name may hold bytes that are no text; it goes out as it came in.
        sys.stdout.reconfigure(errors="surrogateescape")
    arguments = parser().parse_args(argv)
    folder: Path = arguments.home or home()
    try:
        code: int = _COMMANDS[arguments.command][0].run(arguments, folder)
        sys.stdout.flush()
        return code
    except BridgeError as error:
        if arguments.debug:
            traceback.print_exc()
        _complain(error.message, error.hint)
        return _EXIT_CODES.get(error.code, FAILED)
    except KeyboardInterrupt:
        _complain("Cancelled.", "")
        return CANCELLED
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception:
        _complain(*_unexpected(folder, arguments.debug))
        return FAILED


def parser() -> argparse.ArgumentParser:
    """The parser with every command."""
    top = _parser("krita-bridge", "krita-bridge COMMAND ...", "krita-bridge install")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    for name, (module, summary) in _COMMANDS.items():
        made = commands.add_parser(name, help=summary, add_help=False)
        _describe(made, f"krita-bridge {name} [options]", module.EXAMPLE)
        made.add_argument(
            "--home",
            type=Path,
            metavar="DIR",
            help=f"the bridge's folder (default: ${HOME_VARIABLE}, or the system's place for it)",
        )
        made.add_argument("--debug", action="store_true", help="show tracebacks")
        module.add_arguments(made)
    return top


class _ExampleFirst(argparse.HelpFormatter):
    """Help that begins with an example instead of a synopsis of every option."""

    def add_usage(self, usage, actions, groups, prefix=None):  # type: ignore[no-untyped-def]
        super().add_usage(usage, actions, groups, prefix="Example: ")


def _parser(program: str, usage: str, example: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=program, add_help=False)
    _describe(made, usage, example)
    return made


def _describe(made: argparse.ArgumentParser, usage: str, example: str) -> None:
    made.usage = f"{example}\n\nUsage: {usage}".replace("%", "%%")
    made.epilog = _EXIT_HELP
    made.formatter_class = _ExampleFirst
    made.add_argument("-h", "--help", action="help", help="show this and exit")


def _complain(message: str, hint: str) -> None:
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr)
        if hint:
            print(hint, file=sys.stderr)


def _unexpected(folder: Path, debug: bool) -> tuple[str, str]:
    if debug:
        traceback.print_exc()
    try:
        log = folder / "log" / "command.log"
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        log.write_text(traceback.format_exc(), "utf-8")
    except OSError:
        return "Something went wrong that should not have.", "Try again with --debug."
    return "Something went wrong that should not have.", f"The details are in {log}."


if __name__ == "__main__":
    sys.exit(main())

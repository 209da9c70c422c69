"""`krita-bridge doctor`: what works here, what does not, and what to do about it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bridge.errors import BridgeError
from krita_plugin.krita_bridge.wire.folders import PRESETS

EXAMPLE = "krita-bridge doctor"


class Level(Enum):
    OK = "ok"
    WARN = "warn"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the report. `remedy` says what to do; empty when there is nothing to do."""

    level: Level
    subject: str
    sentence: str
    remedy: str = ""


Check = Callable[[Path], Iterator[Finding]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resources", type=Path, metavar="DIR", help="Krita's resource folder")
    parser.add_argument("--presets", type=Path, metavar="DIR", help="a folder with your presets")


def run(arguments: argparse.Namespace, home: Path) -> int:
    from bridge.commands import doctor_bridge, doctor_krita, doctor_system

    checks: list[tuple[str, Check]] = [
        ("Python", doctor_system.python),
        ("torch", doctor_system.torch),
        ("memory", doctor_system.memory),
        ("Krita", doctor_krita.krita),
        ("plugin", lambda home: doctor_krita.plugin(home, arguments.resources)),
        ("bridge", doctor_bridge.bridge),
        ("folder", doctor_bridge.folder),
        ("model", lambda home: doctor_bridge.models(home, arguments.presets or home / PRESETS)),
    ]
    worst = Level.OK
    for subject, check in checks:
        for finding in findings(subject, check, home):
            _print(finding)
            if finding.level is Level.PROBLEM or worst is Level.OK:
                worst = finding.level
    print(
        {Level.OK: "All is well.", Level.WARN: "It will work."}.get(worst, "It will not work yet.")
    )
    return 1 if worst is Level.PROBLEM else 0


def findings(subject: str, check: Check, home: Path) -> Iterator[Finding]:
    """What a check finds; one that fails itself is a finding too."""
    try:
        yield from check(home)
    except BridgeError as error:
        yield Finding(Level.PROBLEM, subject, error.message, error.hint)
    except Exception as error:
        yield Finding(
            Level.WARN, subject, f"This could not be checked ({type(error).__name__}: {error})."
        )


def _print(finding: Finding) -> None:
    colour = {Level.OK: 32, Level.WARN: 33, Level.PROBLEM: 31}[finding.level]
    word = f"{finding.level.value:8}"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        word = f"\033[{colour}m{word}\033[0m"
    print(f"{word}{finding.subject:8}{finding.sentence}")
    if finding.remedy:
        print(f"{'':16}-> {finding.remedy}")

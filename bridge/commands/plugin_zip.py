"""`krita-bridge plugin-zip`: what Krita's "Import Python Plugin from File" takes."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from bridge.commands.bundle import all_files, as_zip
from bridge.commands.files import write_atomically

EXAMPLE = "krita-bridge plugin-zip --out krita_bridge.zip"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("krita_bridge.zip"), metavar="FILE", help="%(default)s"
    )


def run(arguments: argparse.Namespace, home: Path) -> int:
    data = as_zip(all_files(home))
    write_atomically(arguments.out, data)
    print(f"sha256 {hashlib.sha256(data).hexdigest()}")
    print(arguments.out)
    return 0

"""`krita-bridge serve`: the bridge itself."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLE = "krita-bridge serve"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)"
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)"
    )
    parser.add_argument(
        "--idle-minutes",
        type=float,
        metavar="N",
        help="stop after N minutes without a client and without a job (default: never)",
    )
    parser.add_argument(
        "--presets", type=Path, metavar="DIR", help="a folder with presets of your own (*.toml)"
    )


def run(arguments: argparse.Namespace, home: Path) -> int:
    from bridge.server.app import serve

    return serve(
        home,
        port=arguments.port,
        device=arguments.device,
        idle_minutes=arguments.idle_minutes,
        presets_dir=arguments.presets,
    )

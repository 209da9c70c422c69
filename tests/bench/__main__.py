"""`make bench`: run the benchmarks one after the other and write one JSON."""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import platform
import shutil
from pathlib import Path

BENCHMARKS = ["engine", "bridge", "live", "gpu", "krita_ui"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure here")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark is called {sorted(unknown)[0]!r}")
    figures: dict[str, object] = {"machine": machine()}
    for name in arguments.names or BENCHMARKS:
        print(f"\n== {name}", flush=True)
        if name == "krita_ui" and shutil.which("krita") is None:
            print("skipped: Krita is not installed")
            continue
        figures[name] = importlib.import_module(f"tests.bench.{name}").run()
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
        print(f"\n{arguments.json}")


def machine() -> dict[str, object]:
    return {
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    main()

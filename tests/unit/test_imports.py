"""Who may import what: the plugin runs in Krita's own Python, the serve process never loads torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "krita_plugin" / "krita_bridge"
WIRE = PLUGIN / "wire"
KRITA_PYTHON = (3, 8)

# Modules of the standard library that are gone in the newest Python that a Krita has (3.14).
GONE = {"asynchat", "asyncore", "cgi", "distutils", "imghdr", "imp", "pipes", "smtpd", "sndhdr"}


def sources(folder: Path) -> list[Path]:
    found = [p for p in folder.rglob("*.py") if "vendor" not in p.relative_to(folder).parts]
    assert found
    return found


def imported(path: Path) -> Iterator[str]:
    """Absolute names that a file imports, relative imports resolved from krita_bridge on."""
    package = ("krita_bridge", *path.relative_to(PLUGIN).parent.parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            assert base or not node.level, f"{path} reaches out of the plugin"
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            if node.level and not node.module:
                yield from (f"{prefix}.{alias.name}" for alias in node.names)
            else:
                yield prefix


def is_standard(name: str) -> bool:
    top = name.partition(".")[0]
    return (top in sys.stdlib_module_names and top not in GONE) or top == "__future__"


@pytest.mark.parametrize("path", sources(WIRE), ids=lambda path: path.name)
def test_wire_uses_the_standard_library_and_itself_only(path: Path) -> None:
    for name in imported(path):
        assert is_standard(name) or name.startswith("krita_bridge.wire"), name


@pytest.mark.parametrize("path", sources(PLUGIN), ids=lambda path: path.name)
def test_the_plugin_uses_what_a_bare_krita_has(path: Path) -> None:
    for name in imported(path):
        top = name.partition(".")[0]
        if top in ("PyQt5", "PyQt6"):
            assert path == PLUGIN / "qt.py", f"{path.name} imports {name}: only qt.py may"
        elif top == "websockets":
            assert path == PLUGIN / "_websockets.py", f"{path.name} imports {name} directly"
        else:
            assert is_standard(name) or top in ("krita", "krita_bridge"), name


@pytest.mark.parametrize("path", sources(PLUGIN), ids=lambda path: path.name)
def test_the_plugin_is_written_in_the_oldest_kritas_python(path: Path) -> None:
    ast.parse(path.read_text("utf-8"), filename=str(path), feature_version=KRITA_PYTHON)


def test_the_plugins_map_names_each_of_its_modules() -> None:
    told = ast.get_docstring(ast.parse((PLUGIN / "__init__.py").read_text("utf-8"))) or ""
    found = {path.stem for path in PLUGIN.iterdir() if path.suffix == ".py" or path.is_dir()}
    modules = found - {"__init__", "__pycache__", "vendor"}
    assert modules == set(re.findall(r"`(\w+)`", told))


def loaded_by(module: str) -> set[str]:
    """Every module in a fresh interpreter after importing one."""
    script = f"import sys, {module}; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_the_serve_process_never_imports_torch() -> None:
    assert not loaded_by("bridge.server.service") & {"torch", "diffusers", "transformers"}


def test_the_command_line_starts_without_anything_heavy() -> None:
    heavy = {"torch", "diffusers", "transformers", "numpy", "PIL", "aiohttp", "websockets", "tqdm"}
    assert not loaded_by("bridge.cli") & heavy


def test_the_headless_client_needs_no_qt_and_no_krita() -> None:
    loaded = loaded_by("krita_plugin.krita_bridge.client")
    assert not loaded & {"krita", "PyQt5", "PyQt6", "numpy"}

"""Checks of the bridge: is one running, can its folder be used, are the presets' models there."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import bridge as bridge_package
from bridge.commands.doctor import Finding, Level
from bridge.errors import BridgeError
from krita_plugin.krita_bridge.link import LinkError, NobodyListens, open_link
from krita_plugin.krita_bridge.wire.runfile import RunFileError, read_run_file, run_file_path

_LEAST_DISK = 2.0


def bridge(home: Path) -> Iterator[Finding]:
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
    except OSError as error:
        yield Finding(
            Level.PROBLEM,
            "bridge",
            f"No port can be opened on 127.0.0.1: {error.strerror}.",
            "Look at this computer's firewall or sandbox.",
        )
        return
    try:
        run = read_run_file(home)
    except RunFileError as error:
        yield Finding(
            Level.PROBLEM, "bridge", f"{error}.", f"Delete {run_file_path(home)} and start again."
        )
        return
    if run is None:
        yield Finding(Level.OK, "bridge", "not running; Krita and `paint` start it by themselves")
        return
    try:
        open_link(run).close()
    except NobodyListens:
        yield Finding(Level.OK, "bridge", "not running; the last one did not end cleanly")
    except LinkError as error:
        yield Finding(
            Level.PROBLEM,
            "bridge",
            str(error),
            f"End the program that listens on port {run.port}, or delete {run_file_path(home)}.",
        )
    else:
        yield Finding(
            Level.OK, "bridge", f"version {run.version} runs on port {run.port}, process {run.pid}"
        )


def folder(home: Path) -> Iterator[Finding]:
    existing = next(path for path in (home, *home.absolute().parents) if path.is_dir())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        yield Finding(
            Level.PROBLEM,
            "folder",
            f"{existing} cannot be written: {error.strerror}.",
            "Mend its permissions, or set KRITA_BRIDGE_HOME to another folder.",
        )
        return
    free = shutil.disk_usage(existing).free / 2**30
    scarce = free < _LEAST_DISK
    remedy = "Make room: results wait there until Krita has them." if scarce else ""
    level = Level.WARN if scarce else Level.OK
    yield Finding(level, "folder", f"{home}, {free:.1f} GiB free", remedy)


def models(home: Path, presets_dir: Path) -> Iterator[Finding]:
    from bridge.models.checkpoints import all_presets
    from bridge.presets import EmbeddedModel, HubModel, ModelFile, ModelFolder

    bad: list[BridgeError] = []
    presets = all_presets(presets_dir, home, bad.append)
    for error in bad:
        yield Finding(Level.WARN, "model", error.message, error.hint)
    for preset in presets.values():
        source = preset.model
        if isinstance(source, ModelFolder | ModelFile) and not source.path.exists():
            yield Finding(
                Level.WARN,
                "model",
                f"The preset {preset.name!r} wants {source.path}, which is not there.",
                "Put the model there, or change the preset.",
            )
        elif isinstance(source, HubModel):
            sentence = f"{preset.name}: {source.label}, fetched when it is first used"
            yield Finding(Level.OK, "model", sentence)
        elif isinstance(source, EmbeddedModel):
            yield _embedded(Path(bridge_package.__file__).parent / "models" / "embedded")
        else:
            yield Finding(Level.OK, "model", f"{preset.name}: {source.label}")


def _embedded(place: Path) -> Finding:
    """The weights in the package against the hashes that its training wrote down."""
    remedy = "Install krita-bridge again."
    try:
        hashes = json.loads((place / "provenance.json").read_text("utf-8"))["sha256"]
        for name, expected in hashes.items():
            if hashlib.sha256((place / name).read_bytes()).hexdigest() != expected:
                sentence = f"{place / name} is damaged."
                return Finding(Level.PROBLEM, "model", sentence, remedy)
    except (OSError, ValueError, KeyError) as error:
        sentence = f"The embedded model in {place} is incomplete ({error})."
        return Finding(Level.PROBLEM, "model", sentence, remedy)
    return Finding(Level.OK, "model", "embedded: complete")

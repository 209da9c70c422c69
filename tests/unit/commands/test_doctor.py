from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.commands import doctor, doctor_bridge, doctor_krita
from bridge.commands.doctor import Finding, Level
from bridge.commands.install import install
from bridge.commands.krita_places import KritaPlace
from krita_plugin.krita_bridge import link
from tests.bridge_process import PATIENCE
from tests.scripted_bridge import ScriptedBridge
from tests.single_file import HOLLOW_SD15, write_hollow

ROOT = Path(__file__).resolve().parents[3]
FILES = {"krita_bridge.desktop": b"-", "krita_bridge/__init__.py": b"x = 1"}
VENDORED = {"krita_bridge/vendor/websockets/__init__.py": b""}


@pytest.fixture
def resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(doctor_krita, "own_files", lambda: FILES)
    return tmp_path / ".local/share/krita"


def put(resources: Path, files: dict[str, bytes], home: Path) -> KritaPlace:
    place = KritaPlace("Krita", resources, resources.parents[2] / ".config/kritarc")
    install(place, files, home)
    return place


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_a_missing_plugin_is_a_problem_with_a_remedy(resources: Path, tmp_path: Path) -> None:
    finding = only(doctor_krita.plugin(tmp_path, resources))
    assert finding.level is Level.PROBLEM
    assert "krita-bridge install" in finding.remedy


def test_an_installed_plugin_is_fine(resources: Path, tmp_path: Path) -> None:
    put(resources, {**FILES, **VENDORED}, tmp_path)
    assert only(doctor_krita.plugin(tmp_path, resources)).level is Level.OK


def test_an_older_plugin_is_noticed(resources: Path, tmp_path: Path) -> None:
    put(resources, {**FILES, **VENDORED, "krita_bridge/__init__.py": b"x = 0"}, tmp_path)
    finding = only(doctor_krita.plugin(tmp_path, resources))
    assert finding.level is Level.PROBLEM
    assert "another version" in finding.sentence


def test_a_plugin_without_its_library_is_noticed(resources: Path, tmp_path: Path) -> None:
    put(resources, FILES, tmp_path)
    assert "lacks" in only(doctor_krita.plugin(tmp_path, resources)).sentence


def test_a_plugin_that_is_switched_off_is_noticed(resources: Path, tmp_path: Path) -> None:
    place = put(resources, {**FILES, **VENDORED}, tmp_path)
    place.kritarc.write_text("[python]\nenable_krita_bridge=false\n")
    assert "switch" in only(doctor_krita.plugin(tmp_path, resources)).sentence


def test_a_running_bridge_is_found_and_an_impostor_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "HANDSHAKE_PATIENCE", PATIENCE)
    with ScriptedBridge(tmp_path) as bridge:
        finding = only(doctor_bridge.bridge(tmp_path))
        assert finding.level is Level.OK and f"port {bridge.port}" in finding.sentence
        bridge.wrong_proof = True
        assert only(doctor_bridge.bridge(tmp_path)).level is Level.PROBLEM
    assert "not running" in only(doctor_bridge.bridge(tmp_path)).sentence


def test_a_run_file_that_others_can_read_is_a_problem(tmp_path: Path) -> None:
    with ScriptedBridge(tmp_path):
        (tmp_path / "run.json").chmod(0o644)
        assert only(doctor_bridge.bridge(tmp_path)).level is Level.PROBLEM


def test_a_damaged_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"damaged")
    provenance = {"sha256": {"a.safetensors": "0" * 64}}
    (tmp_path / "provenance.json").write_text(json.dumps(provenance))
    finding = doctor_bridge._embedded(tmp_path)
    assert finding.level is Level.PROBLEM
    assert "a.safetensors is damaged" in finding.sentence


def test_a_preset_whose_model_is_gone_is_a_warning(tmp_path: Path) -> None:
    text = (
        (ROOT / "presets/embedded.toml")
        .read_text()
        .replace("embedded = true", 'folder = "nowhere"')
    )
    (tmp_path / "mine.toml").write_text(text)
    levels = {f.level for f in doctor_bridge.models(tmp_path, tmp_path) if "mine" in f.sentence}
    assert levels == {Level.WARN}


def test_checkpoints_are_named_and_those_that_cannot_be_used_are_a_warning(tmp_path: Path) -> None:
    write_hollow(tmp_path / "models" / "boats.safetensors", HOLLOW_SD15)
    write_hollow(tmp_path / "models" / "lora.safetensors", {"lora_unet.lora_up.weight": (1,)})
    found = {
        name: finding.level
        for finding in doctor_bridge.models(tmp_path, tmp_path / "presets")
        for name in ("boats", "lora.safetensors")
        if name in finding.sentence
    }
    assert found == {"boats": Level.OK, "lora.safetensors": Level.WARN}


def test_a_check_that_fails_is_a_finding_itself(tmp_path: Path) -> None:
    def broken(home: Path) -> Iterator[Finding]:
        raise RuntimeError("oh")
        yield

    assert "RuntimeError: oh" in only(doctor.findings("x", broken, tmp_path)).sentence


def test_the_exit_code_says_whether_it_will_work(
    resources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["doctor", "--home", str(tmp_path / "home"), "--resources", str(resources)]
    assert main(arguments) == 1
    assert "problem plugin" in capsys.readouterr().out

"""What the docker is told of a preset before its model is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.models.abilities import info_of
from bridge.presets import (
    HubModel,
    IpAdapterFiles,
    ModelFile,
    ModelFolder,
    ModelSource,
    Preset,
)
from krita_plugin.krita_bridge.wire.control import ControlKind
from krita_plugin.krita_bridge.wire.reference import ReferenceMode

ADAPTER = IpAdapterFiles(Path("adapter.safetensors"), Path("encoder"))
ALL, BOTH = tuple(ReferenceMode), (ReferenceMode.BOTH,)


def preset(source: ModelSource, native: int = 512, **options: object) -> Preset:
    return Preset("p", "P", source, native, 20, 7.0, "ddim", **options)  # type: ignore[arg-type]


def folder(path: Path, config: object = None, own: tuple[str, ...] = ()) -> ModelFolder:
    (path / "unet").mkdir(parents=True)
    if config is not None:
        (path / "unet/config.json").write_text(json.dumps(config))
    for name in own:
        (path / name).mkdir()
    return ModelFolder(path)


def file(path: Path, header: object) -> ModelFile:
    data = json.dumps(header).encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data)
    return ModelFile(path)


def test_a_preset_has_the_controlnets_that_it_names_and_those_of_its_models_folder(
    tmp_path: Path,
) -> None:
    source = folder(tmp_path / "m", {"in_channels": 4}, ("controlnet_tile", "controlnet_other"))
    named = {ControlKind.SCRIBBLE: ModelFolder(tmp_path)}
    found = info_of(preset(source, controls=named)).controls
    assert found == (ControlKind.SCRIBBLE, ControlKind.TILE)


@pytest.mark.parametrize(("channels", "kinds"), [(4, ()), (5, (ControlKind.DEPTH,)), (9, ())])
def test_a_depth_channel_is_a_control(
    tmp_path: Path, channels: int, kinds: tuple[ControlKind, ...]
) -> None:
    assert info_of(preset(folder(tmp_path / "m", {"in_channels": channels}))).controls == kinds
    conv = {"model.diffusion_model.input_blocks.0.0.weight": {"shape": [320, channels, 3, 3]}}
    assert info_of(preset(file(tmp_path / "m.safetensors", conv))).controls == kinds


def test_style_and_composition_are_for_sdxl(tmp_path: Path) -> None:
    sdxl_text = {"conditioner.embedders.1.model.positional_embedding": {"shape": [77, 1280]}}
    sources: dict[ModelSource, tuple[ReferenceMode, ...]] = {
        folder(tmp_path / "xl", {"addition_embed_type": "text_time"}): ALL,
        folder(tmp_path / "15", {"addition_embed_type": None}): BOTH,
        file(tmp_path / "xl.safetensors", sdxl_text): ALL,
        file(tmp_path / "15.safetensors", {}): BOTH,
        HubModel(repository="a/b"): BOTH,
    }
    for source, modes in sources.items():
        assert info_of(preset(source, ip_adapter=ADAPTER)).references == modes, source
        assert info_of(preset(source)).references == ()
    on_hub = preset(HubModel(repository="a/xl"), native=1024, ip_adapter=ADAPTER)
    assert info_of(on_hub).references == ALL


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x02" + bytes(7) + b"[]", None])
def test_a_model_that_cannot_be_read_can_do_what_its_preset_says(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "m.safetensors"
    if content is not None:
        path.write_bytes(content)
    named = {ControlKind.POSE: ModelFolder(tmp_path)}
    for source in (ModelFile(path), folder(tmp_path / "empty"), ModelFolder(tmp_path / "none")):
        found = info_of(preset(source, controls=named, ip_adapter=ADAPTER))
        assert (found.controls, found.references) == ((ControlKind.POSE,), BOTH)


def test_nothing_of_it_loads_torch() -> None:
    script = (
        "import sys; from bridge.models.abilities import info_of; from bridge.presets import load_presets\n"
        "[info_of(preset) for preset in load_presets().values()]\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

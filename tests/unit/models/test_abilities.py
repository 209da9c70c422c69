"""What the docker is told of a preset before its model is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from bridge.models.abilities import info_of, vaes_of
from bridge.presets import (
    EmbeddedModel,
    HubModel,
    IpAdapterFiles,
    ModelFile,
    ModelFolder,
    ModelSource,
    PoseFolders,
    Preset,
)
from krita_plugin.krita_bridge.wire.control import ControlKind
from krita_plugin.krita_bridge.wire.reference import ReferenceMode
from tests.single_file import HOLLOW_SD15, HOLLOW_SDXL, write_hollow
from tests.tiny_vaes import EMBEDDED_VAE

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


def file(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> ModelFile:
    return ModelFile(write_hollow(path, shapes))


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
    shapes = {**HOLLOW_SD15, "model.diffusion_model.input_blocks.0.0.weight": (320, channels, 3, 3)}
    sources = (
        folder(tmp_path / "m", {"in_channels": channels}),
        file(tmp_path / "m.safetensors", shapes),
    )
    for info in map(info_of, map(preset, sources)):
        assert (info.controls, info.depth_built_in) == (kinds, bool(kinds))


def test_maps_that_nothing_works_out_are_named(tmp_path: Path) -> None:
    depth, pose, segmentation = ControlKind.DEPTH, ControlKind.POSE, ControlKind.SEGMENTATION
    seen_by_depth = (depth, ControlKind.NORMAL)
    part = ModelFolder(tmp_path)
    bare, own = folder(tmp_path / "a"), folder(tmp_path / "b", own=("depth_estimator",))
    assert info_of(preset(bare)).map_only == (*seen_by_depth, pose, segmentation)
    assert info_of(preset(own)).map_only == (pose, segmentation)
    # A model on the hub may bring an estimator of depth.
    assert info_of(preset(HubModel("a/b"))).map_only == (pose, segmentation)
    named = preset(bare, depth_estimator=part, pose=PoseFolders(part, part))
    assert info_of(named).map_only == (segmentation,)
    assert info_of(preset(bare, segmenter=part)).map_only == (*seen_by_depth, pose)


def test_style_and_composition_are_for_sdxl(tmp_path: Path) -> None:
    sources: dict[ModelSource, tuple[ReferenceMode, ...]] = {
        folder(tmp_path / "xl", {"addition_embed_type": "text_time"}): ALL,
        folder(tmp_path / "15", {"addition_embed_type": None}): BOTH,
        file(tmp_path / "xl.safetensors", HOLLOW_SDXL): ALL,
        file(tmp_path / "15.safetensors", HOLLOW_SD15): BOTH,
        HubModel(repository="a/b"): BOTH,
    }
    for source, modes in sources.items():
        assert info_of(preset(source, ip_adapter=ADAPTER)).references == modes, source
        assert info_of(preset(source)).references == ()
    on_hub = preset(HubModel(repository="a/xl"), native=1024, ip_adapter=ADAPTER)
    assert info_of(on_hub).references == ALL


def decoder(width: int, latents: int, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """What tells an AutoencoderKL's file."""
    return {f"{prefix}decoder.conv_in.weight": (width, latents, 3, 3)}


def test_of_the_vaes_in_the_folder_those_are_offered_that_fit(tmp_path: Path) -> None:
    vaes = tmp_path / "vaes"
    file(vaes / "sd" / "MSE.safetensors", decoder(512, 4))
    file(vaes / "anime.safetensors", decoder(512, 4, "first_stage_model."))
    file(vaes / "flux.safetensors", decoder(512, 16))
    shutil.copy(EMBEDDED_VAE, vaes / "small.safetensors")
    (vaes / "broken.safetensors").write_bytes(b"no header")
    (vaes / "pickled.pt").write_bytes(b"\x80\x02}q\x00.")
    big = file(tmp_path / "m.safetensors", decoder(512, 4, "first_stage_model."))
    own = folder(tmp_path / "m", {}, ("vae", "vaes"))
    file(own.path / "vae" / "diffusion_pytorch_model.safetensors", decoder(512, 16))
    file(own.path / "vaes" / "its own.safetensors", decoder(512, 16))
    sources: dict[ModelSource, tuple[str, ...]] = {
        HubModel(repository="a/b"): ("anime", "sd/MSE"),
        big: ("anime", "sd/MSE"),
        own: ("flux", "its own"),
        EmbeddedModel(): ("small",),
        ModelFile(tmp_path / "none.safetensors"): (),
        ModelFolder(tmp_path / "none"): (),
    }
    for source, names in sources.items():
        assert vaes_of(preset(source), tmp_path) == names, source
    assert vaes_of(preset(big), tmp_path / "another home") == ()


def test_a_vae_that_is_not_all_there_is_not_offered(tmp_path: Path) -> None:
    vae = file(tmp_path / "vaes" / "mine.safetensors", decoder(512, 4)).path
    whole = vae.read_bytes()
    vae.write_bytes(whole[:-1])
    assert vaes_of(preset(HubModel("a/b")), tmp_path) == ()
    vae.write_bytes(whole)
    assert vaes_of(preset(HubModel("a/b")), tmp_path) == ("mine",)


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
        "import sys, pathlib; from bridge.models.abilities import info_of, vaes_of; from bridge.presets import load_presets\n"
        "for preset in load_presets().values(): info_of(preset), vaes_of(preset, pathlib.Path())\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

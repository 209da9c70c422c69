"""The painter's checkpoints become presets by what their headers say; what cannot be used is left out with a sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BridgeError, Code
from bridge.models import weights
from bridge.models.checkpoints import all_presets
from bridge.models.folder import EMBEDDED_FOLDER
from bridge.models.single_file import CONFIGS, inspect_file
from bridge.presets import ModelFile, ModelFolder, Preset, load_presets
from krita_plugin.krita_bridge.wire.control import ControlKind
from krita_plugin.krita_bridge.wire.messages import (
    EngineState,
    EngineStatus,
    PaintRequest,
    Welcome,
    dumps,
    loads,
)
from tests.single_file import HOLLOW_SD2, HOLLOW_SD15, HOLLOW_SDXL, write_hollow, write_single_file

FIRST_CONV, DECODER, _ = HOLLOW_SD15
LABELS = "model.diffusion_model.label_emb.0.0.weight"
SHIPPED = load_presets()


def listed(home: Path) -> tuple[dict[str, Preset], list[BridgeError]]:
    """What is there beside the shipped presets, and what is said of the rest."""
    bad: list[BridgeError] = []
    presets = all_presets(home / "presets", home, bad.append)
    return {name: each for name, each in presets.items() if name not in SHIPPED}, bad


def only_sentence(home: Path) -> BridgeError:
    """Of a home in which nothing can be used."""
    presets, (error,) = listed(home)
    assert presets == {}
    return error


def hollow_folder(root: Path, family: str, fp16: bool = False) -> Path:
    """A model in diffusers layout in its usual size, with no weights to speak of."""
    shutil.copytree(CONFIGS / family, root)
    ending = ".fp16.safetensors" if fp16 else ".safetensors"
    for part in sorted(root.iterdir()):
        stem = "model" if part.name.startswith("text") else "diffusion_pytorch_model"
        if part.name == "scheduler":
            continue
        write_hollow(part / f"{stem}{ending}", {"x": (1,)})
        if stem == "model":
            tokenizer = root / part.name.replace("text_encoder", "tokenizer")
            tokenizer.mkdir()
            (tokenizer / "tokenizer.json").touch()
    return root


def test_a_file_becomes_a_preset_that_samples_as_the_shipped_one_of_its_family(
    tmp_path: Path,
) -> None:
    one = write_hollow(tmp_path / "models" / "Boats v1.5.safetensors", HOLLOW_SD15)
    two = write_hollow(tmp_path / "models" / "anime" / "Two.SAFETENSORS", HOLLOW_SDXL)
    presets, bad = listed(tmp_path)
    assert not bad
    assert list(presets) == ["anime/Two", "Boats v1.5"]
    for path, name, family in ((one, "Boats v1.5", "sd15"), (two, "anime/Two", "sdxl")):
        source = ModelFile(path, tiny_vae=SHIPPED[family].model.tiny_vae)
        assert presets[name] == replace(SHIPPED[family], name=name, label=name, model=source)


@pytest.mark.parametrize(("channels", "is_listed"), [(5, True), (8, False), (9, True)])
def test_inpainting_and_depth_are_told_by_the_channels(
    tmp_path: Path, channels: int, is_listed: bool
) -> None:
    shapes = {**HOLLOW_SD15, FIRST_CONV: (320, channels, 3, 3)}
    write_hollow(tmp_path / "models" / "mine.safetensors", shapes)
    presets, bad = listed(tmp_path)
    assert (set(presets), len(bad)) == (({"mine"}, 0) if is_listed else (set(), 1))


@pytest.mark.parametrize(("channels", "native"), [(4, 768), (5, 512), (9, 512)])
def test_sd_2_samples_as_sd_1_without_the_networks_made_for_its_words(
    tmp_path: Path, channels: int, native: int
) -> None:
    shapes = {**HOLLOW_SD2, FIRST_CONV: (320, channels, 3, 3)}
    path = write_hollow(tmp_path / "models" / "mine.safetensors", shapes)
    presets, bad = listed(tmp_path)
    like, mine = SHIPPED["sd15"], presets["mine"]
    assert not bad and like.depth_estimator is not None
    assert mine.model == ModelFile(path, tiny_vae=like.model.tiny_vae)
    assert mine.native == native
    assert (mine.controls, mine.ip_adapter, mine.depth_estimator) == (
        {},
        None,
        like.depth_estimator,
    )


def test_without_torch_the_same_is_told_of_a_checkpoint(sdxl: Path, tmp_path: Path) -> None:
    path = write_single_file(sdxl, tmp_path / "model.safetensors")
    assert inspect_file(path, read_header=weights.glance) == inspect_file(path)


@pytest.mark.parametrize(("family", "fp16"), [("sd15", False), ("sd2", False), ("sdxl", True)])
def test_a_folder_in_diffusers_layout_becomes_one_too(
    tmp_path: Path, family: str, fp16: bool
) -> None:
    root = hollow_folder(tmp_path / "models" / "v1.5", family, fp16)
    presets, bad = listed(tmp_path)
    assert not bad
    like = SHIPPED["sd15" if family == "sd2" else family]
    source = ModelFolder(root, "fp16" if fp16 else None, tiny_vae=like.model.tiny_vae)
    changes: dict[str, Any] = {"controls": {}, "ip_adapter": None, "native": 768}
    like = replace(like, **changes) if family == "sd2" else like
    assert presets == {"v1.5": replace(like, name="v1.5", label="v1.5", model=source)}


def test_a_folder_of_other_sizes_has_only_the_networks_that_it_brings(tmp_path: Path) -> None:
    """The embedded model's UNet takes none of the published ControlNets."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "small").symlink_to(EMBEDDED_FOLDER)
    presets, bad = listed(tmp_path)
    assert not bad
    small, like = presets["small"], SHIPPED["sd15"]
    assert (small.native, small.steps, small.scheduler) == (128, like.steps, like.scheduler)
    assert (small.controls, small.ip_adapter, small.model.tiny_vae) == ({}, None, None)


def test_what_a_folder_brings_comes_before_what_the_shipped_preset_names(tmp_path: Path) -> None:
    root = hollow_folder(tmp_path / "models" / "mine", "sd15")
    for name in ("controlnet_depth", "depth_estimator"):
        (root / name).mkdir()
    presets, _ = listed(tmp_path)
    like = SHIPPED["sd15"]
    assert like.controls.keys() - presets["mine"].controls.keys() == {ControlKind.DEPTH}
    assert presets["mine"].depth_estimator is None and like.depth_estimator is not None


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"lora_unet_mid_block.lora_up.weight": (4, 4)}, "it is a LoRA"),
        ({**HOLLOW_SD2, LABELS: (1280, 2048)}, "unCLIP"),
        ({"double_blocks.0.img_attn.qkv.weight": (4, 4)}, "Flux"),
        ({**HOLLOW_SD15, FIRST_CONV: (32, 4, 3, 3)}, "Write a preset"),
    ],
)
def test_a_checkpoint_of_another_kind_is_left_out_and_named(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], words: str
) -> None:
    path = write_hollow(tmp_path / "models" / "other.safetensors", shapes)
    error = only_sentence(tmp_path)
    assert str(path) in error.message and words in str(error)


def test_a_file_that_is_being_copied_is_listed_once_it_is_whole(tmp_path: Path) -> None:
    path = write_hollow(tmp_path / "models" / "mine.safetensors", HOLLOW_SD15)
    whole = path.read_bytes()
    for share in (0, 4, 100, len(whole) - 1):
        path.write_bytes(whole[:share])
        assert only_sentence(tmp_path).code is Code.MODEL_CORRUPT
    path.write_bytes(whole)
    assert set(listed(tmp_path)[0]) == {"mine"}


def test_a_pickle_is_not_opened_and_one_beside_its_safe_twin_is_not_even_said(
    tmp_path: Path,
) -> None:
    path = tmp_path / "models" / "mine.ckpt"
    path.parent.mkdir()
    path.write_bytes(b"\x80\x02}q\x00.")
    assert only_sentence(tmp_path).code is Code.MODEL_UNSAFE
    write_hollow(path.with_suffix(".safetensors"), HOLLOW_SD15)
    presets, bad = listed(tmp_path)
    assert set(presets) == {"mine"} and not bad


def test_a_preset_of_the_painters_wins_over_a_checkpoint_of_its_name(tmp_path: Path) -> None:
    mine = write_hollow(tmp_path / "models" / "mine.safetensors", HOLLOW_SD15)
    shutil.copy(mine, mine.with_name("sdxl.safetensors"))
    text = (
        'label = "Mine"\nnative = 640\n[model]\nfile = "../models/mine.safetensors"\n'
        '[sampling]\nsteps = 9\nguidance = 2.0\nscheduler = "lcm"\n'
    )
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "mine.toml").write_text(text)
    presets, (error,) = listed(tmp_path)
    assert presets["mine"].label == "Mine"
    assert "sdxl.safetensors" in error.message, "a checkpoint that no preset shows is said"
    assert "Rename it" in error.hint


def test_links_that_lead_in_a_ring_or_nowhere_stop_nothing(tmp_path: Path) -> None:
    write_hollow(tmp_path / "models" / "deep" / "mine.safetensors", HOLLOW_SD15)
    (tmp_path / "models" / "deep" / "ring").symlink_to(tmp_path / "models")
    (tmp_path / "models" / "nowhere.safetensors").symlink_to(tmp_path / "gone")
    presets, (error,) = listed(tmp_path)
    assert set(presets) == {"deep/mine"}
    assert error.code is Code.MODEL_MISSING


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    os.mkfifo(tmp_path / "models" / "pipe.safetensors")
    assert listed(tmp_path) == ({}, [])


def test_files_of_no_weights_and_hidden_ones_are_passed_over(tmp_path: Path) -> None:
    for name in ("read me.txt", "mine.safetensors.part", "._mine.safetensors", ".git/a.pt"):
        (tmp_path / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / name).write_bytes(b"x")
    assert listed(tmp_path) == ({}, [])


def test_listing_checkpoints_loads_neither_torch_nor_numpy(tmp_path: Path) -> None:
    write_hollow(tmp_path / "models" / "mine.safetensors", HOLLOW_SD15)
    hollow_folder(tmp_path / "models" / "folder", "sdxl")
    code = (
        "import sys, pathlib; from bridge.models.checkpoints import all_presets; "
        "found = all_presets(None, pathlib.Path(sys.argv[1]), print); "
        "print({'mine', 'folder'} - set(found), {'torch', 'numpy', 'diffusers'} & set(sys.modules))"
    )
    told = subprocess.check_output([sys.executable, "-c", code, str(tmp_path)], text=True)
    assert told.strip() == "set() set()"


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "a\u202eb", "<b>a", "x" * 101, "a\udcffb"])
def test_a_name_that_cannot_be_shown_is_left_out(tmp_path: Path, name: str) -> None:
    path = write_hollow(tmp_path / "models" / "mine.safetensors", HOLLOW_SD15)
    try:
        path.rename(path.with_name(f"{name}.safetensors"))
    except (OSError, ValueError):
        pytest.skip("this file system has no such names")
    error = only_sentence(tmp_path)
    assert "Rename it" in error.hint and str(error).isprintable()


@given(name=st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=60))
def test_whatever_a_file_is_called_the_docker_can_be_told(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    home = tmp_path_factory.mktemp("home")
    path = write_hollow(home / "models" / "mine.safetensors", HOLLOW_SDXL)
    try:
        path = path.rename(path.with_name(f"{name}.safetensors"))
    except (OSError, ValueError):
        return  # this file system has no such names
    presets, bad = listed(home)
    if not name.startswith("."):
        assert len(presets) + len(bad) == 1
    infos = tuple(preset.info for preset in presets.values())
    status = EngineStatus(EngineState.READY, "Ready.")
    welcome = Welcome(1, "0", infos, "embedded", status, (), tuple(map(str, bad)))
    assert loads(dumps(welcome)) == welcome
    for info in infos:
        PaintRequest("a boat", preset=info.name)


@given(at=st.integers(8, 400), value=st.integers(0, 255))
def test_a_flipped_byte_in_a_header_is_a_preset_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    home = tmp_path_factory.mktemp("home")
    path = write_hollow(home / "models" / "mine.safetensors", HOLLOW_SD15)
    data = bytearray(path.read_bytes())
    data[at] = value
    path.write_bytes(data)
    presets, bad = listed(home)
    assert len(presets) + len(bad) == 1

"""ControlNets and depth estimators from every layout they come in, and a sentence for everything else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bridge.errors import BridgeError, Code
from bridge.models.brake import Brake
from bridge.models.control import ControlNets
from bridge.models.control_depth import FLAT_DEPTH, load_depth_estimator, normalised
from bridge.models.folder import EMBEDDED_FOLDER
from bridge.models.hashing import HashCache
from bridge.presets import ModelFile, ModelFolder, PartSource
from krita_plugin.krita_bridge.wire.control import ControlKind
from tests.fake_models import tiny_model
from tests.single_file import controlnet_names
from tests.tiny_models import (
    make_tiny_controlnet,
    make_tiny_depth_anything,
    make_tiny_depth_estimator,
)

WEIGHTS = "diffusion_pytorch_model.safetensors"
DEPTH = ControlKind.DEPTH


@pytest.fixture(scope="module")
def controlnet(sd15: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_controlnet(sd15, tmp_path_factory.mktemp("controlnet") / "tiny-depth")


@pytest.fixture
def nets(tmp_path: Path) -> ControlNets:
    return ControlNets(tiny_model("sd15"), None, HashCache(tmp_path))


def quiet(_share: float, _sentence: str) -> None:
    pass


def as_folder(folder: Path, _: Path) -> PartSource:
    return ModelFolder(folder)


def as_file(folder: Path, tmp_path: Path) -> PartSource:
    return ModelFile(Path(shutil.copy(folder / WEIGHTS, tmp_path / "depth.safetensors")))


def as_original_file(folder: Path, tmp_path: Path) -> PartSource:
    path = tmp_path / "original.safetensors"
    save_file(controlnet_names(load_file(folder / WEIGHTS)), path)
    return ModelFile(path)


def as_bare_original_file(folder: Path, tmp_path: Path) -> PartSource:
    named = controlnet_names(load_file(folder / WEIGHTS))
    path = tmp_path / "bare.safetensors"
    save_file({name.removeprefix("control_model."): each for name, each in named.items()}, path)
    return ModelFile(path)


@pytest.mark.parametrize("source_of", [as_folder, as_file, as_original_file, as_bare_original_file])
def test_every_layout_gives_the_same_network(
    source_of: Callable[[Path, Path], PartSource],
    controlnet: Path,
    nets: ControlNets,
    tmp_path: Path,
) -> None:
    source = source_of(controlnet, tmp_path)
    loaded = nets.use([DEPTH], {DEPTH: source}, quiet)[DEPTH]
    expected = load_file(controlnet / WEIGHTS)
    embed = loaded.embed.state_dict(prefix="controlnet_cond_embedding.")
    found = {**loaded.net.state_dict(), **embed}
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert len(loaded.sha256) == 64 and loaded.name == source.label
    assert not loaded.net.training


def test_what_is_used_again_is_not_read_again(controlnet: Path, nets: ControlNets) -> None:
    named: dict[ControlKind, PartSource] = {DEPTH: ModelFolder(controlnet)}
    first = nets.use([DEPTH], named, quiet)[DEPTH]
    assert nets.use([], {}, quiet) == {}
    assert nets.use([DEPTH], named, quiet)[DEPTH] is first


def test_a_cancel_stops_it_between_two_blocks(controlnet: Path, tmp_path: Path) -> None:
    model = replace(tiny_model("sd15"), brake=Brake())
    nets = ControlNets(model, None, HashCache(tmp_path))
    loaded = nets.use([DEPTH], {DEPTH: ModelFolder(controlnet)}, quiet)[DEPTH]
    map_ = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        given = torch.zeros(1, 4, 8, 8), 1, torch.zeros(1, 77, 32), loaded.embed(map_)
    parts: list[Callable[[], object]] = [lambda: loaded.net(*given), lambda: loaded.embed(map_)]
    for part in parts:
        answers = iter([False, False, True])
        with (
            pytest.raises(BridgeError) as raised,
            torch.no_grad(),
            model.brake.on(lambda now=answers: next(now)),
        ):
            part()
        assert raised.value.code is Code.CANCELLED
        with torch.no_grad():
            part()


def test_a_model_may_bring_its_own(controlnet: Path, tmp_path: Path) -> None:
    shutil.copytree(controlnet, tmp_path / "model" / "controlnet_depth")
    nets = ControlNets(tiny_model("sd15"), tmp_path / "model", HashCache(tmp_path))
    assert nets.use([DEPTH], {}, quiet)[DEPTH].name == "controlnet_depth"
    with pytest.raises(BridgeError, match="has no ControlNet for canny"):
        nets.use([ControlKind.CANNY], {}, quiet)


def test_a_kind_without_a_controlnet_says_what_to_add(nets: ControlNets) -> None:
    with pytest.raises(BridgeError) as raised:
        nets.use([ControlKind.POSE], {}, quiet)
    assert raised.value.code is Code.MODEL_MISSING
    assert "[control.pose]" in raised.value.hint


@pytest.mark.parametrize("layout", [as_folder, as_file])
def test_one_for_another_family_is_refused(
    layout: Callable[[Path, Path], PartSource], sdxl: Path, nets: ControlNets, tmp_path: Path
) -> None:
    source = layout(make_tiny_controlnet(sdxl, tmp_path / "xl"), tmp_path)
    with pytest.raises(BridgeError) as raised:
        nets.use([DEPTH], {DEPTH: source}, quiet)
    assert raised.value.code in (Code.BAD_INPUT, Code.MODEL_CORRUPT)
    assert "another kind of model" in raised.value.message or "fit" in raised.value.message


def test_a_file_that_is_no_controlnet_is_refused(nets: ControlNets, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    save_file({"lora_unet.lora_up.weight": torch.zeros(1)}, path)
    with pytest.raises(BridgeError, match=r"lora\.safetensors is no ControlNet"):
        nets.use([DEPTH], {DEPTH: ModelFile(path)}, quiet)


def test_a_folder_of_another_network_is_refused(sd15: Path, nets: ControlNets) -> None:
    with pytest.raises(BridgeError, match="holds a UNet2DConditionModel, not a ControlNetModel"):
        nets.use([DEPTH], {DEPTH: ModelFolder(sd15 / "unet")}, quiet)
    with pytest.raises(BridgeError) as raised:
        nets.use([DEPTH], {DEPTH: ModelFolder(sd15 / "nowhere")}, quiet)
    assert raised.value.code is Code.MODEL_MISSING


def test_weights_that_are_missing_are_named(
    controlnet: Path, nets: ControlNets, tmp_path: Path
) -> None:
    tensors = load_file(controlnet / WEIGHTS)
    del tensors["controlnet_mid_block.weight"]
    save_file(tensors, tmp_path / "less.safetensors")
    with pytest.raises(BridgeError) as raised:
        nets.use([DEPTH], {DEPTH: ModelFile(tmp_path / "less.safetensors")}, quiet)
    assert raised.value.code is Code.MODEL_CORRUPT
    assert "controlnet_mid_block.weight" in raised.value.message


def test_pickles_are_not_opened(controlnet: Path, nets: ControlNets, tmp_path: Path) -> None:
    own = Path(shutil.copytree(controlnet, tmp_path / "pickled"))
    (own / WEIGHTS).rename(own / "diffusion_pytorch_model.bin")
    with pytest.raises(BridgeError) as raised:
        nets.use([DEPTH], {DEPTH: ModelFolder(own)}, quiet)
    assert raised.value.code is Code.MODEL_UNSAFE


@pytest.mark.parametrize("make", [make_tiny_depth_estimator, make_tiny_depth_anything])
def test_a_depth_estimator_sees_any_picture(make: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = make(tmp_path / "estimator")
    estimator = load_depth_estimator(
        ModelFolder(folder), torch.device("cpu"), HashCache(tmp_path), quiet
    )
    picture = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    depth = estimator(picture)
    assert depth.shape == (37, 53) and depth.dtype == np.float32
    assert depth.min() == 0 and depth.max() == 1


def test_a_flat_map_is_neither_near_nor_far() -> None:
    for flat in (torch.zeros(4, 4), torch.full((4, 4), 3.25), torch.full((4, 4), -7.0)):
        assert normalised(flat).unique().tolist() == [FLAT_DEPTH]
    assert normalised(torch.tensor([[2.0, 4.0, 3.0]])).tolist() == [[0.0, 1.0, 0.5]]


def test_near_and_far_are_the_right_way_round(tmp_path: Path) -> None:
    source = ModelFolder(EMBEDDED_FOLDER / "depth_estimator")
    estimator = load_depth_estimator(source, torch.device("cpu"), HashCache(tmp_path), quiet)
    # Ground comes nearer towards its lower edge, and the sky is far.
    picture = np.full((128, 128, 3), (120, 180, 230), np.uint8)
    picture[70:] = (60, 140, 50)
    depth = estimator(picture)
    assert depth[:60].mean() < depth[75:95].mean() < depth[105:].mean()
    # The same numbers from a model that says that they are metres: the larger is the farther.
    estimator.model.config.depth_estimation_type = "metric"
    depth = estimator(picture)
    assert depth[75:95].mean() > depth[105:].mean()


def test_a_folder_without_a_depth_estimator_is_refused(sd15: Path, tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="holds a CLIPTextModel, not a DPTForDepthEstimation"):
        load_depth_estimator(
            ModelFolder(sd15 / "text_encoder"), torch.device("cpu"), HashCache(tmp_path), quiet
        )

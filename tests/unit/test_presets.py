"""Presets: what is read, what is refused, and in which words."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.engine.schedulers import SCHEDULERS
from bridge.errors import BridgeError, Code
from bridge.presets import (
    DEFAULT_PRESET,
    DETAIL,
    EmbeddedModel,
    HubModel,
    IpAdapterFiles,
    IpAdapterOnHub,
    ModelFile,
    ModelFolder,
    PoseFolders,
    load_presets,
    packaged_folder,
    read_preset,
)
from krita_plugin.krita_bridge.wire.control import ControlKind
from krita_plugin.krita_bridge.wire.schedulers import LABELS, identify

GOOD = """
label = "Mine"
native = 512
[model]
folder = "models/mine"
[sampling]
steps = 20
guidance = 7
scheduler = "ddim"
"""


def write(folder: Path, text: str = GOOD, name: str = "mine.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


def model(lines: str) -> str:
    return GOOD.replace('folder = "models/mine"', lines)


def test_the_embedded_model_is_the_default_and_comes_first() -> None:
    presets = load_presets()
    assert next(iter(presets)) == DEFAULT_PRESET
    assert presets[DEFAULT_PRESET].model == EmbeddedModel()


def test_large_regions_get_a_second_pass_unless_a_preset_says_otherwise(tmp_path: Path) -> None:
    assert read_preset(write(tmp_path)).detail == DETAIL
    assert read_preset(write(tmp_path, GOOD + "detail = 0.0")).detail == 0.0
    with pytest.raises(BridgeError, match="detail"):
        read_preset(write(tmp_path, GOOD + "detail = 1.5"))


def test_sd15_and_sdxl_come_with_the_bridge_as_hub_models_at_their_native_sides() -> None:
    presets = load_presets()
    assert isinstance(presets["sd15"].model, HubModel)
    assert isinstance(presets["sdxl"].model, HubModel)
    assert (presets["sd15"].native, presets["sdxl"].native) == (512, 1024)


def test_every_packaged_preset_names_a_scheduler_of_the_engine() -> None:
    assert {identify(p.scheduler) for p in load_presets().values()} <= set(SCHEDULERS)


def test_the_docker_is_told_the_models_name_and_what_a_request_leaves_open(tmp_path: Path) -> None:
    info = read_preset(write(tmp_path, GOOD + "clip_skip = 2\nguidance_rescale = 0.7\n")).info
    assert (info.name, info.label, info.model, info.native) == ("mine", "Mine", "mine", 512)
    assert (info.steps, info.guidance, info.scheduler) == (20, 7.0, "ddim")
    assert (info.clip_skip, info.guidance_rescale) == (2, 0.7)


def test_a_template_goes_round_the_prompt(tmp_path: Path) -> None:
    assert read_preset(write(tmp_path)).template == "{prompt}"
    text = GOOD + 'template = "{prompt}, oil painting"\n'
    preset = read_preset(write(tmp_path, text))
    assert preset.template == preset.info.template == "{prompt}, oil painting"


def test_a_relative_path_starts_at_the_presets_folder(tmp_path: Path) -> None:
    assert read_preset(write(tmp_path)).model == ModelFolder(tmp_path / "models/mine")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("USERPROFILE", "/somewhere")
    source = read_preset(write(tmp_path, model('file = "~/a.safetensors"'))).model
    assert source == ModelFile(Path("/somewhere/a.safetensors"))


def test_an_ip_adapter_is_named_by_its_table(tmp_path: Path) -> None:
    assert read_preset(write(tmp_path)).ip_adapter is None
    text = GOOD + '[ip_adapter]\nfile = "a.safetensors"\nimage_encoder = "/models/encoder"\n'
    found = read_preset(write(tmp_path, text)).ip_adapter
    assert found == IpAdapterFiles(tmp_path / "a.safetensors", Path("/models/encoder"))
    for mistake in ("", 'file = "a"', 'file = "a"\nimage_encoder = "b"\nscale = "1"'):
        with pytest.raises(BridgeError, match="ip_adapter"):
            read_preset(write(tmp_path, f"{GOOD}[ip_adapter]\n{mistake}"))


def test_an_ip_adapter_may_lie_on_the_hub(tmp_path: Path) -> None:
    table = '[ip_adapter]\nrepo = "a/b"\nfile = "m/x.safetensors"\nimage_encoder = "m/e"\n'
    found = read_preset(write(tmp_path, GOOD + table)).ip_adapter
    assert found == IpAdapterOnHub("a/b", "main", "m/x.safetensors", "m/e")
    found = read_preset(write(tmp_path, f'{GOOD}{table}revision = "v2"')).ip_adapter
    assert found == IpAdapterOnHub("a/b", "v2", "m/x.safetensors", "m/e")
    for outside in ("../x", "/x", "m/../../x", "~/x", "m//x", "*", ""):
        with pytest.raises(BridgeError, match=r"ip_adapter\.file"):
            read_preset(write(tmp_path, GOOD + table.replace("m/x.safetensors", outside)))
    with pytest.raises(BridgeError, match=r"ip_adapter\.variant"):
        read_preset(write(tmp_path, f'{GOOD}{table}variant = "fp16"'))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("embedded = true", EmbeddedModel()),
        ('folder = "/m"\nvariant = "fp16"', ModelFolder(Path("/m"), "fp16")),
        ('file = "/m.safetensors"', ModelFile(Path("/m.safetensors"))),
        (
            'file = "/m.safetensors"\nconfig = "/c"',
            ModelFile(Path("/m.safetensors"), Path("/c")),
        ),
        (
            'file = "/m.safetensors"\nprediction = "v_prediction"',
            ModelFile(Path("/m.safetensors"), prediction="v_prediction"),
        ),
        ('repo = "a/b"', HubModel("a/b")),
        ('file = "/m.safetensors"\nvae = "/v"', ModelFile(Path("/m.safetensors"), vae=Path("/v"))),
        (
            'repo = "a/b"\nrevision = "v1.0"\nvariant = "fp16"',
            HubModel("a/b", "v1.0", "fp16"),
        ),
    ],
)
def test_a_model_is_embedded_a_folder_a_file_or_a_repository(
    tmp_path: Path, lines: str, expected: object
) -> None:
    assert read_preset(write(tmp_path, model(lines))).model == expected


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (GOOD.replace("native = 512", "native = 512\nnativ = 3"), "nativ"),
        (GOOD.replace("steps", "step"), "sampling.steps"),
        (GOOD + "stepz = 3\n", "sampling.stepz"),
        (GOOD + 'template = "oil painting"\n', "sampling.template"),
        (model('folder = "/m"\nrevision = "v1"'), "model.revision"),
        (model('repo = "a/b"\nconfig = "/c"'), "model.config"),
        (GOOD.replace("steps = 20", "steps = 0"), "sampling.steps"),
        (GOOD.replace("steps = 20", "steps = 20.0"), "sampling.steps"),
        (GOOD.replace("steps = 20", "steps = true"), "sampling.steps"),
        (GOOD.replace("steps = 20", "steps = 1000"), "sampling.steps"),
        (GOOD.replace("guidance = 7", "guidance = nan"), "sampling.guidance"),
        (GOOD.replace("guidance = 7", "guidance = inf"), "sampling.guidance"),
        (GOOD.replace("guidance = 7", 'guidance = "7"'), "sampling.guidance"),
        (GOOD.replace("guidance = 7", "guidance = false"), "sampling.guidance"),
        (GOOD.replace("native = 512", "native = 3"), "native"),
        (GOOD.replace('label = "Mine"', ""), "label"),
        (GOOD.replace('label = "Mine"', 'label = " "'), "label"),
        (GOOD.replace('label = "Mine"', "label = 3"), "label"),
        (GOOD.replace('scheduler = "ddim"', 'scheduler = ""'), "sampling.scheduler"),
        (model("embedded = false"), "model.embedded"),
        (model(""), "model"),
        (model('folder = "/m"\nrepo = "a/b"'), "model"),
        (model('repo = "no-owner"'), "model.repo"),
        (model('repo = "../b"'), "model.repo"),
        (model('repo = "a/../b"'), "model.repo"),
        (model('repo = "a/.."'), "model.repo"),
        (model('repo = "a/b"\nrevision = "-x"'), "model.revision"),
        (model('folder = "/m"\nvariant = "../fp16"'), "model.variant"),
        (model('folder = "a\\u0000b"'), "model.folder"),
        (GOOD.replace("[sampling]", "[[sampling]]"), "sampling"),
    ],
)
def test_a_mistake_is_an_error_that_names_the_file_and_the_key(
    tmp_path: Path, text: str, key: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BridgeError) as caught:
        read_preset(path)
    assert caught.value.code is Code.BAD_INPUT
    assert str(path) in caught.value.message
    assert f"“{key}”" in caught.value.message


@pytest.mark.parametrize(
    "data",
    [b"label = ", b"\xff\xfe", b'label = "' + b"x" * 70_000 + b'"', b"a = " + b"[" * 20_000],
    ids=["not TOML", "not UTF-8", "too large", "too deep"],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(data)
    with pytest.raises(BridgeError, match=r"mine\.toml cannot be read"):
        read_preset(path)


@pytest.mark.parametrize("name", ["Mine.toml", "my preset.toml", "-x.toml", "x" * 65 + ".toml"])
def test_a_name_that_cannot_go_over_the_wire_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BridgeError, match="has a name that cannot be used"):
        read_preset(write(tmp_path, name=name))


def test_the_painters_own_presets_are_added_and_replace_packaged_ones(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, name="sd15.toml")
    presets = load_presets(tmp_path)
    assert presets["mine"].label == presets["sd15"].label == "Mine"
    assert DEFAULT_PRESET in presets


def test_a_bad_preset_of_the_painters_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "native = 1", "broken.toml")
    with pytest.raises(BridgeError):
        load_presets(tmp_path)
    reported: list[BridgeError] = []
    presets = load_presets(tmp_path, on_bad=reported.append)
    assert "mine" in presets
    assert "broken" not in presets
    assert len(reported) == 1
    assert "broken.toml" in reported[0].message


def test_a_folder_that_is_not_there_has_no_presets(tmp_path: Path) -> None:
    assert load_presets(tmp_path / "none") == load_presets()


def test_listing_presets_loads_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from bridge.presets import load_presets; load_presets(); "
        "sys.exit(bool({'torch', 'numpy', 'diffusers', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def readme() -> str:
    return (packaged_folder() / "README.md").read_text()


def test_the_examples_in_the_readme_are_presets(tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n(.+?)```", readme(), re.DOTALL)
    kinds = {type(read_preset(write(tmp_path, text)).model) for text in examples}
    assert kinds == {ModelFile, ModelFolder, HubModel}


def test_the_readme_names_every_scheduler() -> None:
    line = next(line for line in readme().splitlines() if line.startswith("Schedulers "))
    assert re.findall(r"`([^`]+)`", line) == list(LABELS.values())


def test_controlnets_and_a_depth_estimator_are_named_by_tables(tmp_path: Path) -> None:
    text = GOOD + (
        '[control.depth]\nrepo = "someone/control-depth"\nvariant = "fp16"\n'
        '[control.canny]\nfile = "canny.safetensors"\n'
        '[control.tile]\nfolder = "tile"\n'
        '[depth_estimator]\nrepo = "someone/dpt"\n'
    )
    read = read_preset(write(tmp_path, text))
    assert read.controls == {
        ControlKind.DEPTH: HubModel("someone/control-depth", variant="fp16"),
        ControlKind.CANNY: ModelFile(tmp_path / "canny.safetensors"),
        ControlKind.TILE: ModelFolder(tmp_path / "tile"),
    }
    assert read.depth_estimator == HubModel("someone/dpt")
    assert read_preset(write(tmp_path)).controls == {}


def test_what_sees_segments_and_poses_is_named_by_tables(tmp_path: Path) -> None:
    text = GOOD + (
        '[segmenter]\nrepo = "someone/upernet"\nrevision = "v2"\n'
        '[pose_estimator]\nfolder = "vitpose"\nvariant = "fp16"\n'
        '[person_detector]\nrepo = "someone/rtdetr"\n'
    )
    read = read_preset(write(tmp_path, text))
    assert read.segmenter == HubModel("someone/upernet", "v2")
    pose = ModelFolder(tmp_path / "vitpose", "fp16")
    assert read.pose == PoseFolders(pose, HubModel("someone/rtdetr"))
    bare = read_preset(write(tmp_path))
    assert bare.segmenter is None and bare.pose is None


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ('[control.smell]\nfile = "a"', "control.smell"),
        ("[control.depth]", "control.depth"),
        ('[control.depth]\nfile = "a"\nrepo = "b/c"', "control.depth"),
        ('[control.depth]\nfile = "a"\nvae = "b"', "control.depth.vae"),
        ("[control.depth]\nembedded = true", "control.depth"),
        ('[depth_estimator]\nfile = "a"', "depth_estimator"),
        ('[depth_estimator]\nrepo = "no-owner"', "depth_estimator.repo"),
        ('[segmenter]\nfile = "a"', "segmenter"),
        ('[pose_estimator]\nrepo = "a/b"', "person_detector"),
        ('[person_detector]\nrepo = "a/b"', "pose_estimator"),
    ],
)
def test_a_mistake_in_a_control_is_named(lines: str, key: str, tmp_path: Path) -> None:
    with pytest.raises(BridgeError) as raised:
        read_preset(write(tmp_path, GOOD + lines))
    assert f"“{key}”" in raised.value.message


def test_every_packaged_preset_of_the_hub_can_take_references() -> None:
    found = {p.name: p for p in load_presets().values() if isinstance(p.model, HubModel)}
    assert found
    assert all(isinstance(p.ip_adapter, IpAdapterOnHub) for p in found.values())


def test_every_packaged_preset_of_the_hub_can_take_depth_from_a_picture() -> None:
    for read in load_presets().values():
        if isinstance(read.model, HubModel):
            assert ControlKind.DEPTH in read.controls and read.depth_estimator is not None


def test_every_packaged_preset_can_work_out_the_maps_that_it_has_controlnets_for() -> None:
    for read in load_presets().values():
        assert ControlKind.POSE not in read.controls or read.pose is not None
        assert ControlKind.SEGMENTATION not in read.controls or read.segmenter is not None

"""What a PNG tells of how it was made, and painting with the settings of a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bridge.cli import main
from bridge.commands.pictures import read_texts, write_picture
from bridge.commands.recipes import preset_name, read_recipe_file
from krita_plugin.krita_bridge.recipe import OURS, PARAMETERS, Recipe
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.geometry import Extent
from krita_plugin.krita_bridge.wire.messages import PresetInfo
from krita_plugin.krita_bridge.wire.modes import Mode
from tests.scripted_bridge import ScriptedBridge

A1111 = (
    "a (blue:1.2) boat\nNegative prompt: blurry\nSteps: 30, Sampler: DPM++ 2M, Schedule type: Karras, "
    "CFG scale: 7.5, Seed: 123, Size: 96x80, Model: Embedded, Denoising strength: 0.4, Clip skip: 2, "
    "VAE hash: 0123456789, VAE: warm.safetensors"
)


def grey(submit: messages.Submit, frame: frames.Frame | None) -> bytes:
    return bytes([128, 128, 128, 255]) * (submit.bounds.width * submit.bounds.height)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[ScriptedBridge]:
    with ScriptedBridge(tmp_path / "home", grey) as running:
        yield running


def paint(tmp_path: Path, *words: object) -> int:
    return main(["paint", "--home", str(tmp_path / "home"), *map(str, words)])


def last_request(bridge: ScriptedBridge) -> messages.PaintRequest:
    return bridge.wait_for(messages.Submit)[-1].request


def write_a1111(path: Path, text: str = A1111) -> Path:
    info = PngInfo()
    info.add_text(PARAMETERS, text)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def picture(path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 96, 3), np.uint8)).save(path)
    return path


def test_a_result_can_be_painted_again_from_its_file(
    bridge: ScriptedBridge, tmp_path: Path
) -> None:
    image, out = picture(tmp_path / "in.png"), tmp_path / "out.png"
    words = ["--prompt", "a {red|blue} boat — 舟", "--negative", "blurry", "--seed", 9]
    words += ["--steps", 7, "--guidance", 2.5, "--scheduler", "lcm", "--strength", 0.35]
    words += ["--clip-skip", 2, "--guidance-rescale", 0.7, "--mode", "variation"]
    words += ["--blend", "exact", "--no-match-colors", "--vae", "mine/Warm"]
    words += ["--detail", 0.25, "--template", "ink, {prompt}"]
    assert paint(tmp_path, "--image", image, *words, "--out", out) == 0
    first = last_request(bridge)
    assert paint(tmp_path, "--image", image, "--settings-from", out, "--out", out) == 0
    assert last_request(bridge) == messages.PaintRequest(
        **{**vars(first), "preset": "embedded"}  # now by its name
    )


def test_both_texts_are_in_the_picture_and_in_the_layer(
    bridge: ScriptedBridge, tmp_path: Path
) -> None:
    out, layer = tmp_path / "out.png", tmp_path / "layer.png"
    words = ["--prompt", "a boat", "--seed", 5, "--size", "96x80"]
    assert paint(tmp_path, *words, "--out", out, "--layer", layer) == 0
    with Image.open(out) as image:
        texts = dict(image.text)  # type: ignore[attr-defined]
    assert texts == read_texts(layer)
    assert texts[PARAMETERS].startswith("a boat\nSteps: 2, Sampler: Euler,")
    ours = json.loads(texts[OURS])
    assert ours["facts"]["seed"] == 5
    assert ours["canvas"] == {"width": 96, "height": 80}


def test_the_settings_can_be_left_out(bridge: ScriptedBridge, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    assert paint(tmp_path, "--prompt", "secret", "--no-embed-settings", "--out", out) == 0
    assert read_texts(out) == {}
    assert b"secret" not in out.read_bytes()


def test_a1111s_files_are_understood(bridge: ScriptedBridge, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    text = tmp_path / "settings.txt"
    text.write_text(A1111, "utf-8")
    for file in (write_a1111(tmp_path / "theirs.png"), text):
        assert paint(tmp_path, "--settings-from", file, "--out", out) == 0
        request = last_request(bridge)
        assert (request.prompt, request.negative_prompt) == ("a (blue:1.2) boat", "blurry")
        assert (request.seed, request.steps, request.guidance) == (123, 30, 7.5)
        assert (request.scheduler, request.clip_skip) == ("dpmpp_2m_karras", 2)
        assert (request.vae, request.template) == ("mine/Warm", "{prompt}")
        assert (request.preset, request.strength) == ("embedded", 1.0)  # nothing to keep of it
        with Image.open(out) as image:
            assert image.size == (96, 80)
    assert paint(tmp_path, "--settings-from", text, "--image", picture(out), "--out", out) == 0
    assert last_request(bridge).strength == 0.4


def test_the_command_line_comes_first(bridge: ScriptedBridge, tmp_path: Path) -> None:
    file = write_a1111(tmp_path / "theirs.png")
    words = ["--settings-from", file, "--out", tmp_path / "o.png"]
    words += ["--prompt", "a tree", "--seed", 1, "--scheduler", "DDIM", "--size", "64x64"]
    words += ["--vae", "cold"]
    assert paint(tmp_path, *words) == 0
    request = last_request(bridge)
    assert (request.prompt, request.seed, request.scheduler) == ("a tree", 1, "DDIM")
    assert request.vae == "cold"
    assert (request.negative_prompt, request.steps) == ("blurry", 30)


def test_what_is_not_here_is_said_and_the_presets_own_is_used(
    bridge: ScriptedBridge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = A1111.replace("DPM++ 2M,", "Warp,").replace("Embedded", "dream v8")
    text = text.replace("warm.", "cold.")
    file = write_a1111(tmp_path / "theirs.png", text)
    assert paint(tmp_path, "--settings-from", file, "--out", tmp_path / "o.png") == 0
    request = last_request(bridge)
    assert (request.scheduler, request.preset, request.vae) == (None, "", None)
    said = capsys.readouterr().err
    assert "no VAE “cold” for this model" in said
    assert "no scheduler “Warp Karras”" in said and "No preset has “dream v8”" in said


def test_a_removal_can_be_repeated(bridge: ScriptedBridge, tmp_path: Path) -> None:
    image, out = picture(tmp_path / "in.png"), tmp_path / "out.png"
    mask = tmp_path / "mask.png"
    Image.fromarray(np.pad(np.full((20, 20), 255, np.uint8), ((30, 30), (38, 38)))).save(mask)
    where = ["--image", image, "--mask", mask, "--out", out]
    assert paint(tmp_path, *where, "--mode", "remove") == 0
    assert paint(tmp_path, *where, "--settings-from", out) == 0
    request = last_request(bridge)
    assert (request.mode, request.prompt) == (Mode.REMOVE, "")
    # Without a mask there is nothing to remove: the prompt, empty as it is, is painted.
    assert paint(tmp_path, "--image", image, "--out", out, "--settings-from", out) == 0
    assert last_request(bridge).mode is Mode.REFINE


def test_files_without_settings_say_so(
    bridge: ScriptedBridge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    jpeg = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8)).save(jpeg)
    gif = tmp_path / "a.gif"
    Image.new("RGB", (8, 8)).save(gif)
    cut = tmp_path / "cut.png"
    cut.write_bytes(write_a1111(tmp_path / "whole.png").read_bytes()[:40])
    cases = {
        picture(tmp_path / "plain.png"): "does not say how it was made",
        empty: "does not say how it was made",
        jpeg: "does not say how it was made",
        gif: "is no PNG, JPEG or WebP",
        cut: "cut.png",
        tmp_path / "gone.png": "There is no file",
        tmp_path / "gone.txt": "cannot be read",
    }
    for file, sentence in cases.items():
        assert paint(tmp_path, "--settings-from", file, "--out", tmp_path / "o.png") == 2
        assert sentence in capsys.readouterr().err
    assert bridge.submitted == []


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + A1111.encode("utf-16-be"),
        b"UNICODE\0" + A1111.encode("utf-16-le"),
        b"ASCII\0\0\0" + A1111.encode(),
    ],
    ids=["big", "little", "ascii"],
)
def test_a1111s_jpeg_and_webp_are_read(suffix: str, comment: bytes, tmp_path: Path) -> None:
    path, exif = tmp_path / f"a.{suffix}", Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    recipe = read_recipe_file(path)
    assert (recipe.prompt, recipe.seed) == ("a (blue:1.2) boat", 123)


def test_only_a_png_gets_texts(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    for suffix in ("png", "webp", "tiff"):
        path = tmp_path / f"a.{suffix}"
        write_picture(path, pixels, texts={"krita-bridge": "é 舟"})
        assert ("舟".encode() in path.read_bytes()) == (suffix == "png")
    assert read_texts(tmp_path / "a.png") == {"krita-bridge": "é 舟"}


def test_a_preset_is_found_by_name_then_by_model() -> None:
    presets = [PresetInfo("a", "A", "dream", 512, 20, 7.0, "ddim"), PresetInfo("b", "B", "v1-5", 512, 20, 7.0, "ddim")]  # fmt: skip
    said: list[str] = []
    assert preset_name(Recipe(preset="b", model="dream"), presets, said.append) == "b"
    assert preset_name(Recipe(preset="gone", model="Dream"), presets, said.append) == "a"
    assert preset_name(Recipe(), presets, said.append) == "" and said == []
    assert preset_name(Recipe(preset="gone"), presets, said.append) == "" and len(said) == 1


def test_the_size_of_the_recipe_is_for_new_pictures_only(
    bridge: ScriptedBridge, tmp_path: Path
) -> None:
    file, out = write_a1111(tmp_path / "theirs.png"), tmp_path / "o.png"
    image = tmp_path / "in.png"
    Image.new("RGB", (50, 40), "red").save(image)
    assert paint(tmp_path, "--settings-from", file, "--image", image, "--out", out) == 0
    assert bridge.wait_for(messages.Submit)[-1].canvas == Extent(50, 40)

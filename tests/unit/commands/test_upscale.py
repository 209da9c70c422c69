"""`krita-bridge upscale` from its arguments to its file, against a bridge that only enlarges."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bridge.cli import main
from bridge.commands import upscale
from bridge.engine.lanczos import enlarge
from bridge.pixels import swap_red_and_blue
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.control import (
    Control,
    ControlKind,
    ControlSource,
    control_tensor,
)
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.reference import Reference, reference_tensor
from tests.scripted_bridge import PRESET, ScriptedBridge, result_bounds

HEIGHT, WIDTH = 90, 120
SAMPLED = (
    "--clip-skip",
    2,
    "--guidance-rescale",
    0.5,
    "--vae",
    "warm",
    "--template",
    "ink, {prompt}",
)


def enlarged(submit: messages.Submit, frame: frames.Frame | None) -> bytes:
    """What the engine returns at strength 0."""
    assert frame is not None
    size = (submit.bounds.height, submit.bounds.width, 4)
    image = np.frombuffer(frame.tensors[messages.IMAGE].data, np.uint8).reshape(size)
    canvas = submit.canvas.scaled(submit.request.upscale)
    target = result_bounds(submit)
    across, down = submit.canvas.width / canvas.width, submit.canvas.height / canvas.height
    x, y = submit.bounds.x, submit.bounds.y
    box = (
        target.x * across - x,
        target.y * down - y,
        target.right * across - x,
        target.bottom * down - y,
    )
    return enlarge(image, box, target.extent).tobytes()


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[ScriptedBridge]:
    with ScriptedBridge(tmp_path / "home", enlarged) as running:
        yield running


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(7).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    pixels[..., 3] = 255
    Image.fromarray(pixels).save(tmp_path / "in.png")
    return tmp_path / "in.png"


@pytest.fixture
def run(tmp_path: Path, picture: Path) -> Callable[..., int]:
    def call(*arguments: object) -> int:
        words = ["upscale", "--home", str(tmp_path / "home"), "--image", str(picture)]
        return main([*words, "--out", str(tmp_path / "out.png"), *map(str, arguments)])

    return call


def whole(picture: Path, factor: float) -> np.ndarray:
    image = np.asarray(Image.open(picture))
    return enlarge(image, (0, 0, WIDTH, HEIGHT), Extent(WIDTH, HEIGHT).scaled(factor))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upscale, "PART_SIDE", 64)


@pytest.mark.parametrize("factor", [1.5, 2.0])
def test_one_job_makes_a_small_picture(
    factor: float, bridge: ScriptedBridge, run: Callable[..., int], picture: Path, tmp_path: Path
) -> None:
    assert run("--factor", factor, "--prompt", "a boat", "--seed", 5, *SAMPLED) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), whole(picture, factor))
    (submit,) = bridge.wait_for(messages.Submit)
    assert submit.bounds == Bounds(0, 0, WIDTH, HEIGHT)
    assert submit.request == messages.PaintRequest(
        "a boat",
        strength=0.3,
        seed=5,
        upscale=factor,
        mode=None,
        clip_skip=2,
        guidance_rescale=0.5,
        vae="warm",
        template="ink, {prompt}",
    )
    assert len(bridge.wait_for(messages.Acknowledge)) == 1


@pytest.mark.parametrize("factor", [1.3, 2.0, 3.7])
def test_parts_are_put_together_without_a_trace(
    factor: float,
    small_parts: None,
    bridge: ScriptedBridge,
    run: Callable[..., int],
    picture: Path,
    tmp_path: Path,
) -> None:
    assert run("--factor", factor) == 0
    made, expected = np.asarray(Image.open(tmp_path / "out.png")), whole(picture, factor)
    assert made.shape == expected.shape
    # Pillow counts the places that it takes pixels from in float32, from a part's own corner.
    assert np.abs(made.astype(int) - expected).max() <= 1
    submits = bridge.wait_for(messages.Submit)
    assert len(submits) > 4
    for submit in submits:
        made_of_it = submit.request.part.target
        assert max(made_of_it.width, made_of_it.height) <= 64
        beyond = 64 + 2 * PRESET.native + 10 * factor
        assert max(submit.bounds.width, submit.bounds.height) * factor <= beyond
    assert not list(tmp_path.glob(".*"))


def test_every_part_is_shown_the_references(
    small_parts: None, run: Callable[..., int], picture: Path, tmp_path: Path
) -> None:
    seen: list[bytes] = []

    def looking(submit: messages.Submit, frame: frames.Frame | None) -> bytes:
        assert frame is not None
        seen.append(bytes(frame.tensors[reference_tensor(0)].data))
        return enlarged(submit, frame)

    Image.new("RGB", (3, 2), (10, 20, 30)).save(tmp_path / "style.png")
    with ScriptedBridge(tmp_path / "home", looking) as bridge:
        assert run("--factor", 2, "--reference", f"{tmp_path / 'style.png'}:weight=0.4") == 0
        submits = bridge.wait_for(messages.Submit)
    assert len(submits) > 4
    assert {submit.request.references for submit in submits} == {(Reference(0.4),)}
    assert seen == [bytes([30, 20, 10, 255]) * 6] * len(submits)


def test_every_part_sees_its_part_of_a_control(
    small_parts: None, run: Callable[..., int], picture: Path, tmp_path: Path
) -> None:
    def looking(submit: messages.Submit, frame: frames.Frame | None) -> bytes:
        assert frame is not None
        assert frame.tensors[control_tensor(0)].data == frame.tensors[messages.IMAGE].data
        return enlarged(submit, frame)

    with ScriptedBridge(tmp_path / "home", looking) as bridge:
        assert run("--factor", 2, "--control", f"depth={picture}:end=0.5", "--control", "tile") == 0
        submits = bridge.wait_for(messages.Submit)
    drawn = Control(ControlKind.DEPTH, ControlSource.MAP, end=0.5)
    assert len(submits) > 4
    assert {submit.request.controls for submit in submits} == {(drawn, Control(ControlKind.TILE))}


def test_what_would_be_another_map_in_each_part_is_refused(
    small_parts: None,
    bridge: ScriptedBridge,
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("--factor", 2, "--control", "depth") == 2
    assert "would have another depth map: " in capsys.readouterr().err
    assert not bridge.submitted


def test_parts_of_one_colour_have_no_seam(
    small_parts: None, bridge: ScriptedBridge, run: Callable[..., int], tmp_path: Path
) -> None:
    Image.new("RGB", (WIDTH, HEIGHT), (10, 200, 77)).save(tmp_path / "in.png")
    assert run("--factor", 3) == 0
    assert np.all(np.asarray(Image.open(tmp_path / "out.png"))[..., :3] == (10, 200, 77))


def test_only_the_selection_is_asked_for_more_than_enlarging(
    small_parts: None, bridge: ScriptedBridge, run: Callable[..., int], tmp_path: Path
) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[2:6, 2:6] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert run("--factor", 2, "--mask", tmp_path / "mask.png", "--json") == 0
    strengths = set()
    for submit in bridge.wait_for(messages.Submit):
        sees_it = not submit.bounds.intersection(Bounds(2, 2, 4, 4)).is_empty
        assert submit.request.strength == (0.3 if sees_it else 0.0)
        strengths.add(submit.request.strength)
    assert strengths == {0.3, 0.0}


def test_the_box_round_a_selection(
    bridge: ScriptedBridge, run: Callable[..., int], picture: Path, tmp_path: Path
) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:50, 30:71] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert run("--factor", 3, "--mask", tmp_path / "mask.png", "--crop") == 0
    assert Image.open(tmp_path / "out.png").size == (123, 90)
    (submit,) = bridge.wait_for(messages.Submit)
    assert submit.bounds == Bounds(30, 20, 41, 30)


def test_the_facts(
    bridge: ScriptedBridge,
    run: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("--factor", 2, "--json", "--seed", 9) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["seed"], facts["out"]) == (9, str(tmp_path / "out.png"))
    assert facts["canvas"] == {"width": 2 * WIDTH, "height": 2 * HEIGHT}
    assert "parameters" in Image.open(tmp_path / "out.png").text  # type: ignore[attr-defined]


def test_what_does_not_fit_on_the_disk_is_refused_before_any_work(
    small_parts: None,
    bridge: ScriptedBridge,
    run: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    assert run("--factor", 2) == 1
    assert "are free" in capsys.readouterr().err
    assert not bridge.submitted
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--factor", "2", "--crop"], "--crop needs to know where"),
        (["--factor", "2", "--strength", "1.5"], "strength must be between"),
        (["--factor", "2", "--out", "a.jpg"], "cannot hold the result exactly"),
    ],
)
def test_wrong_use(
    arguments: list[str],
    said: str,
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(*arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("factor", ["1", "0.5", "8.1", "nan", "inf", "two"])
def test_wrong_factors(factor: str, run: Callable[..., int]) -> None:
    with pytest.raises(SystemExit):
        run("--factor", factor)


def test_formats_with_a_largest_size(tmp_path: Path) -> None:
    from bridge.errors import BridgeError

    upscale._check_size(tmp_path / "a.png", Extent(40_000, 30_000))
    for name in ("a.webp", "a.tiff"):
        with pytest.raises(BridgeError, match=r"cannot hold 40000 x 30000 px"):
            upscale._check_size(tmp_path / name, Extent(40_000, 30_000))


def test_the_bridge_here_speaks_of_the_same_bytes() -> None:
    """BGRA or RGBA: enlarging treats the three colours alike, so the stand-in need not swap them."""
    image = np.random.default_rng(1).integers(0, 256, (9, 7, 4), np.uint8)
    box, extent = (0, 0, 7, 9), Extent(14, 18)
    assert np.array_equal(
        enlarge(swap_red_and_blue(image), box, extent),
        swap_red_and_blue(enlarge(image, box, extent)),
    )

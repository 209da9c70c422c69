"""`--control` and `--keep-control`: what may be said, what is sent, and what is written."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bridge.cli import main
from bridge.commands.controls import GivenControl, read_argument
from krita_plugin.krita_bridge.recipe import OURS, texts
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.control import (
    Control,
    ControlKind,
    ControlSource,
    UsedControl,
)
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from tests.bridge_process import BridgeProcess
from tests.scripted_bridge import ScriptedBridge

DEPTH, CANNY = ControlKind.DEPTH, ControlKind.CANNY
MAP, PICTURE = ControlSource.MAP, ControlSource.PICTURE


@pytest.fixture
def seen() -> list[tuple[messages.Submit, frames.Frame | None]]:
    """What the bridge was sent."""
    return []


@pytest.fixture
def bridge(
    tmp_path: Path, seen: list[tuple[messages.Submit, frames.Frame | None]]
) -> Iterator[ScriptedBridge]:
    def paint(submit: messages.Submit, frame: frames.Frame | None) -> bytes:
        seen.append((submit, frame))
        return bytes(submit.bounds.width * submit.bounds.height * 4)

    with ScriptedBridge(tmp_path / "home", paint) as running:
        yield running


@pytest.fixture
def paint(tmp_path: Path) -> Callable[..., int]:
    def run(*arguments: object) -> int:
        words = ["paint", "--home", str(tmp_path / "home"), "--prompt", "a red boat"]
        return main([*words, "--out", str(tmp_path / "out.png"), *map(str, arguments)])

    return run


def save(path: Path, height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    made = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(made).save(path)
    return made


@pytest.mark.parametrize(
    ("text", "control", "path"),
    [
        ("depth", Control(DEPTH), None),
        ("depth=a.png", Control(DEPTH, MAP), Path("a.png")),
        ("depth=a.png:extract", Control(DEPTH, PICTURE), Path("a.png")),
        ("canny:strength=0.5", Control(CANNY, strength=0.5), None),
        ("canny=C:/a b.png:end=0.6:strength=2:start=.1", Control(CANNY, MAP, 2, 0.1, 0.6), Path("C:/a b.png")),
        (r"depth=C:\a=b.png", Control(DEPTH, MAP), Path(r"C:\a=b.png")),
        ("depth=a:b.png", Control(DEPTH, MAP), Path("a:b.png")),
    ],
)  # fmt: skip
def test_what_may_be_said(text: str, control: Control, path: Path | None) -> None:
    assert read_argument(text) == GivenControl(control, path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("smell", "'smell' is none of depth"),
        ("depth:strength=much", "'much' is no number"),
        ("depth:strength=3", "must be between 0 and 2"),
        ("depth:start=0.6:end=0.5", "must not start after its end"),
        ("depth:end=0.5:end=0.6", "says end twice"),
        ("depth=", "names no file"),
        ("depth:extract", "names no file to extract from"),
        ("depth:colour=red", "is none of depth"),
        ("depth:strength=nan", "must be between 0 and 2"),
    ],
)
def test_what_cannot_be_meant(text: str, says: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=says):
        read_argument(text)


def test_pictures_travel_with_the_part_that_the_job_sees(
    bridge: ScriptedBridge,
    paint: Callable[..., int],
    seen: list[tuple[messages.Submit, frames.Frame | None]],
    tmp_path: Path,
) -> None:
    save(tmp_path / "in.png", 400, 500)
    depth = save(tmp_path / "depth.png", 400, 500, seed=1)
    mask = np.zeros((400, 500), np.uint8)
    mask[100:140, 200:240] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    files = ("--image", tmp_path / "in.png", "--mask", tmp_path / "mask.png")
    wanted = ("--control", "canny:strength=0.5", "--control", f"depth={tmp_path / 'depth.png'}")
    assert paint(*files, *wanted) == 0
    ((submit, frame),) = seen
    assert submit.request.controls == (Control(CANNY, strength=0.5), Control(DEPTH, MAP))
    assert frame is not None and set(frame.tensors) == {"image", "mask", "control-1"}
    box = submit.bounds
    assert box.width < 500
    sent = np.frombuffer(frame.tensors["control-1"].data, np.uint8)
    sent = sent.reshape(box.height, box.width, 4)
    assert (sent[..., 2::-1] == depth[box.y : box.bottom, box.x : box.right]).all()


def test_a_new_picture_gets_the_size_of_its_first_control(
    bridge: ScriptedBridge,
    paint: Callable[..., int],
    seen: list[tuple[messages.Submit, frames.Frame | None]],
    tmp_path: Path,
) -> None:
    save(tmp_path / "depth.png", 48, 64)
    assert paint("--control", f"depth={tmp_path / 'depth.png'}") == 0
    assert (seen[0][0].canvas.width, seen[0][0].canvas.height) == (64, 48)


def test_a_kept_map_lies_where_it_belongs_and_can_be_given_again(
    bridge: ScriptedBridge,
    paint: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save(tmp_path / "in.png", 40, 60)
    depth = save(tmp_path / "depth.png", 40, 60, seed=1)
    given, kept = f"depth={tmp_path / 'depth.png'}", tmp_path / "kept.png"
    image = ("--image", tmp_path / "in.png")
    assert paint(*image, "--control", given, "--keep-control", kept, "--json") == 0
    assert json.loads(capsys.readouterr().out)["control_maps"] == [str(kept)]
    assert (np.asarray(Image.open(kept)) == depth).all()

    both = ("--control", given, "--control", f"canny={kept}")
    assert paint(*image, *both, "--keep-control", tmp_path / "maps.png", "--count", 2) == 0
    for number in (1, 2):
        assert (np.asarray(Image.open(tmp_path / f"maps-{number}.png")) == depth).all()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--control", "depth"], "no picture that the depth could be taken from"),
        (["--keep-control", "kept.png"], "no control whose map could be kept"),
        (["--control", "depth=nowhere.png"], "no file nowhere.png"),
        (["--control", "depth=IN", "--keep-control", "kept.jpg"], "cannot hold the result exactly"),
        (["--control", "depth=IN", "--size", "64x64"], "has 60 x 40 px, but the picture has 64 x 64"),
        ([word for n in range(9) for word in ("--control", "depth=IN")], "more than 8 controls"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(
    words: list[str],
    says: str,
    bridge: ScriptedBridge,
    paint: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save(tmp_path / "in.png", 40, 60)
    assert paint(*(word.replace("IN", str(tmp_path / "in.png")) for word in words)) == 2
    assert says in capsys.readouterr().err
    assert bridge.submitted == []


def test_settings_of_a_result_with_controls_say_that_these_are_missing(
    bridge: ScriptedBridge,
    paint: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert paint("--json") == 0
    given = json.loads(capsys.readouterr().out)
    names = messages.ResultFacts.__dataclass_fields__.keys()
    read = {name: value for name, value in given.items() if name in names}
    used = UsedControl(DEPTH, MAP, 1.0, 0.0, 1.0, "cn", "0" * 64, "1" * 64)
    facts = messages.from_fields(
        messages.ResultFacts, {**read, "controls": [messages.to_fields(used)]}
    )
    info = PngInfo()
    info.add_text(OURS, texts(facts, "Euler", Extent(64, 64), Bounds(0, 0, 64, 64))[OURS])
    made = tmp_path / "made.png"
    Image.new("RGB", (8, 8)).save(made, pnginfo=info)
    says = "made with 1 control layer, whose maps"
    assert paint("--settings-from", made) == 0
    assert says in capsys.readouterr().err
    save(tmp_path / "depth.png", 64, 64)
    assert paint("--settings-from", made, "--control", f"depth={tmp_path / 'depth.png'}") == 0
    assert says not in capsys.readouterr().err


POSING = """\
label = "Posing"
native = 64

[model]
folder = "{model}"

[sampling]
steps = 2
guidance = 1.0
scheduler = "ddim"

[control.pose]
folder = "{home}/controlnet"

[pose_estimator]
folder = "{home}/joints"

[person_detector]
folder = "{home}/persons"
"""
_SERVE = (
    "import sys; from bridge.cli import main; sys.exit(main(['serve', '--home', *sys.argv[1:]]))"
)


@pytest.fixture
def posing(sd15: Path, tmp_path: Path) -> Iterator[None]:
    """The real bridge, with the preset `posing`."""
    from tests.tiny_detectors import make_tiny_person_detector, make_tiny_pose_estimator
    from tests.tiny_models import make_tiny_controlnet

    home = tmp_path / "home"
    make_tiny_controlnet(sd15, home / "controlnet")
    make_tiny_pose_estimator(home / "joints")
    make_tiny_person_detector(home / "persons")
    (home / "presets").mkdir()
    (home / "presets/posing.toml").write_text(POSING.format(model=sd15, home=home))
    process = BridgeProcess(home, command=(sys.executable, "-c", _SERVE))
    try:
        process.wait_until_listening()
        yield
    finally:
        process.kill()


@pytest.mark.usefixtures("posing")
def test_poses_are_taken_from_a_picture_and_painted_with(
    paint: Callable[..., int], tmp_path: Path
) -> None:
    save(tmp_path / "in.png", 72, 64)
    kept = tmp_path / "kept.png"

    def painted(*control: object) -> NDArray[np.uint8]:
        words = ("--preset", "posing", "--image", tmp_path / "in.png", "--seed", 1)
        assert paint(*words, *control) == 0
        return np.asarray(Image.open(tmp_path / "out.png"))

    seen = painted("--control", "pose", "--keep-control", kept)
    # Somebody's nose: OpenPose has the full red for nothing else.
    assert (np.asarray(Image.open(kept)) == (255, 0, 0)).all(axis=2).any()
    assert np.array_equal(painted("--control", f"pose={kept}"), seen)
    assert not np.array_equal(painted(), seen)

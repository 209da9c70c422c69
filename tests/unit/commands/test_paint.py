"""`krita-bridge paint` from its arguments to its files, against a bridge without an engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bridge.cli import main
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.geometry import Bounds
from krita_plugin.krita_bridge.wire.modes import MEANINGS, Blend, Mode
from tests.scripted_bridge import ScriptedBridge

COLOUR = (200, 30, 40)


def painted(submit: messages.Submit, frame: frames.Frame | None) -> bytes:
    """One colour, as opaque as the mask says; BGRA."""
    shape = (submit.bounds.height, submit.bounds.width)
    alpha = np.full(shape, 255, np.uint8)
    if frame is not None and messages.MASK in frame.tensors:
        alpha = np.frombuffer(frame.tensors[messages.MASK].data, np.uint8).reshape(shape)
    layer = np.zeros((*shape, 4), np.uint8)
    layer[alpha > 0, :3] = COLOUR[::-1]
    layer[..., 3] = alpha
    return layer.tobytes()


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[ScriptedBridge]:
    with ScriptedBridge(tmp_path / "home", painted) as running:
        yield running


@pytest.fixture
def paint(tmp_path: Path) -> Callable[..., int]:
    def run(*arguments: object) -> int:
        words = ["paint", "--home", str(tmp_path / "home"), "--prompt", "a red boat"]
        return main([*words, *map(str, arguments)])

    return run


def noise(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (height, width, channels), np.uint8)


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def a_mask(height: int, width: int) -> NDArray[np.uint8]:
    mask = np.zeros((height, width), np.uint8)
    mask[100:140, 150:210] = 255
    mask[140:150, 150:210] = 128
    return mask


@pytest.mark.parametrize("channels", [3, 4])
def test_nothing_changes_where_the_mask_is_black(
    channels: int, bridge: ScriptedBridge, paint: Callable[..., int], tmp_path: Path
) -> None:
    pixels, mask = noise(300, 400, channels), a_mask(300, 400)
    image = save(tmp_path / "in.png", pixels)
    out = tmp_path / "out.png"
    assert paint("--image", image, "--mask", save(tmp_path / "m.png", mask), "--out", out) == 0
    result = read(out)
    assert result.shape == pixels.shape
    assert np.array_equal(result[mask == 0], pixels[mask == 0])
    assert np.all(result[mask == 255][:, :3] == COLOUR)
    soft = mask == 128
    if channels == 3:
        expected = pixels[soft] * (127 / 255) + np.array(COLOUR) * (128 / 255)
        assert np.abs(result[soft] - expected).max() <= 0.51


def test_only_the_selection_with_its_surroundings_is_sent(
    bridge: ScriptedBridge, paint: Callable[..., int], tmp_path: Path
) -> None:
    pixels, mask = noise(300, 400, 3), a_mask(300, 400)
    save(tmp_path / "in.png", pixels)
    save(tmp_path / "m.png", mask)
    paint("--image", tmp_path / "in.png", "--mask", tmp_path / "m.png", "--out", tmp_path / "o.png")
    (submit,) = bridge.wait_for(messages.Submit)
    assert submit.bounds == Bounds(118, 68, 124, 114)
    assert bridge.raw_bytes < 124 * 114 * 5 + 4000


def test_the_layer_is_transparent_elsewhere_and_previews_are_kept(
    bridge: ScriptedBridge, paint: Callable[..., int], tmp_path: Path
) -> None:
    mask = a_mask(300, 400)
    image, mask_file = save(tmp_path / "in.png", noise(300, 400, 3)), tmp_path / "m.png"
    save(mask_file, mask)
    layer, previews = tmp_path / "layer.png", tmp_path / "steps"
    paint("--image", image, "--mask", mask_file, "--layer", layer, "--previews", previews)
    assert np.array_equal(read(layer)[..., 3], mask)
    assert not read(layer)[mask == 0].any()
    assert sorted(path.name for path in previews.iterdir()) == ["step-001.png", "step-002.png"]


def test_what_the_preset_says_can_be_said_otherwise(
    bridge: ScriptedBridge, paint: Callable[..., int], tmp_path: Path
) -> None:
    said = {"--detail": 0.3, "--template": "{prompt} in oil", "--clip-skip": 2, "--vae": "warm"}
    assert (
        paint(*(word for pair in said.items() for word in pair), "--out", tmp_path / "a.png") == 0
    )
    request = bridge.wait_for(messages.Submit)[-1].request
    assert (request.detail, request.template) == (0.3, "{prompt} in oil")
    assert (request.clip_skip, request.vae) == (2, "warm")
    assert paint("--template", "in oil", "--out", tmp_path / "b.png") == 2, (
        "no place for the prompt"
    )


def test_a_new_picture_has_the_size_that_was_asked_for(
    bridge: ScriptedBridge, paint: Callable[..., int], tmp_path: Path
) -> None:
    assert paint("--size", "96x64", "--out", tmp_path / "a.png") == 0
    assert read(tmp_path / "a.png").shape == (64, 96, 3)
    assert paint("--out", tmp_path / "b.png") == 0
    assert read(tmp_path / "b.png").shape == (64, 64, 3)


def test_the_last_line_is_the_path_or_the_facts(
    bridge: ScriptedBridge,
    paint: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "a.png"
    paint("--out", out)
    assert capsys.readouterr().out.splitlines() == [str(out)]
    paint("--out", out, "--seed", 12, "--json")
    facts = json.loads(capsys.readouterr().out)
    assert (facts["seed"], facts["prompt"], facts["out"]) == (12, "a red boat", str(out))
    assert facts["bounds"] == {"x": 0, "y": 0, "width": 64, "height": 64}


def test_a_result_is_acknowledged_only_once_its_file_is_written(
    bridge: ScriptedBridge, paint: Callable[..., int], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.write_bytes(b"a file where a folder should be")
    assert paint("--out", folder / "a.png") == 2
    assert len(bridge.results) == 1
    assert paint("--out", tmp_path / "a.png") == 0
    bridge.wait_for(messages.Acknowledge)
    assert len(bridge.results) == 1


def test_a_failed_job_is_told_in_its_own_words(
    paint: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(ScriptedBridge):
        def _submitted(
            self, submit: messages.Submit, frame: frames.Frame | None
        ) -> list[str | bytes]:
            state = messages.JobState.FAILED
            ended = messages.Ended(submit.job, state, "out_of_memory", "No room.", "Go smaller.")
            return [messages.dumps(ended)]

    with Failing(tmp_path / "home"):
        assert paint("--out", tmp_path / "a.png") == 1
    assert capsys.readouterr().err.splitlines()[-2:] == ["No room.", "Go smaller."]


def test_without_any_bridge_one_sentence_says_so(
    paint: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-such-python"))
    assert paint("--out", tmp_path / "a.png") == 3
    error = capsys.readouterr().err
    assert "could not be started" in error and "Traceback" not in error


def bad_arguments(tmp_path: Path) -> dict[str, tuple[list[object], str]]:
    image = save(tmp_path / "in.png", noise(60, 80, 3))
    other = save(tmp_path / "other.png", np.full((60, 81), 255, np.uint8))
    black = save(tmp_path / "black.png", np.zeros((60, 80), np.uint8))
    cut = tmp_path / "cut.png"
    cut.write_bytes(image.read_bytes()[:2000])
    text = tmp_path / "text.png"
    text.write_text("no picture")
    out = ["--out", tmp_path / "o.png"]
    return {
        "missing": (["--image", tmp_path / "none.png", *out], "There is no file"),
        "cut off": (["--image", cut, *out], "damaged or cut off"),
        "no picture": (["--image", text, *out], "not a picture of a known format"),
        "a folder": (["--image", tmp_path, *out], "cannot be read: Is a directory"),
        "mask of another size": (["--image", image, "--mask", other, *out], "81 x 60 px"),
        "empty mask": (["--image", image, "--mask", black, *out], "selects nothing"),
        "mask alone": (["--mask", black, *out], "needs the picture"),
        "size and image": (["--size", "8x8", "--image", image, *out], "new pictures only"),
        "nowhere": (["--image", image], "--out result.png"),
        "same file twice": ([*out, "--layer", tmp_path / "o.png"], "two files"),
        "lossy": (["--out", tmp_path / "o.jpg"], "exactly"),
        "strength": (["--image", image, "--strength", "1.5", *out], "between 0 and 1"),
        "not a number": (["--image", image, "--strength", "nan", *out], "between 0 and 1"),
        "seed": (["--seed", "-1", *out], "between 0 and"),
        "steps": (["--steps", "0", *out], "between 1 and 150"),
        "prompt": (["--prompt", "x" * 100_000, *out], "100,000 characters"),
        "huge": (["--size", "100000x100000", *out], "between 1 and 32768"),
        "no preset": (["--preset", "nonsense", *out], "no preset 'nonsense'"),
    }


_KINDS = [
    "missing", "cut off", "no picture", "a folder", "mask of another size", "empty mask",
    "mask alone", "size and image", "nowhere", "same file twice", "lossy", "strength", "not a number", "seed",
    "steps", "prompt", "huge", "no preset",
]  # fmt: skip


@pytest.mark.parametrize("kind", _KINDS)
def test_bad_input_gets_one_sentence_and_exit_code_2(
    kind: str,
    bridge: ScriptedBridge,
    paint: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, sentence = bad_arguments(tmp_path)[kind]
    assert paint(*arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert bridge.submitted == []
    assert not (tmp_path / "o.png").exists()


def requests(bridge: ScriptedBridge) -> list[messages.PaintRequest]:
    return [submit.request for submit in bridge.wait_for(messages.Submit)]


def test_the_mode_is_found_as_the_docker_finds_it(
    bridge: ScriptedBridge, paint: Callable[..., int], tmp_path: Path
) -> None:
    pixels = noise(300, 400, 4)
    pixels[..., 3] = 255
    image, out = save(tmp_path / "in.png", pixels), tmp_path / "out.png"
    half = pixels.copy()
    half[:, :180, 3] = 0
    masked = ["--mask", save(tmp_path / "m.png", a_mask(300, 400))]
    assert paint("--out", out) == 0
    assert paint("--image", image, "--out", out) == 0
    assert paint("--image", image, *masked, "--out", out) == 0
    assert paint("--image", image, *masked, "--strength", 0.3, "--out", out) == 0
    assert paint("--image", save(tmp_path / "half.png", half), *masked, "--out", out) == 0
    found = [(request.mode, request.strength) for request in requests(bridge)]
    assert found == [
        (Mode.FILL, 1.0),
        (Mode.REFINE, MEANINGS[Mode.REFINE].strength),
        (Mode.FILL, 1.0),
        (Mode.REFINE, 0.3),
        (Mode.EXPAND, MEANINGS[Mode.EXPAND].strength),
    ]


def test_edges_and_colours_can_be_chosen(
    bridge: ScriptedBridge, tmp_path: Path, paint: Callable[..., int]
) -> None:
    image = save(tmp_path / "in.png", noise(300, 400, 3))
    words = ["--image", image, "--out", tmp_path / "out.png"]
    assert paint(*words) == 0
    assert paint(*words, "--blend", "exact", "--no-match-colors") == 0
    found = [(request.blend, request.match_colors) for request in requests(bridge)]
    assert found == [(Blend.SOFT, True), (Blend.EXACT, False)]


@pytest.mark.parametrize("mode", Mode)
def test_a_mode_can_be_named(mode: Mode, bridge: ScriptedBridge, tmp_path: Path) -> None:
    image = save(tmp_path / "in.png", noise(300, 400, 3))
    mask = save(tmp_path / "m.png", a_mask(300, 400))
    words = ["paint", "--home", tmp_path / "home", "--image", image, "--mask", mask]
    words += ["--mode", mode.value.replace("_", "-"), "--out", tmp_path / "out.png"]
    words += ["--prompt", "a boat"] if MEANINGS[mode].takes_prompt else []
    assert main([str(word) for word in words]) == 0
    (request,) = requests(bridge)
    assert (request.mode, request.strength) == (mode, MEANINGS[mode].strength)


@pytest.mark.parametrize("channels", [3, 4])
def test_a_canvas_grows_and_only_what_is_new_is_painted(
    channels: int, bridge: ScriptedBridge, paint: Callable[..., int], tmp_path: Path
) -> None:
    pixels = noise(60, 80, channels)
    out = tmp_path / "out.png"
    image = save(tmp_path / "in.png", pixels)
    assert paint("--image", image, "--expand", "16,0,24,8", "--out", out) == 0
    result = read(out)
    assert result.shape == (68, 120, channels)
    assert np.array_equal(result[:60, 16:96], pixels)
    new = np.ones((68, 120), bool)
    new[:60, 16:96] = False
    assert np.all(result[new][:, :3] == COLOUR)
    (submit,) = bridge.wait_for(messages.Submit)
    assert (submit.canvas.width, submit.canvas.height) == (120, 68)
    assert submit.request.mode is Mode.EXPAND


def test_variations_have_their_own_files_and_seeds(
    bridge: ScriptedBridge,
    paint: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, steps = tmp_path / "a.png", tmp_path / "steps"
    assert paint("--out", out, "--count", 3, "--seed", 7, "--previews", steps, "--json") == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = [str(tmp_path / f"a-{number}.png") for number in (1, 2, 3)]
    assert [facts["out"] for facts in told] == names
    assert [facts["seed"] for facts in told] == [7, 8, 9]
    assert len({facts["job"] for facts in told}) == 3
    assert all(Path(name).is_file() for name in names) and not out.exists()
    assert sorted(path.name for path in steps.iterdir()) == ["1", "2", "3"]
    assert all(str(number) in told[number - 1]["previews"][0] for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--mode", "remove", "--mask", "all"], "takes no prompt"),
        (["--mode", "expand"], "needs to know where"),
        (["--expand", "8,8,8,8", "--mode", "fill"], "nothing else"),
    ],
)
def test_modes_that_cannot_be_get_one_sentence(
    arguments: list[str],
    sentence: str,
    bridge: ScriptedBridge,
    paint: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = save(tmp_path / "in.png", noise(60, 80, 3))
    everything = save(tmp_path / "all.png", np.full((60, 80), 255, np.uint8))
    words = [everything if word == "all" else word for word in arguments]
    assert paint("--image", image, *words, "--out", tmp_path / "o.png") == 2
    assert sentence in capsys.readouterr().err
    assert bridge.submitted == []


def test_without_a_picture_there_is_nothing_to_grow(
    bridge: ScriptedBridge,
    paint: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert paint("--expand", "8,8,8,8", "--out", tmp_path / "o.png") == 2
    assert "no picture to grow" in capsys.readouterr().err


def test_a_prompt_is_missed_where_it_is_needed(
    bridge: ScriptedBridge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["paint", "--home", str(tmp_path / "home"), "--out", str(tmp_path / "o.png")]
    assert main(words) == 2
    assert "Nothing says what to paint" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--expand", "1,2,3"], ["--expand", "0,0,0,0"], ["--count", "0"], ["--count", "x"]]
)
def test_numbers_that_are_none_are_refused(
    words: list[str], paint: Callable[..., int], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as caught:
        paint("--out", tmp_path / "o.png", *words)
    assert caught.value.code == 2

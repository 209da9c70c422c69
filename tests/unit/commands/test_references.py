"""`--reference`: what may be said, and what is sent of the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bridge.cli import main
from bridge.commands.references import read_argument
from krita_plugin.krita_bridge.recipe import OURS, texts
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.limits import MAX_REFERENCE_SIDE
from krita_plugin.krita_bridge.wire.reference import Reference, ReferenceMode, UsedReference
from tests.scripted_bridge import ScriptedBridge

STYLE, COMPOSITION = ReferenceMode.STYLE, ReferenceMode.COMPOSITION


class Listening(ScriptedBridge):
    """Keeps the pictures that come along."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.pictures: list[dict[str, Any]] = []
        self.paint = self._keep

    def _keep(self, submit: messages.Submit, frame: frames.Frame | None) -> bytes:
        tensors = {} if frame is None else frame.tensors
        self.pictures.append(
            {
                name: np.frombuffer(tensor.data, np.uint8).reshape(tensor.shape)
                for name, tensor in tensors.items()
            }
        )
        return bytes([128, 128, 128, 255]) * (submit.bounds.width * submit.bounds.height)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Listening]:
    with Listening(tmp_path / "home") as running:
        assert isinstance(running, Listening)
        yield running


def paint(tmp_path: Path, *words: object) -> int:
    out = ["--prompt", "a boat", "--out", tmp_path / "out.png"]
    return main(["paint", "--home", str(tmp_path / "home"), *map(str, [*out, *words])])


def save(path: Path, width: int, height: int) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    ("text", "path", "reference"),
    [
        ("a.png", "a.png", Reference()),
        ("a.png:weight=1.5", "a.png", Reference(1.5)),
        ("a.png:mode=style", "a.png", Reference(mode=STYLE)),
        ("a.png:weight=0:mode=composition", "a.png", Reference(0.0, COMPOSITION)),
        ("a.png:mode=style:weight=2", "a.png", Reference(2.0, STYLE)),
        ("a.png:start=0.2:end=0.6", "a.png", Reference(start=0.2, end=0.6)),
        (r"C:\pictures\a.png:weight=1", r"C:\pictures\a.png", Reference(1.0)),
        ("at 12:30.png", "at 12:30.png", Reference()),
        ("x=1/a:b.png", "x=1/a:b.png", Reference()),
    ],
)
def test_a_file_may_say_its_weight_and_mode(text: str, path: str, reference: Reference) -> None:
    given = read_argument(text)
    assert (str(given.path), given.reference) == (path, reference)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a.png:weight=2.1", "weight of a reference must be between 0 and 2"),
        ("a.png:weight=nan", "weight of a reference must be between 0 and 2"),
        ("a.png:weight=", "'' is no number such as 0.6"),
        ("a.png:mode=colour", "'colour' is none of both, style, composition"),
        ("a.png:wieght=1", "says wieght; known are weight, mode, start, end"),
        ("a.png:weight=1:weight=1", "says weight twice"),
        ("a.png:start=0.6:end=0.5", "must not start after its end"),
        ("a.png:end=1.1", "end of a reference must be between 0 and 1"),
    ],
)
def test_mistakes_are_named(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        paint(tmp_path, "--reference", text)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_references_are_sent_beside_the_picture(bridge: Listening, tmp_path: Path) -> None:
    first, second = save(tmp_path / "a.png", 30, 20), save(tmp_path / "b.png", 7, 9)
    image = save(tmp_path / "in.png", 64, 64)
    words = ["--reference", f"{first}:weight=1", "--reference", f"{second}:mode=style"]
    assert paint(tmp_path, "--image", image, *words) == 0
    (submit,) = bridge.wait_for(messages.Submit)
    assert submit.request.references == (Reference(1.0), Reference(mode=STYLE))
    (sent,) = bridge.pictures
    assert sent.keys() == {"image", "reference-0", "reference-1"}
    for name, path in (("reference-0", first), ("reference-1", second)):
        assert np.array_equal(sent[name], np.asarray(Image.open(path))[..., [2, 1, 0, 3]])


def test_a_large_reference_is_made_small(bridge: Listening, tmp_path: Path) -> None:
    large = save(tmp_path / "large.png", 3000, 1000)
    thin = save(tmp_path / "thin.png", 1, 4000)
    assert paint(tmp_path, "--reference", large, "--reference", thin) == 0
    (sent,) = bridge.pictures
    assert sent["reference-0"].shape == (341, MAX_REFERENCE_SIDE, 4)
    assert sent["reference-1"].shape == (MAX_REFERENCE_SIDE, 1, 4)


def test_every_variation_is_sent_them(bridge: Listening, tmp_path: Path) -> None:
    assert paint(tmp_path, "--reference", save(tmp_path / "a.png", 3, 2), "--count", 2) == 0
    assert [sent.keys() for sent in bridge.pictures] == [{"reference-0"}] * 2


def test_bad_files_and_too_many_get_one_sentence(
    bridge: Listening, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paint(tmp_path, "--reference", tmp_path / "none.png") == 2
    assert "There is no file" in capsys.readouterr().err
    small = save(tmp_path / "a.png", 3, 2)
    assert paint(tmp_path, *["--reference", small] * 5) == 2
    assert "There are more than 4 references: use fewer." in capsys.readouterr().err
    assert bridge.submitted == []


def test_settings_of_a_result_with_references_say_that_these_are_missing(
    bridge: Listening, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paint(tmp_path, "--json") == 0
    given = json.loads(capsys.readouterr().out)
    names = messages.ResultFacts.__dataclass_fields__.keys()
    read = {name: value for name, value in given.items() if name in names}
    used = [messages.to_fields(UsedReference("0" * 64, 0.6, STYLE))] * 2
    facts = messages.from_fields(messages.ResultFacts, {**read, "references": used})
    info = PngInfo()
    info.add_text(OURS, texts(facts, "Euler", Extent(64, 64), Bounds(0, 0, 64, 64))[OURS])
    made = tmp_path / "made.png"
    Image.new("RGB", (8, 8)).save(made, pnginfo=info)
    says = "made with 2 reference images"
    assert paint(tmp_path, "--settings-from", made) == 0
    assert says in capsys.readouterr().err
    small = save(tmp_path / "a.png", 3, 2)
    assert paint(tmp_path, "--settings-from", made, "--reference", small) == 0
    assert says not in capsys.readouterr().err

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bridge.cli import main
from bridge.commands import demo
from bridge.commands.demo_scene import HEIGHT, WIDTH, lasso, paint_bay
from krita_plugin.krita_bridge.wire import frames, messages
from tests.scripted_bridge import ScriptedBridge

COLOUR = (10, 200, 30)


def painted(submit: messages.Submit, frame: frames.Frame | None) -> bytes:
    assert frame is not None
    shape = (submit.bounds.height, submit.bounds.width)
    layer = np.zeros((*shape, 4), np.uint8)
    layer[..., 3] = np.frombuffer(frame.tensors[messages.MASK].data, np.uint8).reshape(shape)
    layer[layer[..., 3] > 0, :3] = COLOUR[::-1]
    return layer.tobytes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    @contextmanager
    def scripted(home: Path) -> Iterator[None]:
        with ScriptedBridge(home, painted):
            yield

    monkeypatch.setattr(demo, "_bridge", scripted)
    return tmp_path / "out"


def test_the_demo_writes_everything_it_promises(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(folder)]) == 0
    names = ["result.png", "layer.png", "film.png", "before-after.png"]
    assert capsys.readouterr().out.splitlines()[-4:] == [str(folder / name) for name in names]
    before, mask = paint_bay(), lasso()
    after = np.asarray(Image.open(folder / "result.png"))
    assert np.array_equal(after[mask == 0], before[mask == 0][:, :3])
    assert np.all(after[mask == 255] == COLOUR)
    # Two pictures of 200 px, the last of them the result, with a border all round.
    assert Image.open(folder / "film.png").width == 2 * 200 + 3 * 6
    assert Image.open(folder / "before-after.png").width == 2 * WIDTH + 3 * 6


def test_a_second_demo_shows_no_step_of_the_first(folder: Path) -> None:
    (folder / "steps").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(folder / "steps" / "step-777.png")
    main(["demo", "--out", str(folder)])
    assert not (folder / "steps" / "step-777.png").exists()


def test_the_scene_is_the_same_every_time_and_its_selection_is_soft_and_inside() -> None:
    assert np.array_equal(paint_bay(), paint_bay())
    mask = lasso()
    assert mask.shape == (HEIGHT, WIDTH)
    assert {0, 255} < set(np.unique(mask).tolist())
    assert not mask[0].any() and not mask[-1].any() and not mask[:, [0, -1]].any()

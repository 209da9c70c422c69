"""What live painting asks for again and again is worked out once, and anew exactly when something of it changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from bridge.engine.pipeline import Engine
from bridge.engine.types import ImageU8, Job, Snapshot
from bridge.models.load import load
from bridge.presets import ModelFolder, Preset
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from krita_plugin.krita_bridge.wire.reference import Reference
from tests.fake_models import preset, tiny_folder
from tests.tiny_adapters import make_source
from tests.tiny_models import make_tiny_controlnet, make_tiny_depth_estimator

SIDE = 64
DEPTH = Control(ControlKind.DEPTH)
DRAWN = Control(ControlKind.DEPTH, ControlSource.MAP)
READERS = {
    "CLIPTextModel": "text",
    "CLIPVisionModelWithProjection": "reference",
    "DPTForDepthEstimation": "depth",
    "ControlNetConditioningEmbedding": "hint",
}


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """How often each kind of network that reads something is called while the block runs."""
    calls: Counter[str] = Counter()

    def count(module: torch.nn.Module, *_: object) -> None:
        name = READERS.get(type(module).__name__)
        if name is not None:
            calls[name] += 1

    hook = register_module_forward_hook(count)
    try:
        yield calls
    finally:
        hook.remove()


def picture(seed: int) -> ImageU8:
    made = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 4), np.uint8)
    made[..., 3] = 255
    return made


class Studio:
    """A live painting: paints what stands in its fields."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.canvas, self.map, self.reference = picture(1), picture(2), picture(3)
        self.request = PaintRequest(
            "a lake",
            "fog",
            seed=1,
            strength=0.5,
            draft=True,
            controls=(DEPTH, DRAWN),
            references=(Reference(),),
        )

    def paint(self) -> bytes:
        extent = Extent(SIDE, SIDE)
        snapshot = Snapshot(
            extent,
            Bounds.of_canvas(extent),
            self.canvas.copy(),
            controls={1: self.map.copy()},
            references=(self.reference.copy(),),
        )
        job = Job(self.request, snapshot)
        return self.engine.paint(
            job, on_step=lambda _: None, is_cancelled=lambda: False
        ).image.tobytes()

    def calls(self) -> dict[str, int]:
        with counted() as found:
            self.paint()
        return dict(found)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Preset:
    folder, model = tmp_path_factory.mktemp("remembered"), tiny_folder("sd15")
    return replace(
        preset("embedded", native=SIDE, guidance=2.0),
        model=ModelFolder(model),
        controls={
            ControlKind.DEPTH: ModelFolder(make_tiny_controlnet(model, folder / "net", seed=0))
        },
        depth_estimator=ModelFolder(make_tiny_depth_estimator(folder / "estimator")),
        ip_adapter=make_source(folder / "adapter", load(ModelFolder(model), "cpu").unet),
    )


@pytest.fixture(scope="module")
def engine(made: Preset, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine({"embedded": made}, device="cpu", home=tmp_path_factory.mktemp("home"))


@pytest.fixture
def studio(engine: Engine) -> Studio:
    """After its first picture."""
    found = Studio(engine)
    found.paint()
    return found


def test_each_is_read_once_for_a_picture(made: Preset, tmp_path: Path) -> None:
    first = Studio(Engine({"embedded": made}, device="cpu", home=tmp_path)).calls()
    assert set(first) == set(READERS.values()) and first["depth"] == 1 and first["hint"] == 2


def test_the_same_again_reads_nothing_again(studio: Studio) -> None:
    assert studio.calls() == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"strength": 0.9},
        {"seed": 7},
        {"guidance": 3.0},
        {"steps": 3},
        {"scheduler": "euler"},
        {"controls": (replace(DEPTH, strength=0.3), replace(DRAWN, end=0.5))},
        {"references": (Reference(weight=0.2),)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_has_nothing_to_do_with_it_reads_nothing_again(
    studio: Studio, changes: dict[str, object]
) -> None:
    studio.request = replace(studio.request, **changes)  # type: ignore[arg-type]
    assert studio.calls() == {}


def test_one_changed_pixel_is_looked_at_by_what_sees_it_and_by_nothing_else(
    studio: Studio,
) -> None:
    studio.canvas[5, 6, 0] ^= 255
    found = studio.calls()
    assert found.pop("depth") == 1 and found.pop("hint", 0) <= 1 and found == {}
    studio.map[7, 8, 1] ^= 255
    assert studio.calls() == {"hint": 1}
    studio.reference[9, 1, 2] ^= 255
    found = studio.calls()
    assert set(found) == {"reference"}


def test_undo_and_the_earlier_picture_is_known(studio: Studio) -> None:
    studio.map[20, 21, 1] ^= 255
    assert studio.calls() == {"hint": 1}
    studio.map[20, 21, 1] ^= 255
    assert studio.calls() == {}


def test_another_word_is_read_and_nothing_else(studio: Studio) -> None:
    studio.request = replace(studio.request, prompt="a hill")
    assert set(studio.calls()) == {"text"}


def test_another_size_of_the_working_picture_is_embedded_anew(studio: Studio) -> None:
    studio.canvas = np.tile(studio.canvas, (2, 2, 1))
    extent = Extent(2 * SIDE, 2 * SIDE)
    snapshot = Snapshot(
        extent,
        Bounds.of_canvas(extent),
        studio.canvas,
        controls={1: np.tile(studio.map, (2, 2, 1))},
        references=(studio.reference,),
    )
    with counted() as found:
        studio.engine.paint(
            Job(studio.request, snapshot), on_step=lambda _: None, is_cancelled=lambda: False
        )
    assert found["hint"] == 2


def test_what_is_remembered_gives_the_bytes_of_what_is_worked_out(
    studio: Studio, made: Preset, tmp_path: Path
) -> None:
    for canvas, drawn in ((1, 2), (4, 2), (4, 5), (1, 2)):
        studio.canvas, studio.map = picture(canvas), picture(drawn)
        studio.paint()
    fresh = Studio(Engine({"embedded": made}, device="cpu", home=tmp_path))
    assert studio.paint() == fresh.paint()

"""Live painting with ControlNets from recorded graphs: the bytes are those of the same job without one, whatever of the
controls changes between two pictures. Graphs are those of `tests/graph_stand_in.py`."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bridge.engine import held as held_module
from bridge.engine.pipeline import Engine
from bridge.engine.types import Job, Snapshot
from bridge.models.control import ControlNet
from bridge.presets import ModelFolder, Preset
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.geometry import Bounds
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from tests.fake_models import preset, tiny_folder
from tests.graph_stand_in import StandIn
from tests.tiny_models import make_tiny_controlnet

DEPTH = Control(ControlKind.DEPTH, ControlSource.MAP)
LINES = Control(ControlKind.SCRIBBLE, ControlSource.MAP)
BASE = PaintRequest("a lake", seed=1, steps=2, strength=0.9999)


def preset_of(family: str, folder: Path) -> Preset:
    model = tiny_folder(family)
    nets = {
        kind: ModelFolder(make_tiny_controlnet(model, folder / kind.value, seed=seed))
        for seed, kind in enumerate((ControlKind.DEPTH, ControlKind.SCRIBBLE))
    }
    return replace(
        preset("embedded", native=64, guidance=2.0), model=ModelFolder(model), controls=nets
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Preset:
    return preset_of("sd15", tmp_path_factory.mktemp("graphed"))


def controlnets() -> int:
    """How many are in memory."""
    gc.collect()
    return sum(type(each) is ControlNet for each in gc.get_objects())


class Studio:
    """Paints each picture as a job and as a live one, which must be the same bytes."""

    def __init__(self, made: Preset, stand_in: StandIn, home: Path) -> None:
        self.engine = Engine({"embedded": made}, device="cpu", home=home)
        self.stand_in = stand_in
        self.maps = self.picture(2), self.picture(3)

    def picture(self, seed: int, side: int = 64) -> np.ndarray:
        image = np.random.default_rng(seed).integers(0, 256, (side, side, 4), dtype=np.uint8)
        image[..., 3] = 255
        return image

    def paint(self, *controls: Control, side: int = 64) -> bytes:
        area = Bounds(0, 0, side, side)
        maps = {n: np.resize(self.maps[n], (side, side, 4)) for n in range(len(controls))}
        snapshot = Snapshot(area.extent, area, self.picture(1, side), controls=maps)
        request = replace(BASE, controls=controls)
        job, live = (
            self.engine.paint(
                Job(each, snapshot), on_step=lambda _: None, is_cancelled=lambda: False
            ).image.tobytes()
            for each in (request, replace(request, draft=True))
        )
        self.engine.rest()
        assert job == live
        return live

    def replays(self, *controls: Control, side: int = 64) -> int:
        """Of one picture, after as many as it takes until its graph is recorded."""
        for _ in range(6):
            self.paint(*controls, side=side)
        before = self.stand_in.replayed
        self.paint(*controls, side=side)
        return self.stand_in.replayed - before


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    found = StandIn()
    monkeypatch.setattr(held_module, "recorder", lambda device: found)
    return found


@pytest.fixture
def studio(made: Preset, stand_in: StandIn, tmp_path: Path) -> Studio:
    return Studio(made, stand_in, tmp_path)


def test_one_graph_holds_the_unet_and_all_controlnets(studio: Studio, stand_in: StandIn) -> None:
    assert studio.replays(DEPTH, LINES) == 2 and stand_in.recorded == 1


def test_so_it_is_with_what_sdxl_is_told_beside_the_prompt(
    stand_in: StandIn, tmp_path: Path
) -> None:
    studio = Studio(preset_of("sdxl", tmp_path / "models"), stand_in, tmp_path)
    assert studio.replays(DEPTH) == 2 and stand_in.recorded == 1


def test_strength_and_map_are_read_anew_by_the_same_graph(
    studio: Studio, stand_in: StandIn
) -> None:
    studio.replays(DEPTH, LINES)
    before = stand_in.replayed
    pictures = {studio.paint(DEPTH, LINES)}
    pictures.add(studio.paint(replace(DEPTH, strength=0.3), LINES))
    pictures.add(studio.paint(DEPTH, replace(LINES, strength=0.7)))
    studio.maps = studio.maps[::-1]
    pictures.add(studio.paint(DEPTH, LINES))
    assert len(pictures) == 4
    assert (stand_in.recorded, stand_in.replayed - before) == (1, 8)


def test_other_ranges_and_sizes_have_graphs_of_their_own(studio: Studio, stand_in: StandIn) -> None:
    assert studio.replays(DEPTH) == 2 and stand_in.recorded == 1
    assert studio.replays(replace(DEPTH, end=0.5)) == 2
    assert stand_in.recorded == 2, "that of the steps without it is new"
    assert studio.replays() == 2 and stand_in.recorded == 2
    assert studio.replays(DEPTH, side=128) == 2 and stand_in.recorded == 3


def test_a_controlnet_that_no_picture_uses_is_let_go_with_its_graphs(
    studio: Studio, stand_in: StandIn
) -> None:
    others = controlnets()
    studio.replays(DEPTH)
    assert controlnets() == others + 1
    studio.paint(LINES)
    assert controlnets() == others + 1
    assert studio.replays(LINES) == 2 and stand_in.recorded == 2
    assert studio.replays(DEPTH, LINES) == 2 and controlnets() == others + 2

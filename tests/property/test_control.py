"""What holds for every control, through the whole engine, on tiny models in the true formats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from bridge.engine.pipeline import Engine
from bridge.engine.types import ImageU8, Job, Painting, Snapshot
from bridge.errors import BridgeError, Code
from bridge.presets import ModelFolder, PoseFolders
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest, UpscalePart
from tests.fake_models import preset, tiny_folder
from tests.tiny_detectors import (
    make_tiny_person_detector,
    make_tiny_pose_estimator,
    make_tiny_segmenter,
)
from tests.tiny_models import make_tiny_controlnet, make_tiny_depth_estimator, make_tiny_sd15

SIDE = 72
"""No multiple of what the model likes: maps are padded as pictures are."""
DEPTH, CANNY = ControlKind.DEPTH, ControlKind.CANNY
NORMAL, POSE, SEGMENTATION = ControlKind.NORMAL, ControlKind.POSE, ControlKind.SEGMENTATION
MAP, PICTURE = ControlSource.MAP, ControlSource.PICTURE


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder, model = tmp_path_factory.mktemp("controlled"), tiny_folder("sd15")
    other = ModelFolder(make_tiny_controlnet(model, folder / "other", seed=2))
    persons = ModelFolder(make_tiny_person_detector(folder / "persons"))
    pose = PoseFolders(ModelFolder(make_tiny_pose_estimator(folder / "pose")), persons)
    named = replace(
        preset("embedded", native=64, guidance=2.0),
        model=ModelFolder(model),
        controls={
            DEPTH: ModelFolder(make_tiny_controlnet(model, folder / "depth", seed=0)),
            CANNY: ModelFolder(make_tiny_controlnet(model, folder / "canny", seed=1)),
            NORMAL: other,
            POSE: other,
            SEGMENTATION: other,
        },
        depth_estimator=ModelFolder(make_tiny_depth_estimator(folder / "estimator")),
        segmenter=ModelFolder(make_tiny_segmenter(folder / "segmenter")),
        pose=pose,
    )
    nobody = ModelFolder(make_tiny_person_detector(folder / "nobody", somebody=False))
    blind = replace(named, depth_estimator=None, segmenter=None, pose=None)
    presets = {
        "embedded": named,
        "bare": replace(named, controls={}),
        "blind": blind,
        "deserted": replace(named, pose=replace(pose, person_detector=nobody)),
        "large": replace(named, detail=0.5),
    }
    yield Engine(presets, device="cpu", home=folder)


def picture(seed: int, height: int = SIDE, width: int = SIDE) -> ImageU8:
    made = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    made[..., 3] = 255
    return made


def snapshot(kind: str, *controls: ImageU8, side: int = SIDE) -> Snapshot:
    """`text`: no picture; `whole`: a picture; `part`: a picture and a selection."""
    extent = Extent(side, side)
    mask = None
    if kind == "part":
        mask = np.zeros((side, side), np.uint8)
        mask[10:50, 20:60] = 255
    image = None if kind == "text" else picture(5, side, side)
    return Snapshot(extent, Bounds.of_canvas(extent), image, mask, dict(enumerate(controls)))


def paint(engine: Engine, given: Snapshot, *controls: Control, **request: object) -> Painting:
    fields = {"prompt": "a", "seed": 1, "strength": 0.7, **request}
    made = PaintRequest(**fields, controls=controls)  # type: ignore[arg-type]
    return engine.paint(Job(made, given), on_step=lambda _: None, is_cancelled=lambda: False)


@pytest.mark.parametrize("kind", ["text", "whole", "part"])
def test_no_strength_and_an_empty_range_are_exactly_no_control(kind: str, engine: Engine) -> None:
    given = snapshot(kind, picture(7))
    without = paint(engine, given)
    for silent in (Control(DEPTH, MAP, strength=0), Control(DEPTH, MAP, start=0.3, end=0.3)):
        assert paint(engine, given, silent).image.tobytes() == without.image.tobytes()
    heard = paint(engine, given, Control(DEPTH, MAP))
    assert heard.image.tobytes() != without.image.tobytes()
    assert (heard.image[..., 3] == without.image[..., 3]).all()


def test_a_kept_map_given_again_gives_the_same_bytes(engine: Engine) -> None:
    for kind in (DEPTH, CANNY, NORMAL, POSE, SEGMENTATION):
        first = paint(engine, snapshot("part"), Control(kind, keep=True))
        assert list(first.maps) == [0] and first.maps[0].shape == (SIDE, SIDE, 4)
        again = paint(engine, snapshot("part", first.maps[0]), Control(kind, MAP))
        assert again.image.tobytes() == first.image.tobytes() and not again.maps
        (used, used_again) = first.facts.controls[0], again.facts.controls[0]
        assert used.map_sha256 == used_again.map_sha256


def test_a_picture_of_its_own_is_what_the_map_is_taken_from(engine: Engine) -> None:
    control = Control(CANNY, PICTURE, keep=True)
    shown = paint(engine, snapshot("whole", picture(8)), control)
    of_canvas = paint(engine, snapshot("whole"), Control(CANNY, keep=True))
    assert shown.maps[0].tobytes() != of_canvas.maps[0].tobytes()
    as_canvas = replace(snapshot("whole"), image=picture(8))
    same = paint(engine, as_canvas, Control(CANNY, keep=True))
    assert shown.maps[0].tobytes() == same.maps[0].tobytes()


def test_several_controls_are_all_heard_and_told(engine: Engine) -> None:
    given = snapshot("whole", picture(7), picture(8))
    both = (Control(DEPTH, MAP, strength=0.6, end=0.8), Control(CANNY, MAP))
    painted = paint(engine, given, *both)
    for one in both:
        silent = tuple(replace(each, strength=0) if each is one else each for each in both)
        assert paint(engine, given, *silent).image.tobytes() != painted.image.tobytes()
    told = painted.facts.controls
    assert [(each.kind, each.strength, each.end) for each in told] == [
        (DEPTH, 0.6, 0.8),
        (CANNY, 1.0, 1.0),
    ]
    assert [each.model for each in told] == ["depth", "canny"]
    assert all(len(each.model_sha256) == len(each.map_sha256) == 64 for each in told)


def test_a_blank_canvas_and_a_flat_map_work(engine: Engine) -> None:
    blank = replace(snapshot("whole"), image=np.full((SIDE, SIDE, 4), 255, np.uint8))
    painted = paint(engine, blank, Control(DEPTH, keep=True), Control(CANNY))
    assert painted.image.shape == (SIDE, SIDE, 4)
    for level in (0, 128, 255):
        flat = np.full((SIDE, SIDE, 4), (level, level, level, 255), np.uint8)
        assert paint(engine, snapshot("text", flat), Control(DEPTH, MAP)).image.any()


def test_the_second_pass_in_tiles_hears_the_controls_too(engine: Engine) -> None:
    given = snapshot("whole", picture(7, 160, 160), side=160)
    control = Control(DEPTH, MAP)
    request = {"preset": "large", "strength": 0.3}  # as little as goes straight to the tiles
    painted = paint(engine, given, control, **request)
    assert painted.facts.width == 160
    assert painted.image.tobytes() != paint(engine, given, **request).image.tobytes()


def test_upscaling_hears_the_controls_too(engine: Engine) -> None:
    given = snapshot("whole", picture(7))
    painted = paint(engine, given, Control(DEPTH, MAP), upscale=1.5)
    assert painted.image.shape == (SIDE * 3 // 2, SIDE * 3 // 2, 4)
    assert painted.image.tobytes() != paint(engine, given, upscale=1.5).image.tobytes()


def test_nothing_outside_the_selection_is_painted(engine: Engine) -> None:
    given = snapshot("part", picture(7))
    assert given.mask is not None
    painted = paint(engine, given, Control(DEPTH, MAP, strength=2.0))
    part = painted.bounds.relative_to(given.bounds)
    selected = given.mask[part.y : part.bottom, part.x : part.right] > 0
    assert not painted.image[~selected].any()


@pytest.mark.parametrize(
    ("name", "control", "says"),
    [
        ("bare", Control(CANNY), "[control.canny]"),
        ("blind", Control(DEPTH, strength=0, keep=True), "[depth_estimator]"),
        ("blind", Control(NORMAL), "[depth_estimator]"),
        ("blind", Control(POSE), "[pose_estimator] and [person_detector]"),
        ("blind", Control(SEGMENTATION), "[segmenter]"),
    ],
)
def test_what_a_preset_does_not_have_is_said_before_anything_is_painted(
    name: str, control: Control, says: str, engine: Engine
) -> None:
    with pytest.raises(BridgeError) as raised:
        paint(engine, snapshot("whole"), control, preset=name)
    assert raised.value.code is Code.MODEL_MISSING
    assert says in raised.value.hint
    with pytest.raises(BridgeError):
        engine.prepare(name, lambda *_: None, [control])


def test_where_nobody_is_seen_the_pose_is_black(engine: Engine) -> None:
    asked = Control(POSE, keep=True)
    somebody = paint(engine, snapshot("whole"), asked)
    nobody = paint(engine, snapshot("whole"), asked, preset="deserted")
    assert somebody.maps[0][..., :3].any() and not nobody.maps[0][..., :3].any()
    # It is heard all the same, as a scene without people.
    assert nobody.facts.controls[0].model == "other"


def test_what_makes_maps_is_read_once_and_before_the_painting(engine: Engine) -> None:
    loaded: list[str] = []

    def told(_share: float, sentence: str) -> None:
        loaded.append(sentence)

    asked = [Control(kind) for kind in (SEGMENTATION, POSE, NORMAL, DEPTH)]
    fresh = Engine({"embedded": engine._presets["embedded"]}, device="cpu", home=engine._home)
    fresh.prepare("embedded", told, asked)
    kinds = ("segmenter", "person detector", "pose estimator", "depth estimator")
    for kind in kinds:
        assert len([sentence for sentence in loaded if f"Loading the {kind}" in sentence]) == 1
    read = len(loaded)
    fresh.prepare("embedded", told, asked)
    assert loaded[read:] == []


@pytest.fixture(scope="module")
def depth_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A model with a depth channel and an estimator of its own."""
    folder = tmp_path_factory.mktemp("depth2img")
    model = make_tiny_sd15(folder / "model", in_channels=5)
    make_tiny_depth_estimator(model / "depth_estimator")
    (model / "feature_extractor").mkdir()
    named = "preprocessor_config.json"
    (model / "depth_estimator" / named).rename(model / "feature_extractor" / named)
    presets = {"embedded": replace(preset("embedded", native=64), model=ModelFolder(model))}
    yield Engine(presets, device="cpu", home=folder)


@pytest.mark.parametrize("kind", ["whole", "part"])
def test_a_model_with_a_depth_channel_takes_the_canvas_or_a_map(
    kind: str, depth_engine: Engine
) -> None:
    by_itself = paint(depth_engine, snapshot(kind))
    (used,) = by_itself.facts.controls
    assert (used.kind, used.source, used.model) == (DEPTH, ControlSource.CANVAS, "model")
    asked = paint(depth_engine, snapshot(kind), Control(DEPTH, keep=True))
    assert asked.image.tobytes() == by_itself.image.tobytes()
    again = paint(depth_engine, snapshot(kind, asked.maps[0]), Control(DEPTH, MAP))
    assert again.image.tobytes() == by_itself.image.tobytes()
    other = paint(depth_engine, snapshot(kind, picture(9)), Control(DEPTH, MAP))
    assert other.image.tobytes() != by_itself.image.tobytes()


def test_a_model_with_a_depth_channel_paints_without_a_picture_and_larger_ones(
    depth_engine: Engine,
) -> None:
    assert paint(depth_engine, snapshot("text")).facts.controls == ()
    larger = paint(depth_engine, snapshot("whole"), upscale=1.5)
    assert larger.image.shape == (SIDE * 3 // 2, SIDE * 3 // 2, 4)


def test_a_depth_channel_is_not_filled_from_a_part_of_a_picture(depth_engine: Engine) -> None:
    area = Bounds(0, 0, SIDE, SIDE)
    part = UpscalePart(area, area)  # of the larger canvas, a quarter
    with pytest.raises(BridgeError, match="each part of so large a picture would have another"):
        paint(depth_engine, snapshot("whole"), upscale=2.0, part=part)
    given = snapshot("whole", picture(9))
    assert paint(depth_engine, given, Control(DEPTH, MAP), upscale=2.0, part=part).bounds == area


def test_a_depth_channel_has_neither_strength_nor_range(depth_engine: Engine) -> None:
    with pytest.raises(BridgeError, match="neither strength nor range"):
        paint(depth_engine, snapshot("whole"), Control(DEPTH, strength=0.5))

"""Regions larger than a model likes: painted small first, then once more in tiles at the document's resolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bridge.commands.pictures import lay_over
from bridge.engine.pipeline import Engine
from bridge.engine.types import Job, Painting, Snapshot, StepReport
from bridge.errors import BridgeError, Code
from bridge.models.loaded import LoadedModel, Resolution
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from krita_plugin.krita_bridge.wire.modes import Mode
from tests.fake_models import SD_CONFIG, fake_model, preset, tiny_model

SMALL = Resolution(native=64, max_pixels=96**2)
SIDE = 192


class Recording:
    """Answers with what it is given, brought into range, and remembers the sizes."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []
        self.model = fake_model(self._answer, resolution=SMALL)

    def _answer(self, given: torch.Tensor, call: int) -> torch.Tensor:
        self.sizes.append(tuple(given.shape[-2:]))
        return torch.tanh(given)


def engine_of(model: LoadedModel, detail: float, **options: object) -> Engine:
    made = preset("embedded", detail=detail, **options)
    return Engine({"embedded": made}, device="cpu", load=lambda *_: model)


def snapshot(side: int = SIDE, masked: bool = True) -> Snapshot:
    image = np.random.default_rng(0).integers(0, 256, (side, side, 4), dtype=np.uint8)
    image[..., 3] = 255
    mask = np.zeros((side, side), np.uint8)
    mask[: side // 4, : side // 2] = 255
    return Snapshot(Extent(side, side), Bounds(0, 0, side, side), image, mask if masked else None)


def paint(
    engine: Engine, what: Snapshot, reports: list[StepReport] | None = None, **request: object
) -> Painting:
    made = PaintRequest(**{"prompt": "a", "seed": 3, **request})
    told = [] if reports is None else reports
    return engine.paint(Job(made, what), on_step=told.append, is_cancelled=lambda: False)


def test_what_the_model_likes_as_a_whole_is_painted_in_one_pass() -> None:
    recording = Recording()
    paint(engine_of(recording.model, 0.5), snapshot(96))
    assert recording.sizes == [(12, 12)] * 4


def test_what_is_larger_is_painted_small_and_then_in_tiles() -> None:
    recording, reports = Recording(), list[StepReport]()
    painting = paint(engine_of(recording.model, 0.5), snapshot(), reports)
    assert recording.sizes[:4] == [(12, 12)] * 4
    assert set(recording.sizes[4:]) == {(8, 8)}
    assert (painting.facts.width, painting.facts.height) == (SIDE, SIDE)
    assert [(report.step, report.steps) for report in reports] == [(n, 6) for n in range(1, 7)]


def test_without_detail_there_is_one_pass() -> None:
    recording = Recording()
    painting = paint(engine_of(recording.model, 0.0), snapshot())
    assert recording.sizes == [(12, 12)] * 4
    assert painting.facts.width < SIDE


def test_tiles_without_anything_selected_are_left_out() -> None:
    everything, part = Recording(), Recording()
    paint(engine_of(everything.model, 0.5), snapshot(masked=False))
    paint(engine_of(part.model, 0.5), snapshot())
    assert len(part.sizes) < len(everything.sizes)


def test_a_light_refinement_keeps_the_detail_that_is_there() -> None:
    """The first pass would lose it; so the tiles begin from the picture itself."""
    recording = Recording()
    painting = paint(engine_of(recording.model, 0.5), snapshot(), strength=0.25)
    assert set(recording.sizes) == {(8, 8)}
    assert painting.facts.strength == 0.25


@pytest.mark.parametrize("strength", [0.25, 0.75, 1.0])
@pytest.mark.parametrize("mode", [None, Mode.REMOVE])
def test_nothing_outside_the_selection_changes(strength: float, mode: Mode | None) -> None:
    what = snapshot()
    assert what.image is not None and what.mask is not None
    painting = paint(engine_of(Recording().model, 0.5), what, strength=strength, mode=mode)
    after = what.image.copy()
    lay_over(painting.image, painting.bounds, after)
    changed = (after != what.image).any(axis=-1)
    assert not changed[what.mask == 0].any() and changed[what.mask > 0].mean() > 0.5


def test_a_new_picture_has_two_passes_too() -> None:
    recording = Recording()
    what = Snapshot(Extent(SIDE, SIDE), Bounds(0, 0, SIDE, SIDE))
    painting = paint(engine_of(recording.model, 0.5), what)
    assert painting.image.shape == (SIDE, SIDE, 4) and (painting.image[..., 3] == 255).all()
    assert set(recording.sizes) == {(12, 12), (8, 8)}


def test_nothing_is_painted_at_strength_zero() -> None:
    recording = Recording()
    paint(engine_of(recording.model, 0.5), snapshot(), strength=0.0)
    assert recording.sizes == []


@pytest.mark.parametrize("checks", [1, 5, 8, 12, 20])
def test_a_cancelled_job_stops_within_a_tile(checks: int) -> None:
    recording, asked = Recording(), 0

    def is_cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > checks

    with pytest.raises(BridgeError) as caught:
        engine_of(recording.model, 0.5).paint(
            Job(PaintRequest("a"), snapshot(masked=False)),
            on_step=lambda _: None,
            is_cancelled=is_cancelled,
        )
    assert caught.value.code is Code.CANCELLED
    assert len(recording.sizes) <= checks


def test_the_same_job_gives_the_same_bytes() -> None:
    one, two = (paint(engine_of(Recording().model, 0.5), snapshot()) for _ in range(2))
    assert one.image.tobytes() == two.image.tobytes()


def test_no_seam_shows_between_tiles_that_want_different_things() -> None:
    """Every tile is asked for another flat colour: the colours go over into each other across the overlap."""
    colours = np.random.default_rng(5).uniform(-0.9, 0.9, 1000)
    model = fake_model(
        lambda given, call: torch.full_like(given, colours[call]),
        scheduler_config={**SD_CONFIG, "prediction_type": "sample"},
        resolution=Resolution(native=256, max_pixels=256**2),
    )
    what = snapshot(448, masked=False)
    picture = paint(engine_of(model, 0.5), what).image[..., :3].astype(int)
    assert np.ptp(picture) > 100
    overlap = 256 // 4 // 8  # in latents, each of which is one block of colour here
    for axis in (0, 1):
        assert np.abs(np.diff(picture, axis=axis)).max() <= 1.5 * np.ptp(picture) / overlap


@pytest.mark.parametrize("kind", ["sd15", "sd15_inpaint", "sdxl"])
def test_every_kind_of_model_paints_in_tiles(kind: str) -> None:
    model = replace(tiny_model(kind), resolution=SMALL)
    painting = paint(engine_of(model, 0.5, guidance=3.0), snapshot())
    assert (painting.facts.width, painting.facts.height) == (SIDE, SIDE)
    assert painting.image[..., :3].std() > 0


@pytest.mark.parametrize("side", [64, 96, 192])
def test_a_scale_makes_what_the_model_works_on_smaller_and_the_result_is_of_the_same_size(
    side: int,
) -> None:
    recording = Recording()
    painting = paint(engine_of(recording.model, 0.0), snapshot(side), scale=1.0)
    half = paint(engine_of(recording.model, 0.0), snapshot(side), scale=0.75)
    (whole_side, _), (less, _) = recording.sizes[0], recording.sizes[-1]
    assert less == max(8, round(whole_side * 0.75))
    assert (half.image.shape, half.bounds) == (painting.image.shape, painting.bounds)
    assert (half.facts.scale, half.facts.width) == (0.75, less * 8)
    assert np.array_equal(half.image[..., 3], painting.image[..., 3])


def test_a_request_says_whether_there_is_a_second_pass() -> None:
    recording = Recording()
    painting = paint(engine_of(recording.model, 0.5), snapshot(), detail=0.0)
    assert recording.sizes == [(12, 12)] * 4 and painting.facts.detail == 0.0
    painting = paint(engine_of(recording.model, 0.0), snapshot(), detail=0.5)
    assert len(recording.sizes) > 8 and painting.facts.detail == 0.5

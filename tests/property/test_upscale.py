"""What holds for every upscaling: sizes, tiles, selections, models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.engine.lanczos import enlarge, enlarge_mask
from bridge.engine.pipeline import Engine
from bridge.engine.schedule import make_schedule, steps_run
from bridge.engine.types import Job, Painting, Snapshot, StepReport
from bridge.engine.upscale import tiles_of
from bridge.errors import BridgeError, Code
from bridge.models.loaded import LoadedModel, Resolution
from krita_plugin.krita_bridge.parts import parts_of
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest, UpscalePart
from krita_plugin.krita_bridge.wire.modes import Mode
from tests.fake_models import (
    SD_CONFIG,
    PixelVae,
    fake_model,
    oracle_answer,
    oracle_model,
    preset,
)

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SMALL = Resolution(native=64, max_pixels=96**2)
STEPS = 4
FACTORS = st.sampled_from([1.1, 1.5, 2.0, 2.7, 3.0, 4.0])
STRENGTH = 0.5


def upscale(
    model: LoadedModel,
    snapshot: Snapshot,
    factor: float,
    reports: list[StepReport] | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
    **request: object,
) -> Painting:
    engine = Engine(
        {"embedded": preset("embedded", steps=STEPS)}, device="cpu", load=lambda *_: model
    )
    options = {"prompt": "a", "seed": 1, "strength": STRENGTH, "upscale": factor, **request}
    told = [] if reports is None else reports
    job = Job(PaintRequest(**options), snapshot)
    return engine.paint(job, on_step=told.append, is_cancelled=is_cancelled)


def of_canvas(image: np.ndarray, mask: np.ndarray | None = None) -> Snapshot:
    canvas = Extent(image.shape[1], image.shape[0])
    return Snapshot(canvas, Bounds.of_canvas(canvas), image, mask)


def plain(image: np.ndarray, factor: float) -> np.ndarray:
    height, width = image.shape[:2]
    return enlarge(image, (0, 0, width, height), Extent(width, height).scaled(factor))


@st.composite
def images(
    draw: st.DrawFn, opaque: bool = False, least: int = 1, sides: Sequence[int] = ()
) -> np.ndarray:
    side = st.sampled_from(sides) if sides else st.integers(least, 60)
    height, width = draw(side), draw(side)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    image = generator.integers(0, 256, (height, width, 4), dtype=np.uint8)
    if opaque or draw(st.booleans()):
        image[..., 3] = 255
    elif draw(st.booleans()):
        image[:, : width // 2, 3] = 0
    return image


def wild(given: torch.Tensor, call: int) -> torch.Tensor:
    return torch.tanh(given * 3)


@FEW
@given(
    st.integers(0, 500),
    st.integers(0, 500),
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from([SMALL, Resolution(128, 160**2), Resolution(128, 160**2, 64)]),
)
def test_the_tiles_cover_the_area_and_fit(
    x: int, y: int, width: int, height: int, resolution: Resolution
) -> None:
    area = Bounds(x, y, width, height)
    total = np.zeros((height, width))
    for tile in (tile for row in tiles_of(area, resolution) for tile in row):
        assert area.contains(tile.bounds)
        assert max(tile.bounds.width, tile.bounds.height) <= resolution.native
        assert tile.weights.shape == (tile.bounds.height, tile.bounds.width)
        assert tile.weights.min() > 0
        at = tile.bounds.relative_to(area)
        total[at.y : at.bottom, at.x : at.right] += tile.weights
        for start, edge in ((tile.bounds.x, area.x), (tile.bounds.y, area.y)):
            assert start == edge or start % resolution.multiple == 0
    assert total.min() > 0


@FEW
@given(images(), FACTORS)
def test_strength_zero_is_plain_enlarging(image: np.ndarray, factor: float) -> None:
    reports: list[StepReport] = []
    painting = upscale(fake_model(wild), of_canvas(image), factor, reports, strength=0.0)
    assert np.array_equal(painting.image, plain(image, factor))
    assert painting.bounds.extent == Extent(image.shape[1], image.shape[0]).scaled(factor)
    assert not reports


@FEW
@given(images(sides=[48, 64]), st.sampled_from([1.5, 2.0, 3.0]))
def test_with_a_perfect_model_it_is_plain_enlarging_too(image: np.ndarray, factor: float) -> None:
    """At sizes that the model paints pixel for pixel."""
    schedule = make_schedule("ddim", SD_CONFIG, STEPS, steps_run(STEPS, STRENGTH))
    model = oracle_model(schedule, SD_CONFIG, resolution=SMALL)
    expected = plain(image, factor)
    painting = upscale(model, of_canvas(image), factor)
    assert np.array_equal(painting.image[..., 3], expected[..., 3])
    # What is seen, that is: on white. A level there is many in the colour of what hardly shows.
    change = (painting.image[..., :3].astype(float) - expected[..., :3]) * (expected[..., 3:] / 255)
    assert np.abs(change).max() <= 1.5


@FEW
@given(images(opaque=True), FACTORS, st.sampled_from([SMALL, Resolution(96, 128**2, 16)]))
def test_every_pixel_counts_once(image: np.ndarray, factor: float, resolution: Resolution) -> None:
    """A model that always answers with one colour: the weights of all tiles add up to one everywhere."""
    schedule = make_schedule("ddim", SD_CONFIG, STEPS, steps_run(STEPS, STRENGTH))
    colour = torch.tensor([0.4, -0.2, 0.1]).repeat_interleave(64).reshape(1, 192, 1, 1)
    answer = oracle_answer(schedule, lambda: colour)
    painting = upscale(fake_model(answer, resolution=resolution), of_canvas(image), factor)
    expected = np.array([0.4, -0.2, 0.1]) * 127.5 + 127.5
    assert np.abs(painting.image[..., :3] - expected).max() <= 1


@FEW
@given(images(opaque=True, least=44), st.sampled_from([3.0, 3.3, 4.0]))
def test_for_a_model_that_looks_at_a_latent_alone_tiles_make_no_difference(
    image: np.ndarray, factor: float
) -> None:
    """They begin from the same picture and the same noise wherever they overlap: as one run on the enlarged picture."""
    many = upscale(fake_model(wild, resolution=Resolution(128, 160**2)), of_canvas(image), factor)
    larger = of_canvas(plain(image, factor))
    one = upscale(fake_model(wild), larger, 1.0, mode=Mode.REFINE)
    assert np.abs(many.image.astype(int) - one.image).max() <= 1


def test_tiles_that_disagree_go_over_smoothly() -> None:
    colours = torch.rand(64, 192, 1, 1, generator=torch.Generator().manual_seed(2)) * 2 - 1
    colours = colours[:, :1].expand_as(colours)
    schedule = make_schedule("ddim", SD_CONFIG, STEPS, 1)
    calls = iter(range(64))
    answer = oracle_answer(schedule, lambda: colours[next(calls)])
    model = fake_model(answer, resolution=SMALL)
    grey = np.full((100, 100, 4), 128, np.uint8)
    grey[..., 3] = 255
    painting = upscale(model, of_canvas(grey), 2.0, strength=0.25)
    shown = painting.image[..., :3].astype(float)
    steps = max(np.abs(np.diff(shown, axis=axis)).max() for axis in (0, 1))
    assert np.ptp(shown) > 100
    # At worst from black to white over the overlap of 16 px, along both axes at a corner, and rounding.
    assert steps <= 2 * 255 / 16 + 1


@FEW
@given(images(least=4), FACTORS, st.integers(0, 2**32))
def test_where_nothing_is_selected_it_is_plain_enlarging(
    image: np.ndarray, factor: float, seed: int
) -> None:
    height, width = image.shape[:2]
    generator = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    top, left = generator.integers(height), generator.integers(width)
    mask[top : top + height // 2 + 1, left : left + width // 2 + 1] = generator.integers(1, 256)
    expected = plain(image, factor)
    painting = upscale(fake_model(wild, resolution=SMALL), of_canvas(image, mask), factor)
    larger = enlarge_mask(mask, (0, 0, width, height), Extent(expected.shape[1], expected.shape[0]))
    assert np.array_equal(painting.image[larger == 0], expected[larger == 0])
    assert np.array_equal(painting.image[..., 3], expected[..., 3])


def noise(height: int, width: int) -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 4), dtype=np.uint8)
    image[..., 3] = 255
    return image


def test_the_selection_is_refined() -> None:
    image = noise(40, 40)
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 255
    painting = upscale(fake_model(wild, resolution=SMALL), of_canvas(image, mask), 2.0)
    inside = (painting.image.astype(int) - plain(image, 2.0))[28:52, 28:52]
    assert np.abs(inside).mean() > 10


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    snapshot, reports = of_canvas(noise(50, 70)), list[StepReport]()
    model = fake_model(wild, resolution=SMALL)
    one = upscale(model, snapshot, 2.0, reports)
    assert np.array_equal(one.image, upscale(model, snapshot, 2.0).image)
    assert not np.array_equal(one.image, upscale(model, snapshot, 2.0, seed=2).image)
    assert (one.facts.upscale, one.facts.mode, one.facts.width) == (2.0, Mode.REFINE, 64)


def test_a_step_is_a_tile_and_shows_it() -> None:
    snapshot, shown = of_canvas(noise(50, 70)), list[tuple[np.ndarray, Bounds]]()
    reports: list[StepReport] = []

    class Looking(list[StepReport]):
        def append(self, report: StepReport) -> None:
            reports.append(report)
            shown.append(report.preview())

    model = fake_model(wild, resolution=SMALL)
    painting = upscale(model, snapshot, 2.0, Looking())
    tiles = [tile for row in tiles_of(painting.bounds, SMALL) for tile in row]
    assert [(report.step, report.steps) for report in reports] == [
        (n, len(tiles)) for n in range(1, len(tiles) + 1)
    ]
    assert [bounds for _, bounds in shown] == [tile.bounds for tile in tiles]
    # A corner belongs to a single tile, which shows it as it stays.
    first, bounds = shown[0]
    assert first.shape == (bounds.height, bounds.width, 4)
    assert np.array_equal(first[:8, :8], painting.image[:8, :8])


@pytest.mark.parametrize("after", [0, 1, 3])
def test_it_stops_between_tiles(after: int) -> None:
    reports: list[StepReport] = []
    model = fake_model(wild, resolution=SMALL)
    with pytest.raises(BridgeError) as caught:
        upscale(model, of_canvas(noise(50, 70)), 3.0, reports, lambda: len(reports) >= after)
    assert caught.value.code is Code.CANCELLED
    assert len(reports) == after
    assert model.unet.calls == after * steps_run(STEPS, STRENGTH)


def test_a_part_of_the_canvas_lies_where_it_belongs() -> None:
    """Its noise too: a part is what the whole shows there, but for what lay beyond its edge."""
    image, canvas = noise(120, 120), Extent(120, 120)
    model = fake_model(wild, resolution=Resolution(64, 96**2))
    whole = upscale(model, of_canvas(image), 2.0).image
    bounds = Bounds(30, 10, 80, 90)
    snapshot = Snapshot(canvas, bounds, image[10:100, 30:110])
    part = upscale(model, snapshot, 2.0)
    assert part.bounds == Bounds(60, 20, 160, 180)
    same = part.image[16:-16, 16:-16].astype(int) - whole[36:184, 76:204]
    assert np.abs(same).max() <= 1


@pytest.mark.parametrize("factor", [1.5, 2.0])
def test_parts_side_by_side_are_the_whole(factor: float) -> None:
    image, mask = noise(170, 230), np.full((170, 230), 255, np.uint8)
    mask[60:100, 90:130] = 0
    canvas, area = Extent(230, 170), Bounds(7, 0, 223, 165)
    model = fake_model(wild, resolution=SMALL)

    def cut(bounds: Bounds) -> Snapshot:
        at = slice(bounds.y, bounds.bottom), slice(bounds.x, bounds.right)
        return Snapshot(canvas, bounds, image[at], mask[at])

    whole = upscale(model, cut(area), factor)
    made = np.zeros_like(whole.image)
    parts = parts_of(canvas, area, factor, SMALL.native, 128)
    assert len(parts) >= 4
    for bounds, part in parts:
        painting = upscale(model, cut(bounds), factor, part=part)
        assert painting.bounds == part.target
        assert bounds.width < area.width and bounds.height < area.height
        at = painting.bounds.relative_to(whole.bounds)
        place = made[at.y : at.bottom, at.x : at.right]
        assert not place[..., 3].any(), "no pixel is made twice"
        place[:] = painting.image
    # Pillow counts the places that it takes pixels from in float32, from a part's own corner.
    assert np.abs(made.astype(int) - whole.image).max() <= 1


def test_a_part_of_which_too_little_was_sent_is_made_of_what_there_is() -> None:
    image = noise(100, 100)
    model = fake_model(wild, resolution=SMALL)
    part = UpscalePart(Bounds(0, 0, 100, 100), Bounds(40, 40, 60, 60))
    snapshot = Snapshot(Extent(100, 100), Bounds(20, 20, 30, 30), image[20:50, 20:50])
    painting = upscale(model, snapshot, 2.0, part=part)
    assert (painting.bounds, painting.image.shape) == (part.target, (60, 60, 4))
    assert (painting.image[..., 3] == 255).all()


class _Weighing(PixelVae):
    """Remembers the largest picture it saw."""

    most = 0

    def encode(self, picture: torch.Tensor) -> object:
        self.most = max(self.most, picture.shape[-1] * picture.shape[-2])
        return super().encode(picture)


def test_the_model_never_sees_more_than_a_tile() -> None:
    vae = _Weighing()
    upscale(fake_model(wild, resolution=SMALL, vae=vae), of_canvas(noise(200, 180)), 4.0)
    assert 0 < vae.most <= 64 * 64


def test_what_cannot_be_upscaled_is_said() -> None:
    image = noise(20, 20)
    model = fake_model(wild, resolution=SMALL)
    for snapshot, request in (
        (Snapshot(Extent(20, 20), Bounds(0, 0, 20, 20)), {}),
        (of_canvas(image), {"mode": Mode.FILL}),
        (Snapshot(Extent(20, 20), Bounds(1, 1, 1, 1), image[1:2, 1:2]), {}),
    ):
        with pytest.raises(BridgeError) as caught:
            upscale(model, snapshot, 1.2, **request)
        assert caught.value.code is Code.BAD_INPUT

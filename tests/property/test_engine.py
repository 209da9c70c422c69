"""What holds for every picture, selection, crop and size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.commands.pictures import lay_over
from bridge.engine.pipeline import Engine
from bridge.engine.schedule import make_schedule, steps_run
from bridge.engine.schedulers import SCHEDULERS
from bridge.engine.types import Job, Painting, Snapshot
from bridge.models.loaded import LoadedModel, Resolution
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from krita_plugin.krita_bridge.wire.modes import Mode
from tests.fake_models import SD_CONFIG, ZERO_SNR_CONFIG, fake_model, oracle_model, preset
from tests.figures import found

CANVAS = Extent(100_000, 100_000)
STEPS = 4
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def paint(model: LoadedModel, snapshot: Snapshot, **request: object) -> Painting:
    presets = {"embedded": preset("embedded", steps=STEPS)}
    engine = Engine(presets, device="cpu", load=lambda *_: model)
    made = PaintRequest(**{"prompt": "a", "seed": 1, **request})
    return engine.paint(Job(made, snapshot), on_step=lambda _: None, is_cancelled=lambda: False)


def after(painting: Painting, snapshot: Snapshot) -> np.ndarray:
    """The source with the layer over it, as the painter sees it."""
    assert snapshot.image is not None
    result = snapshot.image.copy()
    lay_over(painting.image, painting.bounds.relative_to(snapshot.bounds), result)
    return result


@st.composite
def masks(draw: st.DrawFn, height: int, width: int) -> np.ndarray:
    """Hard or soft rectangles, stray pixels, everything, or noise; never nothing."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    mask = np.zeros((height, width), np.uint8)
    kind = draw(st.sampled_from(["box", "soft", "pixel", "all", "noise"]))
    if kind == "all":
        mask[:] = 255
    elif kind == "noise":
        mask[:] = generator.integers(0, 256, mask.shape) * (generator.random(mask.shape) < 0.5)
    elif kind == "pixel":
        mask[generator.integers(height), generator.integers(width)] = draw(st.integers(1, 255))
    else:
        top, left = generator.integers(height), generator.integers(width)
        bottom = generator.integers(top, height) + 1
        right = generator.integers(left, width) + 1
        mask[top:bottom, left:right] = 255
        if kind == "soft":
            ramp = np.linspace(1, 255, right - left).astype(np.uint8)
            mask[top:bottom, left:right] = ramp
    if not mask.any():
        mask[0, 0] = 1
    return mask


@st.composite
def snapshots(draw: st.DrawFn, most: int = 70, opaque: bool = False) -> Snapshot:
    """A random picture with any alpha (colours under zero alpha too) at any place, and a selection."""
    height, width = draw(st.integers(1, most)), draw(st.integers(1, most))
    bounds = Bounds(draw(st.integers(0, 5000)), draw(st.integers(0, 5000)), width, height)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    image = generator.integers(0, 256, (height, width, 4), dtype=np.uint8)
    if opaque:
        image[..., 3] = 255
    elif draw(st.booleans()):
        image[..., 3] = np.where(generator.random((height, width)) < 0.5, 0, image[..., 3])
    return Snapshot(CANVAS, bounds, image, draw(masks(height, width)))


STRENGTHS = st.sampled_from([0.0, 0.3, 0.75, 1.0])
SCALES = st.sampled_from([None, Resolution(96, 128**2), Resolution(16, 32**2, 64)])


@FEW
@given(snapshots(), STRENGTHS, SCALES)
def test_outside_the_selection_every_byte_stays(
    snapshot: Snapshot, strength: float, resolution: Resolution | None
) -> None:
    model = fake_model(lambda given, call: torch.tanh(given * 3), resolution=resolution)
    painting = paint(model, snapshot, strength=strength)
    assert snapshot.mask is not None and snapshot.image is not None
    untouched = snapshot.mask == 0
    assert np.array_equal(after(painting, snapshot)[untouched], snapshot.image[untouched])
    box = painting.bounds.relative_to(snapshot.bounds)
    mask = snapshot.mask[box.y : box.bottom, box.x : box.right]
    found("bytes of a layer outside its selection", np.count_nonzero(painting.image[mask == 0]))
    assert not painting.image[mask == 0].any()
    if strength > 0:
        assert (painting.image[..., 3] >= mask).all()


@FEW
@given(snapshots(), SCALES)
def test_strength_zero_changes_no_byte(snapshot: Snapshot, resolution: Resolution | None) -> None:
    model = fake_model(lambda given, call: given, resolution=resolution)
    painting = paint(model, snapshot, strength=0.0)
    found(
        "strength 0, levels changed",
        np.abs(after(painting, snapshot).astype(int) - snapshot.image).max(),
    )
    assert np.array_equal(after(painting, snapshot), snapshot.image)


@pytest.mark.parametrize("config", [SD_CONFIG, ZERO_SNR_CONFIG], ids=["epsilon", "zero_snr"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@settings(parent=FEW, max_examples=8)
@given(snapshot=snapshots(opaque=True), strength=st.sampled_from([0.3, 0.75]))
def test_with_a_perfect_model_the_engine_is_an_identity(
    scheduler: str, config: dict[str, object], snapshot: Snapshot, strength: float
) -> None:
    assert snapshot.image is not None and snapshot.mask is not None
    run = steps_run(STEPS, strength * (int(snapshot.mask.max()) / 255))
    schedule = make_schedule(scheduler, config, STEPS, run)
    model = oracle_model(schedule, config)
    painting = paint(model, snapshot, strength=strength, scheduler=scheduler)
    change = after(painting, snapshot).astype(int) - snapshot.image
    found("identity of the engine, levels", np.abs(change).max())
    assert np.abs(change).max() <= 1


def ramp(bounds: Bounds) -> np.ndarray:
    """Levels that rise with the canvas position in x, fall with y, and one constant."""
    y, x = np.mgrid[bounds.y : bounds.bottom, bounds.x : bounds.right]
    planes = [x - bounds.x + 5, 250 - (y - bounds.y), np.full_like(x, 77), np.full_like(x, 255)]
    return np.stack(planes, axis=-1).astype(np.uint8)


@FEW
@given(
    x=st.integers(0, 999),
    y=st.integers(0, 999),
    width=st.integers(40, 240),
    height=st.integers(40, 240),
    native=st.sampled_from([1, 128, 200, 320]),
)
def test_ramps_come_back_at_their_place(
    x: int, y: int, width: int, height: int, native: int
) -> None:
    """Through crop, resize up or down, identity and paste-back: half a pixel of shift would show.

    Eight pixels at the capture's border are left out: resampling has no surroundings there.
    """
    bounds = Bounds(x, y, width, height)
    image = ramp(bounds)
    mask = np.zeros((height, width), np.uint8)
    mask[10:-10, 10:-10] = 255
    schedule = make_schedule("ddim", SD_CONFIG, STEPS, 2)
    largest = 1 << 30 if native == 1 else max(native**2, 150**2)
    model = oracle_model(schedule, SD_CONFIG, resolution=Resolution(native, largest))
    painting = paint(model, Snapshot(CANVAS, bounds, image, mask), strength=0.5)
    box = painting.bounds.relative_to(bounds)
    expected = image[box.y : box.bottom, box.x : box.right]
    found("ramps, levels", np.abs(painting.image.astype(int) - expected).max())
    assert np.array_equal(painting.image, expected)


MARGINS = st.integers(0, 40)


@FEW
@given(snapshots(), MARGINS, MARGINS, MARGINS, MARGINS)
def test_the_noise_belongs_to_the_canvas(
    snapshot: Snapshot, left: int, top: int, right: int, bottom: int
) -> None:
    """A model that leaves the noise as it is paints the same wherever two captures overlap."""
    model = fake_model(lambda given, call: torch.zeros_like(given))
    inner = Bounds(
        snapshot.bounds.x + 40,
        snapshot.bounds.y + 40,
        snapshot.bounds.width,
        snapshot.bounds.height,
    )
    outer = Bounds(
        inner.x - left,
        inner.y - top,
        inner.width + left + right,
        inner.height + top + bottom,
    )
    one = paint(model, Snapshot(CANVAS, inner)).image
    two = paint(model, Snapshot(CANVAS, outer)).image
    assert np.array_equal(one, two[top : top + inner.height, left : left + inner.width])


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("canvas", ["transparent", "white", "black"])
@pytest.mark.parametrize("selected", ["a pixel", "half", "everything"])
def test_blank_canvases_and_single_pixels_work_in_every_mode(
    mode: Mode, canvas: str, selected: str
) -> None:
    """Nothing around to take colours from, no contrast to match, a border without anything beyond it."""
    image = np.zeros((72, 64, 4), np.uint8)
    if canvas != "transparent":
        image[:] = (*[255 if canvas == "white" else 0] * 3, 255)
    mask = np.zeros((72, 64), np.uint8)
    mask[{"a pixel": np.s_[35, 63], "half": np.s_[:, 30:], "everything": np.s_[:]}[selected]] = 255
    model = fake_model(lambda given, call: torch.tanh(given * 3))
    painting = paint(model, Snapshot(CANVAS, Bounds(8, 8, 64, 72), image, mask), mode=mode)
    assert np.all(painting.image[..., 3] == 255)
    assert painting.image.shape[0] * painting.image.shape[1] == np.count_nonzero(mask)


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (1, 1, (0, 0, 1, 1)),
        (509, 521, (100, 100, 3, 401)),
        (4096, 64, (4000, 0, 96, 64)),
        (64, 4096, (0, 4095, 64, 1)),
        (300, 300, (0, 0, 300, 300)),
        (16384, 64, (9001, 7, 503, 1)),
        (64, 64, (63, 0, 1, 1)),
    ],
)
def test_odd_geometry(width: int, height: int, box: tuple[int, int, int, int]) -> None:
    # The corner of the canvas may lie anywhere, inside the capture too.
    bounds, target = Bounds(-7, 3, width, height), Bounds(*box)
    mask = np.zeros((height, width), np.uint8)
    mask[target.y : target.bottom, target.x : target.right] = 255
    image = np.full((height, width, 4), 200, np.uint8)
    model = fake_model(lambda given, call: torch.tanh(given), resolution=Resolution(128, 192**2))
    painting = paint(model, Snapshot(CANVAS, bounds, image, mask))
    assert painting.bounds.relative_to(bounds) == target
    assert np.all(painting.image[..., 3] == 255)

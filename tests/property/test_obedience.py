"""Strength and guidance do what their numbers say, and nothing else decides what a job paints."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from bridge.engine.condition import Conditioning
from bridge.engine.guidance import make_predictor
from bridge.engine.pipeline import Engine
from bridge.engine.schedule import steps_run
from bridge.engine.types import Job, Painting, Snapshot, StepReport
from bridge.errors import BridgeError, Code
from bridge.models.loaded import LoadedModel, Resolution
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from krita_plugin.krita_bridge.wire.modes import Mode
from tests.fake_models import fake_model, preset, tiny_model

SIDE = 64
BOUNDS = Bounds(24, 8, SIDE, SIDE)
Record = Callable[[str, object], None]


def hazy() -> LoadedModel:
    """Leaves the picture for something else at every step."""
    return fake_model(lambda given, call: torch.tanh(given + 0.1 * call))


def engine_of(model: LoadedModel, **options: object) -> Engine:
    presets = {"embedded": preset("embedded", **options)}
    return Engine(presets, device="cpu", load=lambda *_: model)


def picture(seed: int = 0) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
    image[..., 3] = 255
    return image


def paint(engine: Engine, image: np.ndarray | None, **request: object) -> Painting:
    asked = PaintRequest(**{"prompt": "a", "seed": 5, **request})
    snapshot = Snapshot(Extent(200, 200), BOUNDS, image)
    return engine.paint(Job(asked, snapshot), on_step=lambda _: None, is_cancelled=lambda: False)


def test_more_strength_changes_more(record_property: Record) -> None:
    engine, image = engine_of(hazy(), steps=20), picture()
    changes = []
    for percent in range(0, 101, 5):
        result = paint(engine, image, strength=percent / 100, mode=Mode.REFINE).image
        changes.append(float(np.abs(result.astype(int) - image).mean()))
    record_property("strength 0, levels changed", changes[0])
    assert changes[0] == 0
    falls = np.diff(changes).min()
    assert falls > -0.02 * changes[-1]
    assert changes[-1] > 10


@pytest.mark.parametrize("steps", [1, 4, 20, 50, 150])
def test_the_rounding_of_strength_is_one_rule(steps: int) -> None:
    """Half up, at least one step above 0, all at 1, never more for less strength; also for 0.29 * 50 and the like."""
    for thousandth in range(1001):
        exact = steps * thousandth  # in thousandths of a step, whole numbers
        expected = 0 if thousandth == 0 else max(1, (exact + 500) // 1000)
        assert steps_run(steps, thousandth / 1000) == expected


def test_full_strength_does_not_see_the_picture() -> None:
    one, two = (paint(engine_of(hazy()), picture(seed)).image for seed in (1, 2))
    assert np.array_equal(one, two)


def predict(model: LoadedModel, guidance: float, *conditions: Conditioning) -> torch.Tensor:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        made = make_predictor(model, [400.0], conditions, guidance, Extent(SIDE, SIDE))
        return made(latents, 0)


def test_guidance_goes_straight_from_negative_to_positive_and_on(record_property: Record) -> None:
    model = tiny_model("sd15")
    generator = torch.Generator().manual_seed(3)
    width = model.unet.config.cross_attention_dim
    positive, negative = (
        Conditioning(torch.randn(1, 77, width, generator=generator)) for _ in "ab"
    )
    alone, other = predict(model, 1.0, positive), predict(model, 1.0, negative)
    pulled = [
        predict(model, guidance, positive, negative) - other for guidance in (1.0, 1.5, 3.0, 7.0)
    ]
    torch.testing.assert_close(pulled[0] + other, alone, atol=1e-5, rtol=0)
    record_property(
        "guidance 1 against the prompt alone", float((pulled[0] + other - alone).abs().max())
    )
    lengths = [float(way.norm()) for way in pulled]
    assert lengths == sorted(lengths)
    for guidance, way in zip((1.5, 3.0, 7.0), pulled[1:], strict=True):
        torch.testing.assert_close(way, guidance * (alone - other), atol=1e-4, rtol=0)


JOBS = [
    PaintRequest("a", seed=1),
    PaintRequest("b", seed=1, strength=0.5, scheduler="euler_a"),
    PaintRequest("b", seed=2, strength=0.5, scheduler="dpmpp_2m_karras", guidance=3.0),
    PaintRequest("a", seed=3, preset="other", steps=7),
    PaintRequest("", seed=4, strength=0.7, mode=Mode.REMOVE),
]


def run(
    engine: Engine, request: PaintRequest, *, previews: bool = False, stop: bool = False
) -> str:
    """The hash of what a request paints, or nothing when it is stopped half way."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[16:48, 20:50] = 255
    snapshot = Snapshot(Extent(200, 200), BOUNDS, picture(), mask)
    reports: list[StepReport] = []

    def on_step(report: StepReport) -> None:
        reports.append(report)
        if previews:
            report.preview()

    try:
        painting = engine.paint(
            Job(request, snapshot), on_step=on_step, is_cancelled=lambda: stop and len(reports) > 1
        )
    except BridgeError as error:
        assert error.code is Code.CANCELLED
        return ""
    return hashlib.sha256(painting.image.tobytes()).hexdigest()


def fresh() -> Engine:
    presets = {name: preset(name) for name in ("embedded", "other")}
    return Engine(presets, device="cpu", load=lambda *_: tiny_model("sd15"))


def test_no_order_no_cancelled_job_and_no_preview_changes_a_result(record_property: Record) -> None:
    expected = {request: run(fresh(), request) for request in JOBS}
    assert len(set(expected.values())) == len(JOBS)
    engine, shuffle = fresh(), random.Random(4)
    for _ in range(4):
        for request in shuffle.sample(JOBS, len(JOBS)):
            assert not run(engine, shuffle.choice(JOBS), stop=True)
            assert run(engine, request, previews=shuffle.random() < 0.5) == expected[request]
    record_property("results that differ by order, cancelling or previews", 0)


@pytest.mark.parametrize("scheduler", ["euler", "euler_a"])
def test_noise_does_not_move_when_the_crop_does(scheduler: str) -> None:
    """Fresh noise of later steps too: where two captures overlap, a model without a view sees the same."""
    model = fake_model(lambda given, call: torch.tanh(given), resolution=Resolution(1, 1 << 30))
    engine, layers = engine_of(model), []
    for bounds in (Bounds(40, 40, 64, 64), Bounds(19, 7, 101, 130)):
        asked = PaintRequest("a", seed=9, scheduler=scheduler)
        painting = engine.paint(
            Job(asked, Snapshot(Extent(500, 500), bounds)),
            on_step=lambda _: None,
            is_cancelled=lambda: False,
        )
        layers.append(painting.image)
    assert np.array_equal(layers[0], layers[1][33:97, 21:85])

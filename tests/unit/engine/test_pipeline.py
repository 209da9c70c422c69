"""The engine from job to layer, on models whose answer is known."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bridge.engine.pipeline import Engine
from bridge.engine.types import Job, Painting, Snapshot, StepReport
from bridge.errors import BridgeError, Code
from bridge.models import folder_loader
from bridge.models.brake import stop_if
from bridge.models.loaded import LoadedModel
from bridge.presets import ModelFolder
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from tests.fake_models import fake_model, preset, tiny_model
from tests.figures import found

CANVAS = Extent(400, 300)
BOUNDS = Bounds(101, 57, 90, 100)


def engine_of(model: LoadedModel, **options: object) -> Engine:
    """An engine whose one preset, `embedded`, is `model`."""
    return Engine({"embedded": preset("embedded", **options)}, device="cpu", load=lambda *_: model)


def hazy_model(**options: object) -> LoadedModel:
    """Paints something that depends on everything it is given."""
    return fake_model(lambda given, call: torch.tanh(given), **options)


def picture(seed: int = 0, alpha: int | None = 255) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 256, (100, 90, 4), dtype=np.uint8)
    if alpha is not None:
        image[..., 3] = alpha
    return image


def selection() -> np.ndarray:
    mask = np.zeros((100, 90), np.uint8)
    mask[20:70, 30:60] = 255
    return mask


def paint(engine: Engine, snapshot: Snapshot, **request: object) -> Painting:
    made = PaintRequest(**{"prompt": "a red circle", "seed": 3, **request})
    return engine.paint(Job(made, snapshot), on_step=lambda _: None, is_cancelled=lambda: False)


def whole(image: np.ndarray | None = None, mask: np.ndarray | None = None) -> Snapshot:
    return Snapshot(CANVAS, BOUNDS, image, mask)


def test_text_to_image_fills_the_area() -> None:
    painting = paint(engine_of(hazy_model()), whole())
    assert painting.bounds == BOUNDS
    assert painting.image.shape == (100, 90, 4)
    assert np.all(painting.image[..., 3] == 255)


def test_a_selection_gives_its_tight_box() -> None:
    painting = paint(engine_of(hazy_model()), whole(picture(), selection()))
    assert painting.bounds == Bounds(131, 77, 30, 50)
    assert painting.image.shape == (50, 30, 4)


def test_the_same_job_gives_the_same_bytes() -> None:
    engine = engine_of(hazy_model())
    snapshot = whole(picture(), selection())
    first = paint(engine, snapshot, strength=0.7, scheduler="euler_a")
    other = paint(engine, snapshot, strength=0.7, scheduler="euler_a", seed=9)
    again = paint(engine, snapshot, strength=0.7, scheduler="euler_a")
    assert first.image.tobytes() == again.image.tobytes() != other.image.tobytes()


def test_previews_change_nothing() -> None:
    snapshot = whole(picture(), selection())
    request = PaintRequest("a", strength=0.7, seed=3, scheduler="euler_a")
    seen: list[tuple[np.ndarray, Bounds]] = []
    with_previews = engine_of(hazy_model()).paint(
        Job(request, snapshot),
        on_step=lambda report: seen.append(report.preview()),
        is_cancelled=lambda: False,
    )
    without = paint(
        engine_of(hazy_model()), snapshot, prompt="a", strength=0.7, scheduler="euler_a"
    )
    assert with_previews.image.tobytes() == without.image.tobytes()
    assert len(seen) == 3
    for image, bounds in seen:
        assert bounds == with_previews.bounds
        assert np.array_equal(image[..., 3], with_previews.image[..., 3])


def test_steps_are_counted_from_one() -> None:
    reports: list[StepReport] = []
    engine_of(hazy_model(), steps=6).paint(
        Job(PaintRequest("a", strength=0.5), whole(picture())),
        on_step=reports.append,
        is_cancelled=lambda: False,
    )
    assert [(report.step, report.steps) for report in reports] == [(1, 3), (2, 3), (3, 3)]


def test_full_strength_on_everything_does_not_depend_on_the_input() -> None:
    first = paint(engine_of(hazy_model()), whole(picture(0)))
    second = paint(engine_of(hazy_model()), whole(picture(1, alpha=None)))
    assert first.image.tobytes() == second.image.tobytes()


def test_full_strength_does_not_depend_on_what_was_inside() -> None:
    first, second = picture(0), picture(1)
    mask = selection()
    second[mask == 0] = first[mask == 0]
    one = paint(engine_of(hazy_model()), whole(first, mask)).image
    two = paint(engine_of(hazy_model()), whole(second, mask)).image
    # deep inside, where the source does not show through
    assert np.array_equal(one[8:-8, 8:-8], two[8:-8, 8:-8])


def test_strength_zero_gives_the_source_back() -> None:
    model = hazy_model()
    painting = paint(engine_of(model), whole(picture(), selection()), strength=0.0)
    box = painting.bounds.relative_to(BOUNDS)
    part = picture()[box.y : box.bottom, box.x : box.right]
    assert np.array_equal(painting.image, part)
    assert painting.facts.steps_run == 0
    assert model.unet.calls == 0


@pytest.mark.parametrize(("guidance", "batch"), [(0.0, 1), (1.0, 1), (1.01, 2), (7.0, 2)])
def test_guidance_costs_what_it_must(guidance: float, batch: int) -> None:
    batches: list[int] = []

    def answer(given: torch.Tensor, call: int) -> torch.Tensor:
        batches.append(given.shape[0])
        return given

    paint(engine_of(fake_model(answer)), whole(), guidance=guidance)
    found(f"pictures per step at guidance {guidance:g}", max(batches))
    assert batches == [batch] * 4


def test_guidance_of_one_ignores_the_negative_prompt() -> None:
    model = hazy_model()
    first = paint(engine_of(model), whole(), guidance=1.0)
    calls = model.text[0].model.calls
    assert calls == 1
    second = paint(engine_of(hazy_model()), whole(), guidance=1.0, negative_prompt="blurry")
    assert first.image.tobytes() == second.image.tobytes()


def test_the_same_prompt_twice_costs_no_encoder_call() -> None:
    model = hazy_model()
    engine = engine_of(model, guidance=5.0)
    paint(engine, whole())
    calls = model.text[0].model.calls
    paint(engine, whole(), seed=8)
    assert model.text[0].model.calls == calls


@pytest.mark.parametrize("checks", range(1, 8))
def test_a_cancelled_job_stops_within_a_step(checks: int) -> None:
    model = hazy_model()
    asked = 0

    def is_cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > checks

    with pytest.raises(BridgeError) as caught:
        engine_of(model, steps=50).paint(
            Job(PaintRequest("a"), whole()), on_step=lambda _: None, is_cancelled=is_cancelled
        )
    assert caught.value.code is Code.CANCELLED
    assert model.unet.calls <= checks


def test_after_a_cancelled_job_the_next_is_as_ever() -> None:
    expected = paint(engine_of(hazy_model()), whole()).image
    engine = engine_of(hazy_model())
    with pytest.raises(BridgeError):
        engine.paint(
            Job(PaintRequest("b"), whole()), on_step=lambda _: None, is_cancelled=lambda: True
        )
    assert paint(engine, whole()).image.tobytes() == expected.tobytes()


def test_loading_that_is_broken_off_holds_nothing_and_can_be_begun_again(
    sd15: Path, monkeypatch: pytest.MonkeyPatch, bridge_home: Path
) -> None:
    engine = Engine({"embedded": replace(preset(), model=ModelFolder(sd15))}, device="cpu")
    read: list[str] = []
    read_part = folder_loader.load_component
    monkeypatch.setattr(
        folder_loader,
        "load_component",
        lambda part, *rest: (read.append(part.folder.name), read_part(part, *rest))[1],
    )

    def on_progress(_: float, sentence: str) -> None:
        stop_if(lambda: "UNet" in sentence)

    with pytest.raises(BridgeError) as caught:
        engine.prepare("embedded", on_progress)
    assert caught.value.code is Code.CANCELLED
    assert read == ["text_encoder", "vae"] and engine.model_name == ""
    engine.prepare("embedded", lambda *_: None)
    assert engine.model_name == sd15.name


def test_facts_say_how_to_make_it_again() -> None:
    facts = paint(
        engine_of(hazy_model(), negative_prompt="ugly"), whole(picture()), strength=0.5
    ).facts
    assert (facts.preset, facts.seed, facts.strength) == ("embedded", 3, 0.5)
    assert (facts.steps, facts.steps_run, facts.scheduler) == (4, 2, "ddim")
    assert (facts.model, facts.negative_prompt) == ("fake", "ugly")
    assert (facts.width, facts.height) == (96, 104)
    assert facts.seconds > 0


def test_without_an_image_there_is_nothing_to_keep_of_it() -> None:
    facts = paint(engine_of(hazy_model()), whole(), strength=0.2).facts
    assert (facts.strength, facts.steps_run) == (1.0, 4)


@pytest.mark.parametrize(
    "snapshot",
    [
        whole(mask=np.zeros((100, 90), np.uint8)),
        whole(mask=np.full((90, 100), 255, np.uint8)),
        whole(mask=np.full((100, 90, 1), 255, np.uint8)),
        whole(mask=np.full((100, 90), 1.0)),
        whole(image=np.zeros((100, 90, 3), np.uint8)),
        whole(image=np.zeros((99, 90, 4), np.uint8)),
        Snapshot(CANVAS, Bounds(0, 0, 0, 10)),
    ],
)
def test_what_does_not_fit_gets_a_sentence(snapshot: Snapshot) -> None:
    with pytest.raises(BridgeError) as caught:
        paint(engine_of(hazy_model()), snapshot)
    assert caught.value.code is Code.BAD_INPUT
    assert caught.value.message.endswith(".") and caught.value.hint.endswith(".")


def test_unknown_names_get_a_sentence() -> None:
    engine = engine_of(hazy_model())
    with pytest.raises(BridgeError) as caught:
        paint(engine, whole(), preset="nope")
    assert caught.value.code is Code.UNKNOWN_PRESET
    with pytest.raises(BridgeError) as caught:
        paint(engine, whole(), scheduler="nope")
    assert caught.value.code is Code.UNKNOWN_SCHEDULER


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        MemoryError(),
    ],
)
def test_running_out_of_memory_gets_a_sentence_and_the_engine_lives(error: Exception) -> None:
    failing = [error]

    def answer(given: torch.Tensor, call: int) -> torch.Tensor:
        if failing:
            raise failing.pop()
        return given

    engine = engine_of(fake_model(answer))
    with pytest.raises(BridgeError) as caught:
        paint(engine, whole())
    assert caught.value.code is Code.OUT_OF_MEMORY
    assert paint(engine, whole()).image.any()


def test_other_errors_are_not_called_a_lack_of_memory() -> None:
    def answer(given: torch.Tensor, call: int) -> torch.Tensor:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="multiplied"):
        paint(engine_of(fake_model(answer)), whole())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_no_colours_are_an_error(value: float) -> None:
    model = fake_model(lambda given, call: torch.full_like(given, value))
    with pytest.raises(BridgeError, match="no colours"):
        paint(engine_of(model), whole())


def test_a_model_is_loaded_once_and_makes_room_for_the_next() -> None:
    loaded: list[weakref.ref[LoadedModel]] = []
    still_there: list[bool] = []
    presets = {name: preset(name) for name in ("embedded", "same", "other")}
    presets["other"] = replace(presets["other"], model=ModelFolder(Path("elsewhere")))

    def load(*_: object) -> LoadedModel:
        still_there.extend(model() is not None for model in loaded)
        model = replace(hazy_model(), name=f"model {len(loaded)}")
        loaded.append(weakref.ref(model))
        return model

    engine = Engine(presets, device="cpu", load=load)
    assert engine.model_name == ""
    for name in ("embedded", "same", "embedded"):
        paint(engine, whole(), preset=name)
    assert len(loaded) == 1
    engine.prepare("other", lambda done, sentence: None)
    assert engine.model_name == "model 1"
    assert still_there == [False]


def test_a_model_that_cannot_be_loaded_leaves_none() -> None:
    def load(*_: object) -> LoadedModel:
        raise BridgeError(Code.MODEL_MISSING, "Gone.", "Get it.")

    engine = Engine({"embedded": preset("embedded")}, device="cpu", load=load)
    with pytest.raises(BridgeError) as caught:
        paint(engine, whole())
    assert caught.value.code is Code.MODEL_MISSING
    assert engine.model_name == ""


def test_a_prompt_is_read_for_its_seed_within_the_presets_template() -> None:
    """The same words for the model give the same picture, however they were typed."""
    written = engine_of(tiny_model("sd15"), steps=1)
    templated = engine_of(tiny_model("sd15"), steps=1, template="oil, {prompt}")
    chosen = set()
    for seed in range(8):
        found = paint(templated, whole(), prompt="{red|blue} sea # note", seed=seed).image
        for name in ("red", "blue"):
            plain = paint(written, whole(), prompt=f"oil, {name} sea", seed=seed).image
            chosen |= {name} if np.array_equal(found, plain) else set()
    assert chosen == {"red", "blue"}
    assert paint(written, whole()).facts.template == "{prompt}"
    assert paint(templated, whole()).facts.template == "oil, {prompt}"
    asked = paint(templated, whole(), template="ink, {prompt}").facts
    assert asked.template == "ink, {prompt}" and asked.full_prompt.startswith("ink, ")

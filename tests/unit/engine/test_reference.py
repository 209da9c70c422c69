"""References from a job to the picture and its facts, and nothing of them left behind."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bridge.engine.pipeline import Engine
from bridge.engine.types import ImageU8, Job, Painting, Snapshot
from bridge.errors import BridgeError, Code
from bridge.models import ip_adapter
from bridge.models.load import load
from bridge.models.loaded import LoadedModel
from bridge.presets import IpAdapterFiles, ModelFolder
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest, WeightsKind
from krita_plugin.krita_bridge.wire.reference import Reference, ReferenceMode, UsedReference
from tests.fake_models import preset, tiny_folder
from tests.tiny_adapters import make_source
from tests.tiny_loras import kohya, random_updates, write
from tests.tiny_models import WIDTH

SIDE = 64
BOTH = ReferenceMode.BOTH


def photo(seed: int = 0) -> ImageU8:
    picture = np.random.default_rng(seed).integers(0, 256, (40, 56, 4), np.uint8)
    picture[..., 3] = 255
    return picture


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    return load(ModelFolder(tiny_folder("sd15")), "cpu", home=tmp_path)


@pytest.fixture
def source(model: LoadedModel, tmp_path: Path) -> IpAdapterFiles:
    return make_source(tmp_path / "adapter", model.unet, "plus")


def engine_of(model: LoadedModel, home: Path, source: IpAdapterFiles | None) -> Engine:
    presets = {"embedded": preset("embedded", steps=2, guidance=3.0, ip_adapter=source)}
    return Engine(presets, device="cpu", home=home, load=lambda *_: model)


def paint(
    engine: Engine, *given: tuple[Reference, ImageU8], prompt: str = "a boat", side: int = SIDE
) -> Painting:
    area = Snapshot(Extent(side, side), Bounds(0, 0, side, side))
    snapshot = Snapshot(area.canvas, area.bounds, references=tuple(p for _, p in given))
    request = PaintRequest(prompt, seed=3, references=tuple(r for r, _ in given))
    return engine.paint(Job(request, snapshot), on_step=lambda _: None, is_cancelled=lambda: False)


def test_a_reference_changes_its_picture_and_no_other(
    model: LoadedModel, source: IpAdapterFiles, tmp_path: Path
) -> None:
    engine = engine_of(model, tmp_path, source)
    state = {name: each.clone() for name, each in model.unet.state_dict().items()}
    processors = dict(model.unet.attn_processors)
    plain = paint(engine)
    resembling = paint(engine, (Reference(1.0), photo()))
    assert not np.array_equal(resembling.image, plain.image)
    assert np.array_equal(paint(engine, (Reference(1.0), photo())).image, resembling.image)
    assert not np.array_equal(paint(engine, (Reference(1.0), photo(1))).image, resembling.image)
    assert not np.array_equal(paint(engine, (Reference(0.5), photo())).image, resembling.image)
    assert np.array_equal(paint(engine).image, plain.image)
    assert model.unet.attn_processors == processors
    after = model.unet.state_dict()
    assert after.keys() == state.keys()
    assert all(torch.equal(after[name], state[name]) for name in state)
    assert model.unet.config.encoder_hid_dim_type is None


def test_weight_0_is_as_if_it_were_not_there(
    model: LoadedModel, source: IpAdapterFiles, tmp_path: Path
) -> None:
    engine = engine_of(model, tmp_path, source)
    none = (Reference(0.0), photo(1))
    plain = paint(engine)
    assert np.array_equal(paint(engine, none).image, plain.image)
    without_adapter = paint(engine_of(model, tmp_path, None), none)
    assert np.array_equal(without_adapter.image, plain.image)
    assert without_adapter.facts.references == ()
    one = paint(engine, (Reference(0.8), photo()))
    assert np.array_equal(paint(engine, none, (Reference(0.8), photo()), none).image, one.image)


def test_it_is_heard_within_its_range_alone(
    model: LoadedModel, source: IpAdapterFiles, tmp_path: Path
) -> None:
    engine = engine_of(model, tmp_path, source)

    def with_range(start: float, end: float) -> bytes:
        return paint(engine, (Reference(1.0, start=start, end=end), photo())).image.tobytes()

    plain = paint(engine).image.tobytes()
    assert with_range(0.5, 0.5) == with_range(0.2, 0.9) == plain, "none of both steps lies within"
    early, late, all_of_it = with_range(0, 0.5), with_range(0.5, 1), with_range(0, 1)
    assert len({plain, early, late, all_of_it}) == 4


def test_a_failed_job_leaves_nothing_behind(
    model: LoadedModel, source: IpAdapterFiles, tmp_path: Path
) -> None:
    engine = engine_of(model, tmp_path, source)
    processors = dict(model.unet.attn_processors)
    with pytest.raises(BridgeError, match="There is no LoRA"):
        paint(engine, (Reference(), photo()), prompt="a <lora:nothing>")
    assert model.unet.attn_processors == processors


def test_the_facts_say_what_was_seen_and_with_what(
    model: LoadedModel, source: IpAdapterFiles, tmp_path: Path
) -> None:
    first, second = photo(0), photo(1)
    asked = [(Reference(0.4), first), (Reference(1.5, start=0.25, end=0.75), second)]
    facts = paint(engine_of(model, tmp_path, source), *asked).facts
    assert facts.references == (
        UsedReference(hashlib.sha256(first.tobytes()).hexdigest(), 0.4, BOTH),
        UsedReference(hashlib.sha256(second.tobytes()).hexdigest(), 1.5, BOTH, 0.25, 0.75),
    )
    used = {each.kind: each for each in facts.weights}
    assert used.keys() == {WeightsKind.IP_ADAPTER, WeightsKind.IMAGE_ENCODER}
    assert used[WeightsKind.IP_ADAPTER].name == "plus"
    sha256 = hashlib.sha256(source.file.read_bytes()).hexdigest()
    assert used[WeightsKind.IP_ADAPTER].sha256 == sha256
    assert len(used[WeightsKind.IMAGE_ENCODER].sha256) == 64


def test_a_picture_is_read_once_and_the_adapter_when_it_is_first_needed(
    model: LoadedModel, source: IpAdapterFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, seen = [], []
    real_load, real_tokens = ip_adapter.read_ip_adapter, ip_adapter.IpAdapter.tokens

    def count_load(*given: Any) -> Any:
        loaded.append(given)
        return real_load(*given)

    def count_tokens(self: Any, picture: Any) -> Any:
        seen.append(picture.size)
        return real_tokens(self, picture)

    monkeypatch.setattr("bridge.engine.reference.read_ip_adapter", count_load)
    monkeypatch.setattr(ip_adapter.IpAdapter, "tokens", count_tokens)
    engine = engine_of(model, tmp_path, source)
    paint(engine)
    assert not loaded
    one = paint(engine, (Reference(0.5), photo()))
    paint(engine, (Reference(0.7), photo()), (Reference(0.2), photo()))
    assert len(loaded) == 1 and seen == [(56, 40)]
    # The same bytes in another shape are another picture.
    turned = photo().reshape(56, 40, 4)
    assert not np.array_equal(paint(engine, (Reference(0.5), turned)).image, one.image)
    assert seen == [(56, 40), (40, 56)]


def test_what_is_transparent_is_white(
    model: LoadedModel, source: IpAdapterFiles, tmp_path: Path
) -> None:
    engine = engine_of(model, tmp_path, source)
    clear, white = photo(), photo()
    clear[:20, :, 3] = 0
    white[:20] = 255
    pictures = [paint(engine, (Reference(1.0), each)).image for each in (clear, white, photo())]
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_a_reference_reaches_every_tile_and_both_passes(
    model: LoadedModel, source: IpAdapterFiles, tmp_path: Path
) -> None:
    presets = {"embedded": preset("embedded", steps=2, ip_adapter=source, detail=0.5)}
    engine = Engine(presets, device="cpu", home=tmp_path, load=lambda *_: model)
    larger = 2 * SIDE
    plain = paint(engine, side=larger).image.astype(int)
    resembling = paint(engine, (Reference(1.5), photo()), side=larger).image
    assert resembling.shape == (larger, larger, 4)
    assert_differ_everywhere(plain, resembling)


def test_a_reference_reaches_every_tile_of_a_larger_picture(
    model: LoadedModel, source: IpAdapterFiles, tmp_path: Path
) -> None:
    engine, canvas = engine_of(model, tmp_path, source), Extent(SIDE, SIDE)

    def larger(*references: Reference) -> ImageU8:
        small = np.full((SIDE, SIDE, 4), 255, np.uint8)
        pictures = tuple(photo() for _ in references)
        snapshot = Snapshot(canvas, Bounds.of_canvas(canvas), small, references=pictures)
        request = PaintRequest("a boat", strength=0.5, upscale=2.0, references=references)
        job = Job(request, snapshot)
        return engine.paint(job, on_step=lambda _: None, is_cancelled=lambda: False).image

    assert_differ_everywhere(larger().astype(int), larger(Reference(1.5)))


def assert_differ_everywhere(one: Any, other: Any) -> None:
    """In each of the four quarters."""
    changed = np.abs(one - other).max(axis=2) > 0
    assert all(part.mean() > 0.5 for half in np.split(changed, 2) for part in np.split(half, 2, 1))


def test_loras_and_hypernetworks_work_beside_a_reference(
    model: LoadedModel, source: IpAdapterFiles, tmp_path: Path
) -> None:
    updates = random_updates(model.unet, lambda name: name.endswith(("to_q", "to_k")))
    write(tmp_path / "loras" / "ink.safetensors", kohya("lora_unet_", updates))
    torch.manual_seed(0)
    change = nn.Sequential(nn.Linear(WIDTH, WIDTH)).requires_grad_(False)
    layers = {
        f"{WIDTH}.{which}.linear.{name}": tensor.clone()
        for which in (0, 1)
        for name, tensor in change.state_dict().items()
    }
    (tmp_path / "hypernetworks").mkdir()
    save_file(layers, tmp_path / "hypernetworks" / "wash.safetensors")

    engine = engine_of(model, tmp_path, source)
    reference, words = (Reference(1.0), photo()), ["", "<lora:ink:0.5>", "<hypernet:wash:0.5>"]
    words.append("".join(words))

    jobs = [(word, given) for word in words for given in ([reference], [])]
    pictures = [paint(engine, *given, prompt=f"a boat {word}").image for word, given in jobs]
    assert len({each.tobytes() for each in pictures}) == len(pictures)
    # In the other order: what one job leaves to the next would show.
    again = [paint(engine, *given, prompt=f"a boat {word}").image for word, given in jobs[::-1]]
    assert all(map(np.array_equal, pictures, again[::-1]))


def test_a_job_is_prepared_with_what_its_references_need(
    model: LoadedModel, source: IpAdapterFiles, tmp_path: Path
) -> None:
    engine, said = engine_of(model, tmp_path, source), list[str]()

    def prepare(*references: Reference) -> list[str]:
        said.clear()
        engine.prepare("", lambda _, sentence: said.append(sentence), (), references)
        return said

    assert prepare() == prepare(Reference(0.0)) == []
    assert prepare(Reference()) == ["Loading the IP-Adapter plus."]
    assert prepare(Reference()) == []
    with pytest.raises(BridgeError, match="cannot take the style alone"):
        prepare(Reference(), Reference(mode=ReferenceMode.STYLE))


def test_without_an_adapter_one_sentence_says_what_to_add(
    model: LoadedModel, tmp_path: Path
) -> None:
    with pytest.raises(
        BridgeError, match=r"has no IP-Adapter.*Add a table \[ip_adapter\]"
    ) as caught:
        paint(engine_of(model, tmp_path, None), (Reference(), photo()))
    assert caught.value.code is Code.MODEL_MISSING


@pytest.mark.parametrize("mode", [ReferenceMode.STYLE, ReferenceMode.COMPOSITION])
def test_style_alone_is_for_models_of_which_it_is_known_where_it_lies(
    mode: ReferenceMode, model: LoadedModel, source: IpAdapterFiles, tmp_path: Path
) -> None:
    with pytest.raises(BridgeError, match=f"cannot take the {mode.value} alone") as caught:
        paint(engine_of(model, tmp_path, source), (Reference(1.0, mode), photo()))
    assert caught.value.code is Code.BAD_INPUT

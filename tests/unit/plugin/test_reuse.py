"""Settings of results and files in the docker's form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from krita_plugin.krita_bridge.conditions import ChosenControl, ChosenReference
from krita_plugin.krita_bridge.notes import Form
from krita_plugin.krita_bridge.recipe import Recipe, recipe_of, texts
from krita_plugin.krita_bridge.reuse import NoRecipe, read_file, reuse
from krita_plugin.krita_bridge.sampling import AS_PRESET, Sampling
from krita_plugin.krita_bridge.wire.control import (
    Control,
    ControlKind,
    ControlSource,
    UsedControl,
)
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PresetInfo, ResultFacts
from krita_plugin.krita_bridge.wire.modes import Blend, Mode
from krita_plugin.krita_bridge.wire.reference import Reference, ReferenceMode, UsedReference

BOTH = ReferenceMode.BOTH

OWN = PresetInfo("own", "Own", "sd15", 512, 20, 7.0, "euler_a")
OTHER = PresetInfo("other", "Other", "sdxl", 1024, 30, 5.0, "ddim")
NOW = Form("now", "nothing", "other", 0.25, 3, False, "", Blend.EXACT.value, False)
FACTS = ResultFacts(
    prompt="a boat",
    negative_prompt="fog",
    preset="own",
    seed=77,
    strength=0.4,
    steps=20,
    steps_run=8,
    guidance=7.0,
    scheduler="euler_a",
    model="sd15",
    model_sha256="0" * 64,
    width=512,
    height=512,
    seconds=1.0,
    version="0.1.0",
    mode=Mode.ADD,
    blend=Blend.EXACT,
    match_colors=False,
)
AS_PAINTED = Form("a boat", "fog", "own", 0.4, 77, True, "add", "exact", False)
A1111 = (
    "a boat\nNegative prompt: fog\nSteps: 28, Sampler: Euler a, CFG scale: 7, Seed: 9, Model: SD15"
)


def test_all_that_the_docker_can_set_comes_back_from_a_result() -> None:
    assert reuse(recipe_of(FACTS), (OTHER, OWN), Form()) == (AS_PAINTED, [])


def test_all_that_the_docker_can_set_comes_back_from_a_png(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    for key, text in texts(FACTS, "Euler a", Extent(64, 64), Bounds(0, 0, 64, 64)).items():
        info.add_text(key, text)
    Image.new("RGB", (64, 64)).save(tmp_path / "boat.png", pnginfo=info)
    assert reuse(read_file(tmp_path / "boat.png"), (OTHER, OWN), Form()) == (AS_PAINTED, [])


def test_what_a_text_does_not_say_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "boat.txt").write_text(A1111)
    form, left_out = reuse(read_file(tmp_path / "boat.txt"), (OTHER, OWN), NOW)
    said = replace(NOW, prompt="a boat", negative_prompt="fog", preset="own")
    assert form == replace(said, seed=9, seed_locked=True, sampling=Sampling(steps=28))
    assert left_out == []


def test_what_the_docker_cannot_set_is_named() -> None:
    used = (used_control(ControlKind.POSE, ControlSource.MAP),)
    recipe = replace(recipe_of(FACTS), scheduler="Warp", controls=used)
    _, left_out = reuse(replace(recipe, references=2), (OWN,), Form())
    named = ["scheduler", "control layers", "reference images"]
    assert left_out == named
    form, left_out = reuse(recipe_of(FACTS), (OTHER,), NOW)
    assert form.preset == "other"
    assert left_out == ["preset"]


def used_control(kind: ControlKind, source: ControlSource, strength: float = 0.5) -> UsedControl:
    return UsedControl(kind, source, strength, 0.25, 0.75, "net", "a", "b")


CONTROL = ChosenControl(Control(ControlKind.POSE, ControlSource.MAP), "{layer}")
REFERENCE = ChosenReference(Reference(), file="monet.jpg")
WITH_BOTH = replace(NOW, controls=(CONTROL,), references=(REFERENCE,))


def test_controls_from_the_canvas_come_back_by_the_text_alone() -> None:
    depth = used_control(ControlKind.DEPTH, ControlSource.CANVAS)
    scribble = used_control(ControlKind.SCRIBBLE, ControlSource.PICTURE)
    odd = used_control(ControlKind.TILE, ControlSource.CANVAS, strength=9.0)
    again = ChosenControl(Control(ControlKind.DEPTH, strength=0.5, start=0.25, end=0.75))
    for used, left_out in (((depth,), []), ((scribble, depth, odd), ["control layers"])):
        recipe = recipe_of(replace(FACTS, controls=used))
        form, without = reuse(recipe, (OWN,), WITH_BOTH)
        assert (form.controls, form.references, without) == ((again,), (), left_out)


def test_where_the_form_is_still_known_layers_and_files_come_back_too() -> None:
    used = (used_control(ControlKind.POSE, ControlSource.MAP),)
    recipe = recipe_of(replace(FACTS, controls=used, references=(UsedReference("c", 1.0, BOTH),)))
    form, left_out = reuse(recipe, (OWN,), Form(), asked=WITH_BOTH)
    assert (form.controls, form.references, left_out) == ((CONTROL,), (REFERENCE,), [])
    kept = ChosenControl(replace(CONTROL.control, keep=True), CONTROL.layer)
    form, _ = reuse(recipe, (OWN,), Form(), asked=replace(WITH_BOTH, controls=(kept,)))
    assert form.controls == (CONTROL,), "its map is a layer already"


def test_a_text_that_knows_of_none_leaves_controls_and_references_as_they_are() -> None:
    form, _ = reuse(Recipe("a boat"), (OWN,), WITH_BOTH)
    assert (form.controls, form.references) == ((CONTROL,), (REFERENCE,))


def test_only_what_the_preset_does_not_say_is_set() -> None:
    facts = replace(FACTS, steps=9, guidance=1.0, scheduler="ddim", clip_skip=2, detail=0.3)
    form, left_out = reuse(recipe_of(facts), (OWN,), Form())
    assert (form.sampling, left_out) == (Sampling(9, 1.0, "ddim", 2, detail=0.3), [])
    draft, _ = reuse(recipe_of(replace(facts, detail=0.0, draft=True)), (OWN,), form)
    assert draft.sampling == form.sampling, "a draft has no second pass, and asks for none"
    again, _ = reuse(recipe_of(FACTS), (OWN,), form)
    assert again.sampling == AS_PRESET
    # Nobody knows what the preset said that is not here.
    form, _ = reuse(recipe_of(FACTS), (), Form())
    assert form.sampling == Sampling(20, 7.0, "euler_a", 1, 0.0, 0.0)


def test_another_vae_comes_back_where_it_is_there() -> None:
    preset = replace(OWN, vaes=("Cold", "mine/Warm"))
    before = replace(NOW, preset="own", sampling=Sampling(vae="Cold"))
    for said, vae, left_out in (
        ("mine/warm", "mine/Warm", []),
        ("WARM", "mine/Warm", []),
        ("gone", None, ["VAE"]),
        ("", None, []),
        (None, "Cold", []),
    ):
        recipe = replace(recipe_of(FACTS), vae=said)
        form, without = reuse(recipe, (preset,), before)
        assert (form.sampling, without) == (Sampling(vae=vae), left_out)
    assert reuse(recipe_of(replace(FACTS, vae="Cold")), (OWN,), before)[1] == ["VAE"]


def test_a_template_comes_back_where_it_is_not_the_presets() -> None:
    preset = replace(OWN, template="{prompt}, oil")
    before = replace(NOW, preset="own", sampling=Sampling(template="ink, {prompt}"))
    for said, template in (
        ("wash of {prompt}", "wash of {prompt}"),
        ("{prompt}, oil", None),
        ("{prompt}", "{prompt}"),
        ("", "ink, {prompt}"),
        ("no place for it", "ink, {prompt}"),
    ):
        form, left_out = reuse(recipe_of(replace(FACTS, template=said)), (preset,), before)
        assert (form.sampling, left_out) == (Sampling(template=template), [])


def test_no_template_goes_round_the_prompt_of_another_program(tmp_path: Path) -> None:
    (tmp_path / "boat.txt").write_text(A1111)
    recipe = read_file(tmp_path / "boat.txt")
    templated = replace(OWN, template="{prompt}, oil")
    assert reuse(recipe, (templated,), Form())[0].sampling.template == "{prompt}"
    assert reuse(recipe, (OWN,), Form())[0].sampling.template is None
    (tmp_path / "words.txt").write_text("a boat")
    words = read_file(tmp_path / "words.txt")
    assert reuse(words, (templated,), Form())[0].sampling == AS_PRESET


def test_spellings_of_a_scheduler_are_one() -> None:
    preset = replace(OWN, scheduler="dpmpp_2m_karras")
    recipe = Recipe(preset="own", scheduler="DPM++ 2M Karras")
    assert reuse(recipe, (preset,), Form()) == (Form(preset="own"), [])


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a\0\0\0", None])
def test_a_file_that_says_nothing_gets_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "odd.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NoRecipe, match=r"odd\.png"):
        read_file(path)


def test_references_that_a_document_does_not_hold_are_named() -> None:
    layer = ChosenReference(Reference(), layer="{sea}")
    recipe = replace(recipe_of(FACTS), references=2)
    form, left_out = reuse(recipe, (OWN,), Form(), Form(references=(layer,)))
    assert form.references == (layer,) and left_out == ["reference images"]

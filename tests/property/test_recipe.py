"""What goes into a file with a picture comes out of it again; anything else is read without harm."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from krita_plugin.krita_bridge.recipe import (
    PARAMETERS,
    Recipe,
    read_parameters,
    read_recipe,
    texts,
    write_parameters,
)
from krita_plugin.krita_bridge.wire import limits
from krita_plugin.krita_bridge.wire.control import ControlKind, ControlSource, UsedControl
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import ResultFacts, UsedWeights, WeightsKind
from krita_plugin.krita_bridge.wire.modes import Blend, Mode
from krita_plugin.krita_bridge.wire.schedulers import LABELS, identify

letters = st.characters(codec="utf-8")
words = st.text(letters, max_size=80)
names = st.text(letters, max_size=20)
lines = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=30), max_size=4
).map("\n".join)
shares = st.floats(0, 1)
weights = st.builds(UsedWeights, st.sampled_from(WeightsKind), names, names, st.floats(-2, 2))
controls = st.builds(
    UsedControl,
    st.sampled_from(ControlKind),
    st.sampled_from(ControlSource),
    *[shares] * 3,
    *[names] * 3,
)
sizes = st.builds(Extent, st.integers(1, 8192), st.integers(1, 8192))
schedulers = st.sampled_from(list(LABELS))


def facts_with(prompts: st.SearchStrategy[str]) -> st.SearchStrategy[ResultFacts]:
    return st.builds(
        ResultFacts,
        prompt=prompts,
        negative_prompt=prompts,
        preset=names,
        seed=st.integers(0, limits.MAX_SEED),
        strength=shares,
        steps=st.integers(1, limits.MAX_STEPS),
        steps_run=st.integers(0, limits.MAX_STEPS),
        guidance=st.floats(0, limits.MAX_GUIDANCE),
        scheduler=schedulers,
        model=names,
        model_sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
        width=st.integers(1, 4096),
        height=st.integers(1, 4096),
        seconds=shares,
        version=names,
        mode=st.sampled_from(Mode),
        full_prompt=prompts,
        full_negative_prompt=prompts,
        clip_skip=st.integers(1, limits.MAX_CLIP_SKIP),
        guidance_rescale=shares,
        detail=shares,
        vae=names,
        template=st.sampled_from(["{prompt}", "oil, {prompt}"]),
        weights=st.lists(weights, max_size=3).map(tuple),
        blend=st.sampled_from(Blend),
        match_colors=st.booleans(),
        controls=st.lists(controls, max_size=3).map(tuple),
    )


@settings(deadline=None)
@given(facts_with(words), sizes)
def test_our_own_text_keeps_everything(facts: ResultFacts, size: Extent) -> None:
    written = texts(facts, LABELS[facts.scheduler], size, Bounds(0, 0, 1, 1))
    assert read_recipe(written) == Recipe(
        prompt=facts.prompt,
        negative_prompt=facts.negative_prompt,
        preset=facts.preset,
        model=facts.model,
        seed=facts.seed,
        steps=facts.steps,
        guidance=facts.guidance,
        scheduler=facts.scheduler,
        strength=facts.strength,
        mode=facts.mode,
        clip_skip=facts.clip_skip,
        guidance_rescale=facts.guidance_rescale,
        detail=facts.detail,
        vae=facts.vae,
        template=facts.template,
        size=size,
        references=0,
        controls=facts.controls,
        blend=facts.blend,
        match_colors=facts.match_colors,
    )


@settings(deadline=None)
@given(facts_with(words), sizes)
def test_the_fields_of_a1111s_text_come_back_whatever_the_prompt(
    facts: ResultFacts, size: Extent
) -> None:
    recipe = read_parameters(write_parameters(facts, LABELS[facts.scheduler], size))
    assert recipe is not None
    assert (recipe.seed, recipe.steps, recipe.guidance) == (facts.seed, facts.steps, facts.guidance)
    assert identify(recipe.scheduler or "") == facts.scheduler
    assert (recipe.strength or 1.0) == (facts.strength or 1.0) or facts.strength == 0
    assert (recipe.clip_skip or 1) == facts.clip_skip
    assert (recipe.guidance_rescale or 0.0) == facts.guidance_rescale
    assert (recipe.size, recipe.model) == (size, facts.model)


@settings(deadline=None)
@given(facts_with(lines), sizes)
def test_a1111s_text_keeps_prompts_of_several_lines(facts: ResultFacts, size: Extent) -> None:
    facts = replace(facts, full_prompt=facts.prompt, full_negative_prompt=facts.negative_prompt)
    recipe = read_parameters(write_parameters(facts, LABELS[facts.scheduler], size))
    assert recipe is not None
    assert recipe.prompt == facts.prompt.strip()
    assert recipe.negative_prompt == facts.negative_prompt.strip()


@settings(deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_read_without_harm(ours: str, theirs: str) -> None:
    recipe = read_recipe({"krita-bridge": ours, PARAMETERS: theirs})
    if recipe is not None:
        assert recipe.steps is None or 1 <= recipe.steps <= limits.MAX_STEPS

"""Controls and references of the form, against what the preset and the document have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from krita_plugin.krita_bridge.conditions import (
    ChosenControl,
    ChosenReference,
    control_name,
    mode_label,
    what_is_missing,
    with_conditions,
    without_keep,
)
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.messages import PaintRequest, PresetInfo
from krita_plugin.krita_bridge.wire.reference import Reference, ReferenceMode

DEPTH, POSE = ControlKind.DEPTH, ControlKind.POSE
ABLE = PresetInfo("able", "Able", "m", 512, 20, 5.0, "ddim", (DEPTH, POSE), (ReferenceMode.BOTH,))
BLIND = replace(ABLE, label="Blind", map_only=(POSE, DEPTH, ControlKind.SEGMENTATION))
UNABLE = replace(ABLE, label="Unable", controls=(), references=())

CANVAS = ChosenControl(Control(DEPTH, keep=True))
LAYER = ChosenControl(Control(POSE, ControlSource.MAP), "{here}")
PICTURE = ChosenReference(Reference(), layer="{here}")
FILE = ChosenReference(Reference(), file="/a.png")
STYLE = ChosenReference(Reference(mode=ReferenceMode.STYLE), layer="{here}")


def missing(*chosen: ChosenControl | ChosenReference, preset: PresetInfo | None = ABLE) -> str:
    controls = [each for each in chosen if isinstance(each, ChosenControl)]
    references = [each for each in chosen if isinstance(each, ChosenReference)]
    return what_is_missing(controls, references, preset, lambda layer: layer == "{here}")


def test_nothing_is_missing() -> None:
    assert missing() == missing(CANVAS, LAYER, PICTURE, FILE) == ""
    assert missing(preset=UNABLE) == ""
    # A map that is given needs nothing that could work it out.
    assert missing(LAYER, preset=BLIND) == ""


def test_before_the_preset_is_known_nothing_is_held_against_it() -> None:
    assert missing(CANVAS, LAYER, STYLE, preset=None) == ""


@pytest.mark.parametrize(
    ("chosen", "preset", "words"),
    [
        (CANVAS, UNABLE, ("Unable", "ControlNet", "Depth")),
        (ChosenControl(Control(ControlKind.TILE)), ABLE, ("Able", "Tile")),
        (CANVAS, BLIND, ("Blind", "Depth", "[depth_estimator]")),
        (ChosenControl(Control(POSE)), BLIND, ("Pose", "[pose_estimator]", "[person_detector]")),
        (
            ChosenControl(Control(POSE, ControlSource.PICTURE), "{here}"),
            BLIND,
            ("Blind", "Pose", "Layer as is"),
        ),
        (
            ChosenControl(Control(ControlKind.SEGMENTATION)),
            replace(BLIND, controls=(ControlKind.SEGMENTATION,)),
            ("Segmentation", "[segmenter]"),
        ),
        (replace(LAYER, layer="{gone}"), ABLE, ("Pose", "gone")),
        (replace(LAYER, layer="{gone}"), None, ("Pose", "gone")),
        (replace(LAYER, layer=""), ABLE, ("Pose", "Choose")),
        (PICTURE, UNABLE, ("Unable", "IP-Adapter")),
        (STYLE, ABLE, ("Style", "SDXL")),
        (replace(PICTURE, layer="{gone}"), ABLE, ("reference", "gone")),
        (ChosenReference(Reference()), ABLE, ("reference", "Choose")),
    ],
)
def test_what_is_missing_is_one_sentence(
    chosen: ChosenControl | ChosenReference, preset: PresetInfo | None, words: tuple[str, ...]
) -> None:
    sentence = missing(CANVAS if preset is ABLE else chosen, chosen, preset=preset)
    assert sentence.endswith(".") and all(word in sentence for word in words)


def test_maps_are_kept_only_where_they_are_wanted() -> None:
    first, second = (
        with_conditions(PaintRequest("boat"), (CANVAS,), (STYLE,), keeps_maps)
        for keeps_maps in (True, False)
    )
    assert first.controls == (Control(DEPTH, keep=True),)
    assert second.controls == (Control(DEPTH),)
    assert first.references == second.references == (STYLE.reference,)


def test_a_map_that_became_a_layer_is_kept_no_more_unless_the_control_is_another_by_now() -> None:
    kept = ChosenControl(Control(DEPTH))
    assert without_keep((CANVAS, LAYER), CANVAS) == (kept, LAYER)
    changed = ChosenControl(Control(DEPTH, strength=0.5, keep=True))
    assert without_keep((changed,), CANVAS) == (changed,)


def test_everything_has_a_name() -> None:
    assert len({control_name(kind) for kind in ControlKind}) == len(ControlKind)
    assert len({mode_label(mode) for mode in ReferenceMode}) == len(ReferenceMode)

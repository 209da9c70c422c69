"""What a live request takes from the preset's [live] table, and what it keeps of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bridge.engine.request import resolve
from bridge.engine.types import Job, Snapshot
from bridge.errors import BridgeError
from bridge.live.sampling import LiveSampling
from bridge.presets import LIVE, Preset, load_presets, read_preset
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest

PRESET = """
label = "Mine"
native = 512
[model]
embedded = true
[sampling]
steps = 20
guidance = 7
scheduler = "ddim"
template = "{prompt}, oil"
detail = 0.4
"""
TABLE = """
[live]
steps = 4
guidance = 1
scheduler = "lcm"
template = "{prompt} <lora:few:0.5>"
"""


def read(folder: Path, text: str) -> Preset:
    path = folder / "mine.toml"
    path.write_text(text)
    return read_preset(path)


def settings_of(preset: Preset, request: PaintRequest):
    area = Bounds(0, 0, 64, 64)
    return resolve(Job(preset.live.fill_in(request), Snapshot(Extent(64, 64), area)), preset)


def test_the_table_says_how_a_live_picture_is_sampled(tmp_path: Path) -> None:
    preset = read(tmp_path, PRESET + TABLE)
    assert preset.live == LiveSampling(4, 1.0, "lcm", "{prompt} <lora:few:0.5>")
    found = settings_of(preset, PaintRequest("a lake"))
    assert (found.steps, found.guidance, found.scheduler, found.detail) == (4, 1.0, "lcm", 0.0)
    assert (found.prompt, found.positive.text) == ("a lake", "a lake <lora:few:0.5>")
    assert found.loras == {"few": 0.5}


def test_without_a_table_there_are_fewer_steps_and_one_pass_and_the_rest_stays(
    tmp_path: Path,
) -> None:
    preset = read(tmp_path, PRESET)
    found = settings_of(preset, PaintRequest("a lake"))
    assert (found.steps, found.detail, found.draft) == (LIVE.steps, 0.0, True)
    assert (found.guidance, found.scheduler) == (7.0, "ddim")
    assert found.positive.text == "a lake, oil"


def test_what_a_request_says_itself_counts(tmp_path: Path) -> None:
    request = PaintRequest("a", steps=9, guidance=3.0, scheduler="euler")
    found = settings_of(read(tmp_path, PRESET + TABLE), request)
    assert (found.steps, found.guidance, found.scheduler) == (9, 3.0, "euler")


def test_a_template_of_the_requests_own_leaves_few_steps_their_lora(tmp_path: Path) -> None:
    request = PaintRequest("a lake", template="wash of {prompt}")
    found = settings_of(read(tmp_path, PRESET + TABLE), request)
    assert found.positive.text == "wash of a lake <lora:few:0.5>" and found.loras == {"few": 0.5}
    again = settings_of(read(tmp_path, PRESET + TABLE), replace(request, template=found.template))
    assert again.loras == {"few": 0.5}, "with the settings of a live picture, too, it counts once"
    assert settings_of(read(tmp_path, PRESET), request).positive.text == "wash of a lake"


@pytest.mark.parametrize("wrong", ['template = "oil"', "template = 3", "seps = 3", "steps = 0"])
def test_a_table_with_a_mistake_is_refused_with_its_key(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(BridgeError, match=r"live\.(template|seps|steps)"):
        read(tmp_path, f"{PRESET}[live]\n{wrong}\n")


def test_every_packaged_preset_can_be_painted_live() -> None:
    for preset in load_presets().values():
        found = settings_of(preset, PaintRequest("a lake"))
        assert 1 <= found.steps <= LIVE.steps and found.detail == 0.0, preset.name

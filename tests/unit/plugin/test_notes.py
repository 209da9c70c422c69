from __future__ import annotations

import json
from dataclasses import replace

import pytest

from krita_plugin.krita_bridge.conditions import ChosenControl, ChosenReference
from krita_plugin.krita_bridge.notes import (
    DocumentMemory,
    DocumentNote,
    Form,
    new_memory,
    read_form,
    read_memory,
    read_note,
)
from krita_plugin.krita_bridge.sampling import Sampling
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.geometry import Bounds
from krita_plugin.krita_bridge.wire.limits import MAX_CONTROLS
from krita_plugin.krita_bridge.wire.reference import Reference, ReferenceMode

CONTROLS = (
    ChosenControl(Control(ControlKind.DEPTH, strength=0.5, keep=True)),
    ChosenControl(Control(ControlKind.POSE, ControlSource.MAP, start=0.25, end=0.75), "{layer}"),
)
REFERENCES = (
    ChosenReference(Reference(0.8, ReferenceMode.STYLE), layer="{layer}"),
    ChosenReference(Reference(), file="/pictures/monet.jpg"),
)
FORM = Form(
    "a boat",
    "fog",
    "embedded",
    0.35,
    2**62,
    True,
    "remove",
    "exact",
    False,
    CONTROLS,
    REFERENCES,
    Sampling(28, 6.5, "dpmpp_2m_karras", 2, 0.7),
)
DAMAGED = ["", "{", "[]", "null", "7", '"x"', "[" * 100_000]


def test_a_note_comes_back() -> None:
    kinds = (ControlKind.DEPTH, ControlKind.POSE)
    note = DocumentNote("d1", "{layer}", 4, Bounds(10, -20, 30, 40), kinds)
    assert read_note(note.dumps()) == note


@pytest.mark.parametrize(
    "text", [*DAMAGED, '{"document": 1, "layer": "x", "epoch": 1}', '{"document": "d"}']
)
def test_somebody_elses_note_is_none(text: str) -> None:
    assert read_note(text) is None


def test_a_form_comes_back() -> None:
    assert read_form(FORM.dumps()) == FORM


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_form_is_a_fresh_one(text: str) -> None:
    assert read_form(text) == Form()


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "paint"},
        {"blend": "hard"},
        {"strength": 0.0},
        {"strength": 7.5},
        {"strength": "1"},
        {"seed": -1},
        {"seed": 2**63},
        {"seed": True},
        {"sampling": None},
        {"sampling": {"steps": 0}},
        {"sampling": {"scheduler": "warp"}},
        {"sampling": {"speed": 1}},
    ],
)
def test_what_is_out_of_range_falls_back_and_the_rest_stays(change: dict[str, object]) -> None:
    form = read_form(json.dumps({**json.loads(FORM.dumps()), **change}))
    assert form.prompt == "a boat"
    assert form.blend in ("soft", "exact")
    assert 0.0 < form.strength <= 1.0
    assert type(form.seed) is int and 0 <= form.seed < 2**63


@pytest.mark.parametrize("odd", [None, 7, "x", {}, [], [7], [{}], [{"control": {"kind": "x"}}]])
def test_odd_controls_and_references_are_left_out(odd: object) -> None:
    values = json.loads(FORM.dumps())
    form = read_form(json.dumps({**values, "controls": odd, "references": odd}))
    assert form == replace(FORM, controls=(), references=())


def test_one_odd_control_costs_no_other_and_too_many_are_cut() -> None:
    values = json.loads(FORM.dumps())
    odd = {"control": {"kind": "depth", "strength": 3.0}, "layer": ""}
    form = read_form(json.dumps({**values, "controls": [odd, *values["controls"]]}))
    assert form.controls == CONTROLS
    form = read_form(json.dumps({**values, "controls": values["controls"] * 9}))
    assert len(form.controls) == MAX_CONTROLS


def test_a_memory_comes_back_and_ids_differ() -> None:
    memory = new_memory(FORM)
    assert read_memory(memory.dumps()) == memory == DocumentMemory(memory.document, FORM)
    assert new_memory(FORM).document != memory.document


def test_a_document_neither_tells_nor_says_which_files_to_open() -> None:
    memory = new_memory(FORM)
    assert memory.form == replace(FORM, references=REFERENCES[:1])
    assert b"monet" not in memory.dumps()
    stranger = json.dumps({"document": "d", "form": json.loads(FORM.dumps())}).encode()
    read = read_memory(stranger)
    assert read is not None and read.form == memory.form


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b'{"document": ""}', b'{"document": 5}'])
def test_a_document_without_a_memory_has_none(data: bytes) -> None:
    assert read_memory(data) is None

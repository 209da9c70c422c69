"""How layers were made, kept inside a document."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest

from krita_plugin.krita_bridge import provenance
from krita_plugin.krita_bridge.conditions import ChosenControl, ChosenReference
from krita_plugin.krita_bridge.notes import Form
from krita_plugin.krita_bridge.provenance import (
    Record,
    forget_gone_layers,
    read,
    read_record,
    write,
)
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import ResultFacts
from krita_plugin.krita_bridge.wire.reference import Reference

FACTS = ResultFacts("ein Boot ⛵", "", "e", 7, 1.0, 20, 20, 5.0, "ddim", "m", "a", 64, 64, 1.0, "0")
RECORD = Record(FACTS, Extent(100, 80), Bounds(10, 20, 4, 3))
CONTROLS = (ChosenControl(Control(ControlKind.POSE, ControlSource.MAP, 0.5), "{sketch}"),)
LAYER = ChosenReference(Reference(), layer="{sea}")
FILE = ChosenReference(Reference(), file="/home/me/monet.jpg")
FOREIGN = "krita_bridge"


class Paper:
    """A document as far as annotations and layers go."""

    def __init__(self, *layers: str) -> None:
        self.layers = set(layers)
        self.kept: dict[str, bytes] = {FOREIGN: b"not a record"}

    def annotations(self) -> list[str]:
        return list(self.kept)

    def annotation(self, name: str) -> bytes:
        return self.kept.get(name, b"")

    def annotate(self, name: str, data: bytes) -> None:
        self.kept[name] = data

    def drop_annotations(self, names: Iterable[str]) -> None:
        for name in names:
            del self.kept[name]

    def layer_ids(self) -> set[str]:
        return self.layers


def of_seed(seed: int) -> Record:
    return replace(RECORD, facts=replace(FACTS, seed=seed))


def test_a_layers_record_comes_back() -> None:
    paper = Paper("{a}", "{b}")
    write(paper, "{a}", RECORD)
    write(paper, "{b}", of_seed(8))
    assert read(paper, "{a}") == RECORD and read(paper, "{b}") == of_seed(8)
    assert read(paper, "{copy of a}") is None
    write(paper, "{a}", of_seed(9))
    assert read(paper, "{a}") == of_seed(9)


def test_layers_of_controls_and_references_come_back_and_no_files() -> None:
    asked = Form("not this", seed=3, controls=CONTROLS, references=(FILE, LAYER))
    data = replace(RECORD, asked=asked).dumps()
    assert b"monet" not in data
    found = read_record(data)
    assert found is not None and found.asked == Form(controls=CONTROLS, references=(LAYER,))


def test_a_strangers_document_has_no_files_opened() -> None:
    fields = json.loads(replace(RECORD, asked=Form(references=(LAYER,))).dumps())
    fields["asked"]["references"][0].update(layer="", file="/etc/passwd")
    found = read_record(json.dumps(fields).encode())
    assert found is not None and found.asked == Form()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b'{"facts": 1}', b"[" * 100_000, b" " * (1 << 20) + b"{}"]
)
def test_what_cannot_be_read_is_no_record(data: bytes) -> None:
    assert read_record(data) is None


def test_of_a_document_that_was_opened_gone_layers_are_forgotten() -> None:
    paper = Paper("{a}", "{b}")
    write(paper, "{a}", RECORD)
    write(paper, "{b}", RECORD)
    paper.layers.remove("{a}")
    forget_gone_layers(paper)
    assert read(paper, "{a}") is None and read(paper, "{b}") == RECORD
    assert FOREIGN in paper.kept


def test_undo_brings_records_back_and_the_oldest_of_gone_layers_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provenance, "MOST", 3)
    paper = Paper("{0}")
    for number in range(4):
        write(paper, f"{{{number}}}", of_seed(number))
    # The oldest layer is still there, the others were undone.
    assert [read(paper, f"{{{number}}}") is not None for number in range(4)] == [True, False, True, True]  # fmt: skip
    paper.layers.update(("{2}", "{3}", "{4}", "{5}"))
    for number in (4, 5):
        write(paper, f"{{{number}}}", of_seed(number))
    assert all(read(paper, f"{{{number}}}") is not None for number in (0, 2, 3, 4, 5))

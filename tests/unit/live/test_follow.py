"""Controls and references of live painting: the bridge's copy of them is what the painter has chosen."""

from __future__ import annotations

from collections.abc import Generator, Mapping

import numpy as np
import pytest

from bridge.live.mirror import Mirror
from krita_plugin.krita_bridge.capture import CannotCapture, Plan
from krita_plugin.krita_bridge.link import Pixels as Strips
from krita_plugin.krita_bridge.live.follow import Follow, Pace, Wanted
from krita_plugin.krita_bridge.live.references import LAYER_SECONDS, ReferenceSource
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.frames import Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import LiveUpdate, PaintRequest
from krita_plugin.krita_bridge.wire.reference import Reference

CANVAS, AREA = Extent(150, 140), Bounds(10, 5, 130, 129)
CONTROLS = (
    Control(ControlKind.DEPTH),
    Control(ControlKind.SCRIBBLE, ControlSource.PICTURE),
    Control(ControlKind.CANNY, ControlSource.MAP),
)
REQUEST = PaintRequest("a lake", controls=CONTROLS, references=(Reference(), Reference()))


class Picture:
    """A layer of the canvas's size, or the canvas itself."""

    strip_bytes = 130 * 4 * 5

    def __init__(self, seed: int) -> None:
        self.pixels = np.random.default_rng(seed).integers(
            0, 256, (CANVAS.height, CANVAS.width, 4), np.uint8
        )
        self.is_gone = False
        self.reads = 0
        self.draws = False

    def is_idle(self) -> bool:
        return not self.draws

    def read(self, area: Bounds) -> bytes:
        if self.is_gone:
            raise CannotCapture("A layer is gone.")
        return self.pixels[area.y : area.bottom, area.x : area.right].tobytes()

    read_image = read

    def read_mask(self, area: Bounds) -> bytes:
        raise AssertionError("nothing is selected")

    def whole(self) -> Generator[float, None, Strips]:
        self.reads += 1
        yield 0.0
        return Strips(self.pixels.shape, [self.pixels.tobytes()])


class Easel:
    """A canvas, layers for controls and references, and the bridge's copy of it all."""

    def __init__(self) -> None:
        self.canvas, *self.layers = (Picture(seed) for seed in range(5))
        self.now = 0.0
        self.mirror = Mirror()
        self.sent: list[dict[str, Tensor]] = []
        self.follow = Follow(self, lambda: self.now)

    def wanted(self) -> Wanted:
        controls = {f"control-{n}": (f"layer {n}", self.layers[n - 1]) for n in (1, 2)}
        references = [
            ReferenceSource("layer 3", True, self.layers[2].whole),
            ReferenceSource("/a/file.png", False, self.layers[3].whole),
        ]
        plan = Plan(CANVAS, AREA, reads_image=True, reads_mask=False)
        return Wanted("document", plan, REQUEST, controls, references)

    def say(self, message: messages.ClientMessage, tensors: Mapping[str, Strips]) -> bool:
        sent = {n: Tensor(t.shape, b"".join(map(bytes, t.strips))) for n, t in tensors.items()}
        update = messages.loads(messages.dumps(message))
        assert isinstance(update, LiveUpdate)
        self.mirror.take(update, sent)
        self.sent.append(sent)
        return True

    def look(self) -> None:
        for _ in self.follow.look(self.canvas, self.wanted()):
            pass

    def answer(self) -> None:
        """The picture of the latest update is here."""
        update = self.mirror.latest
        facts = messages.ResultFacts("", "", "p", 1, 1, 2, 2, 1, "s", "m", "", 8, 8, 0, "0")
        assert self.follow.arrived(
            messages.LivePicture(update.live, update.revision, AREA, CANVAS, facts)
        )

    def assert_mirrored(self) -> None:
        frame = frames.decode(b"".join(map(bytes, self.mirror.order("job", REQUEST))))
        area = (slice(AREA.y, AREA.bottom), slice(AREA.x, AREA.right))
        wanted = {
            "image": self.canvas.pixels[area],
            "control-1": self.layers[0].pixels[area],
            "control-2": self.layers[1].pixels[area],
            "reference-0": self.layers[2].pixels,
            "reference-1": self.layers[3].pixels,
        }
        assert set(frame.tensors) == set(wanted)
        for name, pixels in wanted.items():
            assert bytes(frame.tensors[name].data) == pixels.tobytes(), name


@pytest.fixture
def easel() -> Easel:
    found = Easel()
    found.look()
    found.assert_mirrored()
    found.answer()
    return found


def test_of_a_control_only_the_tile_that_changed_travels_and_of_references_nothing(
    easel: Easel,
) -> None:
    easel.layers[1].pixels[70, 80] ^= 1
    easel.look()
    assert {name: len(bytes(tensor.data)) for name, tensor in easel.sent[-1].items()} == {
        "control-2": 64 * 64 * 4
    }
    easel.assert_mirrored()


def test_at_rest_nothing_travels(easel: Easel) -> None:
    easel.look()
    easel.now += 10 * LAYER_SECONDS
    easel.look()
    assert len(easel.sent) == 1


def test_a_reference_that_is_painted_on_is_sent_anew_and_a_file_is_read_once(easel: Easel) -> None:
    easel.layers[2].pixels[3, 4] ^= 1
    easel.look()
    assert easel.layers[2].reads == 1, "looked at again too soon"
    easel.now += 2 * LAYER_SECONDS
    easel.canvas.draws = True
    easel.look()
    assert easel.layers[2].reads == 1, "looked at while the pen draws"
    easel.canvas.draws = False
    easel.look()
    assert list(easel.sent[-1]) == ["reference-0"]
    easel.assert_mirrored()
    assert easel.layers[3].reads == 1


def test_a_bridge_that_begins_anew_gets_all_of_it_again(easel: Easel) -> None:
    easel.mirror = Mirror()
    easel.follow.begin_anew()
    easel.look()
    easel.assert_mirrored()
    assert easel.layers[2].reads == 1, "what is known was read again"


def test_a_bridge_that_asks_for_all_of_it_in_the_middle_of_a_look_gets_it_with_the_next(
    easel: Easel,
) -> None:
    easel.mirror = Mirror()
    easel.canvas.pixels[0, 0] ^= 1
    looking = easel.follow.look(easel.canvas, easel.wanted())
    next(looking)
    easel.follow.begin_anew()
    for _ in looking:
        pass
    easel.look()
    easel.assert_mirrored()


def test_a_layer_that_is_gone_is_a_sentence(easel: Easel) -> None:
    easel.layers[0].is_gone = True
    with pytest.raises(CannotCapture):
        easel.look()


def test_how_long_a_picture_takes_is_told_of_strokes_and_not_of_the_first_one() -> None:
    easel = Easel()
    easel.look()
    easel.now += 20.0  # a model is loaded
    easel.answer()
    assert easel.follow.pace() == Pace()
    easel.canvas.pixels[70, 80] ^= 1
    easel.look()
    easel.now += 0.5
    easel.answer()
    assert easel.follow.pace() == Pace(rate=2.0, latency=0.5)

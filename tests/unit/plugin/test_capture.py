from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import numpy as np
import pytest

from krita_plugin.krita_bridge.capture import (
    POLL_SECONDS,
    CannotCapture,
    Plan,
    Snapshot,
    capture,
    cut,
    plan_capture,
    plan_growth,
    plan_upscale,
)
from krita_plugin.krita_bridge.strips import strips
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent, Margins, context_bounds
from krita_plugin.krita_bridge.wire.messages import MessageError
from krita_plugin.krita_bridge.wire.modes import MEANINGS, Mode

CANVAS = Extent(3000, 2000)


class Document:
    """A canvas whose every strip says which rows it is, and that is busy when it is told to be."""

    def __init__(self, busy: Iterable[bool] = (), selected: int = 255) -> None:
        self._busy = iter(busy)
        self._selected = selected
        self.read: list[Bounds] = []

    def is_idle(self) -> bool:
        return not next(self._busy, False)

    def read_image(self, area: Bounds) -> bytes:
        self.read.append(area)
        return b"".join(bytes([y % 251]) * area.width * 4 for y in range(area.y, area.bottom))

    def read_mask(self, area: Bounds) -> bytes:
        return bytes([self._selected]) * area.width * area.height


def run(task: Generator[float, None, Snapshot]) -> tuple[Snapshot, list[float]]:
    waits: list[float] = []
    while True:
        try:
            waits.append(next(task))
        except StopIteration as end:
            return end.value, waits


def whole(width: int, height: int, **reads: Any) -> Plan:
    bounds = Bounds(0, 0, width, height)
    return Plan(bounds.extent, bounds, **{"reads_image": True, "reads_mask": False, **reads})


class TestPlan:
    def test_without_a_selection_the_whole_canvas_is_refined(self) -> None:
        plan = plan_capture(CANVAS, None, 512, 0.5, Mode.REFINE)
        assert plan == Plan(CANVAS, Bounds(0, 0, 3000, 2000), reads_image=True, reads_mask=False)

    @pytest.mark.parametrize(("strength", "mode"), [(1.0, Mode.REFINE), (0.5, Mode.FILL)])
    def test_a_whole_canvas_of_which_nothing_is_kept_needs_no_pixels(
        self, strength: float, mode: Mode
    ) -> None:
        assert not plan_capture(CANVAS, None, 512, strength, mode).reads_image

    def test_a_selection_is_read_with_its_surroundings_even_at_full_strength(self) -> None:
        selection = Bounds(1000, 800, 300, 200)
        plan = plan_capture(CANVAS, selection, 512, 1.0, Mode.FILL)
        assert plan.bounds == context_bounds(selection, CANVAS, 512)
        assert plan.reads_image and plan.reads_mask

    def test_some_modes_look_further_around(self) -> None:
        selection = Bounds(1000, 800, 300, 200)
        fill, add = (plan_capture(CANVAS, selection, 64, 1.0, m) for m in (Mode.FILL, Mode.ADD))
        assert add.bounds != fill.bounds and add.bounds.contains(fill.bounds)

    @pytest.mark.parametrize("mode", Mode)
    def test_some_modes_are_nothing_without_a_selection(self, mode: Mode) -> None:
        if MEANINGS[mode].needs_selection:
            with pytest.raises(MessageError, match="needs a selection"):
                plan_capture(CANVAS, None, 512, 0.5, mode)
        else:
            assert plan_capture(CANVAS, None, 512, 0.5, mode).bounds == Bounds.of_canvas(CANVAS)

    def test_only_the_part_on_the_canvas_counts(self) -> None:
        plan = plan_capture(CANVAS, Bounds(-100, -100, 200, 200), 64, 1.0, Mode.FILL)
        assert plan.bounds == context_bounds(Bounds(0, 0, 100, 100), CANVAS, 64)

    @pytest.mark.parametrize(
        ("selection", "word"),
        [
            (Bounds(0, 0, 0, 0), "empty"),
            (Bounds(5000, 5000, 50, 50), "outside"),
            (Bounds(-50, 10, 50, 50), "outside"),
            (Bounds(10, 10, 1, 1), "1 x 1 px"),
        ],
    )
    def test_what_cannot_be_painted_gets_one_sentence(self, selection: Bounds, word: str) -> None:
        with pytest.raises(MessageError, match=word) as raised:
            plan_capture(CANVAS, selection, 512, 1.0, Mode.FILL)
        assert str(raised.value).endswith(".")

    def test_a_thin_line_can_be_painted(self) -> None:
        assert plan_capture(CANVAS, Bounds(10, 10, 1, 400), 512, 1.0, Mode.FILL).reads_mask


class TestUpscale:
    def test_the_whole_canvas_becomes_larger(self) -> None:
        plan = plan_upscale(CANVAS, None, 2.0, 512)
        assert plan == Plan(CANVAS, Bounds.of_canvas(CANVAS), reads_image=True, reads_mask=False)

    def test_of_a_selection_it_is_the_box_without_surroundings(self) -> None:
        plan = plan_upscale(CANVAS, Bounds(2900, 100, 300, 200), 8.0, 512)
        assert plan == Plan(CANVAS, Bounds(2900, 100, 100, 200), reads_image=True, reads_mask=True)

    def test_an_empty_selection_gets_a_sentence(self) -> None:
        with pytest.raises(MessageError, match="empty"):
            plan_upscale(CANVAS, Bounds(0, 0, 0, 0), 2.0, 512)

    def test_what_is_too_large_for_one_job_is_made_in_parts(self) -> None:
        assert (
            plan_upscale(CANVAS, None, 3.3, 512).parts == ()
        )  # 9900 x 6600: fewer than 8192 x 8192
        for canvas, factor in ((CANVAS, 4.0), (Extent(5000, 20), 8.0)):
            plan = plan_upscale(canvas, None, factor, 512)
            made = [part.target for _, part in plan.parts]
            assert len(made) > 1
            larger = canvas.scaled(factor)
            pixels = sum(target.width * target.height for target in made)
            assert pixels == larger.width * larger.height
            for area, part in plan.parts:
                assert part.whole == plan.bounds and plan.bounds.contains(area)

    def test_what_is_too_large_for_krita_gets_a_sentence(self) -> None:
        with pytest.raises(MessageError, match=r"24000 x 16000 px.*“krita-bridge upscale”"):
            plan_upscale(CANVAS, None, 8.0, 512)
        assert plan_upscale(CANVAS, Bounds(0, 0, 2000, 2000), 8.0, 512).parts

    def test_a_part_is_cut_from_what_was_read(self) -> None:
        plan, area = Plan(CANVAS, Bounds(5, 7, 40, 30), True, True), Bounds(12, 9, 20, 21)
        pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)
        mask = pixels[..., 0].copy()

        def in_strips(plane: np.ndarray) -> tuple[bytes, ...]:
            return tuple(plane[y : y + 8].tobytes() for y in range(0, 30, 8))

        read = Snapshot(plan, in_strips(pixels), in_strips(mask), {3: in_strips(pixels)})
        part, _ = run(cut(read, area))
        assert part.plan.bounds == area
        at = np.s_[2:23, 7:27]
        assert part.image is not None and b"".join(part.image) == pixels[at].tobytes()
        assert part.mask is not None and b"".join(part.mask) == mask[at].tobytes()
        assert list(part.controls) == [3] and b"".join(part.controls[3]) == pixels[at].tobytes()
        nothing, _ = run(cut(Snapshot(plan, None, None), area))
        assert nothing == Snapshot(part.plan, None, None)


class TestGrowth:
    def test_what_is_new_is_selected_and_shown_with_what_lies_beside_it(self) -> None:
        plan = plan_growth(CANVAS, Margins(0, 0, 400, 0), 512)
        assert plan.canvas == Extent(3400, 2000)
        assert plan.bounds == context_bounds(Bounds(3000, 0, 400, 2000), plan.canvas, 512, 0.5)
        assert plan.kept == Bounds(0, 0, 3000, 2000) and plan.reads_image

    def test_a_canvas_that_does_not_grow_gets_a_sentence(self) -> None:
        with pytest.raises(MessageError, match="Nothing grows"):
            plan_growth(CANVAS, Margins(0, 0, 0, 0), 512)

    @pytest.mark.parametrize(
        "margins", [(7, 0, 0, 0), (0, 5, 0, 0), (0, 0, 9, 0), (0, 0, 0, 3), (7, 5, 9, 3)]
    )
    def test_the_mask_is_white_where_the_canvas_is_new(
        self, margins: tuple[int, int, int, int]
    ) -> None:
        plan = plan_growth(Extent(40, 30), Margins(*margins), 8)
        snapshot, _ = run(capture(Document(), plan))
        assert snapshot.mask is not None and plan.kept is not None
        rows = iter(b"".join(snapshot.mask))
        for y in range(plan.bounds.y, plan.bounds.bottom):
            for x in range(plan.bounds.x, plan.bounds.right):
                assert next(rows) == (0 if plan.kept.contains(Bounds(x, y, 1, 1)) else 255)


class TestCapture:
    def test_the_strips_joined_are_the_rows_in_order(self) -> None:
        snapshot, _ = run(capture(Document(), whole(1000, 1500)))
        assert snapshot.image is not None
        assert len(snapshot.image) > 1
        joined = b"".join(snapshot.image)
        assert joined[:: 1000 * 4] == bytes(y % 251 for y in range(1500))
        assert snapshot.mask is None

    def test_it_offers_a_pause_after_every_strip(self) -> None:
        document = Document()
        _, waits = run(capture(document, whole(1000, 1500)))
        assert waits == [0.0] * len(document.read)

    def test_it_waits_while_a_stroke_is_painted(self) -> None:
        document = Document(busy=[True, True])
        _, waits = run(capture(document, whole(100, 100)))
        assert waits == [POLL_SECONDS, POLL_SECONDS, 0.0]

    def test_a_stroke_between_two_strips_starts_it_again(self) -> None:
        plan = whole(1000, 1500)
        document = Document(busy=[False, False, True])
        snapshot, _ = run(capture(document, plan))
        expected = list(strips(plan.bounds, 4))
        assert document.read == expected[:2] + expected
        assert snapshot.image is not None
        assert len(snapshot.image) == len(expected)

    def test_the_mask_comes_along(self) -> None:
        snapshot, _ = run(capture(Document(), whole(100, 100, reads_mask=True)))
        assert snapshot.mask == (b"\xff" * 10_000,)

    def test_a_mask_without_a_selected_pixel_says_so_before_the_picture_is_read(self) -> None:
        document = Document(selected=0)
        with pytest.raises(CannotCapture, match=r"Nothing is selected"):
            run(capture(document, whole(100, 100, reads_mask=True)))
        assert document.read == []

    def test_what_is_not_needed_is_not_read(self) -> None:
        document = Document()
        snapshot, _ = run(capture(document, whole(100, 100, reads_image=False)))
        assert snapshot.image is None and document.read == []


class TestStrips:
    @pytest.mark.parametrize(
        "area", [Bounds(3, 5, 700, 1001), Bounds(0, 0, 1, 1), Bounds(9, 9, 40, 3)]
    )
    def test_they_cover_the_area_exactly_once(self, area: Bounds) -> None:
        parts = list(strips(area, 4, 4096))
        assert [row for part in parts for row in range(part.y, part.bottom)] == list(
            range(area.y, area.bottom)
        )
        assert {(part.x, part.width) for part in parts} == {(area.x, area.width)}

    def test_none_is_larger_than_asked_unless_a_row_is(self) -> None:
        assert max(p.width * p.height * 4 for p in strips(Bounds(0, 0, 300, 300), 4, 5000)) <= 5000
        assert {p.height for p in strips(Bounds(0, 0, 3000, 5), 4, 5000)} == {1}

    def test_an_empty_area_has_none(self) -> None:
        assert list(strips(Bounds(5, 5, 0, 10), 4)) == []

"""Live painting in a real Krita with pictures that take long: less of them while the pen moves, all of one once it rests."""

from __future__ import annotations

from itertools import count

from tests.krita.conftest import Studio
from tests.krita.harness import Before, Live
from tests.krita.harness.bridge import HEAVY, HEAVY_STEPS
from tests.krita.harness.docker import PATIENCE
from tests.krita.harness.live import HEIGHT, WIDTH, LivePictureSeen

BEGIN, HELD = 0.9, 0.4
"""Strengths: at 1.0 nothing of the canvas counts."""

LESS = "size while you paint"


def test_less_is_painted_after_a_stroke_and_all_of_it_at_rest_and_the_strength_is_felt_at_once(
    studio: Studio, live: Live
) -> None:
    krita, document = studio.krita, live.document()
    live.docker.choose(HEAVY)
    live.begin(BEGIN)
    krita.wait_until(lambda: live.picture().full, PATIENCE)
    strokes, seen = count(), [live.picture()]

    def is_full_again() -> bool:
        seen.append(live.picture())
        return seen[-1].full and seen[-1].revision > seen[0].revision

    def is_followed_by_less() -> list[LivePictureSeen]:
        """Of one more stroke the pictures that are not the full one and are said not to be; looking too seldom sees none."""
        seen[:] = [live.picture()]
        y = 50 + 29 * next(strokes) % (HEIGHT - 70)
        document.draw_stroke([(30, y), (WIDTH - 30, y)])
        krita.wait_until(is_full_again, PATIENCE)
        return [picture for picture in seen if not picture.full and LESS in picture.words]

    less = krita.wait_until(is_followed_by_less, PATIENCE)
    assert all(picture.facts["steps"] < HEAVY_STEPS for picture in less)
    assert less[-1].facts["scale"] < 1.0
    assert (seen[-1].facts["steps"], seen[-1].facts["scale"]) == (HEAVY_STEPS, 1.0)
    krita.wait_until(lambda: LESS not in live.pace())

    before, undo = Before.of(document), document.next_undo()
    with live.held_strength(HELD):
        krita.wait_until(lambda: live.strength() < (BEGIN + HELD) / 2)
        krita.wait_until(lambda: live.picture().facts["strength"] == live.strength(), PATIENCE)
    assert before.is_restored() and document.next_undo() == undo

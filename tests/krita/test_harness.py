"""The harness itself: what every other test here relies on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.krita.harness import Krita, KritaInstall, paint_landscape
from tests.krita.harness.agent_client import AgentClient, AgentError


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=-1)


def test_the_agent_answers_from_the_krita_that_is_installed(
    krita: Krita, krita_install: KritaInstall
) -> None:
    assert krita.version.startswith(".".join(map(str, krita_install.numbers[:3])))
    assert krita.evaluate("x = 6\nx * 7") == 42
    assert krita.evaluate("bytes(range(256))") == bytes(range(256))


def test_the_agent_refuses_a_wrong_token(krita: Krita) -> None:
    stranger = AgentClient(krita.home.path / "agent.json", "wrong")
    with pytest.raises(AgentError, match="wrong token"):
        stranger.evaluate("1")


def test_an_exception_inside_krita_is_recorded_and_opens_no_dialog(krita: Krita) -> None:
    krita.evaluate("def fail(): raise KeyError('on purpose')\nQtCore.QTimer.singleShot(0, fail)")
    (recorded,) = krita.wait_until(krita.exceptions)
    assert "on purpose" in recorded
    assert krita.dialog() is None


def test_a_stroke_paints_where_it_was_drawn_and_undo_and_redo_are_exact(krita: Krita) -> None:
    document = krita.new_document(512, 400)
    krita.agent.call("set_brush", "b) Basic-5", 20.0, [200, 30, 30])
    blank = document.flattened()
    document.draw_stroke([(100, 100), (300, 100), (300, 250)])
    painted = document.flattened()

    rows, columns = np.nonzero(changed(blank, painted))
    assert abs(columns.min() - 90) <= 2 and abs(columns.max() - 310) <= 2
    assert abs(rows.min() - 90) <= 2 and abs(rows.max() - 260) <= 5
    assert painted[100, 200].tolist() == [200, 30, 30, 255]

    document.undo()
    assert np.array_equal(document.flattened(), blank)
    document.redo()
    assert np.array_equal(document.flattened(), painted)


def test_a_dragged_rectangle_selects_what_it_covers(krita: Krita) -> None:
    document = krita.new_document(512, 512)
    document.select_rectangle(100, 120, 300, 350)
    assert document.selection_bounds() == pytest.approx((100, 120, 200, 230), abs=1)
    assert document.selection()[200, 200] == 255 and document.selection()[50, 50] == 0
    document.undo()
    assert not document.selection().any()


def test_a_drag_beyond_the_canvas_selects_up_to_its_edge(krita: Krita) -> None:
    document = krita.new_document(400, 400)
    document.select_rectangle(300, -30, 430, 150)
    rows, columns = np.nonzero(document.selection())
    assert abs(columns.min() - 300) <= 1 and columns.max() == 399
    assert rows.min() == 0 and abs(rows.max() - 149) <= 1


def test_a_lasso_selects_its_inside(krita: Krita) -> None:
    document = krita.new_document(512, 512)
    document.select_lasso([(256, 80), (430, 400), (80, 400)])
    selection = document.selection()
    assert selection[300, 256] == 255 and selection[100, 100] == 0
    assert np.count_nonzero(selection) == pytest.approx(350 * 320 / 2, rel=0.05)


def test_inverting_feathering_and_deselecting(krita: Krita) -> None:
    document = krita.new_document(400, 400)
    document.select_rectangle(100, 100, 300, 300)
    plain = document.selection()
    document.invert_selection()
    assert np.array_equal(document.selection(), 255 - plain)
    document.invert_selection()
    document.feather_selection(10)
    feathered = document.selection()
    assert np.count_nonzero((feathered > 0) & (feathered < 255)) > 0
    assert 0 < feathered[200, 97] < feathered[200, 103] < 255
    document.deselect()
    assert document.selection_bounds() is None


def test_a_stroke_stays_inside_the_selection(krita: Krita) -> None:
    document = krita.new_document(400, 400)
    before = document.flattened()
    document.select_rectangle(150, 150, 250, 250)
    selected = document.selection() > 0
    document.draw_stroke([(50, 200), (350, 200)])
    after = document.flattened()
    assert changed(before, after)[selected].any()
    assert not changed(before, after)[~selected].any()


def test_layers_groups_and_their_facts(krita: Krita) -> None:
    document = krita.new_document(200, 200)
    document.add_layer("group", "grouplayer")
    document.add_layer("inner", "paintlayer", parent="group")
    document.change_layer("inner", visible=False, locked=True)
    assert [layer.name for layer in document.nodes()] == ["Background", "group"]
    inner = document.layer("inner")
    assert (inner.visible, inner.locked) == (False, True)
    red = np.full((50, 40, 4), (255, 0, 0, 255), np.uint8)
    document.set_layer_pixels("inner", red, 30, 20)
    assert document.layer("inner").bounds == (30, 20, 40, 50)
    assert document.layer_pixels("inner")[25, 35].tolist() == [255, 0, 0, 255]
    assert document.flattened()[25, 35].tolist() != [255, 0, 0, 255]
    document.change_layer("inner", visible=True)
    assert document.flattened()[25, 35].tolist() == [255, 0, 0, 255]


@pytest.mark.parametrize(("depth", "kind"), [("U16", np.uint16), ("F32", np.float32)])
def test_deep_documents_are_read_in_their_own_depth_and_as_srgb(
    krita: Krita, depth: str, kind: type
) -> None:
    document = krita.new_document(128, 96, depth=depth)
    krita.agent.call("set_brush", "b) Basic-5", 20.0, [0, 0, 255])
    document.draw_stroke([(30, 50), (100, 50)])
    pixels = document.flattened()
    assert pixels.dtype == kind and pixels.shape == (96, 128, 4)
    assert pixels[50, 60, 2] > pixels[50, 60, 0]
    srgb = document.flattened_srgb()
    assert srgb[50, 60, 2] > 200 and srgb[50, 60, 0] < 60


def test_two_documents_are_told_apart(krita: Krita) -> None:
    first = krita.new_document(300, 300, name="first")
    second = krita.new_document(400, 200, name="second")
    second.draw_stroke([(100, 100), (200, 100)])
    first.activate()
    first.draw_stroke([(50, 250), (250, 250)])
    assert second.flattened().shape == (200, 400, 4)
    assert second.flattened()[100, 150].tolist() != [255, 255, 255, 255]
    assert first.flattened()[250, 150].tolist() != [255, 255, 255, 255]
    second.close()
    assert first.is_on_screen()


def test_a_document_larger_than_the_screen_can_be_drawn_on(krita: Krita) -> None:
    document = krita.new_document(2048, 2048)
    document.select_rectangle(512, 512, 1536, 1024)
    assert document.selection_bounds() == pytest.approx((512, 512, 1024, 512), abs=8)


def test_a_screenshot_shows_the_window(krita: Krita, tmp_path: Path) -> None:
    krita.new_document(256, 256)
    with Image.open(krita.screenshot(tmp_path / "window.png")) as image:
        assert image.size == (1600, 1000)
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 100


def test_the_landscape_is_painted_in_layers_with_real_strokes(krita: Krita) -> None:
    document = paint_landscape(krita, 512, 512)
    assert [layer.name for layer in document.nodes()] == ["Sky", "Hills", "Lake", "Meadow"]
    picture = document.flattened()
    assert (picture[..., 3] == 255).all()
    sky, water, tree = picture[20, 20], picture[300, 60], picture[290, 440]
    assert sky[2] > sky[0] and water[2] > water[0] and tree[1] > tree[2]


def test_ui_gaps_show_a_blocked_ui_thread(krita: Krita) -> None:
    with krita.ui_gaps() as gaps:
        krita.evaluate("import time; time.sleep(0.3)")
    assert max(gaps) >= 299
    assert len(gaps) >= 2


def test_krita_quits_cleanly_with_a_changed_document_and_starts_again(
    krita_install: KritaInstall,
) -> None:
    with Krita(krita_install) as own:
        document = own.new_document(200, 200)
        document.draw_stroke([(50, 50), (150, 150)])
        own.quit()
        assert own.exit_code == 0
        with Krita(krita_install, home=own.home) as again:
            assert again.new_document(100, 100).flattened().shape == (100, 100, 4)

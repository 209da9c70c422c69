"""The whole evaluation and its card, on the shipped model, with few and short samples."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from bridge.models.training import evaluate as evaluation
from bridge.models.training import redrawing
from bridge.models.training.card import write_card
from bridge.models.training.export import EMBEDDED
from bridge.models.training.sampler import Sampling


@pytest.mark.slow
def test_what_is_measured_is_what_the_card_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED, folder)
    monkeypatch.setattr(evaluation, "Sampling", partial(Sampling, steps=4))
    results = evaluation.evaluate(folder, 2)
    written = json.loads((folder / "evaluation.json").read_text())
    assert len(written["rates"]) == len(results.rates) > 10
    names = [row.name for row in (*results.rates, *results.figures)]
    assert len(set(names)) == len(names)
    painted_over = [name for name in names if name.startswith("thing painted over")]
    assert len(painted_over) == len(redrawing.STRENGTHS)
    with Image.open(folder / "samples.png") as sheet:
        assert sheet.size == (len(evaluation.SAMPLES) * 130 - 2, 582)

    write_card(folder)
    card = (folder / "README.md").read_text()
    for rate in results.rates:
        assert f"| {rate.name} | {rate.hits} of {rate.of} |" in card
    for figure in results.figures:
        assert f"| {figure.name} | {figure.value} {figure.unit} |" in card
    for path in folder.rglob("*.safetensors"):
        assert f"`{path.relative_to(folder).as_posix()}`" in card

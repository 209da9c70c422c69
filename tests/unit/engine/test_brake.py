"""A cancelled job stops inside a network, not only between two of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from bridge.engine.pipeline import Engine
from bridge.engine.types import Job, Snapshot
from bridge.errors import BridgeError, Code
from bridge.models.loaded import LoadedModel
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from tests.fake_models import preset, tiny_model

SQUARE = Bounds(0, 0, 64, 64)
IMAGE = np.full((64, 64, 4), 255, np.uint8)


def paint(model: LoadedModel, is_cancelled: Callable[[], bool]) -> bytes:
    """Refines a white square in two steps: it is encoded, painted and decoded."""
    engine = Engine({"tiny": preset("tiny", steps=4)}, device="cpu", load=lambda *_: model)
    request = PaintRequest("a red circle", preset="tiny", strength=0.5)
    job = Job(request, Snapshot(Extent(64, 64), SQUARE, IMAGE))
    return engine.paint(job, on_step=lambda _: None, is_cancelled=is_cancelled).image.tobytes()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("vae", "encoder.down_blocks.0.resnets.0"),
        ("unet", "down_blocks.0.resnets.0"),
        ("unet", "up_blocks.0.resnets.0"),
        ("vae", "decoder.up_blocks.0.resnets.0"),
    ],
)
def test_a_cancel_during_one_block_is_noticed_before_the_next(owner: str, name: str) -> None:
    model = tiny_model("sd15")
    network = getattr(model, owner)
    cancelled, finished = False, []

    def cancel(*_: object) -> None:
        nonlocal cancelled
        cancelled = True

    def finish(module: torch.nn.Module, *_: object) -> None:
        finished.append(module)

    during = network.get_submodule(name)
    whole = network if owner == "unet" else network.get_submodule(name.partition(".")[0])
    hooks = [during.register_forward_hook(cancel), whole.register_forward_hook(finish)]
    try:
        with pytest.raises(BridgeError) as caught:
            paint(model, lambda: cancelled)
    finally:
        for hook in hooks:
            hook.remove()
    assert caught.value.code is Code.CANCELLED
    assert finished == []


def test_after_a_cancel_inside_a_network_the_next_job_is_as_ever() -> None:
    model = tiny_model("sd15")
    expected = paint(model, lambda: False)
    left = 9

    def soon() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    with pytest.raises(BridgeError):
        paint(model, soon)
    assert paint(model, lambda: False) == expected
    with torch.inference_mode():
        model.vae.decode(torch.zeros(1, 4, 8, 8))  # nobody asks any more once a job is over

"""One pass for what the model can paint as a whole, two for what is larger.

A region of more pixels than a model likes is painted at a size that it likes first, which settles what is where, and
then once more at the document's own resolution, in tiles, beginning from the first result.
"""

from __future__ import annotations

from dataclasses import replace

from bridge.engine.condition import Encoder
from bridge.engine.control import NO_GUIDES, Guides
from bridge.engine.plan import Plan
from bridge.engine.request import Settings
from bridge.engine.run import Run
from bridge.engine.schedule import steps_run
from bridge.engine.types import ImageU8, IsCancelled, MaskU8, OnStep, Snapshot, StepReport
from bridge.models.loaded import LoadedModel
from krita_plugin.krita_bridge.wire.geometry import Bounds
from krita_plugin.krita_bridge.wire.modes import Mode, Prefill

MOST_DETAILED = 4096 * 4096
"""Largest picture of the second pass, px: its latents and the picture itself take 0.3 GB, and 0.6 GB the map of each control
as SD 1.5 and SDXL embed it in half precision."""


def paint(
    model: LoadedModel,
    encoder: Encoder,
    snapshot: Snapshot,
    selection: MaskU8 | None,
    settings: Settings,
    on_step: OnStep,
    is_cancelled: IsCancelled,
    guides: Guides = NO_GUIDES,
) -> tuple[ImageU8, Plan]:
    """The layer, and the plan of the pass that made it. Raises BridgeError. Use it inside torch.inference_mode()."""
    pixels = snapshot.bounds.width * snapshot.bounds.height
    if pixels <= model.resolution.max_pixels or not settings.detail or not settings.run:
        run = Run(model, encoder, snapshot, selection, settings, guides=guides)
        return run.paint(on_step, is_cancelled), run.plan
    if settings.prefill is Prefill.KEEP and settings.strength <= settings.detail:
        # What is there says what is where: the first pass would only lose its detail.
        run = Run(model, encoder, snapshot, selection, settings, MOST_DETAILED, guides)
        return run.paint(on_step, is_cancelled), run.plan

    strongest = settings.detail * (1 if selection is None else float(selection.max()) / 255)
    finer = replace(
        settings,
        mode=Mode.REFINE,
        strength=settings.detail,
        run=steps_run(settings.steps, strongest),
    )
    steps = settings.run + finer.run
    first = Run(model, encoder, snapshot, selection, settings, guides=guides)
    layer = first.paint(_counted(on_step, 0, steps), is_cancelled)
    painted = replace(snapshot, image=_painted(snapshot, layer, first.plan.target))
    second = Run(model, encoder, painted, selection, finer, MOST_DETAILED, guides)
    return second.paint(_counted(on_step, settings.run, steps), is_cancelled), second.plan


def _counted(on_step: OnStep, before: int, steps: int) -> OnStep:
    """Steps of one pass as part of all `steps`."""

    def report(step: StepReport) -> None:
        on_step(replace(step, step=before + step.step, steps=steps))

    return report


def _painted(snapshot: Snapshot, layer: ImageU8, target: Bounds) -> ImageU8:
    """The source with the colours of `layer` wherever it has any: how much of them shows is for the last pass to say."""
    if snapshot.image is None:
        return layer
    image = snapshot.image.copy()
    part = target.relative_to(snapshot.bounds)
    under = image[part.y : part.bottom, part.x : part.right]
    shows = layer[..., 3] > 0
    under[shows, :3] = layer[shows, :3]
    under[shows, 3] = 255
    return image

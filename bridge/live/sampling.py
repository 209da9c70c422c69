"""How a preset samples while live painting is on: few steps, and one pass."""

from __future__ import annotations

from dataclasses import dataclass, replace

from krita_plugin.krita_bridge.wire.messages import PLACE, PaintRequest


@dataclass(frozen=True)
class LiveSampling:
    """What a live request uses where it leaves these open; None: as the preset says for every job. `template` may name
    the LoRA with which few steps are enough, so a template of the request's own stands within it."""

    steps: int
    guidance: float | None = None
    scheduler: str | None = None
    template: str | None = None

    def fill_in(self, request: PaintRequest) -> PaintRequest:
        """The request with its open ends filled in. Raises MessageError where both templates together are too long."""
        template = self.template
        if request.template is not None:
            template = _within(template or PLACE, request.template)
        return replace(
            request,
            steps=self.steps if request.steps is None else request.steps,
            guidance=self.guidance if request.guidance is None else request.guidance,
            scheduler=request.scheduler or self.scheduler,
            template=template,
            draft=True,
            detail=0.0,  # a second pass takes as long as for a picture that is to stay
        )


def _within(outer: str, own: str) -> str:
    """`own` in the place of the prompt in `outer`, unless it stands there already: it comes from an earlier live picture."""
    before, _, after = outer.partition(PLACE)
    stands_there = own.startswith(before) and own.endswith(after)
    return own if stands_there else outer.replace(PLACE, own)

"""One evaluation of the UNet under classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from bridge.engine.condition import Conditioning
from bridge.engine.control import Hint, make_guiding
from bridge.engine.sample import Predict
from bridge.engine.tiles import Layout, Tile
from bridge.models.device import scalars
from bridge.models.guided import evaluate
from bridge.models.loaded import LoadedModel
from krita_plugin.krita_bridge.wire.geometry import Extent


def make_predictor(
    model: LoadedModel,
    timesteps: Sequence[float],
    conditions: Sequence[Conditioning],
    guidance: float,
    picture: Extent,
    extra: torch.Tensor | None = None,
    rescale: float = 0.0,
    hints: Sequence[Hint] = (),
) -> Predict:
    """The guided model output (Ho & Salimans, Classifier-free diffusion guidance, 2022).

    `conditions` is (positive,) for guidance 1, which costs one evaluation and ignores any negative prompt, or
    (positive, negative) above: negative + guidance * (positive - negative). `extra` are the channels after
    the latents of a UNet trained to inpaint: mask and masked latents. `picture` is the working size, px.
    `rescale`, 0 to 1: how far the output's spread is brought back to that without guidance (`rescaled`).
    `hints` are the controls: they guide both branches.
    """
    batch = len(conditions)
    tokens = conditions[0].tokens
    if batch > 1:
        tokens = torch.cat([condition.tokens for condition in conditions])
    pictures = [condition.pictures for condition in conditions if condition.pictures is not None]
    looked_at = [torch.cat(each) for each in zip(*(p.tokens for p in pictures), strict=True)]
    added = _added_conditions(model, conditions, picture)
    at = scalars(tuple(timesteps), model.device)
    guiding = make_guiding(hints, len(timesteps), batch)
    run = model.graphed or partial(evaluate, model.unet)

    def predict(latents: torch.Tensor, index: int) -> torch.Tensor:
        given = latents if extra is None else torch.cat([latents, extra], dim=1)
        given = given.to(model.dtype)
        if batch > 1:
            given = given.expand(batch, -1, -1, -1)
        if pictures:
            pictures[0].look(index, len(timesteps))
        output = run(given, at[index], tokens, looked_at, added, *guiding(index)).to(latents.dtype)
        if batch == 1:
            return output
        positive, negative = output.chunk(2)
        guided = torch.lerp(negative, positive, guidance)
        return rescaled(guided, positive, rescale) if rescale else guided

    return predict


def in_tiles(
    layout: Layout,
    channels: int,
    predictor_of: Callable[[Tile], Predict],
    before_tile: Callable[[], None],
) -> Predict:
    """One output from those of all tiles. `predictor_of` makes each tile's own; `before_tile` may raise to stop."""
    predictors = {tile: predictor_of(tile) for tile in layout.tiles}

    def predict(latents: torch.Tensor, index: int) -> torch.Tensor:
        def part(tile: Tile) -> torch.Tensor:
            before_tile()
            return predictors[tile](tile.of(latents), index)

        return layout.mean(part, channels)

    return predict


def rescaled(guided: torch.Tensor, positive: torch.Tensor, share: float) -> torch.Tensor:
    """Guidance without the overexposure that much of it brings: `share` of the way from `guided` to itself with the
    standard deviation that `positive` has (Lin et al., Common diffusion noise schedules and sample steps are
    flawed, 2023, section 3.4). Both N x C x h x w; the deviation is that of each picture of the batch.
    """
    spread = positive.std(dim=(1, 2, 3), keepdim=True)
    factor = spread / guided.std(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
    return torch.lerp(guided, guided * factor, share)


def _added_conditions(
    model: LoadedModel, conditions: Sequence[Conditioning], picture: Extent
) -> dict[str, torch.Tensor] | None:
    """What SDXL is told beside the tokens: pooled text, and original size, crop corner and target size."""
    pooled = [condition.pooled for condition in conditions if condition.pooled is not None]
    if not pooled:
        return None
    size = (picture.height, picture.width)
    ids = torch.stack(scalars((*size, 0, 0, *size), model.device)).to(model.dtype)
    return {"text_embeds": torch.cat(pooled), "time_ids": ids.expand(len(pooled), -1)}

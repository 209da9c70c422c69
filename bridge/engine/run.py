"""One job on its way through the engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial

import torch
import torch.nn.functional as F

from bridge.engine import latent, mask, noise
from bridge.engine.color import over_white, to_model, to_u8
from bridge.engine.composite import Compositor
from bridge.engine.condition import Conditioning, Encoder
from bridge.engine.control import DEPTH_CHANNEL, NO_GUIDES, Guides, Hint, depth_channel, hint
from bridge.engine.guidance import in_tiles, make_predictor
from bridge.engine.match import match
from bridge.engine.membrane import meet
from bridge.engine.plan import Plan, make_plan
from bridge.engine.prefill import prefill
from bridge.engine.request import Settings
from bridge.engine.resample import from_working, resize, spread, to_working
from bridge.engine.sample import Kept, Predict, noisy, sample
from bridge.engine.schedule import Schedule, first_steps, make_schedule
from bridge.engine.tiles import Layout, Tile, make_layout
from bridge.engine.types import ImageU8, IsCancelled, MaskU8, OnStep, Snapshot, StepReport
from bridge.errors import BridgeError, Code
from bridge.models.brake import stop_if
from bridge.models.loaded import LoadedModel
from bridge.pixels import tight_bounds
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.modes import Mode, Prefill


class Run:
    """Plans a job when made; `paint` does it. Use it inside torch.inference_mode()."""

    def __init__(
        self,
        model: LoadedModel,
        encoder: Encoder,
        snapshot: Snapshot,
        selection: MaskU8 | None,
        settings: Settings,
        most_pixels: int | None = None,
        guides: Guides = NO_GUIDES,
    ) -> None:
        """`most_pixels`: paint at up to so many, in tiles, instead of at a size that the model likes as a whole.
        `guides`: the controls that are heard; their maps are the snapshot's `controls`."""
        source = target = snapshot.bounds
        if selection is not None:
            box = tight_bounds(selection)
            target = Bounds(source.x + box.x, source.y + box.y, box.width, box.height)
        resolution = model.resolution
        self._layout: Layout | None = None
        if most_pixels is not None:
            resolution = replace(resolution, max_pixels=most_pixels)
        self.plan: Plan = make_plan(source, target, resolution, model.latent_scale, settings.scale)
        if most_pixels is not None:
            side = resolution.native // model.latent_scale
            self._layout = make_layout(*_latents(self.plan, model.latent_scale), side)
        self._model = model
        self._encoder = encoder
        self._hints = tuple(
            hint(guide, snapshot.controls[index], self.plan) for index, guide in guides.items()
        )
        self._depth_channel: torch.Tensor | None = None
        if model.takes_depth:
            size = _latents(self.plan, model.latent_scale)
            channel = depth_channel(snapshot.controls.get(DEPTH_CHANNEL), self.plan, size)
            self._depth_channel = channel.to(model.device)
        self._image = snapshot.image
        self._selection = selection
        self._settings = settings
        self._compositor = Compositor(
            self.plan, snapshot.image, selection, model.latent_scale, settings.blend
        )
        self._pace = _Pace(model.device) if model.device.type == "cuda" else None

    def paint(self, on_step: OnStep, is_cancelled: IsCancelled) -> ImageU8:
        """The layer of `plan.target`. Raises BridgeError."""
        settings, model = self._settings, self._model
        if settings.run == 0:
            return self._compositor.unchanged()
        schedule = make_schedule(
            settings.scheduler, model.scheduler_json, settings.steps, settings.run
        )
        stop_if(is_cancelled)
        start, kept, extra = self._start(schedule)
        stop_if(is_cancelled)
        predict = self._predictor(schedule, extra, kept is not None, is_cancelled)
        stop_if(is_cancelled)
        after_step = partial(self._after_step, on_step, is_cancelled, len(schedule.steps))
        latents = sample(predict, schedule, start, self._fresh_noise, after_step, kept)
        total = latents.sum()  # one NaN or infinity makes it one
        painted = latent.decode(model, latents, self._layout)
        # Asked for only now: before, a GPU would have had to finish until the decoder began.
        if not math.isfinite(float(total)):
            raise _not_finite()
        return self._compositor.layer(self._matched(painted))

    def _predictor(
        self,
        schedule: Schedule,
        extra: torch.Tensor | None,
        keeps: bool,
        is_cancelled: IsCancelled,
    ) -> Predict:
        settings, scale = self._settings, self._model.latent_scale
        conditions = self._conditions()
        timesteps = [step.timestep for step in schedule.steps]

        def of(size: Extent, extra: torch.Tensor | None, hints: Sequence[Hint]) -> Predict:
            return make_predictor(
                self._model,
                timesteps,
                conditions,
                settings.guidance,
                size,
                extra,
                settings.guidance_rescale,
                hints,
            )

        def of_tile(tile: Tile) -> Predict:
            size = Extent(tile.width * scale, tile.height * scale)
            hints = [each.of_tile(tile, scale) for each in self._hints]
            return of(size, None if extra is None else tile.of(extra), hints)

        if self._layout is None:
            return of(self.plan.working, extra, self._hints)
        # What is kept is put back after every step: nobody needs to paint it.
        layout = self._layout.touching(self._levels) if keeps else self._layout
        channels = int(self._model.vae.config.latent_channels)
        return in_tiles(layout, channels, of_tile, partial(stop_if, is_cancelled))

    def _start(self, schedule: Schedule) -> tuple[torch.Tensor, Kept | None, torch.Tensor | None]:
        """The first sample, what is kept, and the extra channels of a UNet trained to inpaint, or with depth."""
        settings, picture = self._settings, self._picture
        grain = self._noise(draw=0)
        inpaints = self._model.inpaints
        extra = self._inpaint_channels() if inpaints else self._depth_channel
        if picture is None:
            return grain * schedule.start_scale, None, extra
        anew, keeps = settings.strength == 1, False
        if self._selection is not None:
            levels = self._levels
            less = levels < levels.max()
            keeps = bool(((levels > 0) & less if inpaints else less).any())
            anew = anew and bool(levels.max() == 255)
        if not anew or keeps or settings.prefill is Prefill.INPAINT:
            picture = self._prefilled(picture)
        if anew and not keeps:
            return grain * schedule.start_scale, None, extra
        encoded = latent.encode(self._model, picture, self._layout)
        first = schedule.steps[0]
        start = grain * schedule.start_scale if anew else noisy(encoded, grain, first)
        if not keeps:
            return start, None, extra
        free_from = first_steps(self._levels, settings.strength, settings.steps, schedule.order)
        return start, Kept(encoded, grain, free_from.to(self._model.device)), extra

    def _prefilled(self, picture: torch.Tensor) -> torch.Tensor:
        """The working picture as the painting begins from it. What is selected softly keeps what is there."""
        kind = self._settings.prefill
        if kind is Prefill.KEEP:
            return picture
        hole = self._pixels((self._levels == 255).float())
        if not hole.any():
            return picture
        picture = prefill(kind, picture, hole, self._covered)
        if kind is Prefill.INPAINT:
            self._compositor = self._compositor.over(to_u8(from_working(picture, self.plan))[0])
        return picture

    def _inpaint_channels(self) -> torch.Tensor:
        """Mask and latents of the picture with mid grey in the mask, as such UNets were trained."""
        repainted, picture = (self._levels > 0).float(), self._picture
        hole = self._pixels(repainted)
        signed = torch.zeros(1, 3, *hole.shape[-2:]) if picture is None else to_model(picture)
        masked = latent.encode_signed(self._model, signed * (1 - hole), self._layout)
        return torch.cat([repainted.to(masked.device), masked], dim=1)

    def _matched(self, painted: torch.Tensor) -> torch.Tensor:
        """`painted` without what the model did to the colours of what is kept, and without a step at the border."""
        picture = self._picture
        if picture is None or self._selection is None or not self._settings.match_colors:
            return painted
        # A decoder lets a latent show in its neighbours' pixels, so these are no witnesses.
        reached = F.max_pool2d(self._levels, 3, stride=1, padding=1)
        witnesses = self._pixels((reached == 0).float()) * self._covered
        painted = match(painted, picture, witnesses)
        kind = self._settings.prefill
        if kind is Prefill.NEUTRAL:  # beyond its border is the subject, which must not bleed
            return painted
        chosen = torch.from_numpy(self._selection > 0)[None, None].float()
        selected = (to_working(chosen, self.plan) > 0).float()
        refines = kind is Prefill.KEEP and self._settings.mode is Mode.REFINE
        return meet(painted, picture, selected, self._covered, refines, spread(self.plan))

    @cached_property
    def _picture(self) -> torch.Tensor | None:
        """What is there, as the working picture 1 x 3 x H x W."""
        return None if self._image is None else to_working(over_white(self._image), self.plan)

    @cached_property
    def _levels(self) -> torch.Tensor:
        """How strongly each latent is repainted (`mask.levels`)."""
        if self._image is None or self._selection is None:
            height, width = self._latent_size()
            return torch.full((1, 1, height, width), 255.0)
        return mask.levels(self._selection, self.plan, self._model.latent_scale)

    @cached_property
    def _covered(self) -> torch.Tensor:
        """Where the canvas is not transparent: 1 x 1 x H x W of the working picture, 1 or 0."""
        assert self._image is not None
        paint = torch.from_numpy(self._image[..., 3] > 0)[None, None].float()
        return (to_working(paint, self.plan) > 0.5).float()

    def _pixels(self, latent_mask: torch.Tensor) -> torch.Tensor:
        return F.interpolate(latent_mask, scale_factor=self._model.latent_scale, mode="nearest")

    def _conditions(self) -> tuple[Conditioning, ...]:
        settings = self._settings
        if settings.guidance <= 1:
            return (self._encoder.encode(settings.positive, settings.clip_skip),)
        return self._encoder.pair(settings.positive, settings.negative, settings.clip_skip)

    def _noise(self, draw: int) -> torch.Tensor:
        size, channels = self._latent_size(), self._model.latent_channels
        seed, origin = self._settings.seed, self.plan.latent_origin
        return noise.on_device(self._model.device, seed, origin, size, channels, draw)

    def _fresh_noise(self, index: int) -> torch.Tensor:
        return self._noise(draw=index + 1)

    def _latent_size(self) -> tuple[int, int]:
        return _latents(self.plan, self._model.latent_scale)

    def _after_step(
        self,
        on_step: OnStep,
        is_cancelled: IsCancelled,
        steps: int,
        index: int,
        so_far: Callable[[], torch.Tensor],
    ) -> None:
        if self._pace is not None:
            self._pace()
        stop_if(is_cancelled)
        on_step(StepReport(index + 1, steps, partial(self._preview, so_far)))
        stop_if(is_cancelled)

    def _preview(self, so_far: Callable[[], torch.Tensor]) -> tuple[ImageU8, Bounds]:
        picture = self._model.preview_decoder(so_far()).float().clamp(0, 1).cpu()
        return self._compositor.layer(resize(picture, self.plan.working)), self.plan.target


class _Pace:
    """Keeps a GPU's queue at most one step behind, so that a step reported is nearly done and cancelling works."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before: torch.cuda.Event | None = None

    def __call__(self) -> None:
        if self._before is not None:
            self._before.synchronize()
        self._before = torch.cuda.current_stream(self._device).record_event()


def _latents(plan: Plan, scale: int) -> tuple[int, int]:
    return plan.working.height // scale, plan.working.width // scale


def _not_finite() -> BridgeError:
    return BridgeError(
        Code.INTERNAL,
        "The model returned numbers that are no colours (NaN).",
        "Try another scheduler or a lower guidance; if it stays, the checkpoint is damaged.",
    )

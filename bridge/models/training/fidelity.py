"""How well the parts beside the denoiser do: the decoders, the depth estimator, the ControlNet."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from PIL import Image as Picture
from torch import Tensor
from transformers import DPTForDepthEstimation, DPTImageProcessorPil

from bridge.engine.resample import resize
from bridge.models.training.dataset import HELD_OUT, to_tensor
from bridge.models.training.networks import Net
from bridge.models.training.painter import Painting, paint
from bridge.models.training.results import Figure, figure, psnr
from bridge.models.training.sampler import Image, to_images
from krita_plugin.krita_bridge.wire.geometry import Extent

LEVELS = 32
"""Depths are ranked in so many levels: flat areas are ties, and less than 3 % apart is no order."""

_FIRST = HELD_OUT + 9000


def _paintings(count: int) -> list[Painting]:
    return [paint(_FIRST + i, 128, 128) for i in range(count)]


def _images(paintings: list[Painting]) -> Image:
    """N x 128 x 128 x 3 uint8."""
    return np.stack([p.image for p in paintings])


def _errors(seen: Image, wanted: Image) -> NDArray[np.float64]:
    """Mean squared error of each picture."""
    errors: NDArray[np.float64] = np.square(seen.astype(float) - wanted).mean((1, 2, 3))
    return errors


@torch.inference_mode()
def round_trip(vae: Net, count: int) -> list[Figure]:
    """Held-out paintings of 128 px encoded and decoded; plain ones and all."""
    paintings = _paintings(count)
    images = _images(paintings)
    errors = _errors(to_images(vae.decode(vae.encode(to_tensor(images)).latents).sample), images)
    plain = np.array([not p.scene.medium for p in paintings])
    return [
        figure("VAE round trip", errors, "dB PSNR", psnr),
        figure("VAE round trip, paintings in flat colour", errors[plain], "dB PSNR", psnr),
    ]


@torch.inference_mode()
def preview(vae: Net, folder: Path, count: int) -> list[Figure]:
    """The preview decoder, enlarged as the engine does, against the VAE's; and how many times faster
    it is at 256 px."""
    tiny = AutoencoderTiny.from_pretrained(
        str(folder / "preview_decoder"), torch_dtype=torch.float32, local_files_only=True
    )
    latents = vae.encode(to_tensor(_images(_paintings(count)))).latents
    decoded = to_images(vae.decode(latents).sample)
    half = tiny.decode(latents).sample.add(1).div(2).clamp(0, 1)
    shown = to_images(resize(half, Extent(*decoded.shape[2:0:-1])) * 2 - 1)
    large = torch.randn(1, 4, 32, 32)
    ratios = []
    for _ in range(8):
        slow, quick = (_seconds(net.decode, large) for net in (vae, tiny))
        ratios.append(slow / quick)
    return [
        figure("preview decoder against the VAE's", _errors(shown, decoded), "dB PSNR", psnr),
        figure("preview decoder, times faster than the VAE's, median", ratios, "x", _median),
    ]


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values))


def _seconds(decode: Callable[[Tensor], object], latents: Tensor) -> float:
    """The fastest of three: what others do on the machine only ever adds."""
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        decode(latents)
        taken.append(time.perf_counter() - started)
    return min(taken)


class DepthEye:
    """The embedded depth estimator, used as any of transformers' is."""

    def __init__(self, folder: Path) -> None:
        path = str(folder / "depth_estimator")
        self._processor = DPTImageProcessorPil.from_pretrained(path, local_files_only=True)
        self._model = DPTForDepthEstimation.from_pretrained(
            path, dtype=torch.float32, local_files_only=True
        )

    @torch.inference_mode()
    def __call__(self, images: Image) -> NDArray[np.float64]:
        """N x H x W x 3 uint8 sRGB -> N x H x W, 0 farthest, about 1 nearest."""
        inputs = self._processor(
            [Picture.fromarray(image) for image in images], return_tensors="pt"
        )
        depth = self._model(**inputs).predicted_depth[:, None]
        size = images.shape[1:3]
        scaled = torch.nn.functional.interpolate(depth, size, mode="bilinear", align_corners=False)
        depths: NDArray[np.float64] = scaled[:, 0].double().numpy()
        return depths


def depth_estimator(folder: Path, count: int) -> list[Figure]:
    """Agreement in order with the painter's depth, the mean over held-out paintings.

    Spearman's correlation only where there are more than ten depths: noise on two flat areas costs
    it much that no eye sees. Gamma, which leaves ties out, wherever there are two.
    """
    paintings = _paintings(count)
    seen = DepthEye(folder)(_images(paintings))
    maps = [(s, p.depth / 255) for s, p in zip(seen, paintings, strict=True)]
    depths = [len(np.unique(p.depth)) for p in paintings]
    spearman = [rank_correlation(*pair) for pair, n in zip(maps, depths, strict=True) if n > 10]
    gammas = [gamma(*pair) for pair, n in zip(maps, depths, strict=True) if n > 1]
    return [
        figure("depth estimator: rank correlation, more than ten depths", spearman, "Spearman"),
        figure("depth estimator: pairs in order less pairs out of order", gammas, "gamma"),
    ]


def gamma(seen: NDArray[np.float64], truth: NDArray[np.float64], pairs: int = 20_000) -> float:
    """Goodman and Kruskal's (1954) of two depth maps H x W: of random pairs of pixels whose true
    depths differ by a level of ``LEVELS``, the share in order less the share out of order."""
    rng = np.random.default_rng(0)
    one, other = rng.integers(truth.size, size=(2, pairs))
    step = truth.ravel()[one] - truth.ravel()[other]
    apart = np.abs(step) > 1 / LEVELS
    same_way = np.sign(seen.ravel()[one] - seen.ravel()[other]) * np.sign(step)
    return float(same_way[apart].mean())


def rank_correlation(seen: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Spearman's, of two depth maps H x W in 0..1, in ``LEVELS`` levels; ties share their mean rank.

    0 where one of them is flat.
    """
    one, other = _ranks(seen), _ranks(truth)
    spread = one.std() * other.std()
    if spread == 0:
        return 0.0
    return float(((one - one.mean()) * (other - other.mean())).mean() / spread)


def _ranks(depth: NDArray[np.float64]) -> NDArray[np.float64]:
    levels = (depth.clip(0, 1) * LEVELS).astype(int).clip(max=LEVELS - 1).ravel()
    counts = np.bincount(levels, minlength=LEVELS)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[levels]
    return ranks

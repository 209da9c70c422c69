from __future__ import annotations

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

from bridge.engine.guidance import rescaled


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    positive = torch.randn(2, 4, 8, 8, generator=generator)
    return positive * 5 + 1, positive


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_rescaling_is_that_of_diffusers(share: float) -> None:
    guided, positive = pair()
    expected = rescale_noise_cfg(guided, positive, guidance_rescale=share)
    torch.testing.assert_close(rescaled(guided, positive, share), expected)


def test_full_rescaling_gives_back_the_spread() -> None:
    guided, positive = pair()
    found = rescaled(guided, positive, 1.0).std(dim=(1, 2, 3))
    torch.testing.assert_close(found, positive.std(dim=(1, 2, 3)))


def test_an_output_without_spread_stays_finite() -> None:
    flat = torch.zeros(1, 4, 8, 8)
    assert torch.isfinite(rescaled(flat, flat, 1.0)).all()

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel

from bridge.models.training.networks import Net
from bridge.models.training.widen import widened


def _unet(*widths: int) -> Net:
    return UNet2DConditionModel(
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=widths,
        down_block_types=("DownBlock2D",) * len(widths),
        up_block_types=("UpBlock2D",) * len(widths),
        mid_block_type=None,
        cross_attention_dim=8,
        norm_num_groups=4,
    ).eval()


@torch.inference_mode()
def _change(narrow: Net, wide: Net) -> float:
    """How far the answers differ, by the size of the narrow one's."""
    state = narrow.state_dict()
    wide.load_state_dict(
        {name: widened(name, state[name], p.shape) for name, p in wide.state_dict().items()}
    )
    given = torch.randn(2, 4, 8, 8), torch.tensor([7, 900]), torch.randn(2, 3, 8)
    answer = narrow(*given).sample
    return float((wide(*given).sample - answer).norm() / answer.norm())


def test_a_unet_of_twice_the_width_answers_the_same() -> None:
    torch.manual_seed(0)
    assert _change(_unet(8, 16), _unet(16, 32)) < 1e-5


def test_twins_do_not_stay_twins() -> None:
    torch.manual_seed(0)
    narrow, wide = _unet(8, 16), _unet(16, 32)
    _change(narrow, wide)
    given = torch.randn(2, 4, 8, 8), torch.tensor([7, 900]), torch.randn(2, 3, 8)
    wide(*given).sample.square().mean().backward()
    weight = wide.conv_in.weight
    assert torch.equal(weight[0::2], weight[1::2])
    turned = torch.nn.functional.cosine_similarity(weight.grad[0::2], weight.grad[1::2], dim=1)
    assert float(turned.abs().mean()) < 0.9

"""Muon and AdamW as one optimiser."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from bridge.models.training.checkpoint import Checkpoint
from bridge.models.training.optimiser import MuonAndAdamW
from bridge.models.training.schedule import Average

_RATE = 1e-3


class _Net(nn.Module):
    """Large convolutions, one of them channels last as the UNet's are, a large matrix, a small one."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(8, 64, 3, padding=1).to(memory_format=torch.channels_last)
        self.other = nn.Conv2d(64, 64, 3, padding=1)
        self.matrix = nn.Linear(64, 96)
        self.small = nn.Linear(96, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.small(
            self.matrix(self.other(self.convolution(pixels)).mean((2, 3)))
        )
        return answer


def _made() -> tuple[_Net, MuonAndAdamW, Checkpoint]:
    torch.manual_seed(0)
    net = _Net()
    optimiser = MuonAndAdamW(net.parameters(), (0.9, 0.98), 0.0)
    return net, optimiser, Checkpoint({"net": net}, Average([net], 0.9), optimiser)


def _step(net: _Net, optimiser: MuonAndAdamW, seed: int) -> None:
    for group in optimiser.param_groups:
        group["lr"] = _RATE
    pixels = torch.randn(4, 8, 6, 6, generator=torch.Generator().manual_seed(seed))
    torch.autograd.backward((net(pixels) - 1).square().mean())
    optimiser.step()
    optimiser.zero_grad()


def test_large_matrices_turn_and_the_rest_takes_adams_steps() -> None:
    """Muon's step has singular values all about alike; AdamW's first is the rate in every weight."""
    net, optimiser, _ = _made()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    _step(net, optimiser, 0)
    step = {name: p.detach() - before[name] for name, p in net.named_parameters()}
    for name in ("convolution.weight", "other.weight", "matrix.weight"):
        sizes = torch.linalg.svdvals(step[name].flatten(1))
        # An output's gradient through one small layer has rank 2: those two directions count alike.
        assert float(sizes[1] / sizes[0]) > 0.5
    assert torch.allclose(step["matrix.bias"].abs(), torch.tensor(_RATE), rtol=0.01)


def test_it_learns_every_weight_and_leaves_no_gradient() -> None:
    net, optimiser, _ = _made()
    before = [p.detach().clone() for p in net.parameters()]
    _step(net, optimiser, 0)
    assert all(
        not torch.equal(p, old) and p.grad is None
        for p, old in zip(net.parameters(), before, strict=True)
    )


def test_a_checkpoint_goes_on_where_it_stopped(tmp_path: Path) -> None:
    net, optimiser, checkpoint = _made()
    _step(net, optimiser, 0)
    checkpoint.save(tmp_path / "state.safetensors", {"images": 4})
    _step(net, optimiser, 1)

    other, other_optimiser, restored = _made()
    restored.load(tmp_path / "state.safetensors")
    _step(other, other_optimiser, 1)
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)

from __future__ import annotations

import pytest
import torch
from torch import nn

from seqdis.nn.heads import DynamicHead, GaussianHead, StaticHead, initialise_like_dcgan, side_by_side

X = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))


def reach(head: DynamicHead, step: int) -> list[bool]:
    """Which steps' codes move when one step changes."""
    other = X.clone()
    other[0, step] += 1
    return ((head(X).mean - head(other).mean)[0].abs().amax(-1) > 1e-7).tolist()


def test_causal_heads_look_back_only_and_others_both_ways() -> None:
    assert reach(DynamicHead(4, 3, causal=True), 2) == [False, False, True, True, True]
    assert reach(DynamicHead(4, 3), 2) == [True] * 5


@pytest.mark.parametrize("causal", [True, False])
def test_padding_changes_nothing_before_it(causal: bool) -> None:
    head, lengths = DynamicHead(4, 3, causal=causal), torch.tensor([3, 5])
    loud = X.clone()
    loud[0, 3:] = 1e6
    codes = head(X, lengths)
    assert codes.mean.shape == codes.logvar.shape == (2, 5, 3)
    assert torch.equal(codes.mean, head(loud, lengths).mean)
    assert torch.allclose(codes.mean[:1, :3], head(X[:1, :3]).mean, atol=1e-6)


def test_gaussians_stay_in_float32_under_autocast() -> None:
    head = StaticHead(4, 6, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gaussian = head(X[:, 0])
    assert gaussian.mean.dtype == gaussian.logvar.dtype == torch.float32


def test_leaky_heads_bend_both_outputs() -> None:
    head, plain = GaussianHead(4, 3, leaky=True), GaussianHead(4, 3)
    plain.load_state_dict(head.state_dict())
    for bent, straight in ((head(X).mean, plain(X).mean), (head(X).logvar, plain(X).logvar)):
        assert torch.allclose(bent, torch.where(straight > 0, straight, 0.2 * straight))


def test_video_weights_start_small_and_recurrent_ones_as_they_were() -> None:
    torch.manual_seed(0)
    module = nn.ModuleList([nn.Conv2d(8, 64, 4), nn.Linear(64, 64), nn.ConvTranspose2d(4, 4, 4), nn.LSTM(4, 4)])
    before = [value.clone() for part in module[2:] for value in part.parameters()]
    initialise_like_dcgan(module)
    for layer in module[:2]:
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.1)
        assert layer.weight.mean().abs() < 1e-3
        assert (layer.bias == 0).all()
    assert all(torch.equal(a, b) for a, b in zip(before, (v for p in module[2:] for v in p.parameters()), strict=True))


def test_two_linear_maps_side_by_side() -> None:
    first, second = nn.Linear(4, 3), nn.Linear(4, 2)
    joint, apart = side_by_side(X, first, second), (first(X), second(X))
    for found, expected in zip(joint, apart, strict=True):
        assert torch.allclose(found, expected, atol=1e-6)
    weights = [*first.parameters(), *second.parameters()]
    grads = [torch.autograd.grad(sum(part.square().sum() for part in parts), weights) for parts in (joint, apart)]
    for found, expected in zip(*grads, strict=True):
        assert torch.allclose(found, expected, atol=1e-5)

"""The discrepancy of `seqdis.losses.mmd`, on Gaussians whose exact value is known."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad

from seqdis.losses import KERNEL_SCALES, mmd

DIM, N, SETS = 3, 64, 300


def gaussians(seed: int, mean: float, scale: float) -> torch.Tensor:
    return mean + scale * torch.randn(SETS, N, DIM, generator=torch.Generator().manual_seed(seed))


def mean_kernel(kernel: str, shift: float, variance: float, width: float, dim: int = DIM) -> float:
    """E k(a - b), where every coordinate of a - b is N(shift, variance).

    Gaussian kernel: closed form. Inverse multiquadric: ``c / (c + r) = c * integral of exp(-t (c + r)) dt``
    over t > 0, whose expectation is the Gaussian one with width 1 / t.
    """

    def gaussian(c: float) -> float:
        return (1 + 2 * variance / c) ** (-dim / 2) * math.exp(-dim * shift**2 / (c + 2 * variance))

    if kernel == "rbf":
        return gaussian(width)
    return quad(lambda t: width * math.exp(-t * width) * gaussian(1 / t), 0, math.inf, epsabs=1e-10)[0]


def exact(kernel: str, mean: float, scale: float) -> float:
    """Between N(mean, scale^2 I) and N(0, I), at the widths of N(0, I)."""
    return sum(
        mean_kernel(kernel, 0, 2 * scale**2, c)
        + mean_kernel(kernel, 0, 2, c)
        - 2 * mean_kernel(kernel, mean, 1 + scale**2, c)
        for c in (2 * DIM * factor for factor in KERNEL_SCALES)
    )


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (1.0, 1.0), (0.0, 0.5), (0.0, 2.0), (0.5, 0.1)])
def test_estimates_of_gaussians_average_to_the_exact_value(kernel: str, mean: float, scale: float) -> None:
    values = mmd(gaussians(0, mean, scale), gaussians(1, 0, 1), kernel, spread=2 * DIM)
    error = values.std().item() / math.sqrt(SETS)
    expected = exact(kernel, mean, scale)
    assert values.mean().item() == pytest.approx(expected, abs=4 * error)
    if (mean, scale) == (0.0, 1.0):
        assert expected == pytest.approx(0, abs=1e-9)
        assert values.min() < 0  # without bias, hence below zero by chance
    else:
        assert expected > 20 * error


def test_the_quadrature_agrees_with_sampling() -> None:
    draws = 0.7 + 1.3 * torch.randn(1_000_000, DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sampled = (2.0 / (2.0 + draws.square().sum(-1))).mean().item()
    assert mean_kernel("imq", 0.7, 1.69, 2.0) == pytest.approx(sampled, abs=2e-3)


@pytest.mark.parametrize(("kernel", "k"), [("imq", lambda r, c: c / (c + r)), ("rbf", lambda r, c: math.exp(-r / c))])
def test_by_hand(kernel: str, k) -> None:
    q, p = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [5.0]])
    # Pairs of other rows: q 2 apart, p 4, across 5 (q_0, p_1) and 1 (q_1, p_0).
    expected = sum(k(4, c) + k(16, c) - k(25, c) - k(1, c) for c in KERNEL_SCALES)
    assert mmd(q, p, kernel, spread=1.0).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_rows_that_are_absent_count_in_neither_set(kernel: str) -> None:
    q, p = gaussians(0, 1, 1)[:5], gaussians(1, 0, 1)[:5]
    present = torch.rand(5, N, generator=torch.Generator().manual_seed(2)) > 0.4
    filled = torch.where(present.unsqueeze(-1), q, 1e3)
    values = mmd(filled, p, kernel, present=present)
    for value, one, other, rows in zip(values, q, p, present, strict=True):
        assert value.item() == pytest.approx(mmd(one[rows], other[rows], kernel).item(), abs=1e-5)


def test_samples_of_one_row_may_depend_on_each_other() -> None:
    q = gaussians(0, 0, 1)
    values = mmd(q, q + 0.1 * gaussians(1, 0, 1))
    assert values.mean().item() == pytest.approx(0, abs=0.002)
    assert mmd(q, q).abs().max() < 1e-5


def test_by_its_own_width_shrinking_both_changes_nothing() -> None:
    q, p = gaussians(0, 1, 1)[:3], gaussians(1, 0, 1)[:3]
    torch.testing.assert_close(mmd(0.01 * q, 0.01 * p), mmd(q, p), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(mmd(q, p).mean(), mmd(q, p, spread=2 * DIM).mean(), rtol=0.1, atol=0)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_degenerate_sets_are_zero_with_finite_gradients(kernel: str) -> None:
    for n, present in ((1, None), (3, torch.zeros(3, dtype=torch.bool)), (3, torch.tensor([True, False, False]))):
        q = torch.ones(n, 2, requires_grad=True)
        value = mmd(q, torch.zeros(n, 2), kernel, present=present)
        value.backward()
        assert value.item() == 0
        assert (q.grad == 0).all()
    same = torch.ones(4, 2, requires_grad=True)
    value = mmd(same, torch.ones(4, 2), kernel)
    value.backward()
    assert value.item() == 0
    assert torch.isfinite(same.grad).all()


def test_the_gradient_draws_both_sets_together() -> None:
    q, p = (side.clone().requires_grad_() for side in (gaussians(0, 1, 1)[0], gaussians(1, 0, 1)[0]))
    mmd(q, p).backward()
    assert (q.grad.mean(0) > 0).all()
    assert (p.grad.mean(0) < 0).all()


def test_distances_stay_in_float32_under_autocast() -> None:
    q, p = gaussians(0, 1, 1)[:2], gaussians(1, 0, 1)[:2]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = mmd(q, p)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, mmd(q, p))

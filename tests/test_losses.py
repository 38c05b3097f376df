from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from seqdis.factors import Gaussian
from seqdis.losses import LossTerms, gaussian_nll, kl_cycle, kl_gaussian, kl_standard


def some(seed: int) -> Gaussian:
    draw = torch.Generator().manual_seed(seed)
    return Gaussian(torch.randn(3, 4, 2, generator=draw), torch.randn(3, 4, 2, generator=draw))


def normal(gaussian: Gaussian) -> Normal:
    return Normal(gaussian.mean, torch.exp(0.5 * gaussian.logvar))


def test_kl_standard_by_hand() -> None:
    # 0.5 * (1 + 1 - 1 - 0) for a mean of 1; 0.5 * (0 + e - 1 - 1) for a log-variance of 1.
    gaussian = Gaussian(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    assert kl_standard(gaussian).tolist() == pytest.approx([0.5 + 0.5 * (math.e - 2), 0.0])


def test_kls_agree_with_torch_distributions() -> None:
    q, p = some(0), some(1)
    reference = kl_divergence(normal(q), normal(p)).sum(-1)
    assert torch.allclose(kl_gaussian(q, p), reference, atol=1e-5)
    zero = torch.zeros(3, 4, 2)
    assert torch.allclose(kl_standard(q), kl_divergence(normal(q), Normal(zero, zero + 1)).sum(-1), atol=1e-5)
    assert torch.allclose(kl_standard(q), kl_gaussian(q, Gaussian(zero, zero)), atol=1e-5)


def test_kl_of_equals_is_zero_and_else_positive() -> None:
    q = some(0)
    assert kl_gaussian(q, q).abs().max() < 1e-6
    assert (kl_gaussian(q, some(1)) > 0).all()


def test_kls_are_computed_in_float32() -> None:
    half = Gaussian(torch.full((1, 2), 1.0, dtype=torch.bfloat16), torch.full((1, 2), 0.5, dtype=torch.bfloat16))
    for value in (kl_standard(half), kl_gaussian(half, half)):
        assert value.dtype == torch.float32


def test_the_kl_of_a_point_is_refused() -> None:
    point, q = Gaussian(torch.zeros(1, 2)), Gaussian(torch.zeros(1, 2), torch.zeros(1, 2))
    for call in (lambda: kl_standard(point), lambda: kl_gaussian(point, q), lambda: kl_gaussian(q, point)):
        with pytest.raises(ValueError, match="infinite"):
            call()


def test_gaussian_nll_agrees_with_torch_distributions() -> None:
    draw = torch.Generator().manual_seed(0)
    x, mean = torch.randn(5, 3, generator=draw), torch.randn(5, 3, generator=draw)
    std = torch.rand(5, 3, generator=draw) + 0.05
    assert torch.allclose(gaussian_nll(x, mean, std), -Normal(mean, std).log_prob(x), atol=1e-5)
    one = torch.ones(1)
    assert gaussian_nll(one, one, one).item() == pytest.approx(0.5 * math.log(2 * math.pi))


@pytest.mark.parametrize(
    ("epoch", "length", "weight"),
    [
        *[(0, 0, 1.0), (7, 0, 1.0)],
        *[(0, 100, 0.0), (25, 100, 0.5), (50, 100, 1.0), (99, 100, 1.0), (100, 100, 0.0), (125, 100, 0.5)],
        *[(0, 1, 0.0), (1, 2, 1.0), (10, 100, 0.0954915), (40, 100, 0.9045085)],
    ],
)
def test_kl_cycle(epoch: int, length: int, weight: float) -> None:
    assert kl_cycle(epoch, length) == pytest.approx(weight)


def test_kl_cycle_never_falls_within_a_cycle() -> None:
    weights = [kl_cycle(epoch, 30) for epoch in range(30)]
    assert weights == sorted(weights)


def test_terms_are_weighted_and_ordered() -> None:
    terms = LossTerms().add("a", torch.tensor(2.0), 0.5).add("b", torch.tensor(3.0)).add("c", torch.tensor(7.0), 0.0)
    assert list(terms.values) == ["a", "b", "c"]
    assert terms.total.item() == 4.0
    assert {name: value.item() for name, value in terms.detached().items()} == {
        "a": 2.0,
        "b": 3.0,
        "c": 7.0,
        "total": 4.0,
    }
    with pytest.raises(KeyError, match="'a' was added twice"):
        terms.add("a", torch.tensor(1.0))


def test_total_carries_the_gradient_and_the_log_does_not() -> None:
    value = torch.tensor(2.0, requires_grad=True)
    terms = LossTerms().add("a", value, 3.0)
    terms.total.backward()
    assert value.grad.item() == 3.0
    assert not any(entry.requires_grad for entry in terms.detached().values())


def test_terms_are_scalars() -> None:
    with pytest.raises(TypeError):
        LossTerms().add("a", torch.zeros(3))

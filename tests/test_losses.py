from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode

from seqdis.factors import Gaussian
from seqdis.losses import (
    LossTerms,
    gaussian_nll,
    kl_cycle,
    kl_gaussian,
    kl_standard,
    mutual_information,
    pairwise_kl,
    passing,
)


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


@pytest.mark.parametrize(
    ("done", "weight"), [(0.0, 2.0), (0.25, 2.0), (0.5, 0.2), (0.375, 0.4**0.5), (0.8, 0.2), (1.0, 0.2)]
)
def test_a_weight_passes_geometrically_between_two_shares(done: float, weight: float) -> None:
    assert passing(2.0, 0.2, done, 0.25, 0.5) == pytest.approx(weight)


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


# Pairs of posteriors


def test_pairwise_kls_agree_with_torch_distributions() -> None:
    q, p = some(0).map(lambda code: code[:, 0]), some(1).map(lambda code: code.flatten(0, 1))
    one, other = normal(q), normal(p)
    reference = kl_divergence(
        Normal(one.loc[:, None], one.scale[:, None]), Normal(other.loc[None], other.scale[None])
    ).sum(-1)
    found = pairwise_kl(q, p)
    assert found.shape == (3, 12)
    assert torch.allclose(found, reference, rtol=1e-4, atol=1e-4)
    assert torch.allclose(pairwise_kl(q, q).diagonal(), torch.zeros(3), atol=1e-5)


def test_pairwise_kls_of_far_and_narrow_posteriors_keep_their_digits() -> None:
    draw = torch.Generator().manual_seed(0)
    q = Gaussian(100 + 0.1 * torch.randn(6, 64, generator=draw), torch.full((6, 64), -8.0))
    exact = pairwise_kl_in_double(q)
    assert ((pairwise_kl(q, q) - exact).abs() < 1e-3 * exact.max()).all()


def pairwise_kl_in_double(q: Gaussian) -> torch.Tensor:
    mean, logvar = q.mean.double(), q.logvar.double()
    gap = (mean[:, None] - mean[None]).square() * torch.exp(-logvar)[None]
    return (0.5 * (logvar[None] - logvar[:, None] + torch.exp(logvar[:, None] - logvar[None]) + gap - 1)).sum(-1)


def codes_of(seed: int, n: int = 5, time: int = 4) -> tuple[torch.Tensor, Gaussian, torch.Tensor, Gaussian]:
    draw = torch.Generator().manual_seed(seed)
    static, dynamic = (
        Gaussian(torch.randn(*shape, generator=draw), torch.randn(*shape, generator=draw))
        for shape in ((n, 3), (n, time, 2))
    )
    return static.sample(draw), static, dynamic.sample(draw), dynamic


def tiled_information(static, q_static, dynamic, q_dynamic) -> torch.Tensor:
    """As the authors of C-DSVAE and SPYL compute it: all densities tiled over time, kept per dimension, joined."""
    n, time = dynamic.shape[:2]
    of_static = normal(q_static).log_prob(static[:, None])[None].expand(time, n, n, -1)
    of_dynamic = torch.stack(
        [
            Normal(q_dynamic.mean[:, t], (0.5 * q_dynamic.logvar[:, t]).exp()).log_prob(dynamic[:, None, t])
            for t in range(time)
        ]
    )
    joint, alone, moving = (
        torch.logsumexp(densities.sum(-1), 2) - math.log(n)
        for densities in (torch.cat([of_static, of_dynamic], -1), of_static, of_dynamic)
    )
    return (joint - alone - moving).mean()


def test_mutual_information_is_that_of_the_tiled_form() -> None:
    for seed in range(3):
        codes = codes_of(seed)
        assert mutual_information(*codes).item() == pytest.approx(tiled_information(*codes).item(), rel=1e-4)


def test_mutual_information_leaves_padding_out() -> None:
    static, q_static, dynamic, q_dynamic = codes_of(0)
    valid = torch.arange(4) < torch.tensor([4, 1, 2, 4, 3])[:, None]
    steps = []
    for t in range(4):
        real = valid[:, t]
        one = (values[real] for values in (static, q_static.mean, q_static.logvar))
        other = (values[real, t : t + 1] for values in (dynamic, q_dynamic.mean, q_dynamic.logvar))
        s, s_mean, s_logvar = one
        d, d_mean, d_logvar = other
        steps.append(int(real.sum()) * tiled_information(s, Gaussian(s_mean, s_logvar), d, Gaussian(d_mean, d_logvar)))
    expected = torch.stack(steps).sum() / valid.sum()
    dynamic = torch.where(valid[..., None], dynamic, 1e4).requires_grad_()
    found = mutual_information(static, q_static, dynamic, q_dynamic, valid)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    (gradient,) = torch.autograd.grad(found, dynamic)
    assert torch.isfinite(gradient).all()
    assert not gradient[~valid].any()


def test_mutual_information_passes_over_steps_that_no_sequence_reaches() -> None:
    static, q_static, dynamic, q_dynamic = codes_of(0)
    valid = torch.arange(4) < torch.tensor([3, 1, 2, 3, 3])[:, None]
    cropped = mutual_information(
        static, q_static, dynamic[:, :3], q_dynamic.map(lambda code: code[:, :3]), valid[:, :3]
    )
    static.requires_grad_()
    found = mutual_information(static, q_static, dynamic, q_dynamic, valid)
    assert found.item() == pytest.approx(cropped.item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(found, static)
    assert torch.isfinite(gradient).all()


def test_mutual_information_runs_from_nothing_to_the_log_of_the_batch() -> None:
    """Codes that each name their sequence share all there is; equal posteriors share nothing."""
    far = 100.0 * torch.arange(6.0)[:, None]
    static, dynamic = Gaussian(far, torch.zeros(6, 1)), Gaussian(far[:, None].expand(6, 2, 1), torch.zeros(6, 2, 1))
    assert mutual_information(far, static, dynamic.mean, dynamic).item() == pytest.approx(math.log(6), rel=1e-4)
    same = Gaussian(torch.zeros(6, 2, 1), torch.zeros(6, 2, 1))
    assert mutual_information(far, static, same.mean, same).item() == pytest.approx(0.0, abs=1e-4)
    alone = [code[:1] for code in (far, dynamic.mean)]
    one, other = static.map(lambda code: code[:1]), dynamic.map(lambda code: code[:1])
    assert mutual_information(alone[0], one, alone[1], other).item() == 0.0


def test_as_released_the_variance_is_a_scale_and_the_log_of_the_training_sequences_is_added_before_clipping() -> None:
    codes = codes_of(0)
    wide = [Gaussian(part.mean, 2 * part.logvar) if isinstance(part, Gaussian) else part for part in codes]
    plain = mutual_information(*wide).item()
    assert plain != pytest.approx(mutual_information(*codes).item(), rel=1e-3)
    assert mutual_information(*codes, population=1000).item() == pytest.approx(plain + math.log(1000), rel=1e-5)
    static, q_static, dynamic, q_dynamic = codes_of(0)
    narrow = Gaussian(q_static.mean, torch.full_like(q_static.mean, -9.0))
    assert mutual_information(static + 5, narrow, dynamic - 9, q_dynamic).item() < -10
    assert mutual_information(static + 5, narrow, dynamic - 9, q_dynamic, population=10).item() >= 0


class Sizes(TorchDispatchMode):
    """Notes the largest tensor that any operation makes."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.largest = max(self.largest, out.numel())
        return out


def test_pairs_are_never_kept_per_dimension() -> None:
    draw = torch.Generator().manual_seed(0)
    n, time, dims = 16, 3, 50
    static = Gaussian(torch.randn(n, dims, generator=draw), torch.zeros(n, dims))
    dynamic = Gaussian(torch.randn(n, time, dims, generator=draw), torch.zeros(n, time, dims))
    with Sizes() as sizes:
        mutual_information(static.mean, static, dynamic.mean, dynamic)
        pairwise_kl(static, static)
    assert sizes.largest == n * time * dims  # the codes themselves; n * n * dims would be five times that


def test_autocast_changes_nothing_about_pairs() -> None:
    codes = codes_of(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        information, distance = mutual_information(*codes), pairwise_kl(codes[1], codes[1])
    assert torch.equal(information, mutual_information(*codes))
    assert torch.equal(distance, pairwise_kl(codes[1], codes[1]))

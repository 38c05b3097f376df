from __future__ import annotations

import gpytorch
import pytest
import torch
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import Kernel, MaternKernel, PeriodicKernel, RBFKernel, RQKernel, ScaleKernel

from seqdis.nn import gaussian_process
from seqdis.nn.gaussian_process import (
    CAUCHY_RIDGE,
    JITTER,
    BandedGaussian,
    GaussianProcessPrior,
    covariance,
    share_out,
)

KERNELS = ("cauchy", "rbf", "exponential", "periodic")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def posterior(batch: int, windows: int, dim: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> BandedGaussian:
    draw = torch.randn(3, batch, windows, dim, generator=generator(seed), dtype=dtype)
    return BandedGaussian(draw[0], 1.0 + draw[1].exp(), draw[2, :, :-1])


def precision(q: BandedGaussian, row: int, dim: int) -> torch.Tensor:
    """B B', entry by entry."""
    windows = q.mean.shape[1]
    band = torch.zeros(windows, windows, dtype=torch.float64)
    for i in range(windows):
        band[i, i] = q.diagonal[row, i, dim]
        if i + 1 < windows:
            band[i, i + 1] = q.coupling[row, i, dim]
    return band @ band.T


def oracle(kernel: str, length_scale: float, sigma: float, period: float) -> Kernel:
    """gpytorch's kernel of the same name, in its own parameters."""
    made = {
        "cauchy": ScaleKernel(RQKernel()),
        "rbf": RBFKernel(),
        "exponential": MaternKernel(nu=0.5),
        "periodic": PeriodicKernel(),
    }[kernel].double()
    if kernel == "cauchy":
        made.outputscale, made.base_kernel.alpha, made.base_kernel.lengthscale = sigma, 1.0, length_scale / 2**0.5
    elif kernel == "periodic":
        made.period_length, made.lengthscale = period, length_scale**2
    else:
        made.lengthscale = length_scale if kernel == "rbf" else length_scale**0.5
    return made


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("length_scale", [0.25, 2.0])
def test_kernels_are_those_of_gpytorch(kernel: str, length_scale: float) -> None:
    with torch.no_grad():
        expected = oracle(kernel, length_scale, 0.5, 6.0)(torch.arange(9.0, dtype=torch.float64)).to_dense()
    ridge = JITTER + CAUCHY_RIDGE * (kernel == "cauchy")
    given = covariance(kernel, 9, length_scale, sigma=0.5, period=6.0)
    assert (given - expected - ridge * torch.eye(9)).abs().max() < 1e-6  # gpytorch's parameters are float32


def test_kernels_by_hand() -> None:
    assert covariance("cauchy", 3, 2.0, sigma=0.5)[0].tolist() == pytest.approx([0.50101, 0.4, 0.25])
    assert covariance("rbf", 2, 2.0)[0].tolist() == pytest.approx([1.00001, 0.8824969])
    assert covariance("exponential", 2, 4.0)[0].tolist() == pytest.approx([1.00001, 0.6065307])
    assert covariance("periodic", 5, 1.0, period=4.0)[0].tolist() == pytest.approx(
        [1.00001, 0.3678794, 0.1353353, 0.3678794, 1.0]
    )


def test_dimensions_are_shared_out_and_the_last_group_takes_the_rest() -> None:
    both = share_out(8, ("cauchy", "rbf"), 4)
    assert both == [("cauchy", 0), ("cauchy", 1), ("cauchy", 2), ("cauchy", 3)] + [("rbf", k) for k in range(4)]
    assert share_out(5, ("rbf", "cauchy"), 2) == [("rbf", 0), ("rbf", 1), ("cauchy", 0), ("cauchy", 1), ("cauchy", 1)]
    assert share_out(1, ("rbf", "cauchy"), 4) == [("rbf", 0)]
    assert share_out(4, ("rbf", "cauchy"), 4) == [("rbf", 0), ("rbf", 1), ("cauchy", 0), ("cauchy", 1)]


def test_the_factor_belongs_to_the_inverse_of_the_banded_precision() -> None:
    q = posterior(2, 6, 3)
    for row in range(2):
        for dim in range(3):
            factor = q.factor[row, dim]
            assert (factor @ factor.T @ precision(q, row, dim) - torch.eye(6)).abs().max() < 1e-10
            assert torch.equal(factor, factor.tril())


def test_marginals_are_the_diagonal_of_the_covariance() -> None:
    q = posterior(2, 6, 3)
    expected = torch.stack([torch.linalg.inv(precision(q, row, d)).diagonal() for row in range(2) for d in range(3)])
    given = q.marginals()
    assert torch.equal(given.mean, q.mean)
    assert (given.logvar.exp().transpose(1, 2).flatten(0, 1) - expected).abs().max() < 1e-10


def test_weighted_sums_have_the_variance_of_the_joint_gaussian() -> None:
    q, weights = posterior(2, 6, 3), torch.rand(2, 6, generator=generator(), dtype=torch.float64)
    weights[1, 4:] = 0
    given = q.weighted_sum(weights)
    for row in range(2):
        for dim in range(3):
            spread = weights[row] @ torch.linalg.inv(precision(q, row, dim)) @ weights[row]
            assert float(given.logvar[row, dim].exp()) == pytest.approx(float(spread), rel=1e-10)
            assert float(given.mean[row, dim]) == pytest.approx(float(weights[row] @ q.mean[row, :, dim]), rel=1e-10)


def test_draws_have_the_mean_and_the_covariance() -> None:
    q = posterior(1, 4, 2)
    drawn = q.sample(generator(1), copies=200_000)
    assert drawn.shape == (200_000, 4, 2)
    assert (drawn.mean(0) - q.mean[0]).abs().max() < 0.01
    for dim in range(2):
        assert (torch.cov(drawn[..., dim].T) - torch.linalg.inv(precision(q, 0, dim))).abs().max() < 0.01


def test_copies_are_copy_major_and_follow_their_generator() -> None:
    q = posterior(3, 4, 2)
    wide = BandedGaussian(q.mean + 100 * torch.arange(3)[:, None, None], q.diagonal, q.coupling)
    drawn = wide.sample(generator(1), copies=2)
    assert ((drawn[:, 0, 0] + 50) // 100).tolist() == [0, 1, 2, 0, 1, 2]
    assert torch.equal(drawn, wide.sample(generator(1), copies=2))
    assert not torch.equal(drawn[:3], drawn[3:])


@pytest.mark.parametrize("kernel", KERNELS)
def test_kl_is_that_of_dense_gaussians_in_gpytorch(kernel: str) -> None:
    windows, scales = 12, 3
    q = posterior(2, windows, 3, dtype=torch.float32)
    prior = GaussianProcessPrior(3, 5, (kernel,), length_scale=1.5, scales=scales, sigma=0.5, period=6.0)
    given = prior.kl(q).sum(1)
    exact = BandedGaussian(q.mean.double(), q.diagonal.double(), q.coupling.double())
    expected = torch.zeros(2, dtype=torch.float64)
    for dim, (name, halvings) in enumerate(share_out(3, (kernel,), scales)):
        matrix = covariance(name, windows, 1.5 / 2**halvings, sigma=0.5, period=6.0)
        for row in range(2):
            posterior_ = MultivariateNormal(exact.mean[row, :, dim], torch.linalg.inv(precision(exact, row, dim)))
            with gpytorch.settings.fast_computations(covar_root_decomposition=False, log_prob=False, solves=False):
                expected[row] += torch.distributions.kl_divergence(
                    posterior_, MultivariateNormal(torch.zeros(windows, dtype=torch.float64), matrix)
                )
    assert given.tolist() == pytest.approx(expected.tolist(), rel=1e-4)


def test_kl_of_one_window_by_hand() -> None:
    prior = GaussianProcessPrior(1, 1, ("rbf",), scales=1)
    q = BandedGaussian(torch.full((1, 1, 1), 0.5), torch.full((1, 1, 1), 2.0), torch.zeros(1, 0, 1))
    assert prior.kl(q).tolist() == [pytest.approx([0.5 * (0.25 + 0.25 - 1) + 0.6931472], abs=1e-4)]


def test_kl_of_the_prior_itself_is_zero_and_of_all_else_positive_in_every_window() -> None:
    # An exponential kernel is a Markov chain, whose precision is tridiagonal: the band holds it exactly.
    prior = GaussianProcessPrior(1, 7, ("exponential",), length_scale=4.0, scales=1)
    whitening = torch.linalg.inv(torch.linalg.cholesky(covariance("exponential", 7, 4.0) - JITTER * torch.eye(7)))
    band = whitening.float()
    same = BandedGaussian(
        torch.zeros(1, 7, 1), band.diagonal().view(1, 7, 1), band.diagonal(-1).view(1, 6, 1).contiguous()
    )
    assert prior.kl(same).abs().max() < 1e-4
    assert (GaussianProcessPrior(3, 7).kl(posterior(4, 7, 3, dtype=torch.float32)) > 0).all()


def test_the_first_entries_are_the_kl_of_the_first_windows() -> None:
    q, prior = posterior(2, 9, 4, dtype=torch.float32), GaussianProcessPrior(4, 9)
    short = BandedGaussian(q.mean[:, :5], q.diagonal[:, :5], q.coupling[:, :4])
    torch.testing.assert_close(prior.kl(q)[:, :5], prior.kl(short))
    torch.testing.assert_close(GaussianProcessPrior(4, 5).kl(q), prior.kl(q))


def test_prior_draws_have_the_covariance_of_their_kernel() -> None:
    prior = GaussianProcessPrior(2, 5, ("cauchy", "rbf"), scales=1, sigma=0.5)
    drawn = prior.sample(200_000, 5, generator())
    for dim, kernel in enumerate(("cauchy", "rbf")):
        expected = covariance(kernel, 5, 2.0, sigma=0.5).float()
        assert (torch.cov(drawn[..., dim].T) - expected).abs().max() < 0.02
    assert torch.equal(prior.sample(2, 9, generator(3)), prior.sample(2, 9, generator(3)))
    assert prior.sample(2, 9, generator(3)).shape == (2, 9, 2)


def test_mean_draws_are_conditional_means_along_the_path() -> None:
    prior = GaussianProcessPrior(1, 6, ("rbf",), scales=1)
    path, means = prior.sample(3, 6, generator(2)).double(), prior.sample(3, 6, generator(2), mean=True).double()
    matrix = covariance("rbf", 6, 2.0)
    assert (means[:, 0] == 0).all()
    for window in range(1, 6):
        weights = torch.linalg.solve(matrix[:window, :window], matrix[:window, window])
        torch.testing.assert_close(means[:, window, 0], path[:, :window, 0] @ weights, atol=2e-2, rtol=0)


def test_longer_sequences_are_factorised_once_and_nothing_is_saved() -> None:
    prior = GaussianProcessPrior(8, 4)
    assert prior.factors.shape == (8, 4, 4)
    with torch.inference_mode():
        prior.sample(1, 10)
    kept = prior.factors
    q = posterior(1, 7, 8, dtype=torch.float32)
    BandedGaussian(q.mean.requires_grad_(), q.diagonal, q.coupling)
    prior.kl(q).sum().backward()
    assert prior.factors is kept
    assert kept.shape == (8, 10, 10)
    assert not prior.state_dict()


@pytest.mark.parametrize("kernel", KERNELS)
def test_long_sequences_of_long_scales_stay_exact(kernel: str) -> None:
    windows = 400
    prior = GaussianProcessPrior(1, windows, (kernel,), length_scale=50.0, scales=1)
    q = BandedGaussian(
        torch.randn(1, windows, 1, generator=generator(), requires_grad=True),
        torch.full((1, windows, 1), 1.7, requires_grad=True),
        torch.full((1, windows - 1, 1), 0.7, requires_grad=True),
    )
    kl = prior.kl(q).sum()
    kl.backward()
    assert all(torch.isfinite(value.grad).all() for value in (q.mean, q.diagonal, q.coupling))
    assert torch.isfinite(prior.sample(2, windows, generator())).all()
    matrix = covariance(kernel, windows, 50.0)
    exact = BandedGaussian(*(value.detach().double() for value in (q.mean, q.diagonal, q.coupling)))
    dense = torch.distributions.MultivariateNormal(exact.mean[0, :, 0], scale_tril=exact.factor[0, 0])
    against = torch.distributions.MultivariateNormal(torch.zeros(windows, dtype=torch.float64), matrix)
    assert kl.item() == pytest.approx(torch.distributions.kl_divergence(dense, against).item(), rel=1e-3)


def test_autocast_changes_nothing() -> None:
    prior, q = GaussianProcessPrior(8, 12), posterior(2, 12, 8, dtype=torch.float32)
    plain = prior.kl(q)
    again = BandedGaussian(q.mean, q.diagonal, q.coupling)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(prior.kl(again), plain, rtol=0, atol=0)


def test_a_loop_over_long_sequences_gives_what_dense_matrices_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws, divergences and their gradients, for several copies of a draw."""
    prior, found = GaussianProcessPrior(8, 12), []
    for limit in (12, 11):
        monkeypatch.setattr(gaussian_process, "DENSE", limit)
        q = posterior(3, 12, 8, dtype=torch.float32)
        parts = tuple(part.requires_grad_() for part in (q.mean, q.diagonal, q.coupling))
        kl, drawn = prior.kl(q), q.sample(generator(), copies=2)
        weights = torch.randn(drawn.shape, generator=generator(1))
        found.append((kl, drawn, *torch.autograd.grad(kl.sum() + (weights * drawn).sum(), parts)))
        assert ("factor" in vars(q)) is (limit == 12)
    for dense, looped in zip(*found, strict=True):
        torch.testing.assert_close(dense, looped, rtol=1e-4, atol=1e-4)

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from seqdis.factors import Factors, Gaussian, Posterior


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_samples_have_the_mean_and_the_variance() -> None:
    gaussian = Gaussian(torch.tensor([2.0, -1.0]).expand(20_000, 2), torch.tensor([0.0, 2.0]).expand(20_000, 2))
    drawn = gaussian.sample(generator())
    assert drawn.mean(0).tolist() == pytest.approx([2.0, -1.0], abs=0.06)
    assert drawn.var(0).log().tolist() == pytest.approx([0.0, 2.0], abs=0.05)


def test_samples_follow_the_generator_and_carry_gradients() -> None:
    mean, logvar = torch.zeros(3, 2, requires_grad=True), torch.zeros(3, 2, requires_grad=True)
    gaussian = Gaussian(mean, logvar)
    assert torch.equal(gaussian.sample(generator(1)), gaussian.sample(generator(1)))
    assert not torch.equal(gaussian.sample(generator(1)), gaussian.sample(generator(2)))
    gaussian.sample(generator()).sum().backward()
    assert mean.grad.tolist() == [[1.0, 1.0]] * 3
    assert logvar.grad.abs().sum() > 0


def test_a_point_is_its_own_sample() -> None:
    mean = torch.randn(3, 2)
    assert Gaussian(mean).sample(generator()) is mean


def test_map_changes_mean_and_logvar() -> None:
    one, other = Gaussian(torch.zeros(1, 2), torch.ones(1, 2)), Gaussian(torch.ones(1, 2), torch.zeros(1, 2))
    doubled = one.map(lambda values: values.repeat(2, 1))
    assert doubled.logvar.tolist() == [[1.0, 1.0]] * 2
    added = one.map(torch.add, other)
    assert (added.mean.tolist(), added.logvar.tolist()) == ([[1.0, 1.0]], [[1.0, 1.0]])
    assert one.map(torch.add, Gaussian(torch.ones(1, 2))).logvar is None
    assert Gaussian(torch.ones(1, 2)).map(torch.neg).mean.tolist() == [[-1.0, -1.0]]


def test_shapes_must_fit() -> None:
    with pytest.raises(TypeCheckError):
        Gaussian(torch.zeros(3, 2), torch.zeros(4, 2))
    with pytest.raises(TypeCheckError):
        Factors(torch.zeros(3, 2), torch.zeros(4, 5, 2))


def test_factors_unpack_slice_and_count() -> None:
    factors = Factors(torch.arange(6.0).reshape(3, 2), torch.zeros(3, 4, 1), torch.tensor([4, 2, 1]))
    static, dynamic = factors
    assert static is factors.static
    assert dynamic is factors.dynamic
    assert len(factors) == 3
    some = factors[1:]
    assert (some.static.tolist(), some.lengths.tolist()) == ([[2.0, 3.0], [4.0, 5.0]], [2, 1])
    assert factors[torch.tensor([2, 0])].lengths.tolist() == [1, 4]
    assert Factors(static, dynamic)[:1].lengths is None
    assert factors.to("cpu").lengths.tolist() == [4, 2, 1]


def test_valid_windows_and_their_mean() -> None:
    dynamic = torch.tensor([[[1.0], [3.0], [99.0]], [[5.0], [99.0], [99.0]]])
    factors = Factors(torch.zeros(2, 1), dynamic, torch.tensor([2, 1]))
    assert factors.valid().tolist() == [[True, True, False], [True, False, False]]
    assert factors.dynamic_mean().tolist() == [[2.0], [5.0]]
    assert Factors(torch.zeros(2, 1), dynamic[:, :2]).dynamic_mean().tolist() == [[2.0], [52.0]]


def test_posterior_mean_and_sample() -> None:
    lengths = torch.tensor([2, 3])
    posterior = Posterior(
        Gaussian(torch.ones(2, 1), torch.zeros(2, 1)), Gaussian(torch.ones(2, 3, 1), torch.zeros(2, 3, 1)), lengths
    )
    assert posterior.mean().static is posterior.static.mean
    assert posterior.mean().lengths is lengths
    drawn = posterior.sample(generator(3))
    again = posterior.sample(generator(3))
    assert torch.equal(drawn.static, again.static)
    assert torch.equal(drawn.dynamic, again.dynamic)
    assert not torch.equal(drawn.dynamic, posterior.dynamic.mean)

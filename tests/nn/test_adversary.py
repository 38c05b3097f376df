from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from seqdis.nn.adversary import Critic, SpectralLinear, critic_loss, fooling_loss

MEAN = 1.0  # P = N(1, 1), Q = N(-1, 1): the log-ratio of their densities is 2x


def two_gaussians(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.randn(2, n, 1, generator=torch.Generator().manual_seed(seed))
    return draw[0] - MEAN, draw[1] + MEAN


def exact_loss(score) -> float:
    """The mean loss of a critic with these log-odds, by quadrature; the least of all is that of ``2x``."""

    def density(x: float) -> float:
        odds = score(x)
        return norm.pdf(x, MEAN) * np.logaddexp(0, -odds) + norm.pdf(x, -MEAN) * np.logaddexp(0, odds)

    return quad(density, -12, 12)[0]


def test_losses_by_hand() -> None:
    q, p = torch.tensor([0.0, math.log(3)]), torch.tensor([0.0, -math.log(3)])
    # sigmoid(log 3) = 3/4: undecided, and as wrong as that on both sides.
    assert critic_loss(q, p).tolist() == pytest.approx([2 * math.log(2), 2 * math.log(4)])
    assert fooling_loss(q).tolist() == pytest.approx([math.log(2), math.log(4 / 3)])
    assert fooling_loss(q, p).tolist() == pytest.approx([2 * math.log(2), 2 * math.log(4 / 3)])
    assert critic_loss(torch.tensor(-1e4), torch.tensor(1e4)).item() == 0
    assert torch.isfinite(critic_loss(torch.tensor(1e4), torch.tensor(-1e4)))


def test_the_least_loss_is_that_of_the_log_ratio() -> None:
    q, p = two_gaussians(200_000, 0)
    assert critic_loss(2 * q, 2 * p).mean().item() == pytest.approx(exact_loss(lambda x: 2 * x), abs=0.01)
    # 2 log 2 - 2 JS(Q, P), with the divergence from its definition.
    divergence = sum(
        quad(lambda x, m=m: 0.5 * norm.pdf(x, m) * math.log(2 * norm.pdf(x, m) / (norm.pdf(x, 1) + norm.pdf(x, -1))),
             -12, 12)[0]
        for m in (-MEAN, MEAN)
    )  # fmt: skip
    assert exact_loss(lambda x: 2 * x) == pytest.approx(2 * math.log(2) - 2 * divergence)
    assert exact_loss(lambda x: 2 * x) < min(exact_loss(lambda x: 1.7 * x), exact_loss(lambda x: 2 * x + 0.2))


def test_a_critic_learns_to_tell_two_gaussians_apart() -> None:
    critic = Critic(1, hidden=32)
    optimiser = torch.optim.Adam(critic.parameters(), lr=3e-3)
    for step in range(400):
        q, p = critic(torch.stack(two_gaussians(256, step)))
        loss = critic_loss(q, p).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    critic.eval()
    with torch.no_grad():
        q, p = critic(torch.stack(two_gaussians(20_000, 1_000)))
        least = exact_loss(lambda x: 2 * x)
        assert critic_loss(q, p).mean().item() == pytest.approx(least, abs=0.03)
        assert least < 2 * math.log(2) - 0.5  # which is what a critic that has learnt nothing pays
        right = torch.cat([q < 0, p > 0]).double().mean().item()
        assert right == pytest.approx(norm.cdf(MEAN), abs=0.01)


def test_fooling_moves_posterior_samples_to_the_prior_and_a_learned_prior_to_them() -> None:
    critic = nn.Linear(1, 1)
    nn.init.constant_(critic.weight, 2.0)
    q, p = (side.requires_grad_() for side in two_gaussians(50, 0))
    fooling_loss(critic(q), critic(p)).sum().backward()
    assert (q.grad < 0).all()  # descending, they grow
    assert (p.grad > 0).all()


def test_spectral_maps_divide_by_the_largest_singular_value() -> None:
    layer, x = SpectralLinear(5, 4), torch.eye(5)
    for _ in range(200):
        layer(x)
    layer.eval()
    expected = (layer.weight / torch.linalg.svdvals(layer.weight)[0]).T + layer.bias
    torch.testing.assert_close(layer(x), expected)
    other = spectral_norm(nn.Linear(5, 4))
    other.load_state_dict(
        {"bias": layer.bias, "parametrizations.weight.original": layer.weight}
        | {"parametrizations.weight.0._u": layer.left, "parametrizations.weight.0._v": layer._right()}
    )
    torch.testing.assert_close(layer(x), other.eval()(x))


def test_spectral_maps_have_the_gradient_of_the_quotient() -> None:
    layer, x = SpectralLinear(3, 2).double(), torch.randn(4, 3, dtype=torch.float64)
    for _ in range(500):
        layer(x)
    layer.eval()
    layer(x).square().sum().backward()
    weight = layer.weight.detach().clone().requires_grad_()
    quotient = weight / torch.linalg.matrix_norm(weight, 2)
    (x @ quotient.T + layer.bias.detach()).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad, weight.grad)


def test_evaluation_leaves_the_direction_alone_and_training_follows_the_weights() -> None:
    layer, x = SpectralLinear(5, 4).eval(), torch.randn(2, 5)
    before = layer.left.clone()
    layer(x)
    assert torch.equal(layer.left, before)
    nn.init.normal_(layer.weight)
    layer.train()
    first = layer(x).sum()
    second = layer(x).sum()
    assert not torch.equal(layer.left, before)
    (first + second).backward()  # the first call's graph outlives the second's power iteration


def test_critics_are_pickled_and_saved_with_their_directions() -> None:
    critic, x = Critic(3, hidden=4), torch.randn(6, 3)
    critic(x)
    critic.eval()
    assert torch.equal(pickle.loads(pickle.dumps(critic))(x), critic(x))
    other = Critic(3, hidden=4).eval()
    other.load_state_dict(critic.state_dict())
    assert torch.equal(other(x), critic(x))
    assert critic(torch.randn(2, 5, 3)).shape == (2, 5)

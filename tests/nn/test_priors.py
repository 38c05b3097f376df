from __future__ import annotations

import pytest
import torch
from torch import nn

from seqdis.nn.priors import AutoregressivePrior


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def step_by_step(prior: AutoregressivePrior, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The published form: two LSTM cells, one step at a time, fed with the code before."""
    hidden = prior.rnn.hidden_size
    cells = [nn.LSTMCell(prior.dim if layer == 0 else hidden, hidden) for layer in range(2)]
    for layer, cell in enumerate(cells):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, name).data.copy_(getattr(prior.rnn, f"{name}_l{layer}"))
    states = [(torch.zeros(len(codes), hidden), torch.zeros(len(codes), hidden)) for _ in cells]
    before, means, logvars = torch.zeros(len(codes), prior.dim), [], []
    for step in range(codes.shape[1]):
        states[0] = cells[0](before, states[0])
        states[1] = cells[1](states[0][0], states[1])
        means.append(prior.gaussian.mean(states[1][0]))
        logvars.append(prior.gaussian.logvar(states[1][0]))
        before = codes[:, step]
    return torch.stack(means, 1), torch.stack(logvars, 1)


@pytest.mark.parametrize(("dim", "hidden", "time"), [(3, 5, 7), (8, 64, 20), (1, 2, 1)])
def test_one_fused_call_equals_the_step_by_step_form(dim: int, hidden: int, time: int) -> None:
    torch.manual_seed(0)
    prior, codes = AutoregressivePrior(dim, hidden), torch.randn(4, time, dim, generator=generator())
    mean, logvar = step_by_step(prior, codes)
    fused = prior(codes)
    assert (fused.mean - mean).abs().max() < 1e-6
    assert (fused.logvar - logvar).abs().max() < 1e-6


def test_a_step_sees_only_the_codes_before_it() -> None:
    prior, codes = AutoregressivePrior(3, 5), torch.randn(1, 6, 3)
    other = codes.clone()
    other[0, 2] += 1
    moved = (prior(codes).mean - prior(other).mean)[0].abs().amax(-1) > 1e-7
    assert moved.tolist() == [False, False, False, True, True, True]


def test_roll_out_follows_the_distribution_that_teacher_forcing_gives() -> None:
    prior = AutoregressivePrior(3, 5)
    drawn = prior.rollout(4, 6, generator(1))
    means = prior.rollout(4, 6, generator(1), mean=True)
    given = prior(drawn)
    assert drawn.shape == means.shape == (4, 6, 3)
    assert torch.allclose(means, given.mean, atol=1e-6)
    noise = (drawn - given.mean) / torch.exp(0.5 * given.logvar)
    source = generator(1)
    expected = torch.stack([torch.randn(4, 3, generator=source) for _ in range(6)], 1)
    assert torch.allclose(noise, expected, atol=1e-4)


def test_roll_out_follows_its_generator() -> None:
    prior = AutoregressivePrior(3, 5)
    assert torch.equal(prior.rollout(2, 3, generator(1)), prior.rollout(2, 3, generator(1)))
    assert not torch.equal(prior.rollout(2, 3, generator(1)), prior.rollout(2, 3, generator(2)))

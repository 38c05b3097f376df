"""Penalties in their sequential form, on Gaussian codes whose exact discrepancy is known."""

from __future__ import annotations

import math

import pytest
import torch

from seqdis.factors import Factors
from seqdis.losses import KERNEL_SCALES, LossTerms
from seqdis.nn.aggregate import CriticPenalty, KernelPenalty, beside_the_last

N, STEPS, RHO = 400, 4, 0.9


def noise(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def walk(seed: int, lengths: torch.Tensor | None = None) -> Factors:
    """Static codes from N(0, I_3); dynamic ones an AR(1) process, N(0, 1) at every step."""
    shocks = noise(N, STEPS, seed=seed)
    steps = [shocks[:, 0]]
    for t in range(1, STEPS):
        steps.append(RHO * steps[-1] + math.sqrt(1 - RHO**2) * shocks[:, t])
    return Factors(noise(N, 3, seed=seed + 1), torch.stack(steps, 1).unsqueeze(-1), lengths)


def right_prior(q: Factors, seed: int) -> Factors:
    """Draws that follow the codes before them, as the process does."""
    before = torch.cat([torch.zeros(N, 1, 1), q.dynamic[:, :-1]], 1)
    scale = torch.full((STEPS, 1), math.sqrt(1 - RHO**2))
    scale[0] = 1
    return Factors(noise(N, 3, seed=seed), RHO * before + scale * noise(N, STEPS, 1, seed=seed + 1), q.lengths)


def ignorant_prior(q: Factors, seed: int) -> Factors:
    """The right distribution at every step, whatever came before."""
    return Factors(noise(N, 3, seed=seed), noise(N, STEPS, 1, seed=seed + 1), q.lengths)


def ignorance() -> float:
    """Exact discrepancy of a step beside the one before, RBF: a determinant per pair of distributions."""

    def mean_kernel(covariance: torch.Tensor, width: float) -> float:
        return torch.linalg.det(torch.eye(2) + 2 * covariance / width).item() ** -0.5

    together, apart = torch.tensor([[1, RHO], [RHO, 1]]), torch.eye(2)
    widths = [4 * scale for scale in KERNEL_SCALES]  # two draws of N(0, I_2) are 4 apart, squared
    return sum(
        mean_kernel(2 * together, c) + mean_kernel(2 * apart, c) - 2 * mean_kernel(together + apart, c) for c in widths
    )


def dynamic_term(q: Factors, p: Factors, kernel: str = "rbf") -> float:
    terms = LossTerms()
    KernelPenalty(kernel, 1.0, 1.0)(terms, q, p)
    return terms.values["mmd_dynamic"].item()


def average(prior, pair) -> float:
    codes = [walk(100 * seed) for seed in range(20)]
    return sum(dynamic_term(*pair(q, prior(q, 100 * i + 10))) for i, q in enumerate(codes)) / len(codes)


def test_alone_a_prior_without_memory_passes_for_the_right_one() -> None:
    for prior in (right_prior, ignorant_prior):
        assert average(prior, lambda q, p: (q, p)) == pytest.approx(0, abs=0.01)


def test_beside_the_last_it_is_found_out_at_its_exact_value() -> None:
    assert average(right_prior, beside_the_last) == pytest.approx(0, abs=0.01)
    expected = (STEPS - 1) * ignorance()  # nothing comes before the first step
    assert expected > 0.5
    assert average(ignorant_prior, beside_the_last) == pytest.approx(expected, rel=0.03)


def test_what_came_before_is_given_and_not_judged() -> None:
    q = walk(0)
    q = Factors(q.static, q.dynamic.requires_grad_())
    first, second = beside_the_last(q, right_prior(q, 5))
    assert torch.equal(first.dynamic[:, 1:, 1], q.dynamic[:, :-1, 0])
    assert torch.equal(second.dynamic[..., 1], first.dynamic[..., 1])
    assert (first.dynamic[:, 0, 1] == 0).all()
    first.dynamic[..., 1].sum().backward()
    assert q.dynamic.grad is None or (q.dynamic.grad == 0).all()


def test_static_codes_are_compared_with_the_standard_normal() -> None:
    terms = LossTerms()
    q = walk(0)
    KernelPenalty("imq", 2.0, 3.0)(terms, q, right_prior(q, 5))
    assert abs(terms.values["mmd_static"].item()) < 0.01
    assert terms.weights == {"mmd_static": 2.0, "mmd_dynamic": 3.0}
    far = LossTerms()
    KernelPenalty("imq", 2.0, 3.0)(far, Factors(q.static + 2, q.dynamic), right_prior(q, 5))
    assert far.values["mmd_static"].item() > 1


def test_a_step_counts_by_the_share_of_sequences_that_reach_it() -> None:
    # Half of the sequences end after two steps; what stands behind is never read.
    lengths = torch.tensor([2, STEPS]).repeat(N // 2)
    q = walk(0, lengths)
    p = Factors(q.static, q.dynamic + 1, lengths)
    filler = torch.where(q.valid().unsqueeze(-1), q.dynamic, 1e6)
    ragged = dynamic_term(Factors(q.static, filler, lengths), p)
    long = slice(1, None, 2)
    head = dynamic_term(Factors(q.static, q.dynamic[:, :2]), Factors(p.static, p.dynamic[:, :2]))
    tail = dynamic_term(
        Factors(q.static[long], q.dynamic[long, 2:]), Factors(p.static[long], p.dynamic[long, 2:])
    )  # fmt: skip
    assert ragged == pytest.approx(head + 0.5 * tail, rel=1e-4)


def test_critics_judge_what_is_real_and_keep_their_terms_apart() -> None:
    lengths = torch.tensor([2, STEPS]).repeat(N // 2)
    q = walk(0, lengths)
    penalty = CriticPenalty(3, 1, 8, 2.0, 3.0).eval()
    p = right_prior(q, 5)
    terms, filled = LossTerms(), LossTerms()
    penalty(terms, q, p)
    penalty(filled, Factors(q.static, torch.where(q.valid().unsqueeze(-1), q.dynamic, 1e6), lengths), p)
    assert list(terms.values) == ["adversarial_static", "adversarial_dynamic", "critic_static", "critic_dynamic"]
    assert terms.values["adversarial_dynamic"].item() == filled.values["adversarial_dynamic"].item()
    assert terms.total_of("critic").item() == pytest.approx(
        sum(terms.values[name].item() for name in ("critic_static", "critic_dynamic"))
    )
    for layer in (penalty.static, penalty.dynamic):
        torch.nn.init.zeros_(layer.layers[-1].weight)
        torch.nn.init.zeros_(layer.layers[-1].bias)
    undecided = LossTerms()
    penalty(undecided, q, p)
    # log 2 for every side: one of the static codes, both of three steps on average.
    expected = [math.log(2), 3 * 2 * math.log(2), 2 * math.log(2), 3 * 2 * math.log(2)]
    assert [value.item() for value in undecided.values.values()] == pytest.approx(expected)

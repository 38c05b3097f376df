from __future__ import annotations

import math

import pytest
import torch

from seqdis.factors import Factors
from seqdis.nn.categorical import CategoricalReader, gumbel_softmax, likeliest, uniformity_and_entropy


def test_uniformity_and_entropy_by_hand() -> None:
    sure = 50 * torch.eye(3)
    assert [value.item() for value in uniformity_and_entropy(sure)] == pytest.approx([0, 0], abs=1e-6)
    unsure = torch.zeros(4, 3)
    assert [value.item() for value in uniformity_and_entropy(unsure)] == pytest.approx([0, math.log(3)], abs=1e-6)
    all_in_one = torch.tensor([[50.0, 0.0, 0.0]]).repeat(4, 1)
    assert [value.item() for value in uniformity_and_entropy(all_in_one)] == pytest.approx([math.log(3), 0], abs=1e-6)


def test_their_sum_is_what_is_missing_of_the_mutual_information() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    joint = logits.softmax(-1) / 5
    product = joint.sum(0, keepdim=True) * joint.sum(1, keepdim=True)
    information = (joint * (joint / product).log()).sum()
    assert sum(uniformity_and_entropy(logits)).item() == pytest.approx(math.log(4) - information.item(), abs=1e-6)


def test_a_class_that_never_occurs_gives_a_finite_gradient() -> None:
    logits = torch.tensor([[200.0, 0.0], [300.0, 0.0]], requires_grad=True)
    sum(uniformity_and_entropy(logits)).backward()
    assert torch.isfinite(logits.grad).all()


def test_gumbel_draws_have_the_frequencies_of_the_softmax_and_grow_hard_when_cold() -> None:
    logits = torch.tensor([[0.0, 1.0, -1.0]]).repeat(50_000, 1)
    draws = gumbel_softmax(logits, 0.3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(draws.sum(-1), torch.ones(50_000))
    torch.testing.assert_close(likeliest(draws).mean(0), logits[0].softmax(-1), atol=0.01, rtol=0)
    warm = gumbel_softmax(logits, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(warm.argmax(-1), draws.argmax(-1))
    assert warm.amax(-1).mean() < draws.amax(-1).mean()
    again = gumbel_softmax(logits, 0.3, torch.Generator().manual_seed(0))
    assert torch.equal(again, draws)


def test_padding_is_not_read() -> None:
    reader, codes = CategoricalReader(2, 4, 3), torch.randn(2, 5, 2)
    codes[0, 3:] = 1e6
    logits = reader(Factors(torch.zeros(2, 1), codes, torch.tensor([3, 5])))
    torch.testing.assert_close(logits[:1], reader(Factors(torch.zeros(1, 1), codes[:1, :3])))
    torch.testing.assert_close(logits[1:], reader(Factors(torch.zeros(1, 1), codes[1:])))

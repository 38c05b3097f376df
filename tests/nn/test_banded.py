from __future__ import annotations

import math

import pytest
import torch

from seqdis.nn.banded import BandedHead, Neighbours


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def head(**settings) -> BandedHead:
    torch.manual_seed(3)
    made = BandedHead(4, 2, **settings)
    torch.nn.init.normal_(made.band.weight)
    return made


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize("band", ["softplus", "sigmoid", "signed"])
@torch.no_grad()
def test_entries_of_the_band_by_hand(band: str) -> None:
    made, features = head(band=band), torch.randn(2, 5, 4, generator=generator())
    q = made(features)
    torch.testing.assert_close(q.mean, made.mean(features))
    raw = made.band(features)
    squeeze = sigmoid if band == "sigmoid" else softplus
    for row in range(2):
        for dim in range(2):
            diagonal = [1 + squeeze(float(raw[row, t, dim])) for t in range(5)]
            above = [float(raw[row, t, 2 + dim]) for t in range(4)]
            expected = [
                math.tanh(value) * diagonal[t + 1] if band == "signed" else squeeze(value)
                for t, value in enumerate(above)
            ]
            assert q.diagonal[row, :, dim].tolist() == pytest.approx(diagonal, rel=1e-5)
            assert q.coupling[row, :, dim].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("band", "both"), [("softplus", False), ("sigmoid", False), ("signed", True)])
@torch.no_grad()
def test_only_signed_bands_let_neighbours_vary_with_each_other(band: str, both: bool) -> None:
    q = head(band=band)(torch.randn(50, 2, 4, generator=generator()))
    between = (q.factor @ q.factor.mT)[..., 0, 1]
    assert (between < 0).any()
    assert bool((between > 0).any()) == both


@torch.no_grad()
def test_deviations_of_signed_bands_follow_the_ones_before_by_less_than_all() -> None:
    made, features = head(band="signed"), torch.randn(3, 7, 4, generator=generator())
    q = made(features)
    drawn = (q.sample(generator(1)) - q.mean).transpose(1, 2)
    noise = torch.randn(1, 3, 2, 7, 1, generator=generator(1))[0, ..., 0]
    follow = -torch.tanh(made.band(features)[..., 2:].transpose(1, 2))
    before = torch.zeros(3, 2)
    for t in range(7):
        before = noise[..., t] / q.diagonal[:, t] + (follow[..., t - 1] * before if t else 0.0)
        torch.testing.assert_close(drawn[..., t], before)


@torch.no_grad()
def test_without_a_band_elements_are_independent_and_have_the_same_diagonal() -> None:
    features = torch.randn(2, 5, 4, generator=generator())
    q = head(banded=False)(features)
    covariance = q.factor @ q.factor.mT
    assert torch.equal(covariance, torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1)))
    assert (q.diagonal > 1).all()
    assert head(banded=False).band.out_features == 2


@pytest.mark.parametrize(("band", "first"), [("softplus", 0.2), ("sigmoid", 2 / 3), ("signed", 0.2)])
@torch.no_grad()
def test_deviations_start_small(band: str, first: float) -> None:
    nothing = torch.zeros(1, 1, 4)
    starts = [1 / BandedHead(4, 8, band=band)(nothing).diagonal for _ in range(20)]
    assert float(torch.stack(starts).mean()) == pytest.approx(first, abs=0.02)


@torch.no_grad()
def test_padding_is_uncoupled_and_the_rest_as_without_it() -> None:
    made, features = head(), torch.randn(2, 6, 4, generator=generator())
    valid = torch.arange(6) < torch.tensor([[6], [3]])
    q, plain = made(features, valid), made(features)
    assert (q.coupling[1, 2:] == 0).all()
    assert torch.equal(q.coupling[0], plain.coupling[0])
    assert torch.equal(q.coupling[1, :2], plain.coupling[1, :2])
    torch.testing.assert_close(q.factor[1, :, :3, :3], made(features[1:, :3]).factor[0])


@torch.no_grad()
def test_entries_stay_in_float32_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        q = head()(torch.randn(2, 5, 4, generator=generator()))
    assert {values.dtype for values in (q.mean, q.diagonal, q.coupling)} == {torch.float32}


@pytest.mark.parametrize(("span", "seen"), [(1, [0]), (2, [0, 1]), (3, [-1, 0, 1]), (4, [-1, 0, 1, 2])])
@torch.no_grad()
def test_neighbours_are_a_weighted_sum_of_what_lies_around(span: int, seen: list[int]) -> None:
    torch.manual_seed(0)
    made, x = Neighbours(3, span), torch.randn(2, 6, 3, generator=generator())
    given = made(x)
    weight, bias = made.convolution.weight, made.convolution.bias
    for place in range(6):
        total = bias.expand(2, 3)
        for tap, offset in enumerate(seen):
            if 0 <= place + offset < 6:
                total = total + x[:, place + offset] @ weight[:, :, tap].T
        torch.testing.assert_close(given[:, place], total.clamp(min=0))
    assert given.shape == x.shape

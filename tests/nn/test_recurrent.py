from __future__ import annotations

import pytest
import torch
from torch import nn

from seqdis.nn.elements import Features
from seqdis.nn.recurrent import (
    LOGVAR_FLOOR,
    DynamicReader,
    FlooredHead,
    RecurrentHeads,
    StaticReader,
    over_time,
    start_loud,
)

X = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0))


def test_heads_read_both_ends_of_the_real_elements() -> None:
    torch.manual_seed(0)
    heads = RecurrentHeads(4, 5, 3, 2)
    values = torch.randn(2, 6, 4)
    cut = heads(Features(values[:, :3]))
    padded = heads(Features(values, lengths=torch.tensor([3, 6])))
    assert torch.allclose(padded.static.mean[0], cut.static.mean[0], atol=1e-6)
    assert torch.allclose(padded.dynamic.mean[0, :3], cut.dynamic.mean[0], atol=1e-6)
    states, ends = over_time(heads.both_ways, Features(values))
    assert torch.equal(ends, torch.cat([states[:, -1, :5], states[:, 0, 5:]], dim=-1))


def test_variances_stay_above_the_floor_and_their_gradient_alive() -> None:
    head = FlooredHead(4, 2)
    nn.init.constant_(head.logvar.bias, LOGVAR_FLOOR - 8)
    low = head(X[:, 0]).logvar
    assert (low > LOGVAR_FLOOR).all()
    low.sum().backward()
    assert (head.logvar.bias.grad > 0).all()
    nn.init.constant_(head.logvar.bias, 2.0)
    plain = nn.functional.linear(X[:, 0], head.logvar.weight, head.logvar.bias)
    torch.testing.assert_close(head(X[:, 0]).logvar, plain, atol=1e-3, rtol=0)


def test_the_static_reader_reads_all_and_no_padding() -> None:
    reader = StaticReader(4, 5, 2)
    whole = reader(Features(X)).mean
    for step in (0, 3, 5):
        other = X.clone()
        other[:, step] += 1
        assert not torch.allclose(reader(Features(other)).mean, whole, atol=1e-4)
    padded = X.clone()
    padded[0, 4:] = 1e6
    lengths = torch.tensor([4, 6, 6])
    cut = reader(Features(X[:1, :4])).mean
    torch.testing.assert_close(reader(Features(padded, lengths=lengths)).mean, torch.cat([cut, whole[1:]]))


@pytest.mark.parametrize("feedback", [True, False])
def test_dynamic_codes_see_no_later_element(feedback: bool) -> None:
    reader = DynamicReader(4, 5, 2, feedback)
    posterior, codes = reader(Features(X))
    assert torch.equal(codes, posterior.mean)
    other = X.clone()
    other[:, 3] += 1
    changed, _ = reader(Features(other))
    torch.testing.assert_close(changed.mean[:, :3], posterior.mean[:, :3])
    assert (changed.mean[:, 3:] - posterior.mean[:, 3:]).abs().amax((0, 2)).min() > 1e-4


def test_fed_back_codes_are_the_ones_drawn() -> None:
    """By hand: every step's distribution follows from the states and the code drawn before."""
    reader = DynamicReader(4, 5, 2)
    posterior, codes = reader(Features(X), True, torch.Generator().manual_seed(1))
    states, _ = reader.rnn(X)
    before = torch.cat([torch.zeros(3, 1, 2), codes[:, :-1]], dim=1)
    by_hand = reader.gaussian(reader.second(torch.cat([states, before], dim=-1))[0])
    torch.testing.assert_close(posterior.mean, by_hand.mean)
    torch.testing.assert_close(posterior.logvar, by_hand.logvar)
    draw = torch.Generator().manual_seed(1)
    for t in range(6):
        noise = torch.randn(3, 1, 2, generator=draw)
        expected = posterior.mean[:, t : t + 1] + noise * (0.5 * posterior.logvar[:, t : t + 1]).exp()
        torch.testing.assert_close(codes[:, t : t + 1], expected)
    again, _ = reader(Features(X), True, torch.Generator().manual_seed(2))
    assert torch.equal(again.mean[:, 0], posterior.mean[:, 0])
    assert not torch.allclose(again.mean[:, 1:], posterior.mean[:, 1:])


def test_without_feedback_what_is_drawn_changes_no_posterior() -> None:
    reader = DynamicReader(4, 5, 2, feedback=False)
    posterior, codes = reader(Features(X), True, torch.Generator().manual_seed(1))
    assert torch.equal(posterior.mean, reader(Features(X))[0].mean)
    assert not torch.allclose(codes, posterior.mean)


def test_loud_lstms_keep_more_of_their_input() -> None:
    def spread(loud: bool) -> float:
        torch.manual_seed(0)
        stack = nn.ModuleList(nn.LSTM(32, 32, batch_first=True) for _ in range(3))
        if loud:
            start_loud(stack)
        x = torch.randn(16, 6, 32)
        for lstm in stack:
            x, _ = lstm(x)
        return x.std(0).mean().item()

    assert spread(True) > 5 * spread(False)

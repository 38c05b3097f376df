from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import cosine_similarity, cross_entropy

from seqdis.factors import Factors, Gaussian, Posterior
from seqdis.losses import pairwise_kl
from seqdis.nn.contrast import (
    bank_negatives,
    draw_negatives,
    encode_again,
    info_nce,
    mean_posterior,
    nearest_third,
    negatives_pool,
    path_posterior,
    paths,
    pick,
    running_statistics_kept,
    views,
)
from seqdis.nn.network import Network

# One row in each order; the nearest is the row itself.
DISTANCE = torch.tensor([[0.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], [1.0, 0.0, 2.0, 3.0, 4.0, 5.0, 6.0]])


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sets(index: torch.Tensor) -> list[set[int]]:
    return [set(row) for row in index.tolist()]


# The loss


def test_info_nce_by_hand() -> None:
    # Cosines 1 with the positive, 0 and -1 with the negatives; e^2, 1 and e^-2 at a temperature of 1/2.
    anchor, views_ = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 5.0], [-3.0, 0.0], [9.0, 9.0]])
    loss = info_nce(anchor, torch.tensor([[0.1, 0.0]]), views_, torch.tensor([[0, 1]]), 0.5)
    assert loss.item() == pytest.approx(-math.log(math.e**2 / (math.e**2 + 1 + math.e**-2)))


def test_info_nce_agrees_with_cross_entropy_of_cosines() -> None:
    anchor, positive, bank = (torch.randn(n, 5, generator=draw(n)) for n in (4, 4, 9))
    members = torch.randint(9, (4, 6), generator=draw())
    alike = cosine_similarity(anchor, positive)[:, None]
    unlike = cosine_similarity(anchor[:, None], bank[members], dim=-1)
    expected = cross_entropy(torch.cat([alike, unlike], 1) / 0.3, torch.zeros(4, dtype=torch.long))
    assert info_nce(anchor, positive, bank, members, 0.3).item() == pytest.approx(expected.item(), rel=1e-5)


def test_info_nce_of_codes_that_are_all_alike_is_the_log_of_their_number() -> None:
    same = torch.ones(3, 2)
    loss = info_nce(same, same, same, torch.zeros(3, 7, dtype=torch.long), 0.1)
    assert loss.item() == pytest.approx(math.log(8), rel=1e-5)
    zero = torch.zeros(3, 2, requires_grad=True)
    info_nce(zero, zero, same, torch.zeros(3, 7, dtype=torch.long), 0.1).backward()
    assert torch.isfinite(zero.grad).all()


# Thirds and negatives


def test_thirds_by_hand() -> None:
    assert nearest_third(DISTANCE).tolist() == [[0, 6], [1, 0]]
    assert negatives_pool(DISTANCE, "middle").tolist() == [[5, 4], [2, 3]]
    assert negatives_pool(DISTANCE, "farthest").tolist() == [[3, 2, 1], [4, 5, 6]]
    assert negatives_pool(DISTANCE, "middle+farthest").tolist() == [[5, 4, 3, 2, 1], [2, 3, 4, 5, 6]]


def test_a_random_pool_is_a_third_of_all_whatever_the_distance() -> None:
    found = [negatives_pool(DISTANCE, "random", draw(seed)) for seed in range(50)]
    assert {len(row) for pool in found for row in sets(pool)} == {3}
    assert set.union(*(row for pool in found for row in sets(pool))) == set(range(7))
    assert any(sets(pool)[0] != sets(pool)[1] for pool in found)
    assert torch.equal(found[3], negatives_pool(-DISTANCE, "random", draw(3)))


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("which", ["middle", "farthest", "middle+farthest", "random"])
def test_small_batches_have_pools_too(n: int, which: str) -> None:
    distance = torch.rand(n, n, generator=draw())
    assert nearest_third(distance).shape == (n, 1)
    assert negatives_pool(distance, which, draw()).shape[1] >= 1


def test_draws_come_from_the_pool_with_replacement() -> None:
    pool = torch.tensor([[3, 5], [0, 1]])
    chosen = pick(pool, 40, draw())
    assert sets(chosen) == [{3, 5}, {0, 1}]
    assert torch.equal(chosen, pick(pool, 40, draw()))


def test_rows_have_views_of_their_own_or_share_them() -> None:
    pool = negatives_pool(DISTANCE.repeat(4, 1)[:7], "farthest")
    own, members = draw_negatives(pool, 14, 0, draw())
    assert own.shape == (7 * 14,)
    assert sorted(members.flatten().tolist()) == list(range(7 * 14))
    shared, chosen = draw_negatives(pool, 14, 2, draw())
    assert shared.tolist() == [row for row in range(7) for _ in range(2)]
    for sources, taken in ((own, members), (shared, chosen)):
        assert all(taken <= allowed for taken, allowed in zip(sets(sources[taken]), sets(pool), strict=True))
    assert {int(view) % 2 for view in chosen.flatten()} == {0, 1}


def test_a_bank_is_ranked_as_released() -> None:
    distance = torch.tensor([[4.0, 1.0, 6.0, 3.0, 8.0, 7.0, 2.0, 5.0]])  # farthest first: 4 5 2 7 0 3 6 1
    assert sets(bank_negatives(distance, "farthest", 4)) == [{4, 5, 2, 7}]
    assert bank_negatives(distance, "middle", 4).tolist() == [[2, 7, 0, 3]]
    found = [bank_negatives(distance.repeat(2, 1), "middle+farthest", 3, draw(seed)) for seed in range(30)]
    assert set.union(*(row for index in found for row in sets(index))) == {4, 5, 2, 7}
    assert all(torch.equal(index[0], index[1]) and len(set(index[0].tolist())) == 3 for index in found)
    found = [bank_negatives(distance, "random", 4, draw(seed)) for seed in range(30)]
    assert set.union(*(row for index in found for row in sets(index))) == set(range(8))


# Codes as one vector


SHAPES = ((3, 2), (3, 4, 2))


def some(lengths: list[int] | None = None) -> Posterior:
    static, dynamic = (Gaussian(torch.randn(*s, generator=draw(1)), torch.randn(*s, generator=draw(2))) for s in SHAPES)
    return Posterior(static, dynamic, None if lengths is None else torch.tensor(lengths))


def test_paths_are_windows_side_by_side_and_zero_on_padding() -> None:
    codes = some([4, 1, 2]).mean()
    assert paths(codes)[1].tolist() == codes.dynamic[1, 0].tolist() + [0.0] * 6
    assert torch.equal(paths(codes)[0], codes.dynamic[0].flatten())


def test_the_divergence_of_paths_is_summed_over_steps() -> None:
    posterior = some()
    q = path_posterior(posterior)
    each = [Normal(posterior.dynamic.mean[row], torch.exp(0.5 * posterior.dynamic.logvar[row])) for row in range(3)]
    expected = torch.stack([torch.stack([kl_divergence(a, b).sum() for b in each]) for a in each])
    assert torch.allclose(pairwise_kl(q, q), expected, rtol=1e-4, atol=1e-4)
    padded = path_posterior(some([4, 1, 2]))
    assert not padded.mean[1, 2:].any()
    assert not padded.logvar[1, 2:].any()


def test_released_dynamics_are_averaged_over_real_windows() -> None:
    posterior = some([4, 1, 2])
    q = mean_posterior(posterior)
    assert torch.allclose(q.mean[2], posterior.dynamic.mean[2, :2].mean(0))
    assert torch.allclose(q.logvar[1], posterior.dynamic.logvar[1, 0])


# Views


class Wire(Network):
    """Decodes to the codes themselves and encodes them back, certain of both."""

    def decode(self, factors: Factors) -> torch.Tensor:
        static = factors.static.unsqueeze(1).expand(-1, factors.dynamic.shape[1], -1)
        return torch.cat([factors.dynamic, static], -1) * factors.valid().unsqueeze(-1)

    def encode(self, batch) -> Posterior:
        sure = torch.full_like(batch.x[..., :2], -30.0)
        static = Gaussian(batch.x[:, 0, 2:], sure[:, 0])
        return Posterior(static, Gaussian(batch.x[..., :2], sure), batch.lengths)

    def prior(self, n, length, generator=None, *, mean=False) -> Factors:
        return Factors(torch.full((n, 2), 7.0), torch.full((n, length, 2), 9.0))


def certain(posterior: Posterior) -> Posterior:
    return Posterior(
        *(Gaussian(q.mean, torch.full_like(q.mean, -30.0)) for q in (posterior.static, posterior.dynamic)),
        posterior.lengths,
    )


@pytest.mark.parametrize("predictive", [True, False])
def test_views_are_the_codes_of_the_rows_named(predictive: bool) -> None:
    posterior, rows = certain(some([4, 1, 2])), torch.tensor([2, 0, 2, 1])
    static = views(Wire(), "static", posterior, rows, draw(), predictive=predictive)
    assert torch.allclose(static, posterior.static.mean[rows], atol=1e-4)
    dynamic = views(Wire(), "dynamic", posterior, rows, draw(), predictive=predictive)
    assert torch.allclose(dynamic, paths(posterior.mean())[rows], atol=1e-4)


def test_predictive_views_go_by_way_of_the_other_code_of_the_prior() -> None:
    seen: list[torch.Tensor] = []
    network, posterior = Wire(), certain(some())
    decode = network.decode
    network.decode = lambda factors: seen.append(decode(factors)) or seen[-1]
    views(network, "static", posterior, torch.tensor([1]), draw())
    views(network, "dynamic", posterior, torch.tensor([1]), draw())
    assert (seen[0][..., :2] == 9.0).all()
    assert (seen[1][..., 2:] == 7.0).all()
    views(network, "static", posterior, torch.tensor([1]), draw(), predictive=False)
    assert len(seen) == 2


def test_views_are_drawn_anew() -> None:
    wide, rows = some(), torch.tensor([1, 1])
    first, second = views(Wire(), "static", wide, rows, draw())
    assert not torch.allclose(first, second)
    assert torch.equal(views(Wire(), "static", wide, rows, draw())[0], first)


def test_encoding_again_keeps_lengths_in_steps() -> None:
    network = Wire()
    network.stride = 3
    again = encode_again(network, certain(some([4, 1, 2])).mean())
    assert again.lengths.tolist() == [12, 3, 6]


def test_running_statistics_are_kept_and_outputs_are_not_changed() -> None:
    layer = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).train()
    x = torch.randn(4, 1, 3, 3, generator=draw())
    before = layer[1].running_mean.clone()
    with running_statistics_kept(layer):
        kept = layer(x)
    with pytest.raises(RuntimeError), running_statistics_kept(layer):
        layer(x[:, :, 0])
    assert torch.equal(layer[1].running_mean, before)
    assert torch.equal(layer(x), kept)
    assert not torch.equal(layer[1].running_mean, before)

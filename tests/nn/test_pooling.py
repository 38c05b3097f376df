"""Statistics of windows, and the closed-form static posterior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import eigh

from seqdis.errors import DataError
from seqdis.nn.pooling import ManyElements, statistics_of, steady_directions, window_profile, window_statistics


def everything(x: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(x, dtype=torch.bool)


def test_statistics_by_hand() -> None:
    # One feature, windows of two steps: (1, 3), then (5, missing), then padding.
    x = torch.tensor([[[1.0], [3.0], [5.0], [0.0], [0.0], [0.0]]])
    seen = torch.tensor([[[True], [True], [True], [False], [False], [False]]])
    valid = torch.tensor([[True, True, False]])
    rows, weight = window_statistics(x, seen, valid, 2, profile=True)
    # mean, mean squared, least, largest, log(1 + count), seen at all, two steps, mean where seen
    first = [2.0, 4.0, 1.0, 3.0, np.log(3), 1.0, 1.0, 3.0, 2.0]
    second = [5.0, 25.0, 5.0, 5.0, np.log(2), 1.0, 5.0, 0.0, 5.0]
    torch.testing.assert_close(rows, torch.tensor([[first, second, [0.0] * 9]]), check_dtype=False)
    torch.testing.assert_close(weight, torch.tensor([[[1.0] * 9, [1.0] * 9, [0.0] * 9]]))
    assert rows.shape[2] == statistics_of(1, 2, True)


def test_a_window_without_values_counts_as_seen_zero_times() -> None:
    x, seen = torch.zeros(1, 4, 1), torch.zeros(1, 4, 1, dtype=torch.bool)
    rows, weight = window_statistics(x, seen, torch.tensor([[True, True]]), 2, profile=False)
    assert not rows.any()
    torch.testing.assert_close(weight[0, 0], torch.tensor([1.0] * 6 + [0.0]))


def test_profile_is_the_mean_at_each_step_of_a_window() -> None:
    x = torch.tensor([[[1.0], [2.0], [3.0], [4.0], [5.0]]])  # windows (1, 2), (3, 4), (5, -)
    common = window_profile(x, everything(x), 2, profile=True, shrink=0.0)
    torch.testing.assert_close(common[0, :, 0], torch.tensor([3.0, 3.0, 3.0, 3.0, 3.0]))
    x = torch.tensor([[[1.0], [2.0], [3.0], [6.0]]])
    common = window_profile(x, everything(x), 2, profile=True, shrink=0.0)
    torch.testing.assert_close(common[0, :, 0], torch.tensor([2.0, 4.0, 2.0, 4.0]))
    torch.testing.assert_close(
        window_profile(x, everything(x), 2, profile=False, shrink=0.0)[0, :, 0], torch.full((4,), 3.0)
    )


def test_profile_without_values_is_the_training_mean() -> None:
    x = torch.zeros(1, 4, 2)
    assert not window_profile(x, torch.zeros_like(x, dtype=torch.bool), 2, profile=True).any()


def test_profile_leans_towards_zero_as_one_more_value_would() -> None:
    x = torch.full((1, 3, 1), 4.0)
    assert window_profile(x, everything(x), 3, profile=False)[0, 0, 0] == pytest.approx(3.0)  # (4 + 4 + 4 + 0) / 4


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 10.0])
def test_directions_solve_the_generalised_problem(ridge: float) -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(2, 40, 6))
    total, within = np.cov(a.T), np.cov(b.T)
    found = steady_directions(torch.from_numpy(total), torch.from_numpy(within), 3, ridge).numpy()
    _, vectors = eigh(total, within + ridge * np.trace(within) / 6 * np.eye(6))
    for mine, theirs in zip(found.T, vectors[:, ::-1].T, strict=False):
        cosine = abs(mine @ theirs) / np.linalg.norm(mine) / np.linalg.norm(theirs)
        assert cosine == pytest.approx(1, abs=1e-6)


def test_large_ridge_gives_principal_components() -> None:
    total = torch.diag(torch.tensor([1.0, 4.0, 9.0])).double()
    within = torch.diag(torch.tensor([1.0, 1.0, 100.0])).double()
    leading = steady_directions(total, within, 1, 1e6)[:, 0]
    assert leading.abs().argmax() == 2
    # A small one asks what hardly moves inside a sequence.
    assert steady_directions(total, within, 1, 1e-6)[:, 0].abs().argmax() == 1


def test_nothing_varies_within_sequences() -> None:
    total = torch.diag(torch.tensor([1.0, 2.0])).double()
    assert torch.isfinite(steady_directions(total, torch.zeros_like(total), 2, 0.1)).all()


def planted(n: int = 400, windows: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Statistics where the second is steady within a sequence and the first, though larger, is not."""
    g = torch.Generator().manual_seed(0)
    steady = torch.randn(n, generator=g)
    moving = 5 * torch.randn(n, windows, generator=g)
    rows = torch.stack([moving, steady[:, None] + 0.1 * torch.randn(n, windows, generator=g)], 2)
    return rows, torch.ones_like(rows), steady


def test_the_steady_part_is_found() -> None:
    rows, weight, steady = planted()
    posterior = ManyElements(2, 1, 1)
    posterior.fit(rows, weight, ridge=1e-3)
    code = posterior(rows, weight)
    correlation = np.corrcoef(code.mean[:, 0].numpy(), steady.numpy())[0, 1]
    assert abs(correlation) > 0.99
    assert float(code.mean.mean()) == pytest.approx(0, abs=1e-4)
    # Windows differ by 0.1 around a level of variance 1: averaged over six, 0.01 / 6.
    noise = float(code.logvar[0, 0].exp())
    assert noise == pytest.approx(0.01 / 6, rel=0.1)
    assert float(code.mean.var()) + noise == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("windows", [2, 3, 7])
@pytest.mark.parametrize("parts", [1, 2])
def test_pure_noise_leaves_everything_open(windows: int, parts: int) -> None:
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(4000, windows * parts, 1, generator=g)
    posterior = ManyElements(1, parts, 1)
    posterior.fit(rows, torch.ones_like(rows), ridge=1e-3)
    # An average of nothing but noise varies as the windows say it must: the posterior is the prior.
    assert float(posterior.logvar.exp()) == pytest.approx(1, abs=0.06)


def test_what_is_seen_once_per_sequence_does_not_look_steady() -> None:
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(4000, 4, 1, generator=g)
    seldom = (torch.rand(4000, 4, 1, generator=g) < 0.1).float()
    posterior = ManyElements(1, 1, 1)
    posterior.fit(rows * seldom, seldom, ridge=1e-3)
    assert float(posterior.logvar.exp()) > 0.5


def test_one_part_forgets_the_order_and_two_remember_it() -> None:
    rows, weight, _ = planted()
    turned = rows.flip(1)
    for parts, alike in ((1, True), (2, False)):
        posterior = ManyElements(2, parts, 2)
        posterior.fit(rows, weight, ridge=1.0)
        same = torch.allclose(posterior(rows, weight).mean, posterior(turned, weight).mean, atol=1e-5)
        assert same is alike


def test_windows_that_do_not_count_change_nothing() -> None:
    rows, weight, _ = planted(40)
    posterior = ManyElements(2, 3, 2)
    posterior.fit(rows, weight, ridge=1.0)
    more = torch.cat([rows, torch.full((40, 2, 2), 99.0)], 1)
    unseen = torch.cat([weight, torch.zeros(40, 2, 2)], 1)
    torch.testing.assert_close(posterior(more, unseen).mean, posterior(rows, weight).mean)


def test_more_parts_than_windows() -> None:
    rows, weight, _ = planted(40, windows=2)
    posterior = ManyElements(2, 4, 2)
    posterior.fit(rows, weight, ridge=1.0)
    assert torch.isfinite(posterior(rows[:, :1], weight[:, :1]).mean).all()


def test_codes_beyond_the_rank_of_the_sequences_are_zero() -> None:
    rows, weight, _ = planted(3)
    posterior = ManyElements(2, 3, 6)
    posterior.fit(rows, weight, ridge=0.1)
    code = posterior(rows, weight)
    assert (code.mean.std(0) > 1e-3).sum() == 2  # three sequences differ in two directions
    assert not code.mean[:, 2:].any()
    assert not code.logvar[:, 2:].any()  # the prior's variance
    # The same for sequences never seen: nothing is blown up.
    assert posterior(100 * rows, weight).mean.abs().max() < 100


def test_equal_sequences_have_equal_codes() -> None:
    rows = torch.ones(4, 3, 2)
    posterior = ManyElements(2, 1, 2)
    posterior.fit(rows, torch.ones_like(rows), ridge=0.1)
    assert not posterior(rows, torch.ones_like(rows)).mean.any()


def test_one_sequence_is_refused() -> None:
    rows, weight, _ = planted(1)
    with pytest.raises(DataError, match="at least 2"):
        ManyElements(2, 1, 1).fit(rows, weight, ridge=0.1)

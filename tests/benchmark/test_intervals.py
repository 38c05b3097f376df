from math import isnan, sqrt

import numpy as np
import pytest
from scipy import stats

from seqdis.benchmark.intervals import paired, spreads, t_interval
from seqdis.errors import DataError


def test_spreads_by_hand():
    # Means 2 and 7; squares within splits 1 + 1 and 4 + 4 over two degrees of freedom.
    assert spreads([[1.0, 3.0], [5.0, 9.0]]) == (4.5, pytest.approx(sqrt(5)), pytest.approx(sqrt(12.5)))


def test_unequal_seeds_do_not_weigh_a_split_more():
    mean, over_seeds, over_splits = spreads([[1.0, 3.0], [5.0], []])
    assert (mean, over_seeds, over_splits) == (3.5, pytest.approx(sqrt(2)), pytest.approx(3 / sqrt(2)))


def test_spreads_of_little_and_of_nothing():
    assert spreads([[4.0]]) == (4.0, None, None)
    assert spreads([[4.0], [6.0]]) == (5.0, None, pytest.approx(sqrt(2)))
    mean, *rest = spreads([])
    assert isnan(mean)
    assert rest == [None, None]


def test_pooled_spread_is_the_root_of_the_mean_square_within_groups():
    groups = np.random.default_rng(0).normal(size=(4, 6))
    within = stats.f_oneway(*groups).statistic  # between / within
    between = 6 * groups.mean(1).var(ddof=1)
    assert spreads(groups.tolist())[1] == pytest.approx(sqrt(between / within))


def test_interval_by_hand():
    # t of 0.975 with two degrees of freedom is 4.30265; s = 1.
    assert t_interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2 - 4.30265 / sqrt(3), 2 + 4.30265 / sqrt(3)), abs=1e-4)
    wider = 4.30265 * sqrt(1 / 3 + 1 / 4)
    assert t_interval([1.0, 2.0, 3.0], 0.25) == pytest.approx((2.0, 2 - wider, 2 + wider), abs=1e-4)


def test_interval_agrees_with_the_paired_test_of_scipy():
    first, second = np.random.default_rng(1).normal(size=(2, 7))
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert t_interval((first - second).tolist())[1:] == pytest.approx((expected.low, expected.high))


def test_corrected_interval_covers_where_the_plain_one_does_not():
    """Differences that share a part, as those of overlapping splits do: correlation n_test / (n_test + n_train)."""
    draws, share = np.random.default_rng(2), 0.25
    correlation = share / (1 + share)
    hits = np.zeros(2)
    for _ in range(800):
        common = sqrt(correlation) * draws.normal()
        values = (common + sqrt(1 - correlation) * draws.normal(size=10)).tolist()
        for i, width in enumerate((0.0, share)):
            _, low, high = t_interval(values, width)
            hits[i] += low < 0 < high
    plain, corrected = hits / 800
    assert plain < 0.85
    assert 0.92 < corrected < 0.98


def test_interval_of_one_of_equal_and_of_no_differences():
    assert t_interval([0.5]) == (0.5, None, None)
    assert t_interval([0.5, 0.5]) == (0.5, 0.5, 0.5)
    with pytest.raises(DataError, match="no differences"):
        t_interval([])


def test_one_split_is_paired_by_seed():
    first, second = {"a": {0: 1.0, 1: 5.0, 2: 9.0}}, {"a": {2: 6.0, 0: 0.0, 7: 1.0}}
    assert paired(first, second) == ("training seeds", [1.0, 3.0])


def test_several_splits_are_paired_by_split_after_averaging_over_common_seeds():
    first, second = {"a": {0: 1.0, 1: 5.0}, "b": {0: 2.0}, "c": {0: 9.0}}, {"a": {0: 0.0, 1: 2.0}, "b": {0: 4.0}}
    assert paired(first, second) == ("splits", [2.0, -2.0])


def test_a_control_stands_beside_every_seed():
    assert paired({"a": {0: 1.0, 1: 5.0}}, {"a": {None: 2.0}}) == ("training seeds", [-1.0, 3.0])
    assert paired({"a": {0: 1.0}}, {}) == ("training seeds", [])
    assert paired({"a": {0: 1.0}}, {"a": {1: 1.0}}) == ("training seeds", [])


def test_an_undefined_score_makes_the_summary_undefined_and_stops_nothing():
    nan = float("nan")
    for differences in ([0.5, nan, 0.7], [nan, nan]):
        assert all(map(isnan, t_interval(differences)))
    mean, over_seeds, over_splits = spreads([[1.0, nan], [2.0, 4.0]])
    assert all(map(isnan, (mean, over_seeds, over_splits)))

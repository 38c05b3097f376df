import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from seqdis.errors import DataError
from seqdis.evaluation.metrics import (
    ALL_CLASSES,
    accuracy,
    auroc,
    average_precision,
    bootstrap,
    equal_error_rate,
    leakage_gap,
    pooled_mean,
    squared_error,
)


def two(scores):
    scores = np.asarray(scores, dtype=float)
    return np.stack([1 - scores, scores], 1)


def test_accuracy_by_hand_and_a_class_never_seen_is_an_error():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.4, 0.6]])
    assert accuracy(np.array([0, 1, 1, 2]), probabilities) == 0.5


def test_auroc_counts_ordered_pairs():
    # positives 0.8 and 0.3, negatives 0.1, 0.5, 0.3: ordered 3 + 1, tied 1 of 6 pairs
    assert auroc(np.array([1, 1, 0, 0, 0]), two([0.8, 0.3, 0.1, 0.5, 0.3])) == pytest.approx(4.5 / 6)


def test_average_precision_by_hand():
    # ranks of the positives: 1 and 3 -> (1/1 + 2/3) / 2
    assert average_precision(np.array([1, 0, 1, 0]), two([0.9, 0.8, 0.7, 0.1])) == pytest.approx((1 + 2 / 3) / 2)


def test_a_constant_scores_chance():
    labels = np.array([1, 0, 0, 0])
    assert auroc(labels, two([0.3] * 4)) == 0.5
    assert average_precision(labels, two([0.3] * 4)) == 0.25


@pytest.mark.parametrize("metric", [auroc, average_precision])
def test_one_class_only_is_refused(metric):
    with pytest.raises(DataError, match=r"classes \[0\]; expected both"):
        metric(np.zeros(4, dtype=int), two([0.1, 0.2, 0.3, 0.4]))


def test_leakage_gap_keeps_its_sign():
    assert leakage_gap(0.1094, 0.1786) == pytest.approx(-0.0692)  # DBSE Tab. 2 prints it without the sign
    np.testing.assert_allclose(leakage_gap(np.array([1.0, 0.5]), np.array([0.25, 0.75])), [0.75, -0.25])


def test_squared_error_by_hand():
    truth = np.zeros((2, 2, 2))
    produced = np.array([[[1, 1], [3, 3]], [[2, 0], [0, 0]]], dtype=np.float32)
    np.testing.assert_allclose(squared_error(truth, produced), [5.0, 1.0])
    steps = np.array([[True, False], [True, True]])
    np.testing.assert_allclose(squared_error(truth, produced, steps), [1.0, 1.0])
    values = np.zeros((2, 2, 2), dtype=bool)
    values[:, 0, 0] = True
    np.testing.assert_allclose(squared_error(truth, produced, values), [1.0, 4.0])


def test_squared_error_of_bytes_does_not_wrap_around():
    assert squared_error(np.full((1, 1, 1), 10, np.uint8), np.full((1, 1, 1), 13, np.uint8))[0] == 9


def test_squared_error_refuses_other_shapes():
    with pytest.raises(DataError, match="expected equal ones"):
        squared_error(np.zeros((2, 3, 1)), np.zeros((2, 4, 1)))


def test_bootstrap_spread_is_that_of_a_mean():
    values = np.random.default_rng(0).standard_normal(400)
    draws = bootstrap(lambda rows: values[rows].mean(), 400, resamples=500, seed=1)
    assert draws.std() == pytest.approx(values.std() / 20, rel=0.1)


def test_bootstrap_draws_whole_groups():
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    seen = []
    bootstrap(lambda rows: seen.append(np.bincount(rows, minlength=6)) or 0.0, 6, resamples=30, seed=0, groups=groups)
    for counts in seen:
        assert all(len(set(counts[groups == group].tolist())) == 1 for group in "abc")
        assert sum(counts[groups == group][0] for group in "abc") == 3
    assert len({len(np.flatnonzero(counts)) for counts in seen}) > 1


def test_one_group_alone_says_nothing_of_others():
    assert len(bootstrap(lambda rows: 1.0, 3, resamples=5, seed=0, groups=np.zeros(3))) == 0


def test_bootstrap_draws_again_where_a_class_is_absent():
    labels = np.array([0] * 20 + [1])
    free = bootstrap(lambda rows: labels[rows].sum(), 21, resamples=60, seed=0)
    kept = bootstrap(lambda rows: labels[rows].sum(), 21, resamples=60, seed=0, present=labels)
    assert free.min() == 0
    assert kept.min() == 1
    assert kept.max() > 1


def test_bootstrap_with_equal_seeds_draws_equal_rows():
    first, second = (bootstrap(lambda rows: rows @ np.arange(9), 9, resamples=5, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert len(bootstrap(lambda rows: 0.0, 9, resamples=0, seed=3)) == 0


def test_pooled_mean_weighs_values_and_resamples_sequences():
    sums, counts = np.array([10.0, 0.0]), np.array([1, 4])
    value, draws = pooled_mean(sums, counts, resamples=400, seed=0)
    assert value == 2.0
    assert set(draws) == {10.0, 2.0, 0.0}  # both first, one of each, both second
    assert (draws == 2.0).mean() == pytest.approx(0.5, abs=0.1)
    alone, none = pooled_mean(sums[:1], counts[:1], resamples=0, seed=0)
    assert (alone, len(none)) == (10.0, 0)


def test_bootstrap_gives_up_where_classes_are_too_rare():
    labels = np.arange(40)  # all present once in forty draws: about one time in 10^16
    with pytest.raises(DataError, match=r"2000 draws of 40 sequences gave 0 of 2 .* the rarest has 1 in the test part"):
        bootstrap(lambda rows: 0.0, 40, resamples=2, seed=0, present=labels)
    assert len(bootstrap(lambda rows: 0.0, 40, resamples=2, seed=0)) == 2


def test_metrics_that_need_all_classes_are_those_that_refuse_one():
    one, probabilities = np.zeros(4, int), np.full((4, 2), 0.5)
    for metric in (accuracy, auroc, average_precision):
        if metric in ALL_CLASSES:
            with pytest.raises(DataError, match="expected both 0 and 1"):
                metric(one, probabilities)
        else:
            assert metric(one, probabilities) == 1.0
    assert len(ALL_CLASSES) == 2


# Equal error rate


def drawn(pairs, shift, seed=0):
    draw = np.random.default_rng(seed)
    same = draw.random(pairs) < 0.1
    return same, draw.standard_normal(pairs) + shift * same


def by_bisection(same, scores):
    low, high = scores.min() - 1, scores.max() + 1
    for _ in range(60):
        middle = (low + high) / 2
        refused, accepted = (scores[same] < middle).mean(), (scores[~same] >= middle).mean()
        low, high = (low, middle) if refused > accepted else (middle, high)
    return (scores[~same] >= low).mean()


def test_equal_error_rate_by_hand():
    # Refusing up to 0.2 leaves 0 of 3 refused and 1 of 4 accepted, up to 0.3 it is 1 of 3 and 1 of 4: they are equal
    # three quarters of the way.
    same = np.array([True, True, True, False, False, False, False])
    scores = np.array([0.9, 0.8, 0.3, 0.5, 0.2, 0.1, 0.0])
    assert equal_error_rate(same, scores) == pytest.approx(0.25)
    assert equal_error_rate(same[[0, 2, 3, 5]], np.array([0.9, 0.6, 0.7, 0.1])) == pytest.approx(0.5)


def test_what_tells_all_nothing_and_the_contrary():
    same = np.array([True, True, False, False, False])
    assert equal_error_rate(same, same.astype(float)) == 0.0
    assert equal_error_rate(same, -same.astype(float)) == 1.0
    assert equal_error_rate(same, np.zeros(5)) == 0.5
    assert equal_error_rate(*drawn(40_000, 0.0)) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0, 4.0])
def test_rates_of_an_independent_curve_and_of_bisection(shift):
    same, scores = drawn(3000, shift)
    scores = scores.round(2)  # with ties
    accepted, found, _ = roc_curve(same, scores, drop_intermediate=False)
    reference = brentq(lambda x: 1 - x - np.interp(x, accepted, found), 0, 1)
    rate = equal_error_rate(same, scores)
    assert rate == pytest.approx(reference, abs=1e-6)
    most = max(np.unique(scores[same == kind], return_counts=True)[1].max() / (same == kind).sum() for kind in (0, 1))
    assert abs(rate - by_bisection(same, scores)) <= most


def test_a_weight_counts_a_pair_several_times():
    same, scores = drawn(300, 1.0)
    weights = np.random.default_rng(1).integers(0, 4, len(same))
    assert equal_error_rate(same, scores, weights) == pytest.approx(
        equal_error_rate(same.repeat(weights), scores.repeat(weights))
    )
    assert equal_error_rate(same, scores, np.ones(len(same))) == equal_error_rate(same, scores)


@pytest.mark.parametrize("same", [[True, True], [False, False], []])
def test_one_kind_of_pairs_is_refused(same):
    with pytest.raises(DataError, match="expected pairs of both kinds"):
        equal_error_rate(np.array(same, dtype=bool), np.zeros(len(same)))


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="of 1 of 2 the score is finite"):
        equal_error_rate(np.array([True, False]), np.array([np.nan, 0.5]))

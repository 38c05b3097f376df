import math

import numpy as np
import pytest
import scipy.stats

from seqdis.errors import DataError
from seqdis.evaluation.generation import (
    agreement_kl,
    balanced_rows,
    conditional_entropy,
    inception_score,
    marginal_entropy,
)


def random_table(n: int = 40, classes: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.4), size=n)


def test_scores_by_hand():
    p = np.array([[0.5, 0.5], [1.0, 0.0]])
    assert conditional_entropy(p) == pytest.approx(math.log(2) / 2)
    assert marginal_entropy(p) == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert inception_score(p) == pytest.approx(1.2409, abs=1e-4)


@pytest.mark.parametrize("classes", [2, 6, 9])
def test_perfect_balanced_predictions(classes):
    p = np.tile(np.eye(classes), (7, 1))
    assert inception_score(p) == pytest.approx(classes)
    assert conditional_entropy(p) == pytest.approx(0, abs=1e-12)
    assert marginal_entropy(p) == pytest.approx(math.log(classes))


def test_uniform_predictions_tell_nothing():
    p = np.full((10, 9), 1 / 9)
    assert inception_score(p) == pytest.approx(1)
    assert conditional_entropy(p) == pytest.approx(math.log(9)) == pytest.approx(2.1972, abs=1e-4)
    assert marginal_entropy(p) == pytest.approx(math.log(9))


def test_a_single_class_is_sure_and_not_diverse():
    for p in (np.ones((4, 1)), np.eye(3)[[1, 1, 1]]):
        assert inception_score(p) == pytest.approx(1)
        assert conditional_entropy(p) == pytest.approx(0, abs=1e-12)
        assert marginal_entropy(p) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_identity_of_the_three_scores_and_bounds(seed):
    p = random_table(seed=seed)
    assert inception_score(p) == pytest.approx(math.exp(marginal_entropy(p) - conditional_entropy(p)), rel=1e-9)
    assert 0 <= conditional_entropy(p) <= marginal_entropy(p) <= math.log(5)


def test_scores_agree_with_scipy():
    p, q = random_table(seed=1), random_table(seed=2)
    assert conditional_entropy(p) == pytest.approx(scipy.stats.entropy(p, axis=1).mean())
    assert marginal_entropy(p) == pytest.approx(scipy.stats.entropy(p.mean(0)))
    assert agreement_kl(p, q) == pytest.approx(scipy.stats.entropy(p, q, axis=1).mean(), rel=1e-6)


def test_agreement_by_hand_and_with_itself():
    p, q = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
    assert agreement_kl(p, q) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert agreement_kl(p, p) == 0
    # One-hot rows that disagree: finite, thanks to the 1e-16 inside the logarithm.
    assert agreement_kl(np.eye(2), np.eye(2)[::-1]) == pytest.approx(16 * math.log(10))


def test_balanced_rows_are_the_first_of_every_class():
    rows, m = balanced_rows(np.array([0, 0, 2, -1, 0, 2, 2]))
    assert (rows.tolist(), m) == ([0, 1, 2, 4, 5, 6], 3)
    rows, m = balanced_rows(np.array([1, 1, 0, 1, 2, 0]))
    assert (rows.tolist(), m) == ([0, 2, 4], 1)
    assert balanced_rows(np.array([3, 3]))[0].tolist() == [0, 1]


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(DataError, match="none of 2 labels is known"):
        balanced_rows(np.array([-1, -1]))
    with pytest.raises(DataError, match="expected \\(n, classes\\)"):
        inception_score(np.ones(3))
    with pytest.raises(DataError, match="expected \\(n, classes\\)"):
        conditional_entropy(np.ones((0, 3)))
    with pytest.raises(DataError, match="one row of each per sequence"):
        agreement_kl(np.ones((2, 1)), np.ones((3, 1)))

from dataclasses import replace

import numpy as np
import pytest

from seqdis.errors import DataError
from seqdis.evaluation import squares
from seqdis.evaluation.squares import first_step, mean_step, squared_sums
from seqdis.sequences import DataSpec, Sequences

VIDEO = DataSpec(kind="image", shape=(1, 2, 2), length=3, scale=(255.0,))
SERIES = DataSpec(kind="series", shape=(2,), length=3, center=(1.0, 0.0), scale=(2.0, 1.0))


def video(n=2):
    x = np.zeros((n, 3, 1, 2, 2), np.uint8)
    x[0, 0], x[0, 1], x[0, 2] = 0, 51, 255
    return Sequences(x=x, spec=VIDEO)


def series():
    x = np.array([[[1, 5], [3, 7], [9, 9]], [[2, 2], [4, 4], [6, 6]]], np.float32)
    mask = np.ones(x.shape, bool)
    mask[0, 0, 1] = mask[1, :, 0] = False
    return Sequences(x=x, spec=SERIES, mask=mask, lengths=np.array([2, 3]))


def test_images_by_hand():
    sums, counts = squared_sums(video(), lambda some: np.full(some.x.shape, 0.2, np.float32), VIDEO)
    np.testing.assert_allclose(sums, [4 * (0.04 + 0 + 0.64), 12 * 0.04], rtol=1e-5)
    assert counts.tolist() == [12, 12]


def test_series_count_observed_values_in_scaled_units():
    part = series()
    sums, counts = squared_sums(part, lambda some: np.zeros(some.x.shape), SERIES)
    # first: (1-1)/2, missing; (3-1)/2, 7; the third step is padding. second: feature 0 is missing.
    np.testing.assert_allclose(sums, [0 + 1 + 49, 4 + 16 + 36])
    assert counts.tolist() == [3, 3]


def test_pieces_give_what_the_whole_gives(monkeypatch):
    part, guess = video(5), lambda some: np.full(some.x.shape, 0.1)
    whole = squared_sums(part, guess, VIDEO)
    monkeypatch.setattr(squares, "AT_ONCE", 2)
    for one, other in zip(whole, squared_sums(part, guess, VIDEO), strict=True):
        np.testing.assert_array_equal(one, other)


def test_mean_step_is_of_what_was_observed():
    np.testing.assert_allclose(mean_step(video(), VIDEO), np.full((1, 2, 2), 306 / 6 / 255), rtol=1e-6)
    # feature 0: 1, 3; feature 1: 7, 2, 4, 6.
    np.testing.assert_allclose(mean_step(series(), SERIES), [(2 - 1) / 2, 4.75])
    part = video()
    gap = replace(part, mask=np.array([[True, True, False], [False] * 3]))
    np.testing.assert_allclose(mean_step(gap, VIDEO), np.full((1, 2, 2), 0.1), rtol=1e-6)


def test_first_step_is_the_first_observed():
    gap = replace(video(), mask=np.array([[False, True, True], [True] * 3]))
    np.testing.assert_allclose(first_step(gap, VIDEO)[0], np.full((3, 1, 2, 2), 0.2), rtol=1e-6)
    firsts = first_step(series(), SERIES)
    np.testing.assert_allclose(firsts[0], [[0, 7]] * 3)
    assert (firsts[1, :, 1] == 2).all()


def test_a_guess_of_another_shape_is_refused():
    with pytest.raises(DataError, match="a guess has shape"):
        squared_sums(video(), lambda some: some.x[:, :2], VIDEO)

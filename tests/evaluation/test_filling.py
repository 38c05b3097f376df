import numpy as np
import pandas as pd
import pytest

from seqdis.evaluation.filling import carried, interpolated, sequence_mean

NAN = np.nan


def column(*values):
    given = np.array(values, dtype=float).reshape(1, -1, 1)
    return np.nan_to_num(given, nan=-99.0), np.isfinite(given)


def test_by_hand():
    values, seen = column(NAN, 2, NAN, NAN, 8, NAN)
    assert carried(values, seen).ravel().tolist() == [2, 2, 2, 2, 8, 8]
    assert interpolated(values, seen).ravel().tolist() == [2, 2, 4, 6, 8, 8]
    assert sequence_mean(values, seen).ravel().tolist() == [5] * 6
    uneven = np.array([[0.0, 10, 11, 12, 16, 20]])
    assert interpolated(values, seen, uneven).ravel().tolist() == pytest.approx([2, 2, 3, 4, 8, 8])


@pytest.mark.parametrize("fill", [carried, interpolated, sequence_mean])
def test_a_feature_never_observed_is_zero_and_a_complete_one_stays(fill):
    assert fill(*column(NAN, NAN, NAN)).ravel().tolist() == [0, 0, 0]
    assert fill(*column(4)).ravel().tolist() == [4]
    if fill is not sequence_mean:
        assert fill(*column(3, 1, 2)).ravel().tolist() == [3, 1, 2]


def test_agrees_with_pandas():
    draw = np.random.default_rng(0)
    values, seen = draw.standard_normal((5, 20, 3)), draw.random((5, 20, 3)) < 0.4
    for row in range(5):
        frame = pd.DataFrame(np.where(seen[row], values[row], np.nan))
        np.testing.assert_allclose(carried(values, seen)[row], frame.ffill().bfill().fillna(0))
        expected = frame.interpolate(limit_direction="both").fillna(0)
        np.testing.assert_allclose(interpolated(values, seen)[row], expected, atol=1e-12)

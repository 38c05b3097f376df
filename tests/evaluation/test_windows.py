import numpy as np
import pytest
import torch

from seqdis.errors import DataError
from seqdis.evaluation.windows import WindowValues, as_sequences, released_pairing, rows, window_values
from seqdis.factors import Factors
from seqdis.sequences import DataSpec, Sequences


def part(labels, lengths=None, mask=None):
    labels = np.asarray(labels, float)
    x = np.arange(labels.size, dtype=np.float32).reshape(*labels.shape, 1)
    spec = DataSpec(kind="series", shape=(1,), length=labels.shape[1])
    return Sequences(x=x, spec=spec, labels={"rain": labels}, lengths=lengths, mask=mask, name="toy/train")


def codes(n, windows, stride=0):
    static = torch.arange(n, dtype=torch.float32)[:, None] * 100
    dynamic = torch.arange(n * windows, dtype=torch.float32).reshape(n, windows, 1)
    return Factors(static, dynamic, None, stride)


def test_sums_and_means_by_hand():
    data = part([[1, 2, 3, 4, 5, 6], [0, 0, 9, np.nan, 7, 7]])
    for aggregate, expected in (("sum", [3, 7, 11, 0, 14]), ("mean", [1.5, 3.5, 5.5, 0, 7])):
        found = window_values(data, "rain", codes(2, 3), aggregate)
        assert found.known.tolist() == [[True] * 3, [True, False, True]]
        assert found.listed().tolist() == expected


def test_the_stated_stride_wins_over_the_number_of_windows():
    data = part([[1, 2, 3, 4, 5]])
    assert window_values(data, "rain", codes(1, 2), "sum").listed().tolist() == [6]  # three steps each, the second cut
    assert window_values(data, "rain", codes(1, 2, stride=2), "sum").listed().tolist() == [3, 7]


def test_padded_steps_have_no_label():
    data = part([[1, 2, 3, 4], [5, 6, 7, 8]], lengths=np.array([4, 3]))
    assert window_values(data, "rain", codes(2, 2), "sum").known.tolist() == [[True, True], [True, False]]


def test_no_complete_window_is_refused():
    with pytest.raises(DataError, match="complete in no window of 7 steps"):
        window_values(part([[1, 2, 3, 4]]), "rain", codes(1, 1, stride=7), "sum")
    with pytest.raises(DataError, match=r"unknown label 'rian'\. Did you mean 'rain'"):
        window_values(part([[1, 2]]), "rian", codes(1, 1), "sum")


def test_rows_stand_in_the_order_of_the_labels():
    known = np.array([[True, False, True], [False, True, True]])
    factors = codes(2, 3)
    assert rows(factors, "dynamic", known).tolist() == [[0], [2], [4], [5]]
    assert rows(factors, "static", known).tolist() == [[0], [0], [100], [100]]
    assert rows(factors, "static + dynamic", known).tolist() == [[0, 0], [2, 0], [4, 100], [5, 100]]
    values = WindowValues(values=factors.dynamic[..., 0].numpy(), known=known)
    assert values.listed().tolist() == [0, 2, 4, 5]


def test_errors_are_gathered_by_sequence():
    known = np.array([[True, True], [False, False], [False, True]])
    sums, counts = WindowValues(values=np.zeros((3, 2)), known=known).per_sequence(np.array([1.0, 2.0, 5.0]))
    assert (sums.tolist(), counts.tolist()) == ([3, 5], [2, 1])


def test_windows_as_sequences_keep_their_values_and_gaps():
    mask = np.ones((2, 5, 1), bool)
    mask[0, 1] = False
    cut = as_sequences(part(np.zeros((2, 5)), mask=mask, lengths=np.array([5, 4])), windows=3, stride=2)
    assert cut.x[..., 0].tolist() == [[0, 1], [2, 3], [4, 0], [5, 6], [7, 8], [9, 0]]
    assert cut.observed()[..., 0].tolist() == [
        [True, False],
        [True, True],
        [True, False],
        [True, True],
        [True, True],
        [False, False],
    ]


def test_released_pairing_shifts_and_shuffles_whole_sequences():
    values = np.arange(40.0).reshape(10, 4)
    targets = WindowValues(values=values, known=values % 4 != 1)
    shifted = released_pairing(targets, 1, None)
    assert shifted.values[0].tolist() == [3, 0, 1, 2]
    assert shifted.known[0].tolist() == [True, True, False, True]
    mixed = released_pairing(targets, 0, seed=0)
    assert (np.diff(mixed.values, axis=1) == 1).all()
    assert sorted(mixed.values[:, 0]) == values[:, 0].tolist() != mixed.values[:, 0].tolist()
    np.testing.assert_array_equal(mixed.values, released_pairing(targets, 0, seed=0).values)
    np.testing.assert_array_equal(released_pairing(targets, 4, None).values, values)  # all the way round

import numpy as np
import pytest
import torch
from sklearn.svm import SVC

from fakes import PlantedData
from seqdis.errors import DataError
from seqdis.evaluation import tables
from seqdis.evaluation.tables import Table, joined, joined_labels, table_of, window_labels
from seqdis.factors import Factors


@pytest.fixture
def blobs():
    draw = np.random.default_rng(0)
    y = draw.integers(3, size=240)
    x = (np.eye(3)[y] @ draw.standard_normal((3, 6)) + 0.8 * draw.standard_normal((240, 6))).astype(np.float32)
    fit = draw.random(240) < 0.7
    return Table(x=x, y=y, sequence=np.arange(240), n=240, name="blobs"), fit


def test_svc_by_stored_distances_is_scikit_learns(blobs, monkeypatch):
    table, fit = blobs
    expected = SVC().fit(table.x[fit], table.y[fit]).predict(table.x[~fit]) == table.y[~fit]
    np.testing.assert_array_equal(table.hits("SVC", fit, ~fit, 0)[0][~fit], expected)
    assert 0.5 < expected.mean() < 1  # neither trivial nor hopeless
    monkeypatch.setattr(tables, "MAX_SQUARES", 10)
    np.testing.assert_array_equal(table.hits("SVC", fit, ~fit, 0)[0][~fit], expected)


def test_every_classifier_beats_the_majority(blobs):
    table, fit = blobs
    shares = {}
    for name in ("SVC", "RandomForest", "KNN", "majority class"):
        hits, rows = table.hits(name, fit, ~fit, 0)
        assert rows.sum() == (~fit).sum()
        shares[name] = hits.sum() / rows.sum()
    majority = np.bincount(table.y[fit]).argmax()
    assert shares.pop("majority class") == pytest.approx((table.y[~fit] == majority).mean())
    assert min(shares.values()) > 0.6


def test_scaling_is_learnt_from_the_rows_fitted_on(blobs):
    table, fit = blobs
    scaled = table.standardised(fit)
    np.testing.assert_allclose(scaled.x[fit].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.x[fit].std(0), 1, atol=1e-5)
    assert np.abs(scaled.x[~fit].mean(0)).max() > 1e-3


def test_thinning_keeps_whole_sequences():
    sequence = np.repeat(np.arange(20), 3)
    table = Table(x=np.zeros((60, 1)), y=np.zeros(60, int), sequence=sequence, n=20, name="")
    fit = np.arange(20) < 15
    kept = table.thinned(fit, 20, seed=0)
    assert kept.sum() == 6  # 18 rows; a seventh sequence would make 21
    assert not kept[15:].any()
    assert (kept != table.thinned(fit, 20, seed=1)).any()
    np.testing.assert_array_equal(table.thinned(fit, 45, seed=0), fit)


def test_disjoint_classes_are_refused():
    table = Table(x=np.zeros((4, 1)), y=np.array([0, 0, 1, 1]), sequence=np.arange(4), n=4, name="'speaker'")
    with pytest.raises(DataError, match=r"'speaker': none of the classes.*one form alone: 'published'"):
        table.hits("SVC", np.array([1, 1, 0, 0], bool), np.array([0, 0, 1, 1], bool), 0)


def test_one_row_per_sequence_flattens_or_summarises():
    static, dynamic = torch.arange(6.0).reshape(3, 2), torch.arange(12.0).reshape(3, 4, 1)
    labels = np.array([0, -1, 1])
    table = table_of(Factors(static, dynamic), "dynamic", labels, "")
    assert table.x.tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]
    assert (table.sequence.tolist(), table.y.tolist(), table.n) == ([0, 2], [0, 1], 3)
    assert table_of(Factors(static, dynamic), "static", labels, "").x.tolist() == [[0, 1], [4, 5]]
    ragged = Factors(static, dynamic, torch.tensor([4, 4, 2]))
    np.testing.assert_allclose(table_of(ragged, "dynamic", labels, "").x[1], [8.5, 0.5, 9])


def test_one_row_per_position_pairs_codes_with_their_own_label():
    factors = Factors(torch.tensor([[10.0], [20.0]]), torch.arange(6.0).reshape(2, 3, 1), torch.tensor([3, 2]))
    labels = np.array([[0, 1, -1], [2, 0, 1]])
    dynamic = table_of(factors, "dynamic", labels, "")
    assert (dynamic.x[:, 0].tolist(), dynamic.y.tolist()) == ([0, 1, 3, 4], [0, 1, 2, 0])
    static = table_of(factors, "static", labels, "")
    assert (static.x[:, 0].tolist(), static.sequence.tolist()) == ([10, 10, 20, 20], [0, 0, 1, 1])


def test_step_labels_become_the_majority_of_their_window():
    part = PlantedData(sizes=(2, 2, 2), time=7, per_step=True).parts()["train"]
    part.labels["gesture"][:] = [[0, 1, 1, 2, 2, 0, -1], [-1, -1, -1, 2, 0, 1, 1]]
    assert window_labels(part, "gesture", 3).tolist() == [[1, 2, -1], [-1, 0, 1]]  # a tie takes the first
    assert window_labels(part, "gesture", 7).tolist() == part.labels["gesture"].tolist()
    assert window_labels(part, "person", 3).tolist() == part.labels["person"].tolist()


def test_numbers_are_not_classes():
    part = PlantedData(sizes=(4, 2, 2)).parts()["train"]
    with pytest.raises(DataError, match="factor 'level' is not a class"):
        window_labels(part, "level", 3)
    with pytest.raises(DataError, match=r"unknown factor 'persom'.*Did you mean 'person'"):
        window_labels(part, "persom", 3)


def test_parts_of_different_length_are_joined():
    short, long = Factors(torch.ones(1, 2), torch.ones(1, 2, 1)), Factors(torch.ones(2, 2), torch.ones(2, 3, 1))
    both = joined([short, long])
    assert both.lengths.tolist() == [2, 3, 3]
    assert both.dynamic[0, :, 0].tolist() == [1, 1, 0]
    assert joined([long, long]).lengths is None
    assert joined_labels([np.zeros((1, 2), int), np.ones((1, 3), int)]).tolist() == [[0, 0, -1], [1, 1, 1]]
    assert joined_labels([np.array([1]), np.array([2, 3])]).tolist() == [1, 2, 3]

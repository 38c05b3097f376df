import numpy as np
import pytest

from fakes import PlantedData
from seqdis.errors import DataError
from seqdis.evaluation.metrics import accuracy, auroc
from seqdis.evaluation.raw_labels import BOOSTING, COUNTS, FOREST, GRU, LINEAR, PRIOR, label_controls
from seqdis.evaluation.supervised import SupervisedGRU
from seqdis.sequences import DataSpec, Sequences


def sequences(x, **more):
    return Sequences(x=x, spec=DataSpec(kind=more.pop("kind", "series"), shape=x.shape[2:], length=x.shape[1]), **more)


def test_label_controls_beat_chance_only_where_there_is_something_to_see():
    parts = PlantedData(sizes=(150, 80, 200)).parts()
    labels = parts["test"].labels["person"]
    outputs = label_controls(parts, "person", seed=0)
    assert set(outputs) == {PRIOR, BOOSTING, COUNTS, LINEAR, FOREST, GRU}
    for name in (BOOSTING, LINEAR, FOREST, GRU):
        assert accuracy(labels, outputs[name]) > 0.95
    for name in (PRIOR, COUNTS):  # nothing is missing, so counts tell nothing
        assert accuracy(labels, outputs[name]) < 0.36
    np.testing.assert_allclose(outputs[PRIOR][0], np.bincount(parts["train"].labels["person"]) / 150)


def test_observation_counts_tell_where_measuring_does():
    draw = np.random.default_rng(0)
    parts = {}
    for name, n in (("train", 150), ("valid", 60), ("test", 150)):
        sick = draw.integers(2, size=n)
        mask = draw.random((n, 8, 3)) < np.where(sick, 0.8, 0.3)[:, None, None]
        parts[name] = sequences(draw.standard_normal((n, 8, 3)).astype(np.float32), mask=mask, labels={"sick": sick})
    assert auroc(parts["test"].labels["sick"], label_controls(parts, "sick", seed=0)[COUNTS]) > 0.95


def test_labels_of_test_are_never_read():
    clean, poisoned = PlantedData().parts(), PlantedData(poison=1).parts()
    assert (clean["test"].labels["person"] != poisoned["test"].labels["person"]).all()
    before, after = (label_controls(parts, "person", seed=0) for parts in (clean, poisoned))
    for name, probabilities in before.items():
        np.testing.assert_array_equal(probabilities, after[name])


def test_only_series_are_read_by_a_recurrent_network():
    draw = np.random.default_rng(0)
    parts = {
        name: sequences(draw.random((30, 3, 4), np.float32), kind="spectrogram", labels={"odd": np.arange(30) % 2})
        for name in ("train", "valid", "test")
    }
    assert GRU not in label_controls(parts, "odd", seed=0)


def test_one_training_class_is_refused():
    parts = PlantedData(sizes=(20, 10, 10)).parts()
    parts["train"].labels["person"][:] = 1
    with pytest.raises(DataError, match="all 20 training labels are the same"):
        label_controls(parts, "person", seed=0)


def ordered(n, seed, lengths=False):
    """The label is the order of two pulses, which no summary but the last value can tell."""
    draw = np.random.default_rng(seed)
    y = draw.integers(2, size=n)
    x = np.zeros((n, 10, 1), np.float32)
    x[np.arange(n), np.where(y, 2, 6), 0] = 1
    x[np.arange(n), np.where(y, 6, 2), 0] = -1
    given = draw.integers(7, 11, size=n) if lengths else None
    if lengths:
        x[np.arange(10) >= given[:, None]] = 50  # padding must not be read
    return sequences(x, lengths=given, name="ordered"), y


@pytest.mark.parametrize("lengths", [False, True])
def test_the_network_reads_order_and_stops_at_the_length(lengths):
    (train, y), (valid, y_valid), (test, y_test) = (ordered(200, k, lengths) for k in range(3))
    fitted = SupervisedGRU(seed=0, lr=1e-2).fit(train, y, valid, y_valid)
    assert accuracy(y_test, fitted.predict_proba(test)) > 0.95
    longer = Sequences(
        x=np.pad(test.x, [(0, 0), (0, 3), (0, 0)]),
        spec=test.spec,
        lengths=np.full(len(test), 10) if test.lengths is None else test.lengths,
    )
    np.testing.assert_allclose(fitted.predict_proba(longer), fitted.predict_proba(test), atol=1e-6)


def test_the_network_is_repeatable_and_leaves_the_global_draws_alone():
    import torch

    (train, y), (valid, y_valid) = (ordered(60, k) for k in range(2))
    state = torch.random.get_rng_state()
    first, again = (SupervisedGRU(seed=3, epochs=3).fit(train, y, valid, y_valid).predict_proba(valid) for _ in "ab")
    np.testing.assert_array_equal(first, again)
    assert torch.equal(state, torch.random.get_rng_state())
    other = SupervisedGRU(seed=4, epochs=3).fit(train, y, valid, y_valid).predict_proba(valid)
    assert (other != first).any()


def test_the_epoch_of_least_validation_loss_stays():
    (train, y), (valid, _) = (ordered(60, k) for k in range(2))
    noise = np.random.default_rng(9).integers(2, size=60)  # valid cannot be predicted, so learning only hurts
    kept = SupervisedGRU(seed=0, lr=1e-2).fit(train, y, valid, noise)
    assert accuracy(y, kept.predict_proba(train)) < 0.9
    assert accuracy(y, SupervisedGRU(seed=0, lr=1e-2).fit(train, y, train, y).predict_proba(train)) > 0.95


def test_long_series_are_averaged_over_blocks_of_what_was_observed():
    x = np.arange(1, 8, dtype=np.float32).reshape(1, 7, 1)
    mask = np.array([1, 0, 1, 1, 0, 0, 1], bool).reshape(1, 7, 1)
    part = sequences(x, mask=mask, lengths=np.array([6]))
    gru = SupervisedGRU(seed=0, max_steps=4, epochs=1).fit(part, np.array([1]), part, np.array([1]))
    table, last = gru._inputs(part)
    mean, std = (1 + 3 + 4) / 3, np.std([1, 3, 4])
    expected = (np.array([1, 3.5, 0, 0]) - mean) / std
    expected[2:] = 0  # nothing observed, or padded
    np.testing.assert_allclose(table[0, :, 0], expected, atol=1e-6)
    np.testing.assert_allclose(table[0, :, 1], [0.5, 1, 0, 0])
    assert last.tolist() == [2]

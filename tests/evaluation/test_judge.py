from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from seqdis.datasets import MovingFigures
from seqdis.datasets._cache import cache_folder
from seqdis.errors import CapabilityError, DataError, SeqdisError, SettingsError
from seqdis.evaluation.judge import Judge, _loss
from seqdis.evaluation.judge_cache import fitted_judge
from seqdis.evaluation.judge_network import JudgeNetwork
from seqdis.sequences import Batch, DataSpec, FactorSpec, Sequences
from toy_judge import FIGURES, JUDGE

TINY = Judge(epochs=2, batch_size=16, filters=2, feature_dim=4, hidden_dim=4)


@pytest.fixture(scope="module")
def parts():
    return MovingFigures(n_train=48, n_valid=16, n_test=16, size=16).parts()


@pytest.fixture(scope="module")
def fitted(own_cache):
    train, valid = FIGURES.split("train", "valid")
    return fitted_judge(JUDGE, train, valid, cache_folder())  # shared with the tests of protocols: one training


def test_the_published_sizes_have_the_published_number_of_parameters():
    classes = {"action": 9, "skin": 6, "bottom": 6, "top": 6, "hair": 6}
    network = JudgeNetwork((3, 64, 64), classes, 64, 128, 256)
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_263_073
    assert (Judge().filters, Judge().feature_dim, Judge().hidden_dim) == (64, 128, 256)


def test_every_factor_of_new_sequences_is_read(fitted):
    (test,) = FIGURES.split("test")
    views = fitted.predict_proba(test)
    assert {name: p.shape for name, p in views.items()} == {
        "shape": (60, 6),
        "colour": (60, 6),
        "size": (60, 3),
        "motion": (60, 9),
    }
    for name, p in views.items():
        np.testing.assert_allclose(p.sum(1), 1, atol=1e-12)
        assert (p.argmax(1) == test.labels[name]).mean() > 0.97, name


def test_bytes_and_decoded_fractions_are_judged_alike(fitted):
    (test,) = FIGURES.split("test")
    stored = fitted.predict_proba(test)
    for given in (test.x, test.x.astype(np.float32) / 255):
        np.testing.assert_allclose(fitted.predict_proba(given)["motion"], stored["motion"], atol=1e-5)


def test_bytes_are_read_as_those_of_the_fitted_data(parts):
    def stored(part):
        return replace(part, x=(part.x // 2).astype(np.uint8), spec=replace(part.spec, scale=(128.0,)))

    dark = {name: stored(part) for name, part in parts.items()}
    judge = TINY.replace(epochs=1).fit(dark["train"], dark["valid"])
    expected = judge.predict_proba(dark["test"])["colour"]
    for given in (dark["test"].x, dark["test"].x.astype(np.float32) / 128):
        np.testing.assert_allclose(judge.predict_proba(given)["colour"], expected, atol=1e-6)


def test_padding_is_never_read(fitted):
    (test,) = FIGURES.split("test")
    short = fitted.predict_proba(test.x[:8, :5])["motion"]
    padded = test.x[:8].copy()
    padded[:, 5:] = 200
    np.testing.assert_allclose(fitted.predict_proba(padded, np.full(8, 5))["motion"], short, atol=1e-6)
    mixed = fitted.predict_proba(padded, np.array([8, 5, 5, 5, 5, 5, 5, 5]))["motion"]
    np.testing.assert_allclose(mixed[1:], short[1:], atol=1e-6)


def test_missing_frames_do_not_count():
    torch.manual_seed(0)
    network = JudgeNetwork((3, 16, 16), {"a": 2}, 2, 4, 4).eval()
    x, mask = torch.rand(3, 4, 3, 16, 16), torch.ones(3, 4, dtype=torch.bool)
    mask[:, 2] = False
    changed = x.clone()
    changed[:, 2] = 1 - x[:, 2]
    with torch.no_grad():
        assert torch.equal(network(Batch(x=x, mask=mask))["a"], network(Batch(x=changed, mask=mask))["a"])
        assert not torch.equal(network(Batch(x=x))["a"], network(Batch(x=changed))["a"])


def test_the_head_reads_both_ends_of_the_sequence():
    torch.manual_seed(0)
    network = JudgeNetwork((3, 16, 16), {"a": 2}, 2, 4, 4).eval()
    x = torch.rand(2, 5, 3, 16, 16)
    with torch.no_grad():
        states, _ = network.sequence(network.frames(x))
        both = torch.cat([states[:, -1, :4], states[:, 0, 4:]], 1)
        torch.testing.assert_close(network(Batch(x=x))["a"], network.heads[0](both))


def test_equal_seeds_give_equal_judges(parts):
    train, valid, test = parts["train"], parts["valid"], parts["test"]
    first, again = (TINY.replace().fit(train, valid).predict_proba(test)["colour"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (TINY.replace(seed=1).fit(train, valid).predict_proba(test)["colour"] != first).any()


def test_the_best_epoch_of_valid_stays_and_training_stops(parts):
    train, valid = parts["train"], parts["valid"]
    # With labels of valid that contradict train, learning makes valid worse after a while.
    wrong = replace(valid, labels={**valid.labels, "colour": (valid.labels["colour"] + 1) % 6})
    seen = []
    judge = TINY.replace(factors=("colour",), epochs=60, patience=3, lr=1e-2)
    judge.fit(train, wrong, watch=lambda done, total, record: seen.append((done, total, record)))
    losses = [record["valid"] for record in judge.history_]
    assert len(losses) < 60
    assert len(losses) == int(np.argmin(losses)) + 1 + 3
    assert [done for done, _, _ in seen] == list(range(1, len(losses) + 1))
    p = judge.predict_proba(wrong)["colour"][np.arange(len(wrong)), wrong.labels["colour"]]
    assert -np.log(p).mean() == pytest.approx(min(losses), abs=1e-4)


def test_chosen_factors_only_and_labels_per_step_left_out(parts):
    train, valid = parts["train"], parts["valid"]
    assert list(TINY.replace(factors=("motion",)).fit(train, valid).classes_) == ["motion"]
    factors = (*train.spec.factors, FactorSpec(name="pose", kind="dynamic", classes=("l", "r")))
    stepped = [
        replace(
            part,
            spec=replace(part.spec, factors=factors),
            labels={**part.labels, "pose": np.zeros((len(part), 8), int)},
        )
        for part in (train, valid)
    ]
    assert list(TINY.replace(epochs=1).fit(*stepped).classes_) == ["shape", "colour", "size", "motion"]
    unknown = "unknown factor of two or more classes with one label per sequence"
    with pytest.raises(DataError, match=f"{unknown} 'pose'"):
        TINY.replace(factors=("pose",)).fit(*stepped)
    single = (*train.spec.factors, FactorSpec(name="mood", kind="static", classes=("calm",)))
    constant = [
        replace(part, spec=replace(part.spec, factors=single), labels={**part.labels, "mood": np.zeros(len(part), int)})
        for part in (train, valid)
    ]
    assert "mood" not in TINY.replace(epochs=1).fit(*constant).classes_
    with pytest.raises(DataError, match=f"{unknown} 'mood'"):
        TINY.replace(factors=("mood",)).fit(*constant)


def test_unknown_labels_do_not_count():
    scores = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, -5.0]])
    expected = torch.nn.functional.cross_entropy(scores[:2], torch.tensor([0, 1]), reduction="sum")
    torch.testing.assert_close(_loss(scores, torch.tensor([0, 1, -1])), (expected, torch.tensor(2)))
    assert _loss(scores, torch.tensor([-1, -1, -1])) == (0, 0)


def test_the_loss_of_valid_is_a_mean_over_known_labels_however_they_fall_into_batches(parts):
    train, valid = parts["train"], parts["valid"]
    labels = valid.labels["colour"].copy()
    labels[1:8] = -1  # of the first batch one is known, of the second all are
    sparse = replace(valid, labels={**valid.labels, "colour": labels})
    judge = TINY.replace(epochs=1, batch_size=8, lr=1e-2).fit(train, sparse)
    expected = 0.0
    for name, p in judge.predict_proba(sparse).items():
        known = np.flatnonzero(sparse.labels[name] >= 0)
        expected -= np.log(p[known, sparse.labels[name][known]]).mean()
    assert judge.history_[0]["valid"] == pytest.approx(expected, abs=1e-4)


def test_labels_that_are_no_number_or_negative_are_unknown(parts):
    judge = TINY.replace(epochs=1).fit(parts["train"], parts["valid"])
    for unknown in (np.nan, -2):
        labels = np.where(np.arange(16) < 3, unknown, parts["valid"].labels["shape"])
        found = judge.targets(replace(parts["valid"], labels={**parts["valid"].labels, "shape": labels}))["shape"]
        assert found.dtype == torch.int64
        assert found.tolist() == [-1] * 3 + parts["valid"].labels["shape"][3:].tolist()


def test_labels_of_other_shape_or_classes_are_refused(parts):
    judge, valid = TINY.replace(epochs=1).fit(parts["train"], parts["valid"]), parts["valid"]
    with pytest.raises(DataError, match=r"labels of 'shape' have shape \(16, 8\); expected one per sequence"):
        judge.targets(replace(valid, labels={**valid.labels, "shape": np.zeros((16, 8), int)}))
    factors = tuple(replace(factor, classes=factor.classes[::-1]) for factor in valid.spec.factors)
    with pytest.raises(DataError, match=r"classes of 'shape' are .*; the judge is trained on .* in the same order"):
        judge.targets(replace(valid, spec=replace(valid.spec, factors=factors)))


def test_frames_of_32_and_64_pixels_are_judged():
    for size in (32, 64):
        train, valid = MovingFigures(n_train=4, n_valid=2, n_test=1, size=size, length=2).split("train", "valid")
        judge = TINY.replace(epochs=1).fit(train, valid)
        assert judge.predict_proba(valid)["motion"].shape == (2, 9)


def test_what_cannot_be_judged_is_refused(parts):
    train, valid = parts["train"], parts["valid"]
    series = Sequences(x=np.zeros((2, 3, 1), np.float32), spec=DataSpec(kind="series", shape=(1,), length=3))
    with pytest.raises(CapabilityError, match="holds series"):
        TINY.replace().fit(series, series)
    with pytest.raises(DataError, match="factors of the data: shape"):
        TINY.replace().fit(replace(train, labels={}), valid)
    with pytest.raises(DataError, match="unknown label 'shape'"):
        TINY.replace().fit(train, replace(valid, labels={}))
    for bad in (np.full(16, -1), np.full(16, 6)):
        with pytest.raises(DataError, match=r"expected classes in 0\.\.5"):
            TINY.replace().fit(train, replace(valid, labels={**valid.labels, "shape": bad}))
    with pytest.raises(SettingsError, match=r"Judge.lr = 0"):
        TINY.replace(lr=0.0).fit(train, valid)
    with pytest.raises(SeqdisError, match="never finite in 2 epochs"):
        TINY.replace(lr=1e30, epochs=2).fit(train, valid)


def test_what_was_fitted_sees_frames_of_its_own_shape(fitted):
    with pytest.raises(DataError, match=r"elements have shape \(3, 32, 32\)"):
        fitted.predict_proba(np.zeros((1, 2, 3, 32, 32), np.float32))
    with pytest.raises(DataError, match="NaN or infinite"):
        fitted.predict_proba(np.full((1, 2, 3, 16, 16), np.nan, np.float32))
    for wrong in (np.full((1, 2, 3, 16, 16), 200.0), np.full((1, 2, 3, 16, 16), -0.1)):
        with pytest.raises(DataError, match=r"expected bytes up to 255 .* or floats in \[0, 1\]"):
            fitted.predict_proba(wrong.astype(np.float32))
    with pytest.raises(NotFittedError, match="call fit"):
        Judge().predict_proba(np.zeros((1, 2, 3, 16, 16), np.float32))

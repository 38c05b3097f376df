import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss as sklearn_log_loss

from fakes import NOISE, STATIC, PlantedData, PlantedModel
from seqdis.errors import DataError
from seqdis.evaluation.metrics import accuracy, auroc
from seqdis.evaluation.probe import Codes, LinearProbe, Logistic, RecurrentHead, StaticHead, by_class, log_loss, summary
from seqdis.factors import Factors


def coded(model, data, label):
    parts = data.parts()
    codes = {name: Codes.of(model.encode(part), part) for name, part in parts.items()}
    return codes, {name: part.labels[label] for name, part in parts.items()}


def score(probe, codes, labels, metric=accuracy):
    probe.fit(codes["train"], labels["train"], codes["valid"], labels["valid"])
    return metric(labels["test"], probe.predict_proba(codes["test"]))


BINARY = PlantedData(static="died", static_classes=2, sizes=(150, 60, 200))
FOUR = PlantedData(sizes=(150, 60, 200))
NOISY = PlantedModel(static=NOISE, dynamic=NOISE)


@pytest.mark.parametrize("read", ["static", "static + dynamic"])
def test_linear_probe_reads_what_is_there(read):
    assert score(LinearProbe(read=read), *coded(PlantedModel(), FOUR, "person")) > 0.98


@pytest.mark.parametrize("read", ["static", "dynamic", "static + dynamic"])
def test_linear_probe_finds_nothing_in_noise(read):
    assert score(LinearProbe(read=read), *coded(NOISY, FOUR, "person")) < 0.36  # chance 0.25, 200 sequences


def test_linear_probe_reads_only_the_code_it_is_told_to():
    codes, labels = coded(PlantedModel(), FOUR, "person")
    assert score(LinearProbe(read="dynamic"), codes, labels) < 0.36


def test_strength_is_chosen_on_valid():
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((60, 40)), np.arange(60) % 2
    other, labels = draw.standard_normal((400, 40)), np.arange(400) % 2
    chosen = Logistic().fit(x, y, other, labels)
    losses = {
        c: log_loss(labels, Logistic((c,)).fit(x, y, other, labels).predict_proba(other)) for c in chosen.strengths
    }
    assert chosen.strength_ == min(losses, key=losses.__getitem__) < 1.0  # training labels are noise
    assert Logistic().fit(x, y, x, y).strength_ == max(chosen.strengths)  # as its own valid part


def test_inputs_are_standardised_on_train_only():
    x, y = np.random.default_rng(0).normal(5, 3, (50, 2)), np.arange(50) % 2
    fitted = Logistic().fit(x, y, x + 100, y)
    np.testing.assert_allclose(fitted.model_[0].mean_, x.mean(0))
    assert fitted.predict_proba(x * 1e3).shape == (50, 2)
    np.testing.assert_allclose(fitted.model_[0].mean_, x.mean(0))


def test_wide_tables_are_rotated_without_changing_an_answer():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    draw = np.random.default_rng(0)
    x, y, other = draw.standard_normal((30, 80)), np.arange(30) % 3, draw.standard_normal((20, 80))
    expected = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-8)).fit(x, y).predict_proba(other)
    fitted = Logistic((0.1,)).fit(x, y, other, np.arange(20) % 3)
    assert len(fitted.model_) == 3
    np.testing.assert_allclose(fitted.predict_proba(other), expected, atol=1e-3)


def test_one_training_class_is_refused():
    with pytest.raises(DataError, match="all 3 training labels are the same"):
        Logistic().fit(np.zeros((3, 1)), np.ones(3, int), np.zeros((3, 1)), np.ones(3, int))


def test_recurrent_head_reads_both_codes():
    for model, better in ((PlantedModel(), True), (PlantedModel(static=NOISE, dynamic=STATIC), True), (NOISY, False)):
        value = score(RecurrentHead(seed=0, epochs=12, lr=1e-2), *coded(model, BINARY, "died"), auroc)
        assert value > 0.97 if better else value < 0.65


def test_recurrent_head_is_the_published_one():
    codes, labels = coded(PlantedModel(), BINARY, "died")
    head = RecurrentHead(seed=0, epochs=1).fit(codes["train"], labels["train"], codes["valid"], labels["valid"])
    shapes = {name: tuple(values.shape) for name, values in head.net_.named_parameters()}
    assert shapes["lstm.weight_ih_l0"] == (4 * 32, 3)
    assert (shapes["out.0.weight"], shapes["out.3.weight"]) == ((16, 32 + 4), (1, 16))
    assert head.net_.out[2].p == 0.5
    assert (RecurrentHead(seed=0).epochs, head.clip, head.lr, StaticHead(seed=0).epochs) == (41, 1.0, 1e-3, 41)


def test_recurrent_head_takes_the_state_of_the_last_full_window():
    data = PlantedData(sizes=(8, 4, 4), time=8, ragged=True)
    part = data.parts()["train"]
    codes = Codes.of(PlantedModel(stride=4).encode(part), part)
    assert codes.last.tolist() == [max(length // 4 - 1, 0) for length in part.lengths]
    head = RecurrentHead(seed=0, epochs=1).fit(codes, np.arange(8) % 2, codes, np.arange(8) % 2)
    changed = codes.factors.dynamic.clone()
    changed[torch.arange(8)[codes.last == 0], 1] = 99.0
    after = head.predict_proba(Codes(factors=Factors(codes.factors.static, changed), last=codes.last))
    np.testing.assert_array_equal(after, head.predict_proba(codes))


def test_recurrent_head_refuses_more_than_two_classes():
    codes, labels = coded(PlantedModel(), FOUR, "person")
    with pytest.raises(DataError, match=r"classes 0 and 1; got \[0, 1, 2, 3\]"):
        RecurrentHead(seed=0).fit(codes["train"], labels["train"], codes["valid"], labels["valid"])


def test_static_head_reads_only_the_static_code():
    assert score(StaticHead(seed=0, epochs=10, lr=1e-2), *coded(PlantedModel(), FOUR, "person")) > 0.97
    swapped = PlantedModel(static=NOISE, dynamic=STATIC)
    assert score(StaticHead(seed=0, epochs=10, lr=1e-2), *coded(swapped, FOUR, "person")) < 0.36


def test_static_head_keeps_the_epoch_of_least_validation_loss():
    codes, labels = coded(PlantedModel(static=slice(0, 9)), PlantedData(sizes=(12, 60, 60), noise=1.0), "person")
    losses = []
    for epochs in (1, 40):
        head = StaticHead(seed=0, epochs=epochs, lr=0.1).fit(
            codes["train"], labels["train"], codes["valid"], labels["valid"]
        )
        losses.append(log_loss(labels["valid"], head.predict_proba(codes["valid"])))
    assert losses[1] <= losses[0]  # forty epochs overfit twelve sequences; an earlier state stays


def test_heads_are_repeatable_and_leave_the_global_generator_alone():
    codes, labels = coded(PlantedModel(), BINARY, "died")
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    outputs = []
    for seed in (1, 1, 2):
        head = RecurrentHead(seed=seed, epochs=1).fit(codes["train"], labels["train"], codes["valid"], labels["valid"])
        outputs.append(head.predict_proba(codes["test"]))
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert (outputs[0] != outputs[2]).any()


def test_codes_made_in_inference_mode_can_be_probed():
    parts = BINARY.parts()
    with torch.inference_mode():
        codes = {name: Codes.of(PlantedModel().encode(part), part) for name, part in parts.items()}
    labels = {name: part.labels["died"] for name, part in parts.items()}
    assert 0 <= score(RecurrentHead(seed=0, epochs=1), codes, labels, auroc) <= 1
    assert 0 <= score(StaticHead(seed=0, epochs=1), codes, labels) <= 1


def test_summary_passes_over_padding():
    dynamic = torch.tensor([[[1.0], [3.0], [99.0]], [[1.0], [2.0], [6.0]]])
    result = summary(Factors(torch.zeros(2, 1), dynamic, torch.tensor([2, 3])))
    np.testing.assert_allclose(result, [[2.0, 1.0, 3.0], [3.0, np.sqrt(14 / 3), 6.0]], rtol=1e-6)


def test_codes_that_are_not_finite_are_refused():
    part = FOUR.parts()["test"]
    part.x[0, 0, 0] = np.nan
    with pytest.raises(DataError, match="static code holds NaN"):
        Codes.of(PlantedModel().encode(part), part)


def test_log_loss_is_that_of_scikit_learn_and_knows_unseen_classes():
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6]])
    labels = np.array([0, 1])
    assert log_loss(labels, probabilities) == pytest.approx(sklearn_log_loss(labels, probabilities))
    assert log_loss(np.array([0, 2]), probabilities) == pytest.approx((-np.log(0.7) - np.log(1e-15)) / 2)


def test_by_class_moves_columns_to_their_classes():
    np.testing.assert_array_equal(by_class(np.array([[0.3, 0.7]]), np.array([1, 3])), [[0, 0.3, 0, 0.7]])

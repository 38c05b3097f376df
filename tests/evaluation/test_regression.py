import numpy as np
import pytest
import torch
from sklearn.linear_model import QuantileRegressor
from torch import nn

from seqdis.errors import DataError
from seqdis.evaluation.fitting import one_pass, seeded
from seqdis.evaluation.regression import LeastAbsolute, NumberHead


def table(n, columns=3, seed=0):
    return np.random.default_rng(seed).standard_normal((n, columns))


def test_agrees_with_an_exact_solver_of_least_absolute_error():
    x, draw = table(1500), np.random.default_rng(1)
    y = 40 + x @ [2.0, -1.0, 0.0] + draw.laplace(size=1500)
    ours = LeastAbsolute((0.1,)).fit(x, y, x, y).predict(x)
    exact = QuantileRegressor(quantile=0.5, alpha=0).fit(x, y).predict(x)
    assert np.abs(y - ours).mean() == pytest.approx(np.abs(y - exact).mean(), rel=2e-3)
    np.testing.assert_allclose(ours, exact, atol=0.15)


def test_codes_that_tell_nothing_give_the_training_median():
    x, draw = table(200, 30), np.random.default_rng(1)
    y = np.maximum(0, draw.standard_normal(200) - 0.6) * 10  # mostly zero, as rain is
    other = table(200, 30, seed=2)
    fitted = LeastAbsolute().fit(x, y, other, np.maximum(0, draw.standard_normal(200) - 0.6) * 10)
    assert fitted.strength_ <= 1e-3
    assert np.abs(fitted.predict(other) - np.median(y)).max() < 0.5
    least_squares = np.linalg.lstsq(np.c_[x, np.ones(200)], y, rcond=None)[0]
    squared = np.abs(y - np.c_[x, np.ones(200)] @ least_squares).mean()
    assert squared > np.abs(y).mean()  # why least squares is not used: worse than zero on its own training rows


def test_a_quantity_that_is_mostly_zero_is_read_past_the_strengths_that_give_zero():
    x, other = table(400, 2), table(400, 2, seed=1)
    y, truth = (np.maximum(0, values[:, 0] - 0.3) * 10 for values in (x, other))
    y_valid = np.maximum(0, table(400, 2, seed=2)[:, 0] - 0.3) * 10
    fitted = LeastAbsolute().fit(x, y, table(400, 2, seed=2), y_valid)
    assert np.median(y) == 0
    assert np.abs(fitted.predict(other) - truth).mean() < 0.95 * truth.mean()


def test_strength_is_chosen_on_valid_and_scales_on_train():
    x, y = table(60, 30), np.random.default_rng(1).standard_normal(60)
    honest = LeastAbsolute().fit(x, y, table(200, 30, seed=2), np.random.default_rng(3).standard_normal(200))
    assert honest.strength_ < LeastAbsolute().fit(x, y, x, y).strength_ == 1e-1
    shifted = LeastAbsolute().fit(x + 50, y, x, y)
    np.testing.assert_allclose(shifted.model_[0].mean_, (x + 50).mean(0))


def test_units_do_not_matter_and_a_constant_is_one():
    x = table(80)
    y = x[:, 0] + 0.3 * x[:, 1]
    small, large = (LeastAbsolute().fit(x, y * unit, x, y * unit).predict(x) for unit in (1, 1000))
    np.testing.assert_allclose(large, small * 1000, rtol=1e-6)
    assert LeastAbsolute().fit(x, np.full(80, 7.0), x, np.full(80, 7.0)).predict(x).tolist() == [7.0] * 80


def linear(columns):
    return nn.Sequential(nn.BatchNorm1d(columns), nn.Linear(columns, 1))


def test_a_head_learns_and_is_repeatable():
    x = table(281)  # a batch of one would be left over
    y = 2 + x[:, 0]
    state = torch.random.get_rng_state()
    settings = {"net": linear, "epochs": 150, "lr": 3e-2}
    first, again, other = (NumberHead(seed=seed, **settings).fit(x, y).predict(x) for seed in (0, 0, 1))
    assert np.abs(first - y).mean() < 0.1
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert torch.equal(state, torch.random.get_rng_state())


def test_one_window_is_no_training_set():
    with pytest.raises(DataError, match="given 1 training window; it needs two or more"):
        NumberHead(net=linear, seed=0, epochs=1, lr=1e-3).fit(table(1), np.zeros(1))


@pytest.mark.parametrize(("n", "sizes"), [(7, [3, 4]), (6, [3, 3]), (8, [3, 3, 2]), (1, [1])])
def test_no_row_is_left_alone_and_none_is_left_out(n, sizes):
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            seen.append(x.tolist())
            return x * self.weight

    net = Spy()
    with seeded(0):
        rows = torch.arange(float(n))
        one_pass(net, torch.optim.SGD(net.parameters(), lr=0.1), (rows,), rows, nn.functional.l1_loss, 3)
    assert [len(batch) for batch in seen] == sizes
    assert sorted(row for batch in seen for row in batch) == rows.tolist()

from dataclasses import replace

import numpy as np
import pytest
import torch

from seqdis.datasets import MovingFigures
from seqdis.errors import DataError, SeqdisError, SettingsError
from seqdis.factors import Factors
from seqdis.hyperparameters import hyperparameters
from seqdis.protocols import GenerationLeakage
from toy_judge import FIGURES, JUDGE, TrueModel

PROTOCOL = GenerationLeakage(judge=JUDGE, repeats=3, static_factor="colour")


class Leaky(TrueModel):
    """Its static code also holds the course, and decodes that: the dynamic code is ignored."""

    static_dim = 19

    def encode(self, X):
        codes = super().encode(X)
        return Factors(torch.cat([codes.static, codes.dynamic.flatten(1)], 1), codes.dynamic)

    def decode(self, factors):
        course = factors.static[:, 3:].unflatten(1, (-1, 2))
        return super().decode(Factors(factors.static[:, :3], course if course.shape[1] else factors.dynamic))


@pytest.fixture(scope="module")
def report():
    return PROTOCOL.run(TrueModel(), FIGURES)


def value(report, metric, factor, method="TrueModel"):
    (row,) = report.find(metric=metric, factor=factor, method=method)
    return row.value


def test_a_perfect_model_keeps_its_own_factor_and_no_other(report):
    assert value(report, "accuracy", "colour, kept static") > 0.97
    assert value(report, "accuracy", "motion, kept dynamics") > 0.97
    assert value(report, "accuracy", "colour, kept dynamics") == pytest.approx(1 / 6, abs=0.12)
    assert value(report, "accuracy", "motion, kept static") == pytest.approx(1 / 9, abs=0.12)
    for code, own, other in (("kept static", "colour", "motion"), ("kept dynamics", "motion", "colour")):
        gap = value(report, "accuracy", f"{own}, {code}") - value(report, "accuracy", f"{other}, {code}")
        assert value(report, "leakage_gap", code) == pytest.approx(gap)
        assert gap > 0.6


def test_gaps_are_signed():
    report = PROTOCOL.replace(static_factor="shape").run(Leaky(), FIGURES, controls=False)
    assert value(report, "accuracy", "motion, kept static", "Leaky") > 0.97
    assert abs(value(report, "leakage_gap", "kept static", "Leaky")) < 0.05

    class Swapped(Leaky):
        """Beside that, the shape is another one than that of the source."""

        def decode(self, factors):
            other = factors.static.clone()
            other[:, 0] = (other[:, 0] + 1) % 6
            return super().decode(Factors(other, factors.dynamic))

    report = PROTOCOL.replace(static_factor="shape").run(Swapped(), FIGURES, controls=False)
    assert value(report, "leakage_gap", "kept static", "Swapped") < -0.9


def test_controls_are_chance_and_the_judges_ceiling(report):
    for code in ("kept static", "kept dynamics"):
        assert abs(value(report, "leakage_gap", code, "real test data")) < 0.03
        assert value(report, "accuracy", f"motion, {code}", "real test data") > 0.98
        assert value(report, "accuracy", f"colour, {code}", "shuffled labels") < 0.35
        assert abs(value(report, "leakage_gap", code, "shuffled labels")) < 0.25
        assert abs(value(report, "leakage_gap", code, "untrained network")) < 0.3
    own = PROTOCOL.run(TrueModel(), FIGURES, controls=False)
    assert own.scores == report.find(role="model")


def test_real_data_bound_what_should_be_kept_alone(report):
    real = {(score.metric, score.factor): score.bound for score in report if score.method == "real test data"}
    assert real["accuracy", "motion, kept dynamics"]
    assert real["accuracy", "colour, kept static"]
    assert not real["accuracy", "colour, kept dynamics"]
    assert not real["leakage_gap", "kept static"]
    assert not any(score.bound for score in report if score.method != "real test data")


def test_directions_and_spread(report):
    better = {(row.metric, row.factor): row.better for row in report}
    assert better["accuracy", "colour, kept static"] == "higher"
    assert better["accuracy", "colour, kept dynamics"] == ""
    assert better["leakage_gap", "kept dynamics"] == "higher"
    assert {(row.n, row.over) for row in report.find(role="model")} == {(3, "samplings")}


def test_printed_numbers_stand_beside():
    @hyperparameters
    class MUG(MovingFigures):
        name = "mug"
        n_train: int = FIGURES.n_train
        n_valid: int = FIGURES.n_valid
        n_test: int = FIGURES.n_test
        size: int = FIGURES.size

    data = MUG()
    report = PROTOCOL.replace(repeats=1).run(TrueModel(), data)
    printed = {(row.metric, row.factor): row.value for row in report.find(role="published", method="DBSE")}
    assert printed["accuracy", "colour, kept static"] == pytest.approx(0.9942)
    assert printed["accuracy", "motion, kept static"] == pytest.approx(0.2085)
    assert printed["leakage_gap", "kept dynamics"] == pytest.approx(0.8401)
    places = {(row.metric, row.factor, row.form) for row in report.find(role="model")}
    assert {(row.metric, row.factor, row.form) for row in report.find(role="published")} == places


def test_the_first_factor_of_each_kind_is_taken():
    names = GenerationLeakage(judge=JUDGE)._factors(FIGURES.split("test")[0])
    assert names == {"static": "shape", "dynamic": "motion"}
    chosen = GenerationLeakage(judge=JUDGE.replace(factors=("size", "motion")))._factors(FIGURES.split("test")[0])
    assert chosen["static"] == "size"


def test_factors_that_are_not_judged_are_refused():
    with pytest.raises(SettingsError, match=r"unknown judged static factor 'color'\. Did you mean 'colour'"):
        PROTOCOL.replace(static_factor="color").run(TrueModel(), FIGURES)
    with pytest.raises(DataError, match="no dynamic class factor"):
        PROTOCOL.replace(judge__factors=("colour",)).run(TrueModel(), FIGURES)
    test = FIGURES.split("test")[0]
    stepped = replace(test, labels={**test.labels, "motion": np.zeros((60, 8), int)})
    with pytest.raises(DataError, match="no dynamic class factor"):
        PROTOCOL._factors(stepped)


def test_a_judge_may_be_weak_on_factors_that_are_not_used():
    parts = dict(FIGURES.parts())
    labels = {**parts["test"].labels, "size": (parts["test"].labels["size"] + 1) % 3}
    parts["test"] = replace(parts["test"], labels=labels)
    assert PROTOCOL.replace(repeats=1).run(TrueModel(), parts, controls=False).scores
    with pytest.raises(SeqdisError, match=r"it reads 'size' in 0\.0\d+ right"):
        PROTOCOL.replace(static_factor="size").run(TrueModel(), parts, controls=False)


def test_rows_of_a_weak_judge_are_marked():
    weak = PROTOCOL.replace(judge__epochs=1, judge__on_weak="warn", repeats=1)
    rows = weak.run(TrueModel(), FIGURES, controls=False)
    assert all("weak judge" in row.factor for row in rows)

from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes import DYNAMIC, STATIC, PlantedData, PlantedModel, groups
from seqdis.datasets import MovingFigures
from seqdis.errors import DataError
from seqdis.factors import Factors
from seqdis.methods import DBSE
from seqdis.protocols import ReencodeSwap
from seqdis.protocols.reencode_swap import _compared, _returned
from seqdis.training import Training

DATA = PlantedData(sizes=(60, 4, 40), noise=0.02)
PROTOCOL = ReencodeSwap(n_pairs=100)


@pytest.fixture(scope="module")
def report():
    return PROTOCOL.run(PlantedModel(), DATA)


def value(report, metric, code, method="PlantedModel"):
    (row,) = report.find(metric=metric, factor=f"{code} code", method=method)
    return row.value


def test_codes_of_a_perfect_swap_come_back(report):
    for code in ("static", "dynamic"):
        assert value(report, "relative distance", code) == pytest.approx(0, abs=1e-6)
        assert value(report, "nearest donor", code) == 1
        assert value(report, "retrieval", code) == 1


def test_no_swap_is_the_ceiling_and_random_weights_are_chance(report):
    for code in ("static", "dynamic"):
        assert value(report, "relative distance", code, "no swap") == pytest.approx(0, abs=1e-6)
        assert value(report, "retrieval", code, "no swap") == 1
        assert {score.method for score in report if score.bound} == {"no swap"}
        # Its codes are the same noise for every batch: told apart, but not by what was decoded.
        assert value(report, "retrieval", code, "untrained network") < 0.2
    for roles in groups(report).values():
        assert roles == {"model", "control"}
    own = PROTOCOL.run(PlantedModel(), DATA, controls=False)
    assert own.scores == report.find(role="model")


@pytest.mark.parametrize(("ignored", "lost", "kept"), [("A", "static", "dynamic"), ("B", "dynamic", "static")])
def test_a_decoder_that_ignores_a_code_returns_the_strangers(ignored, lost, kept):
    class Ignoring(PlantedModel):
        def swap(self, A, B):
            return B.x if ignored == "A" else A.x

    report = PROTOCOL.run(Ignoring(), DATA)
    assert value(report, "nearest donor", lost, "Ignoring") == 0
    assert value(report, "relative distance", lost, "Ignoring") == pytest.approx(1)
    assert value(report, "retrieval", lost, "Ignoring") == 0
    assert value(report, "retrieval", kept, "Ignoring") == 1
    assert value(report, "retrieval", lost, "no swap") == 1


def test_distances_by_hand():
    known = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    back = np.array([[0.0, 0.4], [0.0, 0.5], [3.0, 4.0]])
    found = _compared(back, known, own=np.array([0, 0, 0]), stranger=np.array([1, 2, 1]))
    np.testing.assert_allclose(found.own, [0.4, 0.5, 5])
    np.testing.assert_allclose(found.apart, [5, 1, 5])
    assert found.nearest.tolist() == [1, 0.5, 0]
    assert found.retrieved.tolist() == [1, 0.5, 0]


def test_a_collapsed_code_scores_chance():
    class Collapsed(PlantedModel):
        def encode(self, X):
            codes = super().encode(X)
            return Factors(torch.full_like(codes.static, 0.3), codes.dynamic, codes.lengths)

    report = PROTOCOL.run(Collapsed(), DATA, controls=False)
    assert value(report, "nearest donor", "static", "Collapsed") == 0.5
    assert value(report, "retrieval", "static", "Collapsed") == pytest.approx(1 / 40)
    assert np.isnan(value(report, "relative distance", "static", "Collapsed"))
    assert value(report, "retrieval", "dynamic", "Collapsed") == 1


class Blurred(PlantedModel):
    def swap(self, A, B):
        return 0.7 * super().swap(A, B) + 0.1


def test_a_factor_and_a_rotation_of_a_code_change_nothing():
    class Turned(Blurred):
        def encode(self, X):
            codes = super().encode(X)
            turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))[0]
            return Factors(1e3 * codes.static @ turn, codes.dynamic * 50, codes.lengths)

    plain = PROTOCOL.run(Blurred(), DATA, controls=False)
    turned = PROTOCOL.run(Turned(), DATA, controls=False)
    for code in ("static", "dynamic"):
        expected = value(plain, "relative distance", code, "Blurred")
        assert expected > 0.05
        assert value(turned, "relative distance", code, "Turned") == pytest.approx(expected, rel=1e-4)
    shifted = dict(DATA.parts())
    shifted["train"] = replace(shifted["train"], x=shifted["train"].x * np.float32(3))
    other = PROTOCOL.run(Blurred(), shifted, controls=False)
    assert value(other, "relative distance", "static", "Blurred") == pytest.approx(
        value(plain, "relative distance", "static", "Blurred"), rel=1e-3
    )


def test_dimensions_that_are_switched_off_do_not_drown_the_others():
    class Wide(PlantedModel):
        """Beside the code there are many dimensions of faint noise, another one at every encoding."""

        def encode(self, X):
            codes, draw = super().encode(X), torch.Generator().manual_seed(len(self.asked))
            faint = 1e-3 * torch.randn(*codes.dynamic.shape[:2], 60, generator=draw)
            return Factors(
                torch.cat([codes.static, 1 + faint[:, 0]], 1), torch.cat([codes.dynamic, faint], 2), codes.lengths
            )

    report = PROTOCOL.run(Wide(), DATA, controls=False)
    for code in ("static", "dynamic"):
        assert value(report, "relative distance", code, "Wide") < 0.1
        assert value(report, "nearest donor", code, "Wide") == 1


def test_the_scale_is_the_largest_deviation():
    class Few(PlantedModel):
        def encode(self, X):
            return Factors(torch.tensor([[1.0, 0.0, 7.0], [3.0, 8.0, 7.0]]), torch.full((2, 2, 1), 0.1))

    assert PROTOCOL._scale(Few(), DATA.parts()["train"]) == {"static": 4.0, "dynamic": np.inf}


def test_donors_are_the_right_way_round():
    rows = torch.arange(4.0)[:, None]
    known = Factors(rows, rows[:, None])
    hybrid = Factors(rows[[0, 1]], rows[[2, 3]][:, None])
    scale = {"static": 1.0, "dynamic": 1.0}
    back = {"static": hybrid, "dynamic": hybrid}
    found = _returned(back, known, scale, np.array([0, 1]), np.array([2, 3]))
    assert found["static"].own.tolist() == found["dynamic"].own.tolist() == [0, 0]
    assert found["static"].apart.tolist() == [2, 2]


def test_padding_does_not_count():
    class Padding(PlantedModel):
        def swap(self, A, B):
            hybrid = super().swap(A, B)
            hybrid[np.arange(6) >= B.lengths[:, None]] = 1e6
            return hybrid

        def encode(self, X):
            real = np.arange(6) < X.lengths[:, None]
            return super().encode(replace(X, x=np.where(real[..., None], X.x, 0).astype(np.float32)))

    report = PROTOCOL.run(Padding(static=STATIC, dynamic=DYNAMIC), replace(DATA, ragged=True), controls=False)
    assert value(report, "relative distance", "dynamic", "Padding") == pytest.approx(0, abs=1e-6)


def test_pairs_are_seeded_and_resampled(report):
    (row,) = report.find(metric="nearest donor", factor="static code", method="untrained network")
    assert (row.n, row.over) == (200, "pair resamples")
    again = PROTOCOL.run(PlantedModel(), DATA)
    assert again.scores == report.scores
    assert PROTOCOL.replace(seed=1).run(PlantedModel(), DATA).scores != report.scores


def test_a_fitted_method_on_video():
    data = MovingFigures(n_train=16, n_valid=4, n_test=8, size=16)
    settings = Training(max_epochs=1, batch_size=8)
    model = DBSE(static_dim=3, dynamic_dim=2, feature_dim=8, hidden_dim=8, filters=4, training=settings)
    report = ReencodeSwap(n_pairs=12).run(model.fit(data), data)
    assert {row.method for row in report} == {"DBSE", "no swap", "untrained network"}
    assert all(0 <= row.value <= 1 for row in report if row.metric != "relative distance")


def test_one_sequence_makes_no_pair():
    with pytest.raises(DataError, match="two or more to make pairs"):
        PROTOCOL.run(PlantedModel(), replace(DATA, sizes=(4, 4, 1)))

from dataclasses import replace

import numpy as np
import pytest

from fakes import STATIC, PlantedData, PlantedModel
from seqdis.errors import CapabilityError, DataError
from seqdis.protocols import SwapFidelity
from seqdis.sequences import DataSpec

DATA = PlantedData(sizes=(50, 4, 40), noise=0.0)
SPEC = DataSpec(kind="series", shape=(9,), length=6, center=(0.5,), scale=(2.0,))


@pytest.fixture(scope="module")
def report():
    return SwapFidelity(n_pairs=64).run(PlantedModel(spec_=SPEC), DATA)


def value(report, metric, method):
    return report.find(metric=metric, method=method)[0].value


def test_a_perfect_swap_has_no_error_and_every_control_has_some(report):
    assert value(report, "swap_mse", "PlantedModel") == 0
    assert value(report, "reconstruction_mse", "PlantedModel") == 0
    controls = report.find(role="control")
    assert {row.method for row in report.find(metric="swap_mse", role="control")} == {
        "copy of the static donor",
        "copy of the dynamic donor",
        "average frame",
        "untrained network",
    }
    assert {row.method for row in report.find(metric="reconstruction_mse", role="control")} == {
        "average frame",
        "untrained network",
    }
    assert min(row.value for row in controls) > 0.01
    assert {row.better for row in report} == {"lower"}


def test_errors_are_in_units_that_networks_see(report):
    protocol = SwapFidelity(n_pairs=64)
    test = DATA.parts()["test"]
    a, b = (test.x[rows] for rows in protocol._pairs(40))
    truth = b.copy()
    truth[..., STATIC] = a[..., STATIC]
    expected = np.square((b - truth) / 2.0).mean((1, 2))
    row = report.find(metric="swap_mse", method="copy of the dynamic donor")[0]
    assert row.value == pytest.approx(expected.mean())
    assert row.spread == pytest.approx(expected.std(ddof=1))
    assert (row.n, row.over) == (64, "pairs")


def test_a_model_that_ignores_its_static_code_scores_as_the_copy():
    class Ignoring(PlantedModel):
        def swap(self, A, B):
            return B.x

    report = SwapFidelity(n_pairs=32).run(Ignoring(), DATA)
    assert value(report, "swap_mse", "Ignoring") == value(report, "swap_mse", "copy of the dynamic donor")


def test_without_controls_only_the_model_is_measured(report):
    own = SwapFidelity(n_pairs=64).run(PlantedModel(spec_=SPEC), DATA, controls=False)
    assert own.scores == report.find(role="model")


def test_pairs_are_of_different_sequences_and_seeded():
    first, second = SwapFidelity(n_pairs=500)._pairs(3)
    assert (first != second).all()
    assert set(first) == set(second) == {0, 1, 2}
    again = SwapFidelity(n_pairs=500)._pairs(3)
    np.testing.assert_array_equal(first, again[0])
    assert (SwapFidelity(n_pairs=500, seed=1)._pairs(3)[0] != first).any()


def test_padded_steps_do_not_count():
    data = replace(DATA, ragged=True)
    clean = SwapFidelity(n_pairs=16).run(PlantedModel(), data)

    class Padding(PlantedModel):
        def swap(self, A, B):
            hybrid = super().swap(A, B)
            hybrid[np.arange(6) >= B.lengths[:, None]] = 1e6
            return hybrid

    dirty = SwapFidelity(n_pairs=16).run(Padding(), data)
    assert value(dirty, "swap_mse", "Padding") == value(clean, "swap_mse", "PlantedModel")


def test_missing_values_do_not_count_in_reconstructions_and_are_filled_in_copies():
    parts = DATA.parts()
    mask = np.random.default_rng(0).random(parts["test"].x.shape) < 0.7
    gappy = replace(parts["test"], x=np.where(mask, parts["test"].x, 0), mask=mask)

    class Gappy(PlantedData):
        def parts(self):
            return {**parts, "test": gappy}

        def hybrid(self, static_of, dynamic_of):
            return np.zeros_like(dynamic_of.x)

    class Wild(PlantedModel):
        def reconstruct(self, X):
            return np.where(X.mask, X.x, 1e6)

    report = SwapFidelity(n_pairs=16).run(Wild(), Gappy())
    assert value(report, "reconstruction_mse", "Wild") == 0
    first, second = SwapFidelity(n_pairs=16)._pairs(40)
    filled = np.where(mask, gappy.x, parts["train"].x.mean((0, 1)))
    expected = {"static": first, "dynamic": second}
    for donor, rows in expected.items():
        row = value(report, "swap_mse", f"copy of the {donor} donor")
        assert row == pytest.approx(np.square(filled[rows]).mean(), rel=1e-5)


def test_images_are_compared_in_zero_to_one():
    video = DataSpec(kind="image", shape=(1, 3, 3), length=6, scale=(255.0,))

    class Film(PlantedData):
        def parts(self):
            return {
                name: replace(part, x=np.full((len(part), 6, 1, 3, 3), 51, np.uint8), spec=video)
                for name, part in super().parts().items()
            }

        def hybrid(self, static_of, dynamic_of):
            return np.full_like(dynamic_of.x, 102)

    class Painter(PlantedModel):
        def swap(self, A, B):
            return np.full(B.x.shape, 0.5, np.float32)

        def reconstruct(self, X):
            return np.full(X.x.shape, 0.3, np.float32)

    report = SwapFidelity(n_pairs=4).run(Painter(spec_=video), Film(sizes=(6, 4, 4)))
    assert value(report, "swap_mse", "Painter") == pytest.approx(0.01)
    assert value(report, "swap_mse", "average frame") == pytest.approx(0.04)
    assert value(report, "reconstruction_mse", "Painter") == pytest.approx(0.01)


def test_data_without_true_hybrids_are_refused():
    with pytest.raises(CapabilityError, match="dict has no method hybrid"):
        SwapFidelity().run(PlantedModel(), DATA.parts())
    with pytest.raises(DataError, match="two or more to make pairs"):
        SwapFidelity().run(PlantedModel(), replace(DATA, sizes=(4, 4, 1)))

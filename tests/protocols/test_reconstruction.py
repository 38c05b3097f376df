import math
from dataclasses import replace

import numpy as np
import pytest

from fakes import PlantedData, PlantedModel
from seqdis.errors import DataError
from seqdis.protocols import Reconstruction
from seqdis.protocols.reconstruction import psnr
from seqdis.sequences import DataSpec, Sequences

VIDEO = DataSpec(kind="image", shape=(1, 2, 2), length=3, scale=(255.0,))
CONTROLS = {"mean step of train", "copy of the first step", "untrained network"}


def film(n, seed=0, **more):
    x = np.random.default_rng(seed).integers(256, size=(n, 3, 1, 2, 2)).astype(np.uint8)
    return Sequences(x=x, spec=VIDEO, name="mug/test", **more)


class Painter(PlantedModel):
    """Off by 0.1 everywhere."""

    def reconstruct(self, X):
        return X.x.astype(np.float32) / 255 + (0.1 if self.informative else 0.3)


def value(report, metric, method):
    (row,) = report.find(metric=metric, method=method)
    return row.value


def test_sums_means_and_decibels_by_hand():
    report = Reconstruction().run(Painter(spec_=VIDEO), {"train": film(5, 1), "test": film(6)})
    assert value(report, "squared error per sequence", "Painter") == pytest.approx(12 * 0.01, rel=1e-5)
    assert value(report, "MSE", "Painter") == pytest.approx(0.01, rel=1e-5)
    assert value(report, "PSNR", "Painter") == pytest.approx(20, rel=1e-5)
    assert value(report, "MSE", "untrained network") == pytest.approx(0.09, rel=1e-5)
    assert {row.method for row in report.find(role="control")} == CONTROLS
    assert {row.better for row in report.find(metric="PSNR")} == {"higher"}
    assert report.provenance["reconstruction"]["values"] == 6 * 12


def test_controls_by_hand():
    train, test = film(5, 1), film(6)
    report = Reconstruction().run(Painter(spec_=VIDEO), {"train": train, "test": test})
    x = test.x / 255.0
    mean = train.x.mean((0, 1)) / 255
    assert value(report, "MSE", "mean step of train") == pytest.approx(np.square(x - mean).mean(), rel=1e-5)
    first = np.square(x - x[:, :1])
    assert value(report, "MSE", "copy of the first step") == pytest.approx(first.mean(), rel=1e-5)
    per_sequence = value(report, "squared error per sequence", "copy of the first step")
    assert per_sequence == pytest.approx(first.sum((1, 2, 3, 4)).mean(), rel=1e-5)


def test_per_value_means_pool_all_values_of_ragged_sequences():
    class Ragged(Painter):
        def reconstruct(self, X):
            made = X.x.astype(np.float32) / 255
            made[0] += 0.2
            made[np.arange(3) >= X.lengths[:, None]] = 9.0
            return made

    test = film(2, lengths=np.array([1, 3]))
    report = Reconstruction().run(Ragged(spec_=VIDEO), {"train": film(3), "test": test}, controls=False)
    assert value(report, "squared error per sequence", "Ragged") == pytest.approx((4 * 0.04 + 0) / 2, rel=1e-4)
    assert value(report, "MSE", "Ragged") == pytest.approx(4 * 0.04 / 16, rel=1e-4)


def test_missing_frames_do_not_count():
    mask = np.array([[True, False, True], [True, True, True]])

    class Wild(Painter):
        def reconstruct(self, X):
            return np.where(X.mask[..., None, None, None], X.x / 255, 7.0).astype(np.float32)

    report = Reconstruction().run(Wild(spec_=VIDEO), {"train": film(3), "test": film(2, mask=mask)}, controls=False)
    assert value(report, "MSE", "Wild") == pytest.approx(0, abs=1e-12)
    assert report.provenance["reconstruction"]["values"] == 20


def test_series_are_in_units_that_networks_see_without_decibels():
    spec = DataSpec(kind="series", shape=(9,), length=6, center=(0.5,), scale=(2.0,))

    class Off(PlantedModel):
        def reconstruct(self, X):
            return X.x + 1.0

    report = Reconstruction().run(Off(spec_=spec), PlantedData(sizes=(20, 2, 12)))
    assert value(report, "MSE", "Off") == pytest.approx(0.25, rel=1e-5)
    assert value(report, "squared error per sequence", "Off") == pytest.approx(54 * 0.25, rel=1e-5)
    assert not report.find(metric="PSNR")


def test_a_perfect_model_has_no_error():
    class Perfect(Painter):
        def reconstruct(self, X):
            return X.x.astype(np.float32) / np.float32(255)

    report = Reconstruction().run(Perfect(spec_=VIDEO), {"train": film(3), "test": film(2)}, controls=False)
    assert value(report, "MSE", "Perfect") == 0
    assert value(report, "PSNR", "Perfect") == math.inf
    assert psnr(1.21e-3) == pytest.approx(29.17, abs=0.01)


def test_spread_is_over_resamples_and_controls_can_be_left_out():
    data = {"train": film(5, 1), "test": film(6)}
    report = Reconstruction(resamples=50).run(Painter(spec_=VIDEO), data)
    row = report.find(metric="MSE", method="copy of the first step")[0]
    assert (row.n, row.over) == (50, "test resamples")
    assert row.spread > 0
    own = Reconstruction(resamples=50).run(Painter(spec_=VIDEO), data, controls=False)
    assert own.scores == report.find(role="model")
    assert Reconstruction(resamples=0).run(Painter(spec_=VIDEO), data).scores[0].spread is None


def test_printed_errors_stand_beside():
    report = Reconstruction().run(Painter(spec_=VIDEO), {"test": film(2), "train": replace(film(3), name="mug/train")})
    printed = report.find(role="published", metric="squared error per sequence")
    assert {row.method: row.value for row in printed} == {"C-DSVAE": 224.35, "SPYL": 243.94, "DBSE": 223.36}
    assert {row.place() for row in printed} < {row.place() for row in report.find(role="model")}


def test_reconstructions_of_another_shape_are_refused():
    class Short(Painter):
        def reconstruct(self, X):
            return X.x[:, :2] / 255

    with pytest.raises(DataError, match="a guess has shape"):
        Reconstruction().run(Short(spec_=VIDEO), {"train": film(3), "test": film(2)})

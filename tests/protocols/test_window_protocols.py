from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from window_data import COURSE, LEVEL, MODEL, NOISE, WindowData, with_labels

from fakes import groups
from seqdis.errors import DataError, SettingsError
from seqdis.hyperparameters import from_dict, to_dict
from seqdis.methods import VAE
from seqdis.protocols import DailyRain, OilTemperature
from seqdis.training import Training

OIL, RAIN = "oil_temperature", "rain"
QUICK = {"epochs": 3, "repeats": 2, "resamples": 10}
CORRECTED = {**QUICK, "forms": ("corrected",)}
CONTROLS = {
    "untrained encoder",
    "PCA code",
    "raw features",
    "train mean",
    "train median",
    "zero",
    "linear raw summaries",
    "boosted raw summaries",
}


def read(report, form="corrected", method="PlantedModel"):
    """What each code gives: static, dynamic, both."""
    rows = {row.factor.split(" from ")[1]: row.value for row in report.find(form=form, method=method)}
    return tuple(rows[name] for name in ("static", "dynamic", "static + dynamic"))


@pytest.fixture(scope="module")
def oil():
    return OilTemperature(**QUICK).run(MODEL, WindowData(OIL, name="etth1"))


def test_every_model_row_has_its_controls_beside_it(oil):
    models = oil.find(role="model")
    assert [(row.form, row.metric, row.better) for row in models] == [
        ("published", "MAE", "lower"),
        *[("corrected", "MAE", "lower")] * 3,
    ]
    for row in models:
        beside = oil.find(form=row.form, factor=row.factor, role="control")
        assert {control.method for control in beside} == CONTROLS
        assert len(beside) == len(CONTROLS)
    key = ("oil-temperature", "published", "MAE", f"{OIL} from static + dynamic")
    assert groups(oil)[key] == {"model", "control", "published"}
    printed = oil.find(role="published", method="DBSE", source="DBSE paper Tab. 3")
    assert [(row.value, row.spread, row.better) for row in printed] == [(11.21, 0.01, "lower")]


@pytest.mark.parametrize(
    ("source", "informed"), [(COURSE, (False, True, True)), (LEVEL, (True, False, True)), (NOISE, (False,) * 3)]
)
def test_the_code_that_holds_the_number_reads_it(source, informed):
    report = OilTemperature(**CORRECTED).run(MODEL, WindowData(OIL, source=source))
    constant = report.find(method="train median")[0].value
    for error, knows in zip(read(report), informed, strict=True):
        if knows:
            assert error < 0.1 * constant
        else:  # no better than a constant, and not made worse by overfitting
            assert error == pytest.approx(constant, rel=0.05)


def test_raw_windows_read_what_stands_in_them(oil):
    assert oil.find(method="linear raw summaries", form="corrected")[0].value < 0.05
    assert oil.find(method="boosted raw summaries", form="corrected")[0].value < 0.5
    assert read(oil, method="raw features")[1] < 0.05
    assert min(read(oil, method="untrained encoder")) > 1.0


def test_constants_by_hand(oil):
    parts = WindowData(OIL).parts()
    values = {name: part.labels[OIL].reshape(len(part), 6, 4).mean(2) for name, part in parts.items()}
    for method, constant in (
        ("zero", 0.0),
        ("train mean", values["train"].mean()),
        ("train median", np.median(values["train"])),
    ):
        for row in oil.find(method=method):
            assert row.value == pytest.approx(np.abs(values["test"] - constant).mean())


def test_rain_is_summed_and_temperature_averaged():
    report = DailyRain(**CORRECTED).run(MODEL, WindowData(RAIN))
    sums = WindowData(RAIN).parts()["test"].labels[RAIN].reshape(40, 6, 4).sum(2)
    assert report.find(method="zero")[0].value == pytest.approx(np.abs(sums).mean())
    assert read(report)[1] < 0.1
    mean = report.provenance["daily-rain"]["mean label"]["test"]
    assert mean == pytest.approx(sums.mean())


def test_wet_windows_are_told_by_the_code_that_holds_the_rain():
    wet_at_times = WindowData(RAIN, offset=0.0, slope=1.0)
    dry = with_labels(wet_at_times.parts(), RAIN, lambda name, labels: np.maximum(labels - 0.8, 0.0))
    report = DailyRain(**CORRECTED).run(MODEL, dry)
    rows = {row.factor.split(" from ")[1]: row for row in report.find(metric="AUROC", role="model")}
    assert set(rows) == {"static", "dynamic", "static + dynamic"}
    assert rows["dynamic"].value > 0.85
    assert rows["static + dynamic"].value > 0.85
    assert rows["static"].value == pytest.approx(0.5, abs=0.1)
    assert rows["static"].spread > 0
    controls = {row.method for row in report.find(metric="AUROC", role="control")}
    assert controls == CONTROLS - {"train mean", "train median", "zero"}
    truth = dry["test"].labels[RAIN].reshape(40, 6, 4).sum(2).ravel() > 0
    assert 0.05 < truth.mean() < 0.95
    codes = MODEL.encode(dry["test"]).dynamic.flatten(0, 1).numpy()
    assert rows["dynamic"].value == pytest.approx(roc_auc_score(truth, codes[:, 0]), abs=0.03)


def test_wet_or_dry_is_not_asked_where_all_windows_are_wet():
    assert not DailyRain(**CORRECTED).run(MODEL, WindowData(RAIN)).find(metric="AUROC")


@pytest.mark.parametrize("shift", [1, 4])
def test_labels_beside_the_wrong_window_would_be_noticed(shift):
    parts = with_labels(WindowData(OIL).parts(), OIL, lambda name, labels: np.roll(labels, shift, axis=1))
    error = read(OilTemperature(**CORRECTED).run(MODEL, parts, controls=False))[1]
    straight = read(OilTemperature(**CORRECTED).run(MODEL, WindowData(OIL), controls=False))[1]
    assert straight < 0.05
    assert error > (0.5 if shift == 1 else 1.0)


def test_a_window_with_a_missing_hour_is_dropped_or_dry_as_printed():
    def gap(name, labels):
        labels[:, 5] = np.nan
        return labels

    parts = with_labels(WindowData(RAIN).parts(), RAIN, gap)
    report = DailyRain(**QUICK).run(MODEL, parts)
    notes = report.provenance["daily-rain"]
    assert notes["windows with a complete label"] == {"train": 300, "valid": 100, "test": 200}
    assert notes["windows without"] == {"train": 60, "valid": 20, "test": 40}
    sums = np.nan_to_num(parts["test"].labels[RAIN].reshape(40, 6, 4).sum(2))
    assert report.find(method="zero", form="published")[0].value == pytest.approx(np.abs(sums).mean())
    rest = np.delete(sums, 1, axis=1)
    assert report.find(method="zero", form="corrected")[0].value == pytest.approx(np.abs(rest).mean())


def test_a_missing_temperature_is_dropped_in_both_forms():
    def gap(name, labels):
        labels[0, :8] = np.nan
        return labels

    parts = with_labels(WindowData(OIL).parts(), OIL, gap)
    report = OilTemperature(**QUICK).run(MODEL, parts)
    means = parts["test"].labels[OIL].reshape(40, 6, 4).mean(2)
    for row in report.find(method="zero"):
        assert row.value == pytest.approx(np.nanmean(np.abs(means)))


def test_the_released_pairing_is_worse_and_cannot_be_confused():
    settings, data = {"repeats": 1, "epochs": 400, "resamples": 10}, WindowData(OIL, offset=4.0, slope=1.0)
    correct = OilTemperature(**settings).run(MODEL, data, controls=False)
    released = OilTemperature(**settings, pairing="released", rotated=3).run(MODEL, data, controls=False)
    assert {row.form for row in correct} == {"published", "corrected"}
    assert {row.form for row in released} == {"published, released pairing", "corrected"}
    right, wrong = correct.find(form="published")[0], released.find(form="published, released pairing")[0]
    assert right.value < 0.1
    assert wrong.value > 0.3
    assert correct.find(form="corrected") == released.find(form="corrected")


def test_printed_numbers_stand_beside_the_pairing_that_they_come_from():
    data = WindowData(OIL, name="etth1")
    report = OilTemperature(**QUICK, forms=("published",), pairing="released", rotated=3).run(MODEL, data)
    (form,) = {row.form for row in report.find(role="published")}
    assert form == "published, released pairing"
    assert {row.form for row in report.find(role="model")} == {form}


def test_each_defect_of_the_released_pairing_does_harm_alone():
    protocol = OilTemperature(pairing="released", rotated=2)
    level, course = (WindowData(OIL, source=source) for source in (LEVEL, COURSE))
    truth = protocol._as_published(_truth(course), {})
    kept = _truth(course)
    np.testing.assert_array_equal(truth["test"].values[:, 2], kept["test"].values[:, 0])
    np.testing.assert_array_equal(truth["test"].values[:, 0], kept["test"].values[:, 4])
    shuffled = protocol.replace(rotated=0)._as_published(_truth(level), {})
    kept = _truth(level)
    assert (shuffled["train"].values[:, 0] != kept["train"].values[:, 0]).mean() > 0.9
    assert sorted(shuffled["train"].values[:, 0]) == sorted(kept["train"].values[:, 0])
    np.testing.assert_array_equal(shuffled["valid"].values, kept["valid"].values)


def _truth(data):
    from seqdis.evaluation.windows import window_values

    return {name: window_values(part, OIL, MODEL.encode(part), "mean") for name, part in data.parts().items()}


def test_nothing_is_fitted_or_chosen_on_test():
    clean = WindowData(OIL).parts()
    poisoned = with_labels(clean, OIL, lambda name, labels: -labels if name == "test" else labels)
    before, after = (OilTemperature(**QUICK).run(MODEL, parts) for parts in (clean, poisoned))
    for form in ("published", "corrected"):
        for method in ("PlantedModel", "train median", "boosted raw summaries"):
            one, other = (report.find(form=form, method=method)[0].value for report in (before, after))
            # Predictions near 20 for labels near 20, and the very same ones for labels near -20.
            if form == "corrected" or method != "PlantedModel":
                assert other == pytest.approx(40, abs=1.0)
                assert one < 2
            else:  # three epochs of the head say little yet; what it says must be the same
                assert (one + other) == pytest.approx(40, abs=0.5)


def test_without_controls_only_the_model_is_measured(oil):
    own = OilTemperature(**QUICK).run(MODEL, WindowData(OIL, name="etth1"), controls=False)
    assert own.scores == oil.find(role="model")


def test_spreads_are_over_heads_and_over_sequences(oil):
    published = oil.find(role="model", form="published")[0]
    assert (published.n, published.over) == (2, "head seeds")
    assert published.spread > 0
    corrected = oil.find(role="model", form="corrected")[0]
    assert (corrected.n, corrected.over) == (10, "test resamples")
    # Windows of a sequence share its level: resampling windows one by one would look too sure.
    report = OilTemperature(**{**CORRECTED, "resamples": 200}).run(MODEL, WindowData(OIL, source=LEVEL))
    values = WindowData(OIL, source=LEVEL).parts()["test"].labels[OIL].reshape(40, 6, 4).mean(2)
    by_sequence = np.abs(values[:, 0]).std() / np.sqrt(40)
    assert report.find(method="zero")[0].spread == pytest.approx(by_sequence, rel=0.2)


def test_sequences_of_different_length_count_their_real_windows():
    parts = {
        name: replace(part, lengths=np.where(np.arange(len(part)) % 2, 24, 10))
        for name, part in WindowData(RAIN).parts().items()
    }
    notes = DailyRain(**QUICK).run(MODEL, parts).provenance["daily-rain"]
    assert notes["windows with a complete label"]["test"] == 20 * 6 + 20 * 2
    assert notes["windows without"]["test"] == 20  # the third window of ten steps is half full


def test_labels_that_cannot_be_read_are_refused():
    parts = WindowData(RAIN).parts()
    unknown = with_labels(parts, RAIN, lambda name, labels: np.full_like(labels, np.nan))
    with pytest.raises(DataError, match="label 'rain' is complete in no window of 4 steps"):
        DailyRain(**QUICK).run(MODEL, unknown)
    wide = replace(MODEL, stride=30)
    with pytest.raises(DataError, match="complete in no window"):
        DailyRain(**QUICK).run(_Wide(wide), parts)
    with pytest.raises(DataError, match="unknown label 'oil_temperature'"):
        OilTemperature().run(MODEL, parts)
    static = {name: replace(part, labels={RAIN: np.zeros(len(part))}) for name, part in parts.items()}
    with pytest.raises(DataError, match=r"shape \(60,\); expected one number per step, \(60, 24\)"):
        DailyRain().run(MODEL, static)
    with pytest.raises(SettingsError, match="pairing"):
        DailyRain(pairing="printed").run(MODEL, parts)


class _Wide:
    """A model that says its one window is longer than the series."""

    def __init__(self, model):
        self.model = model

    def encode(self, X):
        return replace(self.model.encode(X), stride=30)


def test_a_label_that_never_changes_is_read_without_error():
    parts = with_labels(WindowData(OIL).parts(), OIL, lambda name, labels: np.full_like(labels, 5.0))
    report = OilTemperature(**CORRECTED).run(MODEL, parts)
    assert read(report) == (0.0, 0.0, 0.0)
    assert report.find(method="zero")[0].value == 5.0


def test_published_heads_are_the_papers():
    for protocol, epochs, lr, sizes in ((OilTemperature(), 301, 1e-3, [16]), (DailyRain(), 51, 1e-4, [16])):
        head = protocol._head(0)
        assert (head.epochs, head.lr, protocol.repeats) == (epochs, lr, 5)
        shapes = [tuple(layer.weight.shape) for layer in head.net(sizes[0]) if hasattr(layer, "weight")]
        assert shapes == [(16,), (32, 16), (8, 32), (1, 8)]
    kinds = {type(layer).__name__ for layer in OilTemperature()._head(0).net(4)}
    assert kinds == {"BatchNorm1d", "Linear", "LeakyReLU"}
    assert {type(layer).__name__ for layer in DailyRain()._head(0).net(4)} == {"BatchNorm1d", "Linear", "ReLU"}


def test_settings_survive_json_and_correct_pairing_is_the_default():
    assert (OilTemperature().pairing, OilTemperature().rotated) == ("correct", 14)
    assert (DailyRain().pairing, DailyRain().rotated) == ("correct", 27)
    changed = DailyRain(pairing="released", repeats=2)
    assert from_dict(DailyRain, to_dict(changed)) == changed


def test_printed_rain_belongs_to_air_quality():
    report = DailyRain(**{**QUICK, "epochs": 1, "forms": ("published",)}).run(
        MODEL, WindowData(RAIN, name="air-quality")
    )
    printed = report.find(role="published", method="SPYL")
    assert [(row.value, row.factor, row.metric) for row in printed] == [(1.823, "rain from static + dynamic", "MAE")]


def test_heads_may_read_fresh_samples_as_released():
    data = WindowData(OIL, name="etth1")
    model = VAE(code_dim=2, window=4, feature_dim=8, training=Training(max_epochs=1)).fit(data.parts()["train"])
    settings = {**QUICK, "forms": ("published",), "codes": "samples"}
    report = OilTemperature(**settings).run(model, data)
    key = ("oil-temperature", "published, sampled codes", "MAE", f"{OIL} from static + dynamic")
    assert groups(report)[key] == {"model", "control", "published"}
    (sampled,) = report.find(role="model")
    assert sampled.value == OilTemperature(**settings).run(model, data, controls=False).find(role="model")[0].value
    (mean,) = OilTemperature(**settings | {"codes": "means"}).run(model, data, controls=False).find(role="model")
    assert sampled.value != mean.value
    (both,) = OilTemperature(**settings, pairing="released").run(model, data, controls=False).find(role="model")
    assert both.form == "published, sampled codes, released pairing"

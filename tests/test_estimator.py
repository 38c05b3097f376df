from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import seqdis
from seqdis.datasets import ToyMelodies, ToySeries
from seqdis.errors import CapabilityError, DataError, SettingsError
from seqdis.estimator import Disentangler
from seqdis.factors import Factors
from seqdis.inputs import as_sequences, from_frame
from seqdis.methods import DBSE
from seqdis.training import Training
from tiny import Tiny

DRAW = np.random.default_rng(0)
SERIES = DRAW.normal(10, 3, size=(8, 9, 3))
VIDEO = DRAW.integers(0, 256, size=(6, 4, 1, 8, 8), dtype=np.uint8)


def method(**more) -> DBSE:
    sizes = {"static_dim": 3, "dynamic_dim": 2, "feature_dim": 4, "hidden_dim": 4, "filters": 2}
    return DBSE(**sizes | {"training": Training(max_epochs=2, batch_size=4)} | more)


@pytest.fixture(scope="module")
def fitted() -> DBSE:
    return method().fit(SERIES)


def test_a_network_stays_where_codes_are_computed(fitted, tmp_path, monkeypatch) -> None:
    folder = fitted.save(tmp_path / "run")
    monkeypatch.setattr("seqdis.estimator.coding_device", lambda accelerator: torch.device("meta"))
    for model in (method().fit(SERIES), seqdis.load(folder), fitted.untrained()):
        assert {value.device.type for value in model.network_.state_dict().values()} == {"meta"}


@pytest.fixture(scope="module")
def video() -> DBSE:
    return method().fit(VIDEO)


# What is taken


def test_every_form_of_the_same_data_gives_the_same_codes(fitted: DBSE) -> None:
    rows = pd.DataFrame(SERIES.reshape(-1, 3), columns=list("abc"))
    rows["id"], rows["time"] = np.repeat(np.arange(8), 9), np.tile(np.arange(9), 8)
    static = fitted.encode(SERIES).static
    for form in (SERIES.tolist(), list(SERIES), torch.from_numpy(SERIES), rows, as_sequences(SERIES)):
        assert torch.equal(fitted.encode(form).static, static)


def test_images_give_the_same_codes_as_bytes_floats_and_channels_last(video: DBSE) -> None:
    codes = video.encode(VIDEO).static
    for form in (VIDEO.astype(np.int64), (VIDEO / 255).astype(np.float32), np.moveaxis(VIDEO, 2, -1)):
        assert torch.allclose(video.encode(form).static, codes, atol=1e-6)


def test_observations_come_back_in_their_own_units(fitted: DBSE, video: DBSE) -> None:
    rebuilt = fitted.reconstruct(SERIES)
    assert rebuilt.shape == SERIES.shape
    assert rebuilt.mean() == pytest.approx(10, abs=1.5)
    assert fitted.sample(4).mean() == pytest.approx(10, abs=2.5)
    frames = video.reconstruct(VIDEO)
    assert 0 <= frames.min() <= frames.max() <= 1


def test_a_series_is_standardised_once_by_its_training_part(fitted: DBSE) -> None:
    assert fitted.spec_.center == pytest.approx(SERIES.mean((0, 1)), rel=1e-5)
    assert fitted.spec_.scale == pytest.approx(SERIES.std((0, 1)), rel=1e-5)
    shifted = fitted.encode(SERIES + 100)
    assert not torch.allclose(shifted.static, fitted.encode(SERIES).static, atol=1e-3)


def test_the_units_of_the_data_change_no_weight() -> None:
    one, other = method().fit(SERIES), method().fit(SERIES * 1024)  # a power of two: exact in floats
    assert all(torch.equal(a, b) for a, b in zip(one.network_.parameters(), other.network_.parameters(), strict=True))


def test_the_units_of_spectrograms_change_no_weight_but_magnitudes_of_a_data_set_stay() -> None:
    frames = np.abs(np.random.default_rng(0).normal(size=(6, 5, 40))).astype(np.float32)
    one, other = (method().fit(as_sequences(frames * unit, kind="spectrogram")) for unit in (1, 1024))
    assert one.spec_.scale == pytest.approx(frames.std((0, 1)), rel=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(one.network_.parameters(), other.network_.parameters(), strict=True))
    assert one.reconstruct(as_sequences(frames, kind="spectrogram")).mean() == pytest.approx(frames.mean(), abs=0.2)
    magnitudes = method().fit(ToyMelodies(n_train=4, n_valid=2, n_test=2, features="magnitude")).spec_
    assert magnitudes.center == (0.0,) * 201
    assert magnitudes.scale == (1.0,) * 201


def test_a_data_set_is_fitted_on_train_and_watched_on_valid() -> None:
    data = ToySeries(n_train=8, n_valid=4, n_test=4)
    model = method().fit(data)
    assert set(model.history_[-1]) == {"epoch", "train", "valid", "seconds"}
    train, test = data.split("train", "test")
    assert model.spec_.factors == train.spec.factors
    assert len(model.encode(test)) == 4
    with pytest.raises(DataError, match="a data set has several parts; choose one"):
        model.encode(data)


def test_validation_changes_no_weight() -> None:
    with_valid, without = method().fit(SERIES, valid=SERIES[:3] + 1), method().fit(SERIES)
    assert with_valid.history_[0]["valid"]["total"] > 0
    assert torch.equal(with_valid.encode(SERIES).dynamic, without.encode(SERIES).dynamic)


def test_constant_and_unobserved_features_stay_finite() -> None:
    x = SERIES.copy()
    x[..., 0] = 7.0
    x[..., 1] = np.nan
    model = method().fit(x)
    static, dynamic = model.encode(x)
    assert torch.isfinite(static).all()
    assert torch.isfinite(dynamic).all()
    assert np.isfinite(model.reconstruct(x)).all()
    constant = method().fit(np.full((4, 9, 2), 3.0))
    assert np.isfinite(constant.score(np.full((4, 9, 2), 3.0)))


def test_black_video_stays_finite() -> None:
    black = np.zeros((4, 3, 1, 8, 8), np.uint8)
    assert torch.isfinite(method().fit(black).encode(black).static).all()


def test_a_single_sequence_is_fitted_and_coded() -> None:
    for x in (SERIES[:1], VIDEO[:1]):
        model = method().fit(x)
        assert len(model.encode(x)) == 1


def test_ragged_codes_are_zero_beyond_each_length(fitted: DBSE) -> None:
    codes = fitted.encode([SERIES[0, :3], SERIES[1], SERIES[2, :5]])
    assert codes.lengths.tolist() == [1, 3, 2]
    assert (codes.dynamic[~codes.valid()] == 0).all()
    assert (codes.dynamic[codes.valid()] != 0).all()


# scikit-learn


def test_in_a_pipeline_and_a_grid_search() -> None:
    y = np.arange(8) % 2
    pipeline = make_pipeline(method(), LogisticRegression()).fit(SERIES, y)
    assert pipeline.predict(SERIES).shape == (8,)
    search = GridSearchCV(method(), {"training__lr": np.logspace(-3, -2, 2), "static_dim": np.array([2, 4])}, cv=2)
    search.fit(SERIES)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.encode(SERIES).static.shape[1] == search.best_params_["static_dim"]
    again = GridSearchCV(method(), {"training__lr": np.logspace(-3, -2, 2), "static_dim": np.array([2, 4])}, cv=2)
    again.fit(as_sequences(SERIES))  # handed back by scikit-learn as a list of single sequences
    np.testing.assert_array_equal(again.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"])


def test_an_index_given_as_a_numpy_number_is_that_index() -> None:
    one, other = method(anchor=2).fit(SERIES), method(anchor=np.int64(2)).fit(SERIES)
    assert torch.equal(one.encode(SERIES).static, other.encode(SERIES).static)
    assert not torch.equal(one.encode(SERIES).static, method(anchor=0).fit(SERIES).encode(SERIES).static)


def test_columns_of_transform_in_order(fitted: DBSE) -> None:
    names = fitted.get_feature_names_out().tolist()
    assert names == ["static0", "static1", "static2"] + [f"dynamic{w}_{i}" for w in range(3) for i in range(2)]
    static, dynamic = fitted.encode(SERIES)
    table = fitted.transform(SERIES)
    assert table[5, names.index("dynamic2_1")] == dynamic[5, 2, 1]
    assert table[5, names.index("static1")] == static[5, 1]


def test_fit_ignores_y_and_returns_self() -> None:
    model = method()
    assert model.fit(SERIES, np.zeros(3)) is model


# Interventions


def test_swap_takes_the_static_code_of_the_first(fitted: DBSE) -> None:
    first, second = fitted.encode(SERIES[:4]), fitted.encode(SERIES[4:])
    mixed = type(first)(first.static, second.dynamic)
    assert np.allclose(fitted.swap(SERIES[:4], SERIES[4:]), fitted.decode(mixed)[:, :9], atol=1e-5)
    longer = np.concatenate([SERIES[4:], SERIES[4:]], axis=1)
    assert fitted.swap(SERIES[:4], longer).shape == longer.shape


def test_sampling_keeps_the_code_that_it_is_told_to(fitted: DBSE) -> None:
    codes = fitted.encode(SERIES)
    drawn = fitted.network_.prior(8, 3, torch.Generator().manual_seed(4))
    with torch.inference_mode():
        for keep, static, dynamic in (
            ("static", codes.static, drawn.dynamic),
            ("dynamic", drawn.static, codes.dynamic),
        ):
            expected = fitted.decode(type(codes)(static, dynamic))[:, :9]
            assert np.allclose(fitted.sample(like=SERIES, keep=keep, seed=4), expected, atol=1e-5)
    assert fitted.sample(len(SERIES), like=SERIES, keep="static").shape == SERIES.shape
    assert fitted.sample(length=20, like=SERIES, keep="static").shape == (8, 20, 3)


def test_sampled_means_have_no_noise_of_their_own(fitted: DBSE) -> None:
    noisy, smooth = fitted.sample(200, 30), fitted.sample(200, 30, mean=True)
    assert smooth.shape == noisy.shape
    assert not np.allclose(noisy, smooth)


def test_an_untrained_control_is_the_same_method_with_random_weights(fitted: DBSE) -> None:
    control = fitted.untrained()
    assert control == fitted
    assert control.spec_ == fitted.spec_
    assert control.history_ == []
    assert not torch.equal(control.encode(SERIES).static, fitted.encode(SERIES).static)
    assert torch.equal(control.encode(SERIES).static, fitted.untrained().encode(SERIES).static)
    assert not torch.equal(control.encode(SERIES).static, fitted.untrained(seed=1).encode(SERIES).static)


def test_score_is_the_negative_loss_per_sequence(fitted: DBSE) -> None:
    model = method().fit(SERIES, valid=SERIES)
    assert model.score(SERIES) == pytest.approx(-model.history_[-1]["valid"]["total"], rel=1e-5)
    assert fitted.score(SERIES) > fitted.score(SERIES + 50)


# What is refused


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (lambda: SERIES[..., :2], r"steps are series of shape \(2,\); this DBSE was fitted on series of shape \(3,\)"),
        (lambda: VIDEO, r"got shape \(6, 4, 1, 8, 8\); series data need \(n, time, features\)"),
        (lambda: as_sequences(VIDEO), "steps are image of shape .* fitted on series"),
        (lambda: as_sequences(SERIES, kind="spectrogram"), "steps are spectrogram of shape .* fitted on series"),
        (lambda: SERIES[0], r"got shape \(9, 3\)"),
        (lambda: SERIES[:0], "is empty"),
        (lambda: np.full((2, 9, 3), np.nan), "without a single observed value"),
        (lambda: np.full((2, 9, 3), np.inf), "infinite values"),
        (lambda: [SERIES[0], SERIES[1, :, :2]], "different shapes"),
        (lambda: np.full((2, 9, 3), "a"), "expected real numbers"),
    ],
)
@pytest.mark.parametrize("call", ["encode", "transform", "reconstruct", "score"])
def test_other_data_than_was_fitted_are_refused(fitted: DBSE, call: str, x, words: str) -> None:
    with pytest.raises(DataError, match=words):
        getattr(fitted, call)(x())


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (VIDEO[:, :, :, :4], "frames are 4x8 pixels; sides of at least 8 are needed"),
        (SERIES[:, :1], r"sequences of 1 step\(s\)"),
        (VIDEO[:, :1], r"sequences of 1 step\(s\) make 1 of the frames"),
        (SERIES[0], r"got shape \(9, 3\)"),
        (VIDEO.astype(np.float32), r"values 0..255; expected \[0, 1\]"),
    ],
)
def test_data_that_cannot_be_fitted_are_refused_and_leave_no_model(x: np.ndarray, words: str) -> None:
    model = method().fit(SERIES)
    with pytest.raises(DataError, match=words):
        model.fit(x)
    with pytest.raises(NotFittedError, match="this DBSE is not fitted yet"):
        model.encode(SERIES)


def test_validation_data_must_fit() -> None:
    with pytest.raises(DataError, match=r"steps are series of shape \(2,\)"):
        method().fit(SERIES, valid=SERIES[..., :2])


def test_columns_of_a_table_must_be_those_that_were_fitted() -> None:
    table = pd.DataFrame({"id": np.repeat([1, 2], 9), "time": np.tile(np.arange(9), 2), "u": range(18), "v": range(18)})
    model = method().fit(from_frame(table))
    with pytest.raises(DataError, match="DBSE was fitted on features u, v; lacking here: u, unknown: w"):
        model.encode(table.rename(columns={"u": "w"}))
    codes = model.encode(table)
    assert len(codes) == 2
    turned = from_frame(table[["id", "time", "v", "u"]])
    np.testing.assert_array_equal(model.encode(turned).static, codes.static)
    assert turned.spec.feature_names == ("v", "u")  # what was given stays as it was
    watched = [method().fit(table, valid=valid).history_[-1]["valid"] for valid in (table, turned)]
    assert watched[0] == watched[1]
    with pytest.raises(DataError, match="lacking here: v, unknown: none"):
        model.encode(table.drop(columns="v"))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"n": 0}, "n=0; expected at least 1"),
        ({"n": 2, "length": 0}, "length=0"),
        ({"n": 2.5}, "n=2.5; expected a whole number"),
        ({"n": 2, "length": "long"}, "length='long'; expected a whole number"),
        ({"n": 2, "seed": True}, "seed=True; expected a whole number"),
        ({"keep": "static"}, "got keep='static'; give `like=`"),
        ({"like": SERIES}, "got keep=None; give `like=` with keep='static' or keep='dynamic', or neither"),
        ({"like": SERIES, "keep": "content"}, "got keep='content'"),
        ({"like": SERIES, "keep": "static", "n": 3}, "n=3, but `like` holds 8 sequences"),
        ({"like": SERIES, "keep": "dynamic", "length": 30}, "keep='dynamic' keeps the length of `like`"),
    ],
)
def test_samples_that_have_no_answer(fitted: DBSE, request_: dict, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        fitted.sample(**request_)


def test_swaps_pair_rows(fitted: DBSE) -> None:
    with pytest.raises(DataError, match="got 3 and 2 sequences"):
        fitted.swap(SERIES[:3], SERIES[:2])


@pytest.mark.parametrize("columns", [3, 4, 2])
def test_tables_that_transform_did_not_make(fitted: DBSE, columns: int) -> None:
    with pytest.raises(DataError, match=rf"got \(2, {columns}\); transform\(\) gives \(n, 3 \+ windows \* 2\)"):
        fitted.inverse_transform(np.zeros((2, columns)))
    with pytest.raises(DataError, match=r"got \(5,\)"):
        fitted.inverse_transform(np.zeros(5))
    with pytest.raises(DataError, match="inverse_transform: values of type <U1"):
        fitted.inverse_transform([["a"]])
    with pytest.raises(DataError, match="inverse_transform: lists of different lengths"):
        fitted.inverse_transform([[1], [1, 2]])


def unchecked(static: object, dynamic: object) -> Factors:
    """As users make them: only tests run with the annotations checked."""
    codes = Factors(torch.zeros(1, 1), torch.zeros(1, 1, 1))
    object.__setattr__(codes, "static", static)
    object.__setattr__(codes, "dynamic", dynamic)
    return codes


def test_codes_may_be_arrays(fitted: DBSE) -> None:
    static, dynamic = fitted.encode(SERIES)
    arrays = unchecked(static.numpy().astype(np.float64), dynamic.numpy())
    np.testing.assert_array_equal(fitted.decode(arrays), fitted.decode(Factors(static, dynamic)))


def test_what_is_no_code_or_seed_is_refused(fitted: DBSE) -> None:
    with pytest.raises(DataError, match="decode: got ndarray; expected Factors"):
        fitted.decode(SERIES)
    codes = fitted.encode(SERIES)
    with pytest.raises(DataError, match=r"expected \(n, 3\) and \(n, windows, 2\), as encode\(\) gives them"):
        fitted.decode(unchecked(codes.static[:, :2], codes.dynamic))
    with pytest.raises(DataError, match="decode: codes are no numbers"):
        fitted.decode(unchecked(np.array(["a"]), codes.dynamic))
    with pytest.raises(SettingsError, match="encode: draw='a'; expected a whole number"):
        fitted.encode(SERIES, draw="a")


@pytest.mark.parametrize("x", [None, {"a": SERIES}, iter(SERIES)], ids=["None", "dict", "iterator"])
def test_what_is_no_array_is_named(x: object) -> None:
    with pytest.raises(DataError, match=f"got {type(x).__name__}; expected an array, tensor, list of arrays or data"):
        method().fit(x)


def test_no_sequence_is_refused(fitted: DBSE) -> None:
    with pytest.raises(DataError, match="at least one sequence"):
        fitted.encode(as_sequences(SERIES)[[]])


def test_a_method_without_build_or_published_settings_says_so() -> None:
    with pytest.raises(CapabilityError, match="Disentangler does not define build"):
        Disentangler().fit(SERIES)
    with pytest.raises(SettingsError, match="Tiny knows no published setting, so none for 'sprites'"):
        Tiny.published("sprites")


def test_settings_are_checked_by_fit() -> None:
    with pytest.raises(SettingsError, match=r"DBSE.training = \{'lr': 1\}: expected Training"):
        method(training={"lr": 1}).fit(SERIES)
    with pytest.raises(SettingsError, match=r"DBSE\.training\.lr = 0\.0: expected a value above 0"):
        method().replace(training__lr=0.0).fit(SERIES)


def test_public_names_are_found_and_others_are_not() -> None:
    assert {getattr(seqdis, name).__name__ for name in seqdis.__all__} == set(seqdis.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        _ = seqdis.lode


def test_settings_changed_after_fit_are_not_saved_with_its_weights(tmp_path):
    x = np.random.default_rng(0).normal(size=(8, 8, 2))
    model = DBSE(training=Training(max_epochs=1)).fit(x)
    model.set_params(anchor_weight=9.0)
    with pytest.raises(SettingsError, match="settings were changed after fit"):
        model.save(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    for use in (model.encode, model.reconstruct, model.score, lambda x: model.swap(x, x), lambda x: model.sample(1)):
        with pytest.raises(SettingsError, match="settings were changed after fit"):
            use(x)
    model.set_params(anchor_weight=DBSE().anchor_weight)
    model.save(tmp_path / "run")


RAGGED = [np.random.default_rng(n).normal(size=(n, 3)) for n in (4, 9, 6)]


def test_beyond_the_length_of_a_ragged_sequence_nothing_is_made_up() -> None:
    model = method().fit(RAGGED)
    padded = np.arange(9) >= np.array([4, 9, 6])[:, None]
    made = {
        "reconstruct": model.reconstruct(RAGGED),
        "swap": model.swap(RAGGED[::-1], RAGGED),
        "sample": model.sample(like=RAGGED, keep="dynamic"),
    }
    for name, values in made.items():
        np.testing.assert_array_equal(np.isnan(values), np.broadcast_to(padded[..., None], (3, 9, 3)), err_msg=name)
    assert not np.isnan(model.sample(like=RAGGED, keep="static")).any()  # dynamics of one length for all
    again = model.encode([values[~np.isnan(values[:, 0])] for values in made["swap"]])
    assert again.lengths is not None
    assert again.lengths.tolist() == model.encode(RAGGED).lengths.tolist()


def test_ragged_sequences_have_the_columns_of_training_in_a_pipeline() -> None:
    model = method().fit(RAGGED)
    names = model.get_feature_names_out()
    assert model.transform(RAGGED).shape == (3, len(names))
    assert model.transform([RAGGED[0], RAGGED[2]]).shape == (2, len(names))  # neither is as long
    np.testing.assert_allclose(model.transform([RAGGED[0], RAGGED[2]]), model.transform(RAGGED)[[0, 2]], atol=1e-5)
    np.testing.assert_allclose(model.transform([RAGGED[0]]), model.transform(RAGGED)[:1], atol=1e-5)  # alone not ragged


def test_values_beyond_what_the_fit_can_scale_are_refused() -> None:
    model = method().fit(SERIES * 1e-3)
    far = SERIES.copy()
    far[0, 0, 0] = 3e38
    with pytest.raises(DataError, match="too far from those that the model was fitted on"), np.errstate(over="ignore"):
        model.encode(far)


@pytest.mark.parametrize("path", [Path("gait.npy"), "gait.npy"])
def test_a_path_is_no_data(path: Path | str) -> None:
    with pytest.raises(DataError, match=r"got a path, 'gait\.npy'\. Read it with seqdis\.datasets: UserFile"):
        method().fit(path)

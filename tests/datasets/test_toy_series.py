from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from seqdis.datasets.toy_series import REGIMES, ToySeries
from seqdis.errors import DataError, SettingsError
from seqdis.sequences import Sequences


def small(**changes: object) -> ToySeries:
    return ToySeries(**{"n_train": 200, "n_valid": 20, "n_test": 60, "noise": 0.0, **changes})


def test_arrays_and_spec() -> None:
    train = small().split("train")[0]
    assert train.x.dtype == np.float32
    assert train.x.shape == (200, 48, 6)
    assert (train.spec.kind, train.spec.shape, train.spec.length) == ("series", (6,), 48)
    assert train.mask is None
    assert train.lengths is None
    assert {name: values.shape for name, values in train.labels.items()} == {
        "group": (200,),
        "level": (200,),
        "regime": (200, 48),
        "phase": (200, 48),
    }


def test_values_follow_the_stated_formula() -> None:
    train = small(features=2).split("train")[0]
    rest = train.labels["regime"] == 0
    group_a = rest & (train.labels["group"] == 0)[:, None]
    level = np.broadcast_to(train.labels["level"][:, None], rest.shape)[group_a]
    # Group A (turn 1/8): offsets 1.5 sin(45 degrees) and 1.5 sin(225 degrees), by hand.
    np.testing.assert_allclose(train.x[group_a][:, 0] - level, 1.5 * 0.70710678, atol=1e-5)
    np.testing.assert_allclose(train.x[group_a][:, 1] - level, -1.5 * 0.70710678, atol=1e-5)
    pulse = (train.labels["regime"] == 3) & (train.labels["group"] == 0)[:, None]
    level = np.broadcast_to(train.labels["level"][:, None], rest.shape)[pulse]
    sign = np.where(train.labels["phase"][pulse] < 0.5, 1, -1)
    gain = 1 + 0.5 * 0.70710678
    np.testing.assert_allclose(train.x[pulse][:, 0] - level - 1.5 * 0.70710678, gain * sign, atol=1e-5)


def test_center_and_scale_normalise_observed_training_values() -> None:
    data = small(missing_rate=0.3, ragged=True, n_train=500)
    train, test = data.split("train", "test")
    normal = (train.x - np.array(train.spec.center)) / np.array(train.spec.scale)
    for channel in range(6):
        values = normal[..., channel][train.observed()[..., channel]]
        assert abs(values.mean()) < 1e-4
        assert values.std() == pytest.approx(1, abs=1e-4)
    assert test.spec == train.spec


def test_regimes_last_eight_to_sixteen_steps() -> None:
    regime = small(length=100).split("train")[0].labels["regime"]
    for row in regime:
        lasts = np.diff(np.flatnonzero(np.diff(row)), prepend=-1)
        assert ((lasts >= 8) & (lasts <= 16)).all()
    assert set(np.unique(regime)) == set(range(len(REGIMES)))


def test_hybrid_with_itself_is_the_sequence() -> None:
    data = small(ragged=True)
    test = data.split("test")[0]
    np.testing.assert_array_equal(data.hybrid(test, test), test.x)
    np.testing.assert_array_equal(data.clean(test[3:10]), test.x[3:10])


def test_hybrid_has_the_static_factors_of_one_and_the_dynamics_of_the_other() -> None:
    data = small()
    test = data.split("test")[0]
    a, b = test[:30], test[30:]
    hybrid = data.hybrid(a, b)
    # Within a group two sequences differ by their level alone, so the hybrid is B shifted to A's level.
    same = a.labels["group"] == b.labels["group"]
    shift = (a.labels["level"] - b.labels["level"])[same, None, None]
    assert same.sum() >= 3
    np.testing.assert_allclose(hybrid[same], b.x[same] + shift, atol=1e-5)
    # At rest only the static factors show: hybrids look like A there.
    rests = (a.labels["regime"] == 0).any(axis=1) & (b.labels["regime"] == 0).any(axis=1) & ~same
    assert rests.sum() >= 3
    for row in np.flatnonzero(rests):
        of_a = a.x[row][a.labels["regime"][row] == 0][0]
        np.testing.assert_allclose(hybrid[row][b.labels["regime"][row] == 0] - of_a, 0, atol=1e-6)


def test_factors_can_be_read_with_the_default_noise() -> None:
    train, test = ToySeries(n_train=400, n_valid=1, n_test=200).split("train", "test")

    def score(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray) -> float:
        return float(RandomForestClassifier(30, random_state=0).fit(x, y).score(x_test, y_test))

    means = score(train.x.mean(1), train.labels["group"], test.x.mean(1), test.labels["group"])
    assert means > 0.97
    windows = [part.x.reshape(-1, 4 * 6) for part in (train, test)]  # four steps each
    regimes = [part.labels["regime"].reshape(-1, 4)[:, 2] for part in (train, test)]
    assert score(windows[0], regimes[0], windows[1], regimes[1]) > 0.9


def test_the_time_axis_of_the_spec_is_that_of_the_arrays() -> None:
    for n in (1, 2, 3):
        train = small(ragged=True, n_train=n).split("train")[0]
        assert train.spec.length == train.x.shape[1]


def test_ragged_lengths_end_all_arrays() -> None:
    train = small(ragged=True, missing_rate=0.2).split("train")[0]
    assert train.lengths is not None
    assert train.mask is not None
    assert (train.lengths.min(), train.lengths.max()) == (24, 48)
    padded = np.arange(48) >= train.lengths[:, None]
    assert not train.x[padded].any()
    assert not train.mask[padded].any()
    assert (train.labels["regime"][padded] == -1).all()
    assert np.isnan(train.labels["phase"][padded]).all()
    assert (train.labels["regime"][~padded] >= 0).all()


def test_missing_rate_is_honoured_and_values_elsewhere_stay() -> None:
    whole, gaps = small().split("train")[0], small(missing_rate=0.4).split("train")[0]
    assert gaps.mask is not None
    assert (~gaps.mask).mean() == pytest.approx(0.4, abs=0.01)
    np.testing.assert_array_equal(gaps.x, np.where(gaps.mask, whole.x, 0))
    for name in whole.labels:
        np.testing.assert_array_equal(gaps.labels[name], whole.labels[name])


def test_noise_has_the_stated_deviation_and_clean_takes_it_away() -> None:
    data = small(noise=0.5)
    train = data.split("train")[0]
    error = train.x - data.clean(train)
    assert error.std() == pytest.approx(0.5, rel=0.02)
    clean = small().split("train")[0]
    np.testing.assert_array_equal(data.clean(train), clean.x)
    for name in clean.labels:
        np.testing.assert_array_equal(train.labels[name], clean.labels[name])


@pytest.mark.parametrize(("unseen", "held"), [(0.25, 1), (0.5, 2)])
def test_unseen_combinations_of_group_and_regime(unseen: float, held: int) -> None:
    train, valid, test = small(unseen=unseen, ragged=True).split("train", "valid", "test")

    def pairs(part: Sequences, steps: slice) -> set[tuple[int, int]]:
        regime = part.labels["regime"][:, steps]
        group = np.broadcast_to(part.labels["group"][:, None], regime.shape)
        return set(zip(group[regime >= 0].tolist(), regime[regime >= 0].tolist(), strict=True))

    known, opening = pairs(train, slice(None)) | pairs(valid, slice(None)), pairs(test, slice(1))
    assert len(known) == 16 - 4 * held
    assert len(opening) == 4 * held
    assert not opening & known
    assert {regime for _, regime in known} == set(range(4))


def test_same_seed_same_data_and_parts_differ() -> None:
    first, again, other = small(noise=0.1), small(noise=0.1), small(noise=0.1, seed=1)
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    levels = [part.labels["level"] for part in first.parts().values()]
    assert len(np.unique(np.concatenate(levels))) == sum(map(len, levels))


def test_smallest_set_keeps_a_value_and_a_finite_scale() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train = ToySeries(n_train=1, length=1, features=1, missing_rate=0.9, ragged=True).split("train")[0]
    assert train.observed().sum() == 1
    assert train.spec.scale == (1.0,)


@pytest.mark.parametrize(
    "wrong", [{"n_test": 0}, {"length": 0}, {"features": 0}, {"noise": -1.0}, {"missing_rate": 1.5}, {"unseen": 0.6}]
)
def test_nonsense_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=f"ToySeries.{next(iter(wrong))} = "):
        small(**wrong).parts()


def test_hybrid_refuses_what_cannot_be_paired() -> None:
    data = small()
    test = data.split("test")[0]
    with pytest.raises(DataError, match="hybrid of 2 and 5 sequences"):
        data.hybrid(test[:2], test[:5])
    with pytest.raises(DataError, match=r"mine: elements of shape \(6,\) with labels none; hybrids need"):
        data.hybrid(Sequences(x=test.x[:2], spec=test.spec, name="mine"), test[:2])
    with pytest.raises(DataError, match=r"need sequences of toy-series of shape \(3,\)"):
        small(features=3).clean(test)
    with pytest.raises(DataError, match="with its classes of group"):
        data.clean(replace(test, spec=replace(test.spec, factors=test.spec.factors[1:])))

from __future__ import annotations

import dataclasses
import json
import math
from typing import Literal

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from seqdis.errors import SettingsError
from seqdis.hyperparameters import (
    Settings,
    from_dict,
    hyper,
    hyperparameters,
    plain,
    signature,
    to_dict,
    validate,
)


@hyperparameters
class Inner(Settings):
    lr: float = hyper(default=1e-3, above=0, low=1e-4, high=1e-2, log=True)
    devices: int = hyper(default=1, at_least=1, identity=False)


@hyperparameters
class Outer(Settings):
    size: int = hyper(default=4, at_least=1, at_most=64)
    weight: float = hyper(default=1.0, at_least=0)
    mode: int | Literal["first", "last"] = "first"
    flag: bool = False
    note: str | None = None
    inner: Inner = hyper(factory=Inner)


def test_constructor_stores_and_does_nothing_else() -> None:
    odd = Outer(size="four", inner=None)
    assert odd.size == "four"
    assert odd.inner is None
    with pytest.raises(TypeError):
        Outer(4)
    with pytest.raises(TypeError, match="sise"):
        Outer(sise=4)


def test_values_decide_equality_and_defaults_are_not_shared() -> None:
    assert Outer() == Outer(size=4)
    assert Outer() != Outer(size=5)
    assert Outer().inner is not Outer().inner


def test_scikit_learn_parameters() -> None:
    outer = Outer(size=8)
    assert outer.get_params()["inner__lr"] == 1e-3
    assert outer.set_params(inner__lr=0.5, size=2) is outer
    assert (outer.inner.lr, outer.size) == (0.5, 2)
    copy = clone(outer)
    assert copy == outer
    assert copy.inner is not outer.inner


def test_replace_leaves_the_original_alone() -> None:
    outer = Outer()
    changed = outer.replace(inner__lr=0.5, mode=3)
    assert (changed.inner.lr, changed.mode) == (0.5, 3)
    assert outer == Outer()


def test_dictionary_round_trip_through_json() -> None:
    outer = Outer(size=8, mode=2, note="x", inner=Inner(lr=0.25))
    stored = json.loads(json.dumps(to_dict(outer)))
    assert stored["inner"] == {"lr": 0.25, "devices": 1}
    assert from_dict(Outer, stored) == outer
    assert from_dict(Outer, {}) == Outer()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"sise": 4}, "Outer: unknown setting 'sise'. Did you mean 'size'?"),
        ({"inner": {"rl": 1}}, "Outer.inner: unknown setting 'rl'. Did you mean 'lr'? Known: devices, lr."),
        ({"inner": 3}, "Outer.inner: expected an object with named settings, got int."),
        ({"size": "four"}, "Outer.size = 'four': expected int."),
        ({"inner": {"lr": "fast"}}, "Outer.inner.lr = 'fast': expected float."),
        ({"mode": "frist"}, "Outer.mode = 'frist': expected int or Literal['first', 'last']."),
        ([], "Outer: expected an object with named settings, got list."),
    ],
)
def test_from_dict_names_the_path_the_value_and_what_is_accepted(data, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        from_dict(Outer, data)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 0}, "Outer.size = 0: expected a value at least 1."),
        ({"size": 65}, "Outer.size = 65: expected a value at most 64."),
        ({"size": 4.0}, "Outer.size = 4.0: expected int."),
        ({"size": True}, "Outer.size = True: expected int."),
        ({"size": None}, "Outer.size = None: expected int."),
        ({"flag": 1}, "Outer.flag = 1: expected bool."),
        ({"weight": -0.1}, "Outer.weight = -0.1: expected a value at least 0."),
        ({"weight": math.nan}, "Outer.weight = nan: expected a finite number."),
        ({"weight": math.inf}, "Outer.weight = inf: expected a finite number."),
        ({"weight": np.float32(-1)}, "Outer.weight = -1.0: expected a value at least 0."),
        ({"inner__lr": 0.0}, "Outer.inner.lr = 0.0: expected a value above 0."),
        ({"inner": {"lr": 0.1}}, "Outer.inner = {'lr': 0.1}: expected Inner(...)."),
        ({"note": object}, "Outer.note = <class 'object'>: settings hold numbers"),
    ],
)
def test_validate_refuses(changes, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        validate(Outer().set_params(**changes))
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"size": 1},
        {"size": 64},
        {"weight": 0},
        {"mode": 7},
        {"note": "x"},
        {"size": np.int64(3)},
        {"weight": np.float32(2)},
    ],
)
def test_validate_accepts(changes) -> None:
    validate(Outer(**changes))


def test_undecorated_settings_are_refused() -> None:
    class Bare(Settings):
        pass

    with pytest.raises(SettingsError, match="Bare is not decorated"):
        to_dict(Bare())


def test_plain_makes_numpy_numbers_and_whole_floats_what_was_declared() -> None:
    (grid,) = ParameterGrid({"size": np.array([3]), "weight": [2], "mode": [np.int64(1)]})
    made = plain(Outer(**grid))
    assert [type(value) for value in (made.size, made.weight, made.mode)] == [int, float, int]
    assert made == Outer(size=3, weight=2.0, mode=1)


def test_signature_follows_identity_fields_only() -> None:
    base = signature(Outer())
    assert signature(Outer(inner=Inner(devices=4))) == base
    changes = [{"size": 5}, {"weight": 0.5}, {"mode": "last"}, {"flag": True}, {"note": "x"}, {"inner__lr": 0.1}]
    others = {signature(Outer().replace(**change)) for change in changes}
    assert len(others | {base}) == len(changes) + 1


def test_what_was_added_later_counts_only_when_it_is_used() -> None:
    class Before(Settings):
        size: int = 3

    class After(Settings):
        size: int = 3
        extra: int | None = hyper(default=None, identity="changed")

    before, after = (
        hyperparameters(type("Model", (cls,), {"__annotations__": cls.__annotations__})) for cls in (Before, After)
    )
    assert signature(after()) == signature(before())
    assert signature(after(extra=2)) != signature(after())


def test_signature_is_the_same_however_a_number_is_written() -> None:
    assert signature(Outer(weight=2)) == signature(Outer(weight=2.0)) == signature(Outer(weight=np.float64(2)))
    assert signature(from_dict(Outer, to_dict(Outer(weight=2)))) == signature(Outer(weight=2))


def test_signature_names_the_class_and_never_changes() -> None:
    twin = hyperparameters(type("Twin", (Inner,), {}))
    assert signature(twin()) != signature(Inner())
    # Frozen: another value would disown every run folder written before.
    assert signature(Inner()) == "a912ba78c2b7843a"


def test_tuning_bounds_stand_in_the_fields() -> None:
    (lr, devices) = dataclasses.fields(Inner)
    assert (lr.metadata["low"], lr.metadata["high"], lr.metadata["log"]) == (1e-4, 1e-2, True)
    assert devices.metadata["identity"] is False

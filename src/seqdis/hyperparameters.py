"""One declaration: a dataclass whose fields are parameters, flags, JSON, tuning space and identity.

A class decorated with :func:`hyperparameters` is a keyword-only dataclass on scikit-learn's
``BaseEstimator``. Its constructor stores and does nothing else; :func:`validate` checks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import operator
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self, TypeVar, dataclass_transform

import msgspec
import numpy as np
from sklearn.base import BaseEstimator

from seqdis.errors import SettingsError, unknown_name

T = TypeVar("T")
S = TypeVar("S", bound="Settings")


def hyper(
    default: Any = dataclasses.MISSING,
    *,
    factory: Any = dataclasses.MISSING,
    low: float | None = None,
    high: float | None = None,
    log: bool = False,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    identity: bool | Literal["changed"] = True,
) -> Any:
    """Declare one hyperparameter.

    Parameters
    ----------
    default, factory
        Default value, or a function without arguments that makes it.
    low, high, log
        Range that tuning searches, and whether on a logarithmic scale. Not a validity check.
    at_least, above, at_most
        What :func:`validate` accepts.
    identity
        False for what cannot change a result (devices, logging): stays out of the signature. "changed" for
        what was added later and does nothing at its default: counts only with another value, so that runs of
        before are still found.
    """
    metadata = {
        "low": low,
        "high": high,
        "log": log,
        "at_least": at_least,
        "above": above,
        "at_most": at_most,
        "identity": identity,
    }
    if factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(kw_only_default=True, field_specifiers=(hyper, dataclasses.field))
def hyperparameters(cls: type[T]) -> type[T]:
    """Turn a class into a keyword-only dataclass with value equality."""
    return dataclasses.dataclass(kw_only=True)(cls)


class Settings(BaseEstimator):
    """Base of everything that is declared with :func:`hyperparameters`.

    Inherits ``get_params``, nested ``set_params`` and ``clone`` from scikit-learn.
    """

    def replace(self, **changes: Any) -> Self:
        """A copy with some hyperparameters changed; ``training__lr=1e-3`` reaches nested ones."""
        from sklearn.base import clone

        copy: Self = clone(self)
        copy.set_params(**changes)
        return copy


def to_dict(settings: Settings) -> dict[str, Any]:
    """Hyperparameters as JSON-ready builtins, nested settings as nested dictionaries.

    Raises
    ------
    SettingsError
        A value that JSON cannot hold.
    """

    def builtin(name: str, value: Any) -> Any:
        if isinstance(value, Settings):
            return to_dict(value)
        try:
            return msgspec.to_builtins(value, enc_hook=_number)
        except TypeError as error:
            given = f"{type(settings).__name__}.{name} = {value!r}"
            raise SettingsError(f"{given}: settings hold numbers, words, or lists of them.") from error

    return {f.name: builtin(f.name, getattr(settings, f.name)) for f in dataclasses.fields(_as_data(settings))}


def from_dict(cls: type[S], data: Mapping[str, Any]) -> S:
    """Rebuild settings from :func:`to_dict`.

    Raises
    ------
    SettingsError
        Unknown names (with a suggestion) or values of the wrong type, named by their path.
    """
    _refuse_unknown(cls, data, cls.__name__)
    try:
        return msgspec.convert(data, cls)
    except msgspec.ValidationError as error:
        raise SettingsError(_readable(cls, data, str(error))) from error


def plain(settings: S) -> S:
    """An equal copy with values of exactly the declared types: NumPy numbers and whole floats made plain.

    Raises
    ------
    SettingsError
        A value of the wrong type.
    """
    return from_dict(type(settings), to_dict(settings))


def validate(settings: Settings) -> None:
    """Check types and bounds of all fields, nested ones too.

    Raises
    ------
    SettingsError
        Names the field, the value given and what is accepted.
    """
    for name, kind in _nested_types(type(settings)).items():
        value = getattr(settings, name)
        if not isinstance(value, kind):  # a dictionary would pass the conversion below
            raise SettingsError(f"{type(settings).__name__}.{name} = {value!r}: expected {kind.__name__}(...).")
    _check_bounds(plain(settings), type(settings).__name__)


def signature(settings: Settings) -> str:
    """Hash of class name and identity fields: equal signature, data and seed mean the same run."""
    text = json.dumps([type(settings).__name__, _identity(plain(settings))], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def whole_number(what: str, value: Any) -> int:
    """A seed or count given to a call, as int.

    Raises
    ------
    SettingsError
        No whole number; ``what`` says what it was given as.
    """
    if isinstance(value, bool | np.bool) or not hasattr(value, "__index__"):
        raise SettingsError(f"{what}={value!r}; expected a whole number.")
    return operator.index(value)


def _identity(settings: Settings) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for field in dataclasses.fields(_as_data(settings)):
        counts, value = field.metadata.get("identity", True), getattr(settings, field.name)
        if counts is True or (counts == "changed" and value != field.default):
            kept[field.name] = _identity(value) if isinstance(value, Settings) else msgspec.to_builtins(value)
    return kept


def _check_bounds(settings: Any, path: str) -> None:
    tests: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
        ("at_least", "at least", lambda value, bound: value >= bound),
        ("above", "above", lambda value, bound: value > bound),
        ("at_most", "at most", lambda value, bound: value <= bound),
    )
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, Settings):
            _check_bounds(value, f"{path}.{field.name}")
        elif isinstance(value, float) and not math.isfinite(value):
            raise SettingsError(f"{path}.{field.name} = {value}: expected a finite number.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            for key, words, holds in tests:
                bound = field.metadata.get(key)
                if bound is not None and not holds(value, bound):
                    raise SettingsError(f"{path}.{field.name} = {value!r}: expected a value {words} {bound}.")


def _refuse_unknown(cls: type[Any], data: Mapping[str, Any], path: str) -> None:
    if not isinstance(data, Mapping):
        raise SettingsError(f"{path}: expected an object with named settings, got {type(data).__name__}.")
    hints = _nested_types(cls)
    known = {f.name for f in dataclasses.fields(cls)}
    for key, value in data.items():
        if key not in known:
            raise SettingsError(f"{path}: {unknown_name('setting', key, known)}")
        if key in hints:
            _refuse_unknown(hints[key], value, f"{path}.{key}")


def _nested_types(cls: type[Any]) -> dict[str, type[Settings]]:
    hints = typing.get_type_hints(cls)
    return {name: kind for name, kind in hints.items() if isinstance(kind, type) and issubclass(kind, Settings)}


def _readable(cls: type[Any], data: Any, message: str) -> str:
    """'Expected `float`, got `str` - at `$.training.lr`' -> 'DBSE.training.lr = 'x': expected float.'"""
    what, _, where = message.partition(" - at ")
    path = where.strip("`").removeprefix("$.")
    kind: Any = cls
    for name in path.split("."):
        hints = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        if name not in hints:  # inside a list, or a field left out
            return f"{cls.__name__}.{path}: {what[:1].lower() + what[1:]}."
        kind, data = hints[name], data[name]
    choices = typing.get_args(kind) if typing.get_origin(kind) is typing.Union else (kind,)
    accepted = " or ".join(c.__name__ if isinstance(c, type) else str(c).replace("typing.", "") for c in choices)
    return f"{cls.__name__}.{path} = {data!r}: expected {accepted}."


def _number(value: Any) -> Any:
    """The plain number that a NumPy scalar holds, as grid searches give them."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(type(value).__name__)


def _as_data(settings: Settings) -> Any:
    if not dataclasses.is_dataclass(settings):
        raise SettingsError(f"{type(settings).__name__} is not decorated with @hyperparameters.")
    return settings

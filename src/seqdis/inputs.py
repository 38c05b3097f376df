"""Whatever a user holds -> `Sequences`: arrays, tensors, ragged lists, long data frames."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from seqdis.arrays import (
    as_images,
    as_rows,
    check_rank,
    checked,
    checked_lengths,
    checked_mask,
    guessed_kind,
    padded,
    stacked,
    without_missing,
)
from seqdis.errors import DataError
from seqdis.labels import classes_of, codes, factor_of, of_table
from seqdis.sequences import Array, DataSpec, FactorSpec, Kind, Sequences

_log = logging.getLogger(__name__)


def as_sequences(
    X: Any,
    *,
    mask: Any = None,
    lengths: Any = None,
    labels: Mapping[str, Any] | None = None,
    kind: Kind | None = None,
    name: str = "array",
) -> Sequences:
    """Turn data into `Sequences`; those that are already are returned as they are.

    Parameters
    ----------
    X
        Array or tensor (n, time, features) of a series, (n, time, channels, height, width) or
        channels last of video, (n, time, bins) of spectrograms with ``kind="spectrogram"``; a list
        of arrays (time_i, ...) of different lengths; a long data frame (see `from_frame`).
        NaN means missing. Video: bytes 0..255 or floats in [0, 1].
    mask : array of bool, optional
        True where **observed**; of the shape of X, or (n, time) for whole steps.
    lengths : array of int, optional
        Real steps of each sequence; what lies beyond is padding and never read.
    labels : mapping of arrays, optional
        Known factors, (n,) or (n, time).
    kind : "image", "spectrogram" or "series", optional
        What a step is; guessed from the rank.

    Raises
    ------
    DataError
        Wrong rank or type, nothing observed in a sequence, infinite values, lengths beyond time.
    """
    if isinstance(X, Sequences):
        if mask is not None or lengths is not None or labels is not None:
            raise DataError("Sequences carry their own mask, lengths and labels: give them there, not beside.")
        return X
    if hasattr(X, "columns") and hasattr(X, "groupby"):
        if mask is not None or lengths is not None or labels is not None:
            raise DataError(f"{name}: a long table holds its own: leave rows out, use NaN, see from_frame(labels=).")
        return from_frame(X, name=name)
    if hasattr(X, "split") and hasattr(X, "parts"):
        raise DataError(f"{name}: a data set has several parts; choose one, as in `X.split('test')[0]`.")
    if isinstance(X, list | tuple) and X and all(isinstance(part, Sequences) for part in X):
        return as_sequences(_joined(X, name), mask=mask, lengths=lengths, labels=labels)
    if isinstance(X, list | tuple):
        x, mask, lengths = padded(X, mask, lengths, name)
    else:
        x = checked(X, name)
    kind = kind or guessed_kind(x, name)
    check_rank(x, kind, name)
    steps = checked_lengths(lengths, x.shape[:2], name)
    x, seen = without_missing(x, checked_mask(mask, x, name), steps, kind, name)
    x = as_images(x, name) if kind == "image" else as_rows(x, name)
    spec = DataSpec(
        kind=kind,
        shape=tuple(x.shape[2:]),
        length=x.shape[1],
        scale=(255.0,) if x.dtype == np.uint8 else (1.0,),
        missing=seen is not None,
        factors=tuple(factor_of(key, np.asarray(values)) for key, values in (labels or {}).items()),
    )
    plain = {key: codes(np.asarray(values)) for key, values in (labels or {}).items()}
    return Sequences(x=x, spec=spec, mask=seen, lengths=steps, labels=plain, ids=np.arange(len(x)), name=name)


def from_frame(
    frame: pd.DataFrame,
    *,
    id: str = "id",
    time: str = "time",
    labels: Sequence[str] = (),
    name: str = "frame",
) -> Sequences:
    """A long data frame, one row per sequence and time, as ragged series.

    Parameters
    ----------
    frame
        Columns or levels of the index ``id`` and ``time`` (numbers, or dates and durations, which become hours);
        ``labels``; every other column is a numeric feature.
    labels
        Columns that hold known factors: static if constant within every sequence where they are known, else per step.

    Raises
    ------
    DataError
        Columns missing or not numeric, ids of words and numbers, or an (id, time) pair given twice.
    """
    if {id, time} & set(frame.index.names):
        frame = frame.reset_index([level for level in (id, time) if level in frame.index.names])
    absent = [column for column in (id, time, *labels) if column not in frame.columns]
    if absent:
        have = ", ".join(map(str, frame.columns))
        raise DataError(
            f"{name}: no column {', '.join(map(repr, absent))}; has: {have}. A long table needs columns of ids and "
            "times, called id and time unless told otherwise: --id-column and --time-column (--data.id-column of fit), "
            "from_frame(frame, id=..., time=...) in Python; labels likewise."
        )
    if not frame.columns.is_unique:
        repeated = ", ".join(map(str, frame.columns[frame.columns.duplicated()].unique()))
        raise DataError(f"{name}: several columns are called {repeated}; give each a name of its own.")
    if len(frame) == 0:
        raise DataError(f"{name}: the table has no rows; at least one sequence is needed.")
    if frame[[id, time]].isna().any(axis=None):
        raise DataError(f"{name}: {id} or {time} is missing in some rows; drop or fill those.")
    if len({isinstance(value, str) for value in frame[id].unique()}) > 1:
        raise DataError(f"{name}: column '{id}' holds words and numbers, which have no order; write all as words.")
    frame = frame.assign(**{time: _hours_or_numbers(frame[time], name)})
    if frame[[id, time]].duplicated().any():
        raise DataError(f"{name}: the same ({id}, {time}) stands in several rows; aggregate them first.")
    frame = frame.sort_values([id, time], kind="stable")
    features = [column for column in frame.columns if column not in (id, time, *labels)]
    counters = [str(c) for c in features if str(c).startswith("Unnamed: ")]
    if counters:
        raise DataError(
            f"{name}: column {counters[0]} counts rows, which would tell id and time; save with index=False."
        )
    words = [str(c) for c in features if not pd.api.types.is_numeric_dtype(frame[c])]
    if words or not features:
        what = f"columns {', '.join(words)} are not numeric" if words else "no feature column is left"
        raise DataError(f"{name}: {what}. Declare known factors as label columns; encode the rest as numbers.")
    ids, starts = np.unique(frame[id].to_numpy(), return_index=True)
    values = frame[features].to_numpy(dtype=np.float64, na_value=np.nan)
    silent = ids[~np.logical_or.reduceat(~np.isnan(values).all(1), starts)]
    if len(silent):
        raise DataError(f"{name}: {len(silent)} sequence(s) without a single observed value, such as {id} {silent[0]}.")
    parts = np.split(values, starts[1:])
    columns = {label: of_table(frame[label]) for label in labels}
    known = {label: _per_sequence(np.split(codes(values), starts[1:])) for label, values in columns.items()}
    result = as_sequences(parts, labels=known, kind="series", name=name)
    stamps = np.split(frame[time].to_numpy(), starts[1:])
    _warn_of_gaps(stamps, name, time)
    factors = tuple(
        FactorSpec(name=f.name, kind=f.kind, classes=classes_of(columns[f.name])) for f in result.spec.factors
    )
    spec = replace(result.spec, feature_names=tuple(map(str, features)), factors=factors)
    return replace(result, spec=spec, ids=ids, times=stacked(stamps, 0.0))


def with_features(sequences: Sequences, names: tuple[str, ...]) -> Sequences:
    """Series with their columns in the order of these names."""
    spec = sequences.spec
    if spec.feature_names == names:
        return sequences
    order = [spec.feature_names.index(name) for name in names]
    center, scale = (
        tuple(values[i] for i in order) if len(values) > 1 else values for values in (spec.center, spec.scale)
    )
    return replace(
        sequences,
        x=sequences.x[..., order],
        mask=None if sequences.mask is None else sequences.mask[..., order],
        spec=replace(spec, feature_names=names, center=center, scale=scale),
    )


def standardised(sequences: Sequences) -> DataSpec:
    """The spec with mean and standard deviation of what is observed, per feature.

    A constant or never observed feature keeps scale 1.
    """
    seen = sequences.observed()
    if sequences.spec.kind != "series":
        seen = np.broadcast_to(seen[..., None], sequences.x.shape)
    x = sequences.x.astype(np.float64)
    count = seen.sum((0, 1)).clip(min=1)
    mean = np.where(seen, x, 0.0).sum((0, 1)) / count
    variance = (np.where(seen, x - mean, 0.0) ** 2).sum((0, 1)) / count
    # A constant feature's variance is rounding noise; dividing by it would blow that up.
    constant = variance <= (1e-6 * np.abs(mean)) ** 2 + 1e-24
    scale = np.where(constant, 1.0, np.sqrt(variance))
    return replace(sequences.spec, center=tuple(mean.tolist()), scale=tuple(scale.tolist()))


def scaled(train: Sequences) -> DataSpec:
    """The spec that networks are fitted with: series and spectrograms that nobody scaled are `standardised`.

    One center of 0 and one scale of 1 for all features say that nobody did; given feature by feature, they say
    that the values are meant as they are.
    """
    untouched = train.spec.center == (0.0,) and train.spec.scale == (1.0,)
    if not untouched or train.spec.kind == "image":
        return train.spec
    if train.spec.kind == "series":
        _warn_of_silent(train)
    return standardised(train)


def _warn_of_silent(train: Sequences) -> None:
    silent = np.flatnonzero(~train.observed().any((0, 1)))
    if len(silent):
        names = [train.spec.feature_names[i] if train.spec.feature_names else f"number {i}" for i in silent]
        _log.warning("%s: never observed: feature %s; leave out what says nothing.", train.name, ", ".join(names))


def _warn_of_gaps(times: list[Array], name: str, column: str) -> None:
    """Steps are neighbours whatever the time between them; where most lie evenly, a larger gap is a row that lacks."""
    gaps = np.concatenate([np.diff(of_one) for of_one in times])
    usual = np.median(gaps) if len(gaps) else 0.0
    wide = gaps > 1.5 * usual
    if wide.any() and np.isclose(gaps, usual).mean() > 0.5:
        _log.warning(
            "%s: rows lie %g apart in '%s', but %d of %d lie further; they are taken for neighbours. Rows of NaN keep "
            "the gaps.", name, usual, column, wide.sum(), len(gaps),
        )  # fmt: skip


def _joined(parts: Sequence[Sequences], name: str) -> Sequences:
    """Pieces of one set as one: scikit-learn takes sets apart sequence by sequence."""
    first = parts[0]

    def given(part: Sequences) -> list[str]:
        return [key for key in ("mask", "lengths", "times", "ids", "groups") if getattr(part, key) is not None]

    def form(part: Sequences) -> tuple[object, ...]:
        return part.spec, part.x.shape[1], sorted(part.labels), given(part)

    if any(form(part) != form(first) for part in parts):
        raise DataError(
            f"{name}: a list of Sequences that are not pieces of one set; give one set, or a list of arrays."
        )
    changes: dict[str, Any] = {
        key: np.concatenate([getattr(part, key) for part in parts]) for key in ("x", *given(first))
    }
    labels = {key: np.concatenate([part.labels[key] for part in parts]) for key in first.labels}
    return replace(first, labels=labels, **changes)


def _per_sequence(pieces: list[Array]) -> Array:
    """One label of each sequence if none has two different ones, unknown ones aside; else one per step."""
    numeric = pieces[0].dtype.kind == "f"
    given = [piece[~np.isnan(piece) if numeric else piece != -1] for piece in pieces]
    unknown = np.nan if numeric else -1
    if all((values == values[:1]).all() for values in given):
        return np.array([values[0] if len(values) else unknown for values in given])
    return stacked(pieces, unknown)


def _hours_or_numbers(column: pd.Series, name: str) -> pd.Series:
    """Time stamps as numbers; dates, parsed or written, as hours since 1970."""
    hour = pd.Timedelta(hours=1)
    if pd.api.types.is_timedelta64_dtype(column):
        return pd.Series(pd.to_timedelta(column) / hour)
    if pd.api.types.is_numeric_dtype(column):
        times = column.astype(np.float64)
        if np.isinf(times).any():
            raise DataError(f"{name}: column '{column.name}' holds infinite times; drop or correct those rows.")
        return times
    dates = pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce")
    if dates.isna().any():
        raise DataError(
            f"{name}: column '{column.name}' holds neither numbers nor dates like 2024-01-31 12:00, such as "
            f"{column[dates.isna()].iloc[0]!r}."
        )
    return (dates - pd.Timestamp(0, tz="UTC")) / hour

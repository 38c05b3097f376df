"""Whatever a user holds -> `Sequences`: arrays, tensors, ragged lists, long data frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from seqdis.errors import DataError
from seqdis.labels import classes_of, codes, factor_of
from seqdis.sequences import Array, DataSpec, FactorSpec, Kind, Sequences

if TYPE_CHECKING:
    import pandas as pd

CHANNELS = (1, 3, 4)


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
    if isinstance(X, list | tuple):
        x, mask, lengths = _pad(X, mask, lengths, name)
    else:
        x = _array(X, name)
    kind = kind or _guess(x, name)
    _check_rank(x, kind, name)
    steps = _lengths(lengths, x.shape[:2], name)
    x, seen = _missing(x, _mask(mask, x, name), steps, kind, name)
    x = _images(x, name) if kind == "image" else _rows(x, name)
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
        Columns ``id`` and ``time`` (numbers, or dates, which become hours); ``labels``; every other
        column is a numeric feature.
    labels
        Columns that hold known factors: static if constant within every sequence, else per step.

    Raises
    ------
    DataError
        Columns missing or not numeric, or an (id, time) pair given twice.
    """
    absent = [column for column in (id, time, *labels) if column not in frame.columns]
    if absent:
        have = ", ".join(map(str, frame.columns))
        raise DataError(
            f"{name}: no column {', '.join(map(repr, absent))}. A long table needs id and time; has: {have}."
        )
    if len(frame) == 0:
        raise DataError(f"{name}: the table has no rows; at least one sequence is needed.")
    if frame[[id, time]].isna().any(axis=None):
        raise DataError(f"{name}: {id} or {time} is missing in some rows; drop or fill those.")
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
    words = [str(c) for c in features if not np.issubdtype(np.asarray(frame[c]).dtype, np.number)]
    if words or not features:
        what = f"columns {', '.join(words)} are not numeric" if words else "no feature column is left"
        raise DataError(f"{name}: {what}. Declare known factors as label columns; encode the rest as numbers.")
    ids, starts = np.unique(frame[id].to_numpy(), return_index=True)
    parts = np.split(frame[features].to_numpy(dtype=np.float64), starts[1:])
    columns = {label: codes(frame[label].to_numpy()) for label in labels}
    known: dict[str, Array] = {}
    for label, values in columns.items():
        pieces = np.split(values, starts[1:])
        numeric = values.dtype.kind == "f"
        static = all(np.array_equal(p, np.full_like(p, p[0]), equal_nan=numeric) for p in pieces)
        unknown = np.nan if numeric else -1
        known[label] = np.array([piece[0] for piece in pieces]) if static else _fill(pieces, unknown)
    result = as_sequences(parts, labels=known, kind="series", name=name)
    stamps = np.split(frame[time].to_numpy(), starts[1:])
    factors = tuple(
        FactorSpec(name=f.name, kind=f.kind, classes=classes_of(frame[f.name].to_numpy())) for f in result.spec.factors
    )
    spec = replace(result.spec, feature_names=tuple(map(str, features)), factors=factors)
    return replace(result, spec=spec, ids=ids, times=_fill(stamps, 0.0))


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


def _array(X: Any, name: str) -> Array:
    if isinstance(X, torch.Tensor):
        X = X.detach().cpu()
        X = X.float() if X.dtype == torch.bfloat16 else X  # NumPy has no bfloat16
    x = np.asarray(X)
    if x.dtype == object:
        raise DataError(f"{name}: sequences of different lengths? Give a list of arrays, or pad and pass `lengths`.")
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool) or np.iscomplexobj(x):
        raise DataError(f"{name}: values of type {x.dtype}; expected real numbers.")
    if x.ndim and len(x) == 0:
        raise DataError(f"{name} is empty (shape {x.shape}); at least one sequence of one step is needed.")
    return x


def _pad(parts: Sequence[Any], mask: Any, lengths: Any, name: str) -> tuple[Array, Any, Any]:
    """A list of sequences as one array, with its mask and lengths."""
    if len(parts) == 0:
        raise DataError(f"{name}: an empty list; at least one sequence is needed.")
    arrays = [_array(part, f"{name}[{i}]") for i, part in enumerate(parts)]
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1 or any(array.ndim == 0 for array in arrays):
        raise DataError(f"{name}: the steps of the sequences have different shapes: {sorted(shapes)[:4]}.")
    counts = [len(array) for array in arrays]
    if len(set(counts)) > 1:
        if lengths is not None:
            raise DataError(f"{name}: a list of sequences of different lengths has its own; leave `lengths` out.")
        lengths = counts
        if isinstance(mask, list | tuple):
            mask = _pad_mask(mask, counts, name)
    return _fill(arrays, 0), mask, lengths


def _pad_mask(parts: Sequence[Any], counts: list[int], name: str) -> Array:
    masks = [np.asarray(part) for part in parts]
    if [mask.shape[:1] for mask in masks] != [(n,) for n in counts] or len({mask.shape[1:] for mask in masks}) > 1:
        raise DataError(f"{name}: the masks of the list have shapes unlike its sequences, of {counts[:4]} ... steps.")
    return _fill(masks, False)


def _fill(parts: Sequence[Array], filler: float) -> Array:
    """Stack arrays of different lengths, padding at the end."""
    shape = (len(parts), max(map(len, parts)), *parts[0].shape[1:])
    full = np.full(shape, filler, dtype=np.result_type(*{part.dtype for part in parts}))
    for row, part in zip(full, parts, strict=True):
        row[: len(part)] = part
    return full


def _guess(x: Array, name: str) -> Kind:
    if x.ndim == 3:
        return "series"
    if x.ndim == 5:
        return "image"
    hint = {
        2: "For one feature use x[:, :, None]; for one sequence x[None].",
        4: "For grey video use x[:, :, None]; for one video x[None].",
    }.get(x.ndim, "")
    raise DataError(
        f"{name}: got shape {x.shape}; expected (n, time, features) or (n, time, channels, height, width). {hint}"
    )


def _check_rank(x: Array, kind: Kind, name: str) -> None:
    if x.ndim != (5 if kind == "image" else 3):
        need = "(n, time, channels, height, width)" if kind == "image" else "(n, time, features)"
        raise DataError(f"{name}: got shape {x.shape}; {kind} data need {need}.")


def _rows(x: Array, name: str) -> Array:
    with np.errstate(over="ignore"):
        rows = x.astype(np.float32, copy=False)
    if not np.isfinite(rows).all():
        raise DataError(f"{name}: values up to {np.abs(x).max():g} do not fit 32-bit floats; rescale them.")
    return rows


def _images(x: Array, name: str) -> Array:
    """Channels third, bytes or float32; what is not observed is zero by now."""
    if x.shape[2] not in CHANNELS:
        if x.shape[-1] not in CHANNELS:
            raise DataError(f"{name}: got shape {x.shape}; expected 1, 3 or 4 channels, third or last axis.")
        x = np.ascontiguousarray(np.moveaxis(x, -1, 2))
    low, high = float(x.min()), float(x.max())
    if np.issubdtype(x.dtype, np.integer):
        if low < 0 or high > 255:
            raise DataError(f"{name}: integer video with values {low:g}..{high:g}; expected bytes 0..255.")
        return x.astype(np.uint8)
    if low < 0 or high > 1:
        raise DataError(
            f"{name}: float video with values {low:g}..{high:g}; expected [0, 1]. Divide by 255, or pass bytes."
        )
    return x.astype(np.float32)


def _lengths(lengths: Any, shape: tuple[int, int], name: str) -> Array | None:
    if lengths is None:
        return None
    steps = np.asarray(lengths)
    if steps.shape != shape[:1] or not np.issubdtype(steps.dtype, np.integer):
        raise DataError(
            f"{name}: lengths must be {shape[0]} integers, one per sequence; got {steps.dtype} {steps.shape}."
        )
    if steps.min() < 1 or steps.max() > shape[1]:
        bad = steps[(steps < 1) | (steps > shape[1])][0]
        raise DataError(f"{name}: length {bad} given; lengths must lie in 1..{shape[1]} (the time axis of X).")
    return steps.astype(np.int64)


def _mask(mask: Any, x: Array, name: str) -> Array | None:
    if mask is None:
        return None
    seen = mask.detach().cpu().numpy() if isinstance(mask, torch.Tensor) else np.asarray(mask)
    if seen.dtype != bool and not np.isin(seen, (0, 1)).all():
        raise DataError(f"{name}: mask of type {seen.dtype}; expected booleans, true where observed.")
    if seen.shape not in (x.shape, x.shape[:2]):
        raise DataError(f"{name}: mask has shape {seen.shape}; expected {x.shape} or {x.shape[:2]}.")
    return seen.astype(bool)


def _missing(x: Array, mask: Array | None, lengths: Array | None, kind: Kind, name: str) -> tuple[Array, Array | None]:
    """Zeros and a mask where NaN, masked or padded; refuses what no code could come from."""
    floating = np.issubdtype(x.dtype, np.floating)
    if mask is None and lengths is None and x.size and not (floating and not np.isfinite(x).all()):
        return x, None  # the rest would hold several masks of a whole video set in memory
    steps = np.ones(x.shape[:2], dtype=bool) if lengths is None else np.arange(x.shape[1]) < lengths[:, None]
    wide = steps.reshape(*steps.shape, *[1] * (x.ndim - 2))
    given = np.ones(x.shape, dtype=bool) if mask is None else mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim))
    seen: Array = np.broadcast_to(given & wide, x.shape)
    if floating and np.isinf(x[seen]).any():
        raise DataError(f"{name}: infinite values. Use NaN for what is missing.")
    nan = np.isnan(x) & seen if floating else np.zeros_like(seen)
    seen = seen & ~nan
    if kind != "series":
        whole, some = seen.all(axis=tuple(range(2, x.ndim))), seen.any(axis=tuple(range(2, x.ndim)))
        if (whole != some).any():
            raise DataError(
                f"{name}: parts of a frame are missing; for {kind} data only whole frames may be (all NaN)."
            )
    silent = ~seen.reshape(len(x), -1).any(1)
    if silent.any():
        rows = np.flatnonzero(silent)
        raise DataError(
            f"{name}: {len(rows)} sequence(s) without a single observed value, first row {rows[0]}. Drop them."
        )
    if mask is None and not nan.any():
        return (x if lengths is None else np.where(wide, x, 0).astype(x.dtype)), None
    frames: Array = seen if kind == "series" else np.asarray(seen.all(axis=tuple(range(2, x.ndim))))
    return np.where(seen, x, 0).astype(x.dtype), frames


def _hours_or_numbers(column: pd.Series, name: str) -> pd.Series:
    """Time stamps as numbers; dates, parsed or written, as hours since 1970."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        return column.astype(np.float64)
    try:
        dates = pd.to_datetime(column, utc=True, format="ISO8601")
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{name}: column '{column.name}' holds neither numbers nor dates like 2024-01-31 12:00: {error}"
        ) from error
    return (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(hours=1)

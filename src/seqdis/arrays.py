"""Arrays as a user gives them -> arrays of one type and rank, or an error that says what was given and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqdis.errors import DataError
from seqdis.sequences import Array, Kind

CHANNELS = (1, 3, 4)
LARGE = 1e5
"""Below, 32-bit floats are exact to a hundredth."""


def checked(X: Any, name: str) -> Array:
    """Real numbers of one array or tensor, of any type and rank, not empty."""
    if isinstance(X, np.ma.MaskedArray):
        raise DataError(
            f"{name}: a masked array; pass `X.filled(0)` and `mask=~np.ma.getmaskarray(X)` (true = observed)."
        )
    if isinstance(X, str | Path):
        raise DataError(f"{name}: got a path, {str(X)!r}. Read it with seqdis.datasets: UserFile(path=...) for a file.")
    if isinstance(X, torch.Tensor):
        X = X.detach().cpu()
        X = X.float() if X.dtype == torch.bfloat16 else X  # NumPy has no bfloat16
    try:
        x = np.asarray(X)
    except ValueError as error:  # NumPy's words for rows of different lengths
        raise DataError(f"{name}: lists of different lengths; expected numbers in a full table.") from error
    if x.dtype == object and x.ndim == 0:
        raise DataError(f"{name}: got {type(X).__name__}; expected an array, tensor, list of arrays or data frame.")
    if x.dtype == object:
        raise DataError(f"{name}: sequences of different lengths? Give a list of arrays, or pad and pass `lengths`.")
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool) or np.iscomplexobj(x):
        raise DataError(f"{name}: values of type {x.dtype}; expected real numbers.")
    if x.ndim and len(x) == 0:
        raise DataError(f"{name} is empty (shape {x.shape}); at least one sequence of one step is needed.")
    return x


def padded(parts: Sequence[Any], mask: Any, lengths: Any, name: str) -> tuple[Array, Any, Any]:
    """A list of sequences as one array, with its mask and lengths."""
    if len(parts) == 0:
        raise DataError(f"{name}: an empty list; at least one sequence is needed.")
    if any(hasattr(part, "columns") for part in parts):
        raise DataError(
            f"{name}: a list of data frames, whose columns may stand in any order; make one long table of them, as by "
            "pd.concat(dict(enumerate(frames)), names=['id', 'time']).reset_index(), or pass their values."
        )
    arrays = [checked(part, f"{name}[{i}]") for i, part in enumerate(parts)]
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
    return stacked(arrays, 0), mask, lengths


def _pad_mask(parts: Sequence[Any], counts: list[int], name: str) -> Array:
    masks = [np.asarray(part) for part in parts]
    if [mask.shape[:1] for mask in masks] != [(n,) for n in counts] or len({mask.shape[1:] for mask in masks}) > 1:
        raise DataError(f"{name}: the masks of the list have shapes unlike its sequences, of {counts[:4]} ... steps.")
    return stacked(masks, False)


def stacked(parts: Sequence[Array], filler: float) -> Array:
    """Stack arrays of different lengths, padding at the end."""
    shape = (len(parts), max(map(len, parts)), *parts[0].shape[1:])
    full = np.full(shape, filler, dtype=np.result_type(*{part.dtype for part in parts}))
    for row, part in zip(full, parts, strict=True):
        row[: len(part)] = part
    return full


def guessed_kind(x: Array, name: str) -> Kind:
    """A series from rank 3, video from rank 5; spectrograms cannot be told from series."""
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


def check_rank(x: Array, kind: Kind, name: str) -> None:
    """Refuse an array whose rank is not that of the kind."""
    if x.ndim != (5 if kind == "image" else 3):
        need = "(n, time, channels, height, width)" if kind == "image" else "(n, time, features)"
        raise DataError(f"{name}: got shape {x.shape}; {kind} data need {need}.")


def as_rows(x: Array, name: str) -> Array:
    """float32; what is not observed is zero by now."""
    with np.errstate(over="ignore"):
        rows = x.astype(np.float32, copy=False)
    if not np.isfinite(rows).all():
        raise DataError(f"{name}: values up to {np.abs(x).max():g} do not fit 32-bit floats; rescale them.")
    if x.dtype != np.float32 and np.abs(rows).max() > LARGE:
        axes = tuple(range(x.ndim - 1))
        size, lost = np.abs(rows).max(axes), np.abs(rows - x.astype(np.float64)).max(axes)
        spread = x.std(axes, dtype=np.float64)
        hidden = (lost > 0.01 * spread) & (spread > 1e-12 * size)  # a constant's spread is rounding
        if hidden.any():
            worst = int(hidden.argmax())
            raise DataError(
                f"{name}: values of feature {worst} (counted from 0) differ by about {spread[worst]:.3g} at a size of "
                f"{size[worst]:.3g}, which 32-bit floats cannot hold; subtract their mean first."
            )
    return rows


def as_images(x: Array, name: str) -> Array:
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


def checked_lengths(lengths: Any, shape: tuple[int, int], name: str) -> Array | None:
    """int64, one per sequence, within the time axis of ``shape``."""
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


def checked_mask(mask: Any, x: Array, name: str) -> Array | None:
    """Booleans, true where observed, of the shape of x or (n, time)."""
    if mask is None:
        return None
    seen = mask.detach().cpu().numpy() if isinstance(mask, torch.Tensor) else np.asarray(mask)
    if seen.dtype != bool and not np.isin(seen, (0, 1)).all():
        raise DataError(f"{name}: mask of type {seen.dtype}; expected booleans, true where observed.")
    if seen.shape not in (x.shape, x.shape[:2]):
        raise DataError(f"{name}: mask has shape {seen.shape}; expected {x.shape} or {x.shape[:2]}.")
    return seen.astype(bool)


def without_missing(
    x: Array, mask: Array | None, lengths: Array | None, kind: Kind, name: str
) -> tuple[Array, Array | None]:
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

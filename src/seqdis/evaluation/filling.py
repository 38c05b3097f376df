"""Missing values of series guessed from those observed in the same sequence."""

from __future__ import annotations

import numpy as np

from seqdis.sequences import Array


def sequence_mean(values: Array, seen: Array) -> Array:
    """Each sequence's mean of what is observed, per feature; zero where nothing is.

    Parameters
    ----------
    values : array, (n, time, features)
        Anything finite where ``seen`` is false.
    seen : array of bool, (n, time, features)

    Returns
    -------
    array, (n, time, features)
    """
    count = np.maximum(seen.sum(1, keepdims=True), 1)
    return np.broadcast_to(np.where(seen, values, 0).sum(1, keepdims=True) / count, values.shape)


def carried(values: Array, seen: Array) -> Array:
    """The last observed value, before the first the next one, zero where there is none; as `sequence_mean`."""
    before, after = _neighbours(seen)
    nearest = np.where(before >= 0, before, after)
    return _at(values, nearest, seen)


def interpolated(values: Array, seen: Array, times: Array | None = None) -> Array:
    """On the line between the neighbours in time, beyond the ends the nearest; as `sequence_mean`.

    Parameters
    ----------
    values, seen : array, (n, time, features)
    times : array or None, (n, time)
        When the steps were; None: evenly spaced.
    """
    steps = values.shape[1]
    clock = np.arange(steps, dtype=float)[None] if times is None else np.asarray(times, dtype=float)
    clock = np.broadcast_to(clock[..., None], values.shape)
    before, after = _neighbours(seen)
    left = np.where(before >= 0, before, after)
    right = np.where(after < steps, after, left)
    start, end = (_at(clock, index, seen) for index in (left, right))
    gap = end - start
    share = np.divide(clock - start, gap, out=np.zeros(values.shape), where=gap > 0)
    low, high = (_at(values, index, seen) for index in (left, right))
    return low + np.clip(share, 0, 1) * (high - low)


def _neighbours(seen: Array) -> tuple[Array, Array]:
    """Index of the observed step at or before each step (-1: none), and at or after it (``time``: none)."""
    steps = seen.shape[1]
    index = np.arange(steps)[None, :, None]
    before = np.maximum.accumulate(np.where(seen, index, -1), 1)
    after = np.minimum.accumulate(np.where(seen, index, steps)[:, ::-1], 1)[:, ::-1]
    return before, after


def _at(values: Array, index: Array, seen: Array) -> Array:
    """Values at some step of the same sequence and feature; zero where the feature was never observed."""
    found = np.take_along_axis(values, np.clip(index, 0, values.shape[1] - 1), 1)
    return np.where(seen.any(1, keepdims=True), found, 0)

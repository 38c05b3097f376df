"""Squared errors of what a model makes of whole parts, a few sequences at a time, and guesses without a model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from seqdis.errors import DataError
from seqdis.evaluation.parts import normalised
from seqdis.sequences import Array, DataSpec, Sequences

AT_ONCE = 128
"""Sequences at a time: a whole part of video as floats takes gigabytes."""


def squared_sums(part: Sequences, guess: Callable[[Sequences], Array], spec: DataSpec) -> tuple[Array, Array]:
    """Sum of squared errors and number of observed values of each sequence, both (n,).

    Parameters
    ----------
    part : Sequences
    guess : callable
        From some of the sequences to their values as networks see them, (n, time, *features).
    spec : DataSpec
        How networks see the data.

    Raises
    ------
    DataError
        A guess of another shape.
    """
    sums, counts = [], []
    for start in range(0, len(part), AT_ONCE):
        some = part[start : start + AT_ONCE]
        truth, made = normalised(some.x, spec), guess(some)
        if made.shape != truth.shape:
            raise DataError(f"{part.name}: a guess has shape {made.shape}; expected that of the data, {truth.shape}.")
        seen = np.broadcast_to(per_value(some), truth.shape)
        axes = tuple(range(1, truth.ndim))
        sums.append(np.square(made.astype(np.float64) - truth).sum(axes, where=seen))
        counts.append(seen.sum(axes))
    return np.concatenate(sums), np.concatenate(counts)


def mean_step(train: Sequences, spec: DataSpec) -> Array:
    """Mean of all that train observed, (*features), as networks see it; the mean frame of video."""
    seen = np.broadcast_to(per_value(train), train.x.shape)
    mean = train.x.sum((0, 1), where=seen, dtype=float) / np.maximum(seen.sum((0, 1)), 1)
    return normalised(mean, spec)


def first_step(part: Sequences, spec: DataSpec) -> Array:
    """The first observed step of every sequence (of series: value of every feature), repeated over time."""
    first = per_value(part).argmax(1, keepdims=True)
    return np.broadcast_to(normalised(np.take_along_axis(part.x, first, 1), spec), part.x.shape)


def per_value(part: Sequences) -> Array:
    """``observed()`` with trailing axes, so that it broadcasts against the values."""
    seen = part.observed()
    return seen.reshape(*seen.shape, *(1,) * (part.x.ndim - seen.ndim))

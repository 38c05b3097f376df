"""One number per window of steps: labels summed or averaged over it, and rows of codes beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from seqdis.errors import DataError, unknown_name
from seqdis.evaluation.probe import Read, stride_of
from seqdis.factors import Factors
from seqdis.sequences import Array, Sequences

Aggregate = Literal["mean", "sum"]


@dataclass(frozen=True, kw_only=True)
class WindowValues:
    """What is to be read.

    Parameters
    ----------
    values : array of float, (n, windows)
        In the unit of the label; anything where ``known`` is false.
    known : array of bool, (n, windows)
        Windows that count.
    groups : array or None, (n,)
        See `Sequences.groups`.
    """

    values: Array
    known: Array
    groups: Array | None = None

    def listed(self) -> Array:
        """(rows,): the values that count, in the order of `rows`."""
        return self.values[self.known]

    def per_sequence(self, errors: Array) -> tuple[Array, Array]:
        """Sum and number of ``errors``, (rows,), of each sequence that has any: two arrays."""
        counts = self.known.sum(1)
        sums = np.bincount(np.nonzero(self.known)[0], weights=errors, minlength=len(counts))
        return sums[counts > 0], counts[counts > 0]

    def groups_of_any(self) -> Array | None:
        """Groups of the sequences that `per_sequence` lists."""
        return None if self.groups is None else self.groups[self.known.any(1)]


def window_values(part: Sequences, label: str, factors: Factors, aggregate: Aggregate) -> WindowValues:
    """Mean or sum of a label over the steps of each window code.

    A window counts where every one of its steps has a label (not NaN) and none is padded.

    Parameters
    ----------
    part : Sequences
        With the label as numbers per step, (n, time).
    label : str
    factors : Factors
        Codes of ``part``; they tell which steps a window covers.
    aggregate : "mean" or "sum"

    Raises
    ------
    DataError
        No such label, not one number per step, or no window complete.
    """
    if label not in part.labels:
        raise DataError(f"{part.name}: {unknown_name('label', label, part.labels)}")
    given = np.asarray(part.labels[label], dtype=np.float64)
    if given.shape != part.x.shape[:2]:
        raise DataError(
            f"{part.name}: label '{label}' has shape {given.shape}; expected one number per step, {part.x.shape[:2]}."
        )
    n, windows = factors.dynamic.shape[:2]
    stride = stride_of(given.shape[1], windows, factors.stride)
    if part.lengths is not None:
        given = np.where(np.arange(given.shape[1]) < np.asarray(part.lengths)[:, None], given, np.nan)
    steps = _cut(given, windows * stride, np.nan).reshape(n, windows, stride)
    values = steps.mean(2) if aggregate == "mean" else steps.sum(2)
    known = np.isfinite(values)
    if not known.any():
        raise DataError(
            f"{part.name}: label '{label}' is complete in no window of {stride} steps (sequences have "
            f"{given.shape[1]}). Use shorter windows, or data that know more of it."
        )
    return WindowValues(values=values, known=known, groups=part.groups)


def rows(factors: Factors, read: Read, known: Array) -> Array:
    """(rows, columns): codes of the windows ``known``, (n, windows) of bool; the static one repeated."""
    sequence, window = np.nonzero(known)
    static, dynamic = factors.static.numpy(), factors.dynamic.numpy()
    tables = {
        "static": lambda: static[sequence],
        "dynamic": lambda: dynamic[sequence, window],
        "static + dynamic": lambda: np.concatenate([dynamic[sequence, window], static[sequence]], 1),
    }
    return tables[read]()


def as_sequences(part: Sequences, windows: int, stride: int) -> Sequences:
    """Every window as a sequence of its own, (n * windows) of them; steps beyond the end are not observed."""
    steps, spec = windows * stride, replace(part.spec, length=stride, factors=())
    x, seen = (_cut(values, steps, 0) for values in (part.x, part.observed()))
    folded = [values.reshape(-1, stride, *values.shape[2:]) for values in (x, seen)]
    return Sequences(x=folded[0], spec=spec, mask=folded[1], name=part.name)


def released_pairing(targets: WindowValues, rotated: int, seed: int | None) -> WindowValues:
    """Labels beside other codes than their own, as the released script pairs them.

    Signals are rotated there so that window ``rotated`` comes first, hourly labels are not. Labels of
    train are gathered in one shuffled pass and used in others of another order (``seed``; None: in order).
    """
    order = (
        np.arange(len(targets.known)) if seed is None else np.random.default_rng(seed).permutation(len(targets.known))
    )
    values, known = (np.roll(table[order], rotated, axis=1) for table in (targets.values, targets.known))
    return WindowValues(values=values, known=known)


def _cut(values: Array, steps: int, filler: float) -> Array:
    """The first ``steps`` steps, filled up where there are fewer."""
    missing = max(0, steps - values.shape[1])
    pads = [(0, 0), (0, missing), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values[:, :steps], pads, constant_values=filler)

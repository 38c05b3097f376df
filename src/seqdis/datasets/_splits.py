"""Seeded splits: random parts, and combinations of two factors that training never sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seqdis.errors import DataError, SettingsError

Index = npt.NDArray[np.int64]


def shares_of(data: str, valid: float, test: float) -> dict[str, float]:
    """Share of every part; those of 0 are left out.

    Raises
    ------
    SettingsError
        Nothing is left for train.
    """
    if valid + test >= 1:
        raise SettingsError(
            f"{data}.valid = {valid:g} and {data}.test = {test:g}: nothing is left for train; expected shares of less "
            "than 1 together."
        )
    shares = {"train": 1 - valid - test, "valid": valid, "test": test}
    return {part: share for part, share in shares.items() if share}


def random_parts(
    n: int, fractions: Mapping[str, float], seed: int | Sequence[int], what: str = "sequences"
) -> dict[str, Index]:
    """Shuffle ``0 .. n-1`` once and cut it into parts that share no row and leave none out.

    Parameters
    ----------
    n : int
        Rows to divide.
    fractions : mapping from part name to fraction
        Above 0 each, 1 in total. Order matters: it is the order of the cuts.
    seed : int or sequence of int
    what : str
        What a row is, for the error.

    Returns
    -------
    dict of part name to array of int64
        Rows in shuffled order. Sizes are within one row of ``n * fraction``, and at least one.

    Raises
    ------
    SettingsError
        Fractions that do not sum to one, or are not positive.
    DataError
        Fewer rows than parts.
    """
    given = ", ".join(f"{name} {fraction:g}" for name, fraction in fractions.items())
    if not fractions or min(fractions.values()) <= 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise SettingsError(f"split fractions ({given}): expected fractions above 0 that sum to 1.")
    if n < len(fractions):
        raise DataError(f"{n} {what} cannot be divided into {len(fractions)} parts ({given}); give more.")
    order = np.random.default_rng(seed).permutation(n)
    # Rounded down as in the published splits; the small term undoes float error such as 0.7 + 0.1 < 0.8.
    cuts = np.floor(np.cumsum(list(fractions.values())) * n + 1e-6).astype(np.int64)
    for i in range(len(cuts)):  # rounding may empty a small part: each part keeps one row at least
        cuts[i] = np.clip(cuts[i], (cuts[i - 1] if i else 0) + 1, n - (len(cuts) - 1 - i))
    return dict(zip(fractions, np.split(order, cuts[:-1]), strict=True))


def unseen_combinations(
    labels_a: npt.ArrayLike, labels_b: npt.ArrayLike, fraction: float, seed: int
) -> tuple[Index, Index]:
    """Hold out whole combinations of two factors while every single value stays in training.

    A combination is held out only if its value of either factor still occurs in a seen
    combination, so that a model meets every value but not every pair of values.

    Parameters
    ----------
    labels_a, labels_b : array, (n,)
        Labels of the two factors.
    fraction : float
        Share of the occurring combinations to hold out, above 0 and below 1.
    seed : int

    Returns
    -------
    seen, unseen : array of int64
        Ascending rows; together all rows.

    Raises
    ------
    SettingsError
        Fraction outside (0, 1).
    DataError
        Labels of different length, or too few combinations to hold out that many.
    """
    a, b = np.asarray(labels_a), np.asarray(labels_b)
    if not 0 < fraction < 1:
        raise SettingsError(f"fraction of unseen combinations = {fraction}: expected a value above 0 and below 1.")
    if a.ndim != 1 or a.shape != b.shape:
        raise DataError(f"labels have shapes {a.shape} and {b.shape}; expected one label per sequence for both.")
    code_a, code_b = _codes(a), _codes(b)
    pairs, pair_of_row = np.unique(np.stack([code_a, code_b], axis=1), axis=0, return_inverse=True)
    left_a, left_b = np.bincount(pairs[:, 0]), np.bincount(pairs[:, 1])
    wanted = max(1, round(fraction * len(pairs)))
    unseen = np.zeros(len(pairs), dtype=bool)
    for pair in np.random.default_rng(seed).permutation(len(pairs)):
        value_a, value_b = pairs[pair]
        if unseen.sum() < wanted and left_a[value_a] > 1 and left_b[value_b] > 1:
            unseen[pair] = True
            left_a[value_a] -= 1
            left_b[value_b] -= 1
    if unseen.sum() < wanted:
        raise DataError(
            f"{wanted} of {len(pairs)} combinations cannot be held out: only {unseen.sum()} can be, as every value "
            "must also occur in a seen combination. Use a smaller fraction or data with more combinations."
        )
    held = unseen[pair_of_row.reshape(-1)]
    return np.flatnonzero(~held), np.flatnonzero(held)


def _codes(labels: npt.NDArray[Any]) -> Index:
    return np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)


def group_parts(
    groups: npt.NDArray[Any], shares: Mapping[str, float], seed: int, what: str = "groups"
) -> dict[str, Index]:
    """Rows of each part, ascending, so that no group is in two parts.

    Raises
    ------
    DataError
        Fewer groups than parts.
    """
    names, group = np.unique(groups, return_inverse=True)
    parts = random_parts(len(names), shares, seed, what)
    return {part: np.flatnonzero(np.isin(group, some)) for part, some in parts.items()}

"""Means, spreads and intervals of paired differences: pure functions.

Two kinds of spread are kept apart. That over training seeds says how much a result owes to initial
weights and order; that over splits says how much it owes to which sequences were tested on.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from seqdis.errors import DataError
from seqdis.evaluation.report import deviation

LEVEL = 0.95
Values = Mapping[str, Mapping[int | None, float]]
"""Scores by split and training seed; seed None: no training (controls), the same beside every seed."""


def spreads(values: Iterable[Sequence[float]]) -> tuple[float, float | None, float | None]:
    """Mean, standard deviation over seeds, standard deviation over splits.

    Parameters
    ----------
    values : iterable of sequences
        One sequence per split, with one value per seed. Empty ones are left out.

    Returns
    -------
    mean : float
        Of the splits' means; NaN of nothing, and like both spreads wherever an undefined score (NaN) has a share.
    seed_spread : float or None
        Root of the variance within splits, pooled by degrees of freedom; None without two seeds.
    split_spread : float or None
        Of the splits' means; what is left of the spread over seeds is in it. None for one split.
    """
    splits = [list(each) for each in values if len(each)]
    means = [statistics.fmean(each) for each in splits]
    freedom = sum(len(each) - 1 for each in splits)
    squares = sum((value - mean) ** 2 for each, mean in zip(splits, means, strict=True) for value in each)
    return (
        statistics.fmean(means) if means else math.nan,
        math.sqrt(squares / freedom) if freedom else None,
        deviation(means) if len(means) > 1 else None,
    )


def t_interval(differences: Sequence[float], test_share: float = 0.0) -> tuple[float, float | None, float | None]:
    """Mean of differences with its 95 % interval after Student.

    Parameters
    ----------
    differences : sequence of float
        Of J pairs.
    test_share : float
        Sequences left out per training sequence, where the J values come from random divisions of
        the same sequences; 0: independent values.

    Returns
    -------
    tuple of mean, low, high
        Bounds are None for a single difference; all NaN if a difference is NaN.

    Raises
    ------
    DataError
        No differences.

    Notes
    -----
    The variance of the mean is ``(1/J + test_share) * s^2`` with ``s^2`` the sample variance.
    ``1/J`` alone would pretend that divisions of the same sequences were new data.

    References
    ----------
    Nadeau and Bengio, Inference for the generalization error, Machine Learning 52, 2003, Sec. 4.2.

    Examples
    --------
    >>> [round(value, 2) for value in t_interval([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48]
    """
    from scipy.stats import t

    if not differences:
        raise DataError("no differences were given; an interval needs two or more.")
    mean, count = statistics.fmean(differences), len(differences)
    if count == 1:
        return mean, None, None
    error = deviation(differences) * math.sqrt(1 / count + test_share)
    margin = float(t.ppf((1 + LEVEL) / 2, count - 1)) * error
    return mean, mean - margin, mean + margin


def paired(first: Values, second: Values) -> tuple[str, list[float]]:
    """What the differences of two methods differ in, and the differences, first minus second.

    Several splits in common give one difference per split, of the means over the seeds that both
    have; one split gives one difference per seed.
    """
    pairs = {split: _pairs(first[split], second[split]) for split in first if split in second}
    by_split = [values for values in pairs.values() if values]
    if len(by_split) > 1:
        return "splits", [statistics.fmean(values) for values in by_split]
    return "training seeds", by_split[0] if by_split else []


def _pairs(first: Mapping[int | None, float], second: Mapping[int | None, float]) -> list[float]:
    return [
        value - second.get(seed, second.get(None, math.nan))
        for seed, value in first.items()
        if seed in second or None in second
    ]

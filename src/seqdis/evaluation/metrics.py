"""Scores as pure functions: arrays in, numbers out. What scikit-learn has is taken from scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seqdis.errors import DataError
from seqdis.sequences import Array

Metric = Callable[[Array, Array], float]
"""``metric(labels, probabilities)``: labels (n,) of int, probabilities (n, classes)."""
TRIES = 1000
"""Draws per resample, on average, before a bootstrap over rare classes is given up."""


def accuracy(labels: Array, probabilities: Array) -> float:
    """Share of sequences whose most probable class is the true one, in [0, 1].

    Parameters
    ----------
    labels : array of int, (n,)
    probabilities : array, (n, classes)
        A label without a column (a class never seen in training) counts as an error.
    """
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(labels, probabilities.argmax(1)))


def auroc(labels: Array, probabilities: Array, weights: Array | None = None) -> float:
    """Area under the ROC curve of class 1 against class 0; 0.5 for a constant.

    Parameters
    ----------
    labels : array of 0 and 1, (n,)
    probabilities : array, (n, 2)
    weights : array, (n,), or None
        How much each row counts; None: all alike.

    Raises
    ------
    DataError
        Only one class is present, for which the area is not defined.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(_binary(labels), probabilities[:, 1], sample_weight=weights))


def average_precision(labels: Array, probabilities: Array) -> float:
    """Average precision of class 1 (the papers' "AUPRC"); the share of class 1 for a constant.

    Not the trapezoidal area under the precision-recall curve, which is optimistic.
    Parameters and errors as in `auroc`.
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(_binary(labels), probabilities[:, 1]))


ALL_CLASSES: frozenset[Metric] = frozenset({auroc, average_precision})
"""Metrics that are defined only where every class is present."""


def leakage_gap(intended: Array | float, unintended: Array | float) -> Array:
    """Accuracy reading a code's own kind of factor minus accuracy reading the other kind from it.

    Signed: negative where the code tells more of the other kind. High is good.

    Parameters
    ----------
    intended, unintended : array or float
        Accuracies in [0, 1], paired by repetition.
    """
    return np.asarray(intended, dtype=float) - np.asarray(unintended, dtype=float)


def squared_error(truth: Array, produced: Array, valid: Array | None = None) -> Array:
    """Mean squared error per value, one number per sequence: (n,).

    Parameters
    ----------
    truth, produced : array, (n, time, *features)
    valid : array of bool, (n, time) or shaped like truth, or None
        Steps or single values that count, at least one per sequence; None: all.
    """
    if truth.shape != produced.shape:
        raise DataError(
            f"squared_error: truth has shape {truth.shape}, produced {produced.shape}; expected equal ones."
        )
    axes = tuple(range(1, truth.ndim))
    squares = np.square(produced.astype(np.float64) - truth)
    if valid is None:
        return squares.mean(axes)
    counted = valid.reshape(*valid.shape, *(1,) * (truth.ndim - valid.ndim))
    return squares.mean(axes, where=counted)


def equal_error_rate(same: Array, scores: Array, weights: Array | None = None) -> float:
    """Share of errors in [0, 1] at the threshold where as many equal pairs are refused as different ones accepted.

    0 for scores that tell all pairs apart, 0.5 for scores that tell nothing, 1 for exchanged ones.

    Parameters
    ----------
    same : array of bool, (pairs,)
        Whether a pair is of one speaker (or of whatever is verified).
    scores : array, (pairs,)
        Higher for pairs taken for equal: a pair is accepted at its score and above.
    weights : array, (pairs,), or None
        How often each pair counts; None: once.

    Raises
    ------
    DataError
        No equal or no different pair that counts, or scores that are not finite.

    Notes
    -----
    Pairs are sorted once; both rates are known at every threshold, and between the two thresholds where their
    order changes each is taken as linear. Released code of DBSE finds the threshold by bisection and reports the
    share of different pairs accepted there: the same to within one step of a rate.
    """
    same, weights = np.asarray(same, dtype=bool), np.ones(len(scores)) if weights is None else weights
    total = [float(weights[same == kind].sum()) for kind in (True, False)]
    if min(total) <= 0 or not np.isfinite(scores).all():
        raise DataError(
            f"equal_error_rate: got pairs of weight {total[0]:g} (same) and {total[1]:g} (different), of "
            f"{int(np.isfinite(scores).sum())} of {len(scores)} the score is finite; expected pairs of both kinds and "
            "finite scores. Give two or more utterances of a speaker, and two speakers."
        )
    order = np.argsort(scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # equal scores change sides together
    refused, kept_apart = (
        np.append(0.0, np.cumsum(np.where(same[order] == kind, weights[order], 0.0))[last] / share)
        for kind, share in zip((True, False), total, strict=True)
    )
    excess = refused - (1.0 - kept_apart)
    after = int(np.argmax(excess >= 0))
    way = excess[after - 1] / (excess[after - 1] - excess[after])
    return float(refused[after - 1] + way * (refused[after] - refused[after - 1]))


def bootstrap(
    score: Callable[[Array], float],
    n: int,
    *,
    resamples: int,
    seed: int,
    present: Array | None = None,
    groups: Array | None = None,
) -> Array:
    """``score(rows)`` on rows drawn with replacement: what another test part of this size might give.

    Parameters
    ----------
    score : callable
        From row numbers, (n,) of int, to a number.
    n : int
        Rows in the test part.
    resamples, seed : int
        Equal seeds draw equal rows, so that differences of two scores can be taken pairwise.
    present : array, (n,), or None
        Labels of which every value must occur in a resample: draws without one are repeated.
    groups : array, (n,), or None
        Rows that are drawn together, as many groups as there are: see `Sequences.groups`.

    Returns
    -------
    array, (resamples,)
        Empty with a single row or group: it says nothing of others.

    Raises
    ------
    DataError
        Labels so rare that more than `TRIES` draws would be needed for a resample.
    """
    generator = np.random.default_rng(seed)
    members = _members(n, groups)
    resamples = resamples if len(members) > 1 else 0
    draws: list[float] = []
    for _ in range(TRIES * resamples):
        if len(draws) == resamples:
            break
        drawn = generator.integers(len(members), size=len(members))
        rows = drawn if groups is None else np.concatenate([members[group] for group in drawn])
        if present is None or np.isin(present, present[rows]).all():
            draws.append(score(rows))
    if len(draws) < resamples:
        rarest = np.unique(np.asarray(present), return_counts=True)[1].min()
        raise DataError(
            f"{TRIES * resamples} draws of {n} sequences gave {len(draws)} of {resamples} resamples with every class; "
            f"the rarest has {rarest} in the test part. Set `resamples` to 0, or test on more sequences of it."
        )
    return np.array(draws)


def pooled_mean(
    sums: Array, counts: Array, *, resamples: int, seed: int, groups: Array | None = None
) -> tuple[float, Array]:
    """Mean over all values of all sequences, and the same over resamples of the sequences.

    Parameters
    ----------
    sums, counts : array, (n,)
        Of the values of each sequence, one or more.
    resamples, seed, groups
        See `bootstrap`.
    """
    draws = bootstrap(
        lambda rows: float(sums[rows].sum() / counts[rows].sum()),
        len(sums),
        resamples=resamples,
        seed=seed,
        groups=groups,
    )
    return float(sums.sum() / counts.sum()), draws


def _members(n: int, groups: Array | None) -> Sequence[Array]:
    """Rows of each group; without groups every row by itself."""
    if groups is None:
        return list(np.arange(n)[:, None])
    sizes = np.unique(groups, return_counts=True)[1]
    return np.split(np.argsort(groups, kind="stable"), sizes.cumsum()[:-1])


def _binary(labels: Array) -> Array:
    found = set(np.unique(labels).tolist())
    if found != {0, 1}:
        raise DataError(f"labels hold the classes {sorted(found)}; expected both 0 and 1.")
    return labels

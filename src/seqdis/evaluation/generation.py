"""Scores of generated sequences from a judge's class probabilities: pure functions, natural logarithms.

Names differ between and within the papers ("intra" and "inter" entropy change places in appendices);
here only the symbols are used. For one set of probabilities IS = exp(H(y) - H(y|x)).

References
----------
Bai et al., NeurIPS 2021 (C-DSVAE); Naiman et al., ICML 2023 (SPYL), App.; Berman et al., ICML 2024 (DBSE), App. B.
"""

from __future__ import annotations

import numpy as np

from seqdis.errors import DataError
from seqdis.sequences import Array

EPS = 1e-16
"""Added inside every logarithm, as the published scripts do."""


def conditional_entropy(probabilities: Array) -> float:
    """H(y|x) in nats: how unsure the judge is of single sequences. Lower is better, 0 for one-hot rows.

    Parameters
    ----------
    probabilities : array, (n, classes)
        Rows that sum to one.

    Raises
    ------
    DataError
        Not a table of at least one row.
    """
    p = _table(probabilities)
    return float(-(p * np.log(p + EPS)).sum(1).mean())


def marginal_entropy(probabilities: Array) -> float:
    """H(y) in nats: how diverse the sequences are. Higher is better, at most ``log(classes)``.

    Parameters and errors as in `conditional_entropy`.
    """
    mean = _table(probabilities).mean(0)
    return float(-(mean * np.log(mean + EPS)).sum())


def inception_score(probabilities: Array) -> float:
    """IS: exponential of the mean divergence of rows from their mean. Higher is better, from 1 to ``classes``.

    By the judge's classes, not by those of an image classifier: not to be compared with scores of
    that name elsewhere. Parameters and errors as in `conditional_entropy`.
    """
    p = _table(probabilities)
    return float(np.exp((p * (np.log(p + EPS) - np.log(p.mean(0) + EPS))).sum(1).mean()))


def agreement_kl(generated: Array, real: Array) -> float:
    """Mean ``KL(generated || real)`` in nats of the judge's views of each sequence and of its source.

    Parameters
    ----------
    generated, real : array, (n, classes)
        Paired row by row.

    Raises
    ------
    DataError
        Tables of different shape.
    """
    p, q = _table(generated), _table(real)
    if p.shape != q.shape:
        raise DataError(f"agreement_kl: generated {p.shape}, real {q.shape}; expected one row of each per sequence.")
    return float((p * (np.log(p + EPS) - np.log(q + EPS))).sum(1).mean())


def balanced_rows(labels: Array) -> tuple[Array, int]:
    """Rows of a class-balanced subset: the first ``m`` of every class, ``m`` the size of the rarest.

    Parameters
    ----------
    labels : array of int, (n,)
        True classes; -1, unknown, is never chosen. Classes that do not occur do not count.

    Returns
    -------
    rows : array of int, ascending
    m : int

    Raises
    ------
    DataError
        No label is known.
    """
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    if not len(classes):
        raise DataError(f"balanced_rows: none of {len(labels)} labels is known; expected one at least.")
    m = int(counts.min())
    return np.sort(np.concatenate([np.flatnonzero(labels == each)[:m] for each in classes])), m


def _table(probabilities: Array) -> Array:
    table = np.asarray(probabilities, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise DataError(f"class probabilities have shape {table.shape}; expected (n, classes), n at least 1.")
    return table

"""Codes as tables for off-the-shelf classifiers: one row per sequence, or one per position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import pad

from seqdis.errors import DataError, unknown_name
from seqdis.evaluation.probe import stride_of, summary
from seqdis.factors import Factors
from seqdis.sequences import Array, Sequences

Classifier = Literal["SVC", "RandomForest", "KNN"]
MAJORITY = "majority class"
MAX_SQUARES = 6000  # rows up to which squared distances are kept in memory (144 MB)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows for a classifier.

    Parameters
    ----------
    x : array, (rows, columns)
    y : array of int, (rows,)
        Known labels only.
    sequence : array of int, (rows,)
        Which sequence a row belongs to.
    n : int
        Sequences, those without a row included.
    name : str
        What is read, for errors.
    """

    x: Array
    y: Array
    sequence: Array
    n: int
    name: str

    @cached_property
    def squares(self) -> Array:
        """Squared distances between all rows, from which the RBF kernel of any split follows."""
        from sklearn.metrics.pairwise import euclidean_distances

        return euclidean_distances(self.x.astype(np.float64), squared=True).astype(np.float32)

    def standardised(self, fit: Array) -> Table:
        """Columns scaled to mean 0 and deviation 1 over the rows of the sequences ``fit``, (n,) of bool."""
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(self.x[fit[self.sequence]])
        return replace(self, x=scaler.transform(self.x))

    def thinned(self, fit: Array, max_rows: int, seed: int) -> Array:
        """As many of the sequences ``fit``, drawn at random, as make up ``max_rows`` rows (two or more)."""
        rows = np.bincount(self.sequence, minlength=self.n)
        order = np.random.default_rng(seed).permutation(np.flatnonzero(fit))
        kept = max(2, int((rows[order].cumsum() <= max_rows).sum()))
        return np.isin(np.arange(self.n), order[:kept])

    def hits(self, classifier: str, fit: Array, score: Array, seed: int) -> tuple[Array, Array]:
        """Fit on some sequences, ask about others.

        Parameters
        ----------
        classifier : "SVC", "RandomForest", "KNN" or "majority class"
            With scikit-learn's defaults.
        fit, score : array of bool, (n,)
        seed : int
            For the random forest.

        Returns
        -------
        tuple of two arrays, (n,)
            Right answers, and rows asked, per sequence.

        Raises
        ------
        DataError
            No class that is scored occurs in what is fitted on.
        """
        fitted, asked = fit[self.sequence], score[self.sequence]
        if not np.isin(self.y[asked], self.y[fitted]).any():
            raise DataError(
                f"{self.name}: none of the classes to be scored occurs among the codes to be fitted on. There are too "
                "few sequences, or the parts share no class by design (new speakers, say). Use more of them or another "
                "factor, or one form alone: 'published' divides the test part itself, 'corrected' is fitted on train."
            )
        right = self._predicted(classifier, fitted, asked, seed) == self.y[asked]
        sequence = self.sequence[asked]
        return np.bincount(sequence, weights=right, minlength=self.n), np.bincount(sequence, minlength=self.n)

    def _predicted(self, classifier: str, fitted: Array, asked: Array, seed: int) -> Array:
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.svm import SVC

        classes, counts = np.unique(self.y[fitted], return_counts=True)
        if classifier == MAJORITY or len(classes) == 1:
            return np.full(int(asked.sum()), classes[counts.argmax()])
        if classifier == "SVC" and len(self.x) <= MAX_SQUARES:
            return self._svc(fitted, asked)
        models = {
            "SVC": lambda: SVC(),
            "RandomForest": lambda: RandomForestClassifier(random_state=seed),
            "KNN": lambda: KNeighborsClassifier(),
        }
        return models[classifier]().fit(self.x[fitted], self.y[fitted]).predict(self.x[asked])

    def _svc(self, fitted: Array, asked: Array) -> Array:
        """What ``SVC()`` predicts; the distances are computed once for all splits, not at each."""
        from sklearn.svm import SVC

        variance = self.x[fitted].var(dtype=np.float64)
        gamma = 1.0 / (self.x.shape[1] * variance) if variance > 0 else 1.0
        rows = self.squares[:, fitted]
        model = SVC(kernel="precomputed").fit(np.exp(-gamma * rows[fitted]), self.y[fitted])
        return model.predict(np.exp(-gamma * rows[asked]))


def table_of(factors: Factors, code: Literal["static", "dynamic"], labels: Array, name: str) -> Table:
    """Rows that read ``labels`` from one of the codes.

    Labels (n,) give one row per sequence: the static code, or the dynamic one flattened over time
    (where all lengths are equal, else summarised). Labels (n, windows) give one row per position:
    that window's dynamic code, or the static code again. Labels of -1 give no row.
    """
    if labels.ndim == 2:
        known = (labels >= 0) & factors.valid().numpy()
        sequence, position = np.nonzero(known)
        x = factors.static.numpy()[sequence] if code == "static" else factors.dynamic.numpy()[sequence, position]
        return Table(x=x, y=labels[known], sequence=sequence, n=len(labels), name=name)
    equal = factors.lengths is None or bool((factors.lengths == factors.lengths[0]).all())
    dynamic = factors.dynamic.flatten(1) if equal else summary(factors)
    x = (factors.static if code == "static" else dynamic).numpy()
    known = labels >= 0
    return Table(x=x[known], y=labels[known], sequence=np.flatnonzero(known), n=len(labels), name=name)


def joined(parts: Sequence[Factors]) -> Factors:
    """Codes of several parts as one; shorter ones are padded."""
    windows = max(part.dynamic.shape[1] for part in parts)
    ragged = any(part.lengths is not None or part.dynamic.shape[1] != windows for part in parts)
    return Factors(
        torch.cat([part.static for part in parts]),
        torch.cat([pad(part.dynamic, (0, 0, 0, windows - part.dynamic.shape[1])) for part in parts]),
        torch.cat([part.valid().sum(1) for part in parts]) if ragged else None,
        parts[0].stride,
    )


def window_labels(part: Sequences, name: str, windows: int, stride: int = 0) -> Array:
    """Class labels of a part, -1 unknown: (n,), or (n, windows) with the majority of each window's steps.

    Raises
    ------
    DataError
        No such label, or it is not a class.
    """
    if name not in part.labels:
        raise DataError(f"{part.name}: {unknown_name('factor', name, part.labels)}")
    given = np.asarray(part.labels[name])
    labels = np.where(given >= 0, given, -1)  # NaN, too
    if given.dtype.kind not in "iuf" or (labels != np.round(labels)).any():
        raise DataError(f"{part.name}: factor '{name}' is not a class (integers, -1 unknown) but {given.dtype} values.")
    labels = labels.astype(np.int64)
    if labels.ndim == 1:
        return labels
    stride = stride_of(labels.shape[1], windows, stride)
    full = np.full((len(labels), windows * stride), -1)
    full[:, : labels.shape[1]] = labels
    grouped = full.reshape(len(labels), windows, stride)
    votes = np.stack([(grouped == value).sum(2) for value in range(int(labels.max()) + 1 or 1)], 2)
    return np.where(votes.any(2), votes.argmax(2), -1)


def joined_labels(parts: Sequence[Array]) -> Array:
    """Labels of several parts as one array; positions beyond a part's windows are unknown (-1)."""
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    windows = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, windows - part.shape[1])), constant_values=-1) for part in parts])

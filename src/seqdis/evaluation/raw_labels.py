"""Predictors of a class label that see raw data and no code: what every code should be held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np

from seqdis.evaluation.controls import RawFeatures, filled
from seqdis.evaluation.probe import Logistic, by_class, log_loss
from seqdis.evaluation.supervised import gru_probabilities
from seqdis.sequences import Array, Sequences

PRIOR, COUNTS = "class prior", "observation counts"
LINEAR, BOOSTING, FOREST = "linear raw summaries", "boosted raw summaries", "forest on raw summaries"
GRU = "supervised GRU"
LEAVES = (1, 3, 5)

Labels = tuple[Array, Array]
"""Of train and of valid."""


def label_controls(parts: Mapping[str, Sequences], label: str, seed: int) -> dict[str, Array]:
    """Class probabilities on test, (n, classes), of predictors that see no code.

    Parameters
    ----------
    parts : mapping with "train", "valid", "test"
        Every label known; see `seqdis.evaluation.parts.with_label`. Those of test are not read.
    label : str
    seed : int

    Returns
    -------
    dict from control to array
        "class prior": the shares of the training classes, for everybody. "observation counts":
        logistic regression on how often each feature was measured, whatever it read. On mean,
        minimum, maximum, last value and count per feature: "boosted raw summaries", "linear raw
        summaries" (logistic) and "forest on raw summaries" (500 trees, leaf size chosen on valid).
        "supervised GRU", of series only: see `seqdis.evaluation.supervised`.

    Raises
    ------
    DataError
        All labels of train are the same.
    """
    train, valid, test = (parts[name] for name in ("train", "valid", "test"))
    y = (train.labels[label], valid.labels[label])
    raw = RawFeatures().fit(train)
    tables = [raw.summaries(part) for part in (train, valid, test)]
    whole = filled(tables)
    found = {
        PRIOR: np.tile(np.bincount(y[0]) / len(y[0]), (len(test), 1)),
        COUNTS: logistic([table[:, -raw.width_ :] for table in tables], y),
        LINEAR: logistic(whole, y),
        BOOSTING: _boosting(tables, y, seed),
        FOREST: _forest(whole, y, seed),
    }
    return found | ({GRU: gru_probabilities(parts, label, seed)} if train.spec.kind == "series" else {})


def class_controls(tables: Sequence[Array], y: Labels, seed: int) -> dict[str, Array]:
    """Class probabilities on the third table, of "linear" and "boosted raw summaries".

    Parameters
    ----------
    tables : three arrays, (rows, columns)
        Summaries of what is asked about, of train, valid and test; NaN where nothing was observed.
    y : two arrays, (rows,)
        Labels of train and valid, int >= 0.
    seed : int
    """
    return {LINEAR: logistic(filled(tables), y), BOOSTING: _boosting(tables, y, seed)}


def logistic(tables: Sequence[Array], y: Labels) -> Array:
    """Class probabilities on the third table, by `Logistic` on the first two and their labels."""
    return Logistic().fit(tables[0], y[0], tables[1], y[1]).predict_proba(tables[2])


def _boosting(tables: Sequence[Array], y: Labels, seed: int) -> Array:
    """The number of rounds is the one of least validation loss."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=200, max_leaf_nodes=15, early_stopping=False, random_state=seed
    ).fit(tables[0], y[0])
    losses = [log_loss(y[1], by_class(p, model.classes_)) for p in model.staged_predict_proba(tables[1])]
    stages = islice(model.staged_predict_proba(tables[2]), int(np.argmin(losses)), None)
    return by_class(next(stages), model.classes_)


def _forest(tables: Sequence[Array], y: Labels, seed: int) -> Array:
    from sklearn.ensemble import RandomForestClassifier

    best, chosen = np.inf, np.empty(0)
    for leaf in LEAVES:
        model = RandomForestClassifier(500, min_samples_leaf=leaf, random_state=seed, n_jobs=1)
        model.fit(tables[0], y[0])
        loss = log_loss(y[1], by_class(model.predict_proba(tables[1]), model.classes_))
        if loss < best:
            best, chosen = loss, by_class(model.predict_proba(tables[2]), model.classes_)
    return chosen

"""Predictors of a number per window that see raw data or nothing: constants, and fits on window summaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from seqdis.evaluation.controls import RAW, RawFeatures, control_codes, filled
from seqdis.evaluation.parts import Model
from seqdis.evaluation.probe import stride_of
from seqdis.evaluation.raw_labels import BOOSTING, LINEAR
from seqdis.evaluation.regression import LeastAbsolute
from seqdis.evaluation.windows import as_sequences
from seqdis.factors import Factors
from seqdis.sequences import Array, Sequences

CONSTANTS: Mapping[str, Callable[[Array], float]] = {
    "train mean": lambda values: float(values.mean()),
    "train median": lambda values: float(np.median(values)),
    "zero": lambda values: 0.0,
}


def window_codes(
    model: Model, parts: Mapping[str, Sequences], codes: Mapping[str, Factors], seed: int
) -> dict[str, dict[str, Factors]]:
    """`control_codes` whose "raw features" have summaries as static code.

    Whole sequences, repeated at every window, would be thousands of columns.
    """
    found = control_codes(model, parts, codes, seed)
    raw = RawFeatures().fit(parts["train"])
    names = ("train", *(name for name in parts if name != "train"))
    tables = filled([raw.summaries(parts[name]) for name in names])
    for name, table in zip(names, tables, strict=True):
        found[RAW][name] = replace(found[RAW][name], static=torch.from_numpy(table.astype(np.float32)))
    return found


def window_tables(parts: Mapping[str, Sequences], codes: Mapping[str, Factors]) -> dict[str, Array]:
    """(n, windows, 5 * width): what `RawFeatures` summarises, of every window instead of whole sequences."""
    found, raw = {}, RawFeatures()
    for name in ("train", "valid", "test"):  # train first: it scales the others
        windows = codes[name].dynamic.shape[1]
        cut = as_sequences(parts[name], windows, stride_of(parts[name].x.shape[1], windows, codes[name].stride))
        raw = raw.fit(cut) if name == "train" else raw
        found[name] = raw.summaries(cut).reshape(len(parts[name]), windows, -1)
    return found


def number_controls(tables: Sequence[Array], values: Sequence[Array], seed: int) -> dict[str, Array]:
    """Numbers on the third table of predictors that see no code.

    Parameters
    ----------
    tables : three arrays, (rows, columns)
        Summaries of the windows of train, valid and test; NaN where nothing was observed.
    values : two arrays, (rows,)
        What is to be read, for train and valid.
    seed : int

    Returns
    -------
    dict from control to array, (rows,)
        The constants, "linear raw summaries" (see `LeastAbsolute`) and "boosted raw summaries"
        (gradient boosting of absolute error, its rounds chosen on valid).
    """
    found = {name: np.full(len(tables[2]), constant(values[0])) for name, constant in CONSTANTS.items()}
    train, valid, test = filled(tables)
    linear = LeastAbsolute().fit(train, values[0], valid, values[1])
    return found | {LINEAR: linear.predict(test), BOOSTING: _boosting(tables, values, seed)}


def _boosting(tables: Sequence[Array], values: Sequence[Array], seed: int) -> Array:
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        loss="absolute_error",
        learning_rate=0.05,
        max_iter=200,
        max_leaf_nodes=15,
        early_stopping=False,
        random_state=seed,
    ).fit(tables[0], values[0])
    errors = [np.abs(values[1] - produced).mean() for produced in model.staged_predict(tables[1])]
    return next(islice(model.staged_predict(tables[2]), int(np.argmin(errors)), None))

"""Labels of known factors, as users and their tables hold them -> integer codes or floats, and their description."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from seqdis.errors import DataError
from seqdis.sequences import Array, FactorSpec

MOST_CLASSES = 1000
"""Integers above are numbers, such as record numbers or dates, and no codes of classes."""


MISSING = ("", "#N/A", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null")
"""What stands in a table where something is missing; "None" does so among numbers, and is a word among words."""


def read_csv(path: Path, name: str, labels: Collection[str] = ()) -> pd.DataFrame:
    """A table; the column ``name``, whatever it holds, is text as written, and a word of ``labels`` may be "None".

    Raises
    ------
    DataError
        Two columns of one name.
    """
    header = pd.read_csv(path, nrows=1, header=None, dtype=str, keep_default_na=False).iloc[0]
    if header.duplicated().any():  # pandas would call the second "name.1"
        raise DataError(f"{path}: several columns are called '{header[header.duplicated()].iloc[0]}'.")
    columns = pd.read_csv(path, nrows=0).columns
    missing = {column: list(MISSING) if column in labels else [*MISSING, "None"] for column in columns} | {name: [""]}
    table = pd.read_csv(path, dtype={name: str}, keep_default_na=False, na_values=missing)
    for column in table.columns.intersection(list(labels)):
        numbers = pd.to_numeric(table[column].mask(table[column] == "None"), errors="coerce")
        if numbers.notna().any() and (numbers.notna() | table[column].isna() | (table[column] == "None")).all():
            table[column] = numbers
    return table


def codes(values: Array) -> Array:
    """Labels as integers (words by their sorted order, -1 where missing) or floats."""
    if values.dtype.kind in "OUSTb":
        words, missing = _words(values)
        found = np.unique(words[~missing], return_inverse=True)[1]
        known = np.full(values.shape, -1, dtype=np.int64)
        known[~missing] = found
        return known
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def classes_of(values: Array) -> tuple[str, ...]:
    """Names of the classes of these labels, in the order of their codes; empty for numbers."""
    if values.dtype.kind in "OUSTb":
        words, missing = _words(values)
        return tuple(np.unique(words[~missing]).tolist())
    if values.dtype.kind in "iu" and values.size and values.min() >= -1 and values.max() < MOST_CLASSES:
        return tuple(str(i) for i in range(int(values.max()) + 1))
    return ()


def of_table(column: pd.Series) -> Array:
    """A column of labels; whole numbers with gaps, which pandas reads as floats, are integers, -1 where missing."""
    values = column.to_numpy()
    if values.dtype.kind == "f" and np.isnan(values).any():
        known = values[~np.isnan(values)]
        if known.size and (known == np.floor(known)).all() and known.min() >= 0 and known.max() < MOST_CLASSES:
            return np.where(np.isnan(values), -1, values).astype(np.int64)
    return values


def factor_of(name: str, values: Array) -> FactorSpec:
    """Static if there is one label per sequence, dynamic if one per step."""
    return FactorSpec(name=name, kind="static" if values.ndim == 1 else "dynamic", classes=classes_of(values))


def _words(values: Array) -> tuple[Array, Array]:
    words = np.array([str(value) for value in values.ravel()]).reshape(values.shape)
    return words, np.asarray(pd.isna(values))

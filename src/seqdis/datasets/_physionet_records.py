"""PhysioNet 2012 text records: reading, cleaning and hourly means. The entry is `physionet.py`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from seqdis.datasets._archives import read_members
from seqdis.errors import DataError

_DESCRIPTORS = ("RecordID", "Age", "Gender", "Height", "ICUType", "Weight")  # given once, at 00:00
_OUTCOMES = ("RecordID", "SAPS-I", "SOFA", "Length_of_stay", "In-hospital_death")
_HEADER = b"Time,Parameter,Value"
_INFINITY = float("inf")


class _Keep(NamedTuple):
    """Remove values outside [low, high]."""

    low: float
    high: float = _INFINITY


class _Rescale(NamedTuple):
    """Turn values strictly between low and high into ``factor * value + offset``."""

    low: float
    high: float
    factor: float
    offset: float = 0.0


_Rules = Mapping[str, tuple[_Keep | _Rescale, ...]]

# The cleaning of GLR (Tonekaboni et al. 2022), which the published scores rest on; order matters.
_MEASUREMENT_RULES: _Rules = {
    **{name: (_Keep(1),) for name in ("SysABP", "MAP", "NIDiasABP", "NISysABP", "NIMAP", "RespRate", "WBC")},
    "DiasABP": (_Keep(1, 200),),
    "HR": (_Keep(1, 299),),
    "PaCO2": (_Keep(1), _Rescale(-_INFINITY, 10, 10)),
    "PaO2": (_Keep(1), _Rescale(-_INFINITY, 20, 10)),
    "pH": (_Rescale(0.65, 0.8, 10), _Rescale(65, 80, 0.1), _Rescale(650, 800, 0.01), _Keep(6.5, 8)),
    "Temp": (_Rescale(1, 10, 9 / 5, 32), _Rescale(95, 113, 5 / 9, -160 / 9), _Keep(25, 45)),
    "Weight": (_Keep(35, 299),),
}
_DESCRIPTOR_RULES: _Rules = {
    "Age": (_Keep(0), _Rescale(130, _INFINITY, 0, 91.4)),  # ages from 90 on were replaced by large numbers
    "Height": (  # metres, decimetres, inches and slipped digits among centimetres
        _Keep(0),
        _Rescale(-_INFINITY, 10, 100),
        _Rescale(-_INFINITY, 25, 10),
        _Rescale(-_INFINITY, 100, 2.2),
        _Rescale(1000, _INFINITY, 0.1),
        _Rescale(250, _INFINITY, 0.3937),
    ),
    "Weight": (_Keep(35, 299),),
}


def read_records(source: Path) -> pd.DataFrame:
    """All rows of a set: record, minute (since admission), parameter, value.

    Parameters
    ----------
    source : Path
        Archive or folder with one ``<record>.txt`` per stay.

    Raises
    ------
    DataError
        Damaged archive, or a file that is not a record of the challenge.
    """
    kinds: dict[str, Any] = {"time": "category", "parameter": "category", "value": np.float64}
    records, bodies, counts = [], [], []
    for name, text in read_members(source, r"\d+\.txt"):
        header, _, body = text.partition(b"\n")
        if header.strip() != _HEADER:
            raise DataError(f"{source}: {name} starts with {header[:40]!r}; expected {_HEADER.decode()!r}.")
        body = body.rstrip() + b"\n"
        records.append(int(name.removesuffix(".txt")))
        bodies.append(body)
        counts.append(body.count(b"\n"))
    if not records:
        raise DataError(f"{source} holds no records named like 132539.txt; get it from the publisher.")
    try:
        rows = pd.read_csv(
            io.BytesIO(b"".join(bodies)),
            names=list(kinds),
            dtype=kinds,
            keep_default_na=False,
            na_values={"time": [], "parameter": [""], "value": [""]},
            skip_blank_lines=False,
            quoting=csv.QUOTE_NONE,  # a stray quote must not join lines: lines are counted per record
        )
        minute_of = np.array([_minutes(time) for time in rows["time"].cat.categories])
    except ValueError as error:  # pandas' own errors are among these
        raise DataError(f"{source}: not rows of time, parameter and value ({error}). Get it again.") from error
    rows["minute"] = minute_of[rows["time"].cat.codes.to_numpy()]
    rows["record"] = np.repeat(np.array(records), counts)
    _check_names(rows, len(records), source)
    # Set c has rows without a parameter name.
    return rows.loc[rows["parameter"].notna(), ["record", "minute", "parameter", "value"]]


def read_outcomes(path: Path, records: npt.NDArray[Any], source: Path) -> pd.DataFrame:
    """Outcomes of exactly these records, indexed by record.

    Raises
    ------
    DataError
        Missing columns, or outcomes of other records than those in ``source``.
    """
    try:
        outcomes = pd.read_csv(path)
        outcomes = outcomes[list(_OUTCOMES)].astype(np.float64).astype({"RecordID": np.int64}).set_index("RecordID")
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: expected columns {', '.join(_OUTCOMES)} ({error}). Get it again.") from error
    differing = np.setxor1d(outcomes.index.to_numpy(), records)
    if len(differing):
        raise DataError(
            f"{source} and {path.name} differ in {len(differing)} records, such as {differing[0]}: one of them is "
            "incomplete or altered. Get both again from the publisher."
        )
    return outcomes


def split_descriptors(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cleaned descriptors, one row per record, and cleaned measurements."""
    described = (rows["minute"] == 0) & rows["parameter"].isin(_DESCRIPTORS)
    first = rows[described].drop_duplicates(["record", "parameter"])
    descriptors = first.astype({"parameter": str}).pivot(index="record", columns="parameter", values="value")
    descriptors = descriptors.reindex(columns=list(_DESCRIPTORS))
    for name, rules in _DESCRIPTOR_RULES.items():
        descriptors[name] = _apply(rules, descriptors[name].to_numpy())
    measured = rows[~described]
    rule_of_row = _position_in(list(_MEASUREMENT_RULES), measured)
    values = measured["value"].to_numpy(copy=True)
    for position, rules in enumerate(_MEASUREMENT_RULES.values()):
        chosen = rule_of_row == position
        values[chosen] = _apply(rules, values[chosen])
    return descriptors, measured.assign(value=values)


def hourly_means(
    measured: pd.DataFrame, records: npt.NDArray[Any], features: tuple[str, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Mean of each feature over each hour of each record.

    Parameters
    ----------
    measured : DataFrame
        Columns record, minute, parameter, value; NaN values were removed by cleaning but still
        count as the time of a measurement.
    records : array, (n,)
        Ascending record numbers, the order of the result.
    features : tuple of str

    Returns
    -------
    means : array, (n, rows of the longest record, features)
        NaN where nothing was observed.
    lengths : array, (n,)
        Rows of each record; 0 without measurements or with less than an hour of them.
    """
    record = np.searchsorted(records, measured["record"].to_numpy())
    minute = measured["minute"].to_numpy()
    first, last = np.full(len(records), np.iinfo(np.int64).max), np.zeros(len(records), dtype=np.int64)
    np.minimum.at(first, record, minute)
    np.maximum.at(last, record, minute)
    lengths = np.where(first <= last, -((first - last) // 60) - 1, 0).clip(0)
    row = (minute - first[record] + 59) // 60 - 1
    feature = _position_in(features, measured)
    value = measured["value"].to_numpy()
    used = (row >= 0) & (row < lengths[record]) & (feature >= 0) & np.isfinite(value)
    shape = (len(records), max(int(lengths.max()), 1), len(features))
    cell = np.ravel_multi_index((record[used], row[used], feature[used]), shape)
    size = int(np.prod(shape))
    total, count = np.bincount(cell, value[used], size), np.bincount(cell, minlength=size)
    means = np.divide(total, count, out=np.full(size, np.nan), where=count > 0)
    return means.reshape(shape), lengths


def stay_labels(descriptors: pd.DataFrame, outcomes: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
    """Labels by factor name, in the order of the descriptors; unknown is -1 for classes, NaN for numbers.

    Parameters
    ----------
    descriptors, outcomes : DataFrame
        Indexed by record, as `split_descriptors` and `read_outcomes` give them.
    """
    outcomes = outcomes.loc[descriptors.index]

    def classes(values: pd.Series[float], first: int) -> npt.NDArray[np.int64]:
        return np.asarray(values.fillna(-1).clip(lower=first - 1) - first, dtype=np.int64)

    def number(values: pd.Series[float]) -> npt.NDArray[np.float64]:
        return np.asarray(values.where(values >= 0), dtype=np.float64)

    return {
        "icu_unit": classes(descriptors["ICUType"], first=1),
        "mortality": classes(outcomes["In-hospital_death"], first=0),
        "gender": classes(descriptors["Gender"], first=0),
        "age": number(descriptors["Age"]),
        "height": number(descriptors["Height"]),
        "weight": number(descriptors["Weight"]),
        "saps": number(outcomes["SAPS-I"]),
        "sofa": number(outcomes["SOFA"]),
        "length_of_stay": number(outcomes["Length_of_stay"]),
    }


def _position_in(names: Sequence[str], measured: pd.DataFrame) -> npt.NDArray[np.intp]:
    """Position of each row's parameter among some names, -1 for others; looked up once per category."""
    parameter = measured["parameter"].cat
    return pd.Index(names).get_indexer(parameter.categories)[parameter.codes.to_numpy()]


def _apply(rules: tuple[_Keep | _Rescale, ...], values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    for rule in rules:
        if isinstance(rule, _Keep):
            values = np.where((values >= rule.low) & (values <= rule.high), values, np.nan)
        else:
            inside = (values > rule.low) & (values < rule.high)
            values = np.where(inside, rule.factor * values + rule.offset, values)
    return values


def _minutes(time: str) -> int:
    hours, minutes = time.split(":")
    return 60 * int(hours) + int(minutes)


def _check_names(rows: pd.DataFrame, n_records: int, source: Path) -> None:
    stated = rows[(rows["parameter"] == "RecordID") & (rows["minute"] == 0)]
    wrong = stated.loc[stated["value"] != stated["record"], "record"]
    if len(wrong):
        raise DataError(f"{source}: {wrong.iloc[0]}.txt states another RecordID; the files were renamed or altered.")
    if stated["record"].nunique() != n_records:
        without = np.setdiff1d(rows["record"].unique(), stated["record"])[0]
        raise DataError(f"{source}: {without}.txt states no RecordID; it is not a record of the challenge.")

"""Hourly tables: read, checked to be whole, and cut into the first 28 days of every month."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from seqdis.errors import DataError

MONTH_HOURS = 28 * 24  # every month has these, so all sequences are equally long
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def read_table(content: bytes, numbers: tuple[str, ...], words: tuple[str, ...], source: Path | str) -> pd.DataFrame:
    """Some columns of a comma-separated table; NaN where a number is missing ("NA" or empty).

    Raises
    ------
    DataError
        A column is not there, or what should be a number is none.
    """
    kinds = dict.fromkeys(numbers, np.float64) | dict.fromkeys(words, str)
    try:
        return pd.read_csv(
            io.BytesIO(content),
            usecols=list(kinds),
            dtype=kinds,
            keep_default_na=False,
            na_values={name: ["NA", ""] for name in kinds},
        )
    except ValueError as error:  # pandas' own errors are among these
        raise DataError(
            f"{source}: expected columns {', '.join(kinds)} ({error}). It is cut short or altered; get it again."
        ) from error


def check_hours(times: pd.DatetimeIndex, first: str, last: str, source: Path | str) -> None:
    """Refuse a table whose rows are not all hours from ``first`` to ``last``, once each and in order.

    Raises
    ------
    DataError
        With the first hour that is repeated, missing or too many.
    """
    expected = pd.date_range(first, last, freq="h")
    if np.array_equal(times.to_numpy(), expected.to_numpy()):
        return
    found = {
        "repeated": times[times.duplicated()],
        "missing": expected.difference(times),
        "outside of it": times.difference(expected),
    }
    wrong = [f"{len(hours)} hours are {what}, such as {hours[0]}" for what, hours in found.items() if len(hours)]
    raise DataError(
        f"{source}: expected every hour from {first} to {last} once, {len(expected)} rows in order; "
        f"{'; '.join(wrong) or 'the rows are not in order'}. It is cut short or altered; get it again."
    )


def month_rows(times: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Rows of the first 672 hours of every calendar month that has so many, (months, 672).

    Parameters
    ----------
    times : DatetimeIndex
        Hours without gaps.
    """
    month = times.year * 12 + times.month
    _, first, count = np.unique(month, return_index=True, return_counts=True)
    return np.asarray(first[count >= MONTH_HOURS][:, None] + np.arange(MONTH_HOURS), dtype=np.int64)

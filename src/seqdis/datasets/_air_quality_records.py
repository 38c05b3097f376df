"""The twelve tables of the Beijing air-quality data: reading, checking, months. The entry is `air_quality.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from seqdis.datasets._archives import read_members, unpacked
from seqdis.datasets._cache import Arrays
from seqdis.datasets._hourly import MONTHS, check_hours, month_rows, read_table
from seqdis.errors import DataError

FEATURES = ("PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "WSPM")
RAIN = "RAIN"
# Stations whose weather columns (all but the six pollutants) are one and the same series stand together.
WEATHER_GROUPS = (
    ("Aotizhongxin", "Guanyuan"),
    ("Changping", "Dingling"),
    ("Dongsi", "Nongzhanguan", "Tiantan"),
    ("Gucheng",),
    ("Huairou",),
    ("Shunyi",),
    ("Wanliu",),
    ("Wanshouxigong",),
)
STATIONS = tuple(sorted(station for group in WEATHER_GROUPS for station in group))
SEASONS = ("spring", "summer", "autumn", "winter")
TABLES = r"PRSA_Data_[A-Za-z]+_20130301-20170228\.csv(\.gz)?"
INNER_ARCHIVE = r"PRSA2017_Data_20130301-20170228\.zip"
_FIRST, _LAST = "2013-03-01 00:00", "2017-02-28 23:00"
_CLOCK = ("year", "month", "day", "hour")


def read_months(source: Path) -> Arrays:
    """All sequences, month by month and within a month station by station.

    Parameters
    ----------
    source : Path
        Archive (or archive in an archive) or folder with one table per station.

    Returns
    -------
    dict of array
        x (n, 672, 10) float32, zero where missing; mask, alike; rain (n, 672) in mm per hour; year,
        month and station (codes), (n,); ids (n,).

    Raises
    ------
    DataError
        Damaged archive, a station that is missing, or a table that is not as published.
    """
    tables: dict[str, bytes] = {}
    for name, content in read_members(source, TABLES, INNER_ARCHIVE):
        # A folder may hold a table both packed and unpacked: the packed one, which has a known checksum, comes second.
        tables[name.split("_")[2]] = unpacked(name, content, source)
    missing = [station for station in STATIONS if station not in tables]
    if missing:
        raise DataError(
            f"{source}: found {len(STATIONS) - len(missing)} of {len(STATIONS)} stations; missing: "
            f"{', '.join(missing)}. Get PRSA_Data_{missing[0]}_20130301-20170228.csv and the like from the publisher."
        )
    values = [_read_station(tables[station], station, source) for station in STATIONS]
    times = pd.date_range(_FIRST, _LAST, freq="h")
    rows = month_rows(times)
    everything = np.stack(values)[:, rows].swapaxes(0, 1)  # months, stations, hours, columns
    everything = everything.reshape(-1, *everything.shape[2:])
    x, rain = everything[..., :-1].astype(np.float32), everything[..., -1]
    starts = times[rows[:, 0]]
    year, month = (np.repeat(part.to_numpy(), len(STATIONS)) for part in (starts.year, starts.month))
    station = np.tile(np.arange(len(STATIONS)), len(rows))
    ids = [f"{y}-{m:02d} {STATIONS[s]}" for y, m, s in zip(year, month, station, strict=True)]
    labels = {"year": year.astype(np.int64), "month": month.astype(np.int64) - 1, "station": station}
    mask = np.isfinite(x)
    return {"x": np.where(mask, x, np.float32(0)), "mask": mask, "rain": rain, "ids": np.array(ids), **labels}


def season_of(month: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Meteorological season of a month 0..11, as a position in `SEASONS` (winter is December to February)."""
    return ((month + len(MONTHS) - 2) % len(MONTHS)) // 3


def _read_station(content: bytes, station: str, source: Path) -> npt.NDArray[np.float64]:
    """(hours, features and rain), NaN where missing."""
    where = f"{source}, station {station}"
    frame = read_table(content, (*_CLOCK, *FEATURES, RAIN), ("station",), where)
    if list(frame["station"].unique()) != [station]:
        stated = ", ".join(sorted({str(name) for name in frame["station"].unique()})) or "no station"
        raise DataError(f"{where}: the rows state {stated}; the file was renamed, altered or cut short. Get it again.")
    try:
        times = pd.DatetimeIndex(pd.to_datetime(frame[list(_CLOCK)]))
    except ValueError as error:
        raise DataError(f"{where}: year, month, day and hour are no date ({error}). Get it again.") from error
    check_hours(times, _FIRST, _LAST, where)
    return frame[[*FEATURES, RAIN]].to_numpy()

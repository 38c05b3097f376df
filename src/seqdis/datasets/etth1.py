"""ETTh1: loads and oil temperature of an electricity transformer, hour by hour, in sequences of 28 days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from seqdis.datasets._archives import read_file
from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._download import RemoteFile
from seqdis.datasets._hourly import MONTH_HOURS, MONTHS, check_hours, month_rows, read_table
from seqdis.datasets._splits import random_parts
from seqdis.errors import DataError
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.inputs import standardised
from seqdis.sequences import DataSpec, FactorSpec, Sequences

LOADS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL")
_OIL_TEMPERATURE = "OT"
_FILE = RemoteFile(
    name="ETTh1.csv",
    url="https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv",
    sha256="f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    also=(("ETTh1.csv.gz", "3c56c865b8f6fc9b760a07f055ff8a993d3cf2a747235dc382b98821ed35f029"),),
)
_FIRST, _LAST = "2016-07-01 00:00", "2018-06-26 19:00"
_TEST_YEAR = 2016
# Twelve, four and four months of thirty days, as the data are divided for forecasting.
_HOURS = {"train": 8640, "valid": 2880, "test": 2880}
_FACTORS = (
    FactorSpec(name="month", kind="static", classes=MONTHS),
    FactorSpec(name="oil_temperature", kind="dynamic", unit="degrees Celsius"),
)


@hyperparameters
class ETTh1(SequenceDataset):
    """Six loads of an electricity transformer; its oil temperature is what they should tell.

    Parameters
    ----------
    split_rule : "month" or "chronological"
        "month": one sequence per calendar month, 2016 is for testing, as released with DBSE.
        "chronological": the past is for training and the future for testing, as its paper says.
    split_seed : int
        Shuffles the months that are not for testing into training and validation. "chronological"
        leaves nothing to it.
    root : str or None
        Folder that holds ``ETTh1.csv`` or ``ETTh1.csv.gz``, or ``ett/`` with it. None: ``SEQDIS_DATA``, else the
        user's cache folder.

    Raises
    ------
    DataError
        From `split`: the file is missing, damaged or altered.

    Notes
    -----
    Hours run from 2016-07-01 00:00 to 2018-06-26 19:00, and none is missing. Values are in the publisher's
    units; ``spec.center`` and ``spec.scale`` are mean and standard deviation of the training part. The
    oil temperature (degrees Celsius, one per hour) is a label and never an input. The label "month" is that
    of the middle of a sequence.

    "month": the first 672 hours (28 days) of every month that has so many, 23 sequences. 6 of 2016 are for
    testing, the other 17 are shuffled and divided 85/15: 14 / 3 / 6. The test months lie *before*
    the others and are 11 degrees warmer, so this split mostly asks for a shift of level: the mean
    oil temperature is 10.63 in the 17 months and 21.59 in the test months. The mean absolute error of a
    constant against daily means of the test months is 11.95 for the mean of the 17 months, 11.85 for that of
    the 14 training months of ``split_seed=0``, and 21.60 for zero.

    "chronological": 8,640 / 2,880 / 2,880 hours from the start, each cut into sequences of 28 days that do not
    overlap; what is left over at the end of a part is not used: 12 / 4 / 4. Here the test part is the
    colder one: its mean oil temperature is 4.93, that of the training part 17.10.

    References
    ----------
    Zhou et al. (Informer), AAAI 2021. Berman et al. (DBSE), ICML 2024, Table 3.

    Examples
    --------
    >>> ETTh1(split_rule="chronological").split_rule
    'chronological'
    """

    name: ClassVar[str] = "etth1"
    folder_name: ClassVar[str] = "ett"
    licence: ClassVar[str] = "CC BY-ND 4.0"
    source: ClassVar[str] = "https://github.com/zhouhaoyi/ETDataset"
    citation: ClassVar[str] = """@inproceedings{zhou2021informer,
  title     = {Informer: Beyond Efficient Transformer for Long Sequence Time-Series Forecasting},
  author    = {Zhou, Haoyi and Zhang, Shanghang and Peng, Jieqi and Zhang, Shuai and Li, Jianxin and Xiong, Hui
               and Zhang, Wancai},
  booktitle = {Proceedings of the AAAI Conference on Artificial Intelligence},
  volume    = {35},
  number    = {12},
  pages     = {11106--11115},
  year      = {2021}
}"""

    split_rule: Literal["month", "chronological"] = "month"
    split_seed: int = hyper(default=0, at_least=0)
    root: str | None = hyper(default=None, identity=False)

    @classmethod
    def files(cls) -> tuple[RemoteFile, ...]:
        """The one table."""
        return (_FILE,)

    def _splits(self) -> Mapping[str, Sequences]:
        validate(self)
        frame = self._read()
        rows = self._months(frame.index) if self.split_rule == "month" else _chronological()
        parts = {part: _sequences(frame, index) for part, index in rows.items()}
        spec = standardised(parts["train"])
        return {part: replace(found, spec=spec, name=f"{self.name}/{part}") for part, found in parts.items()}

    def _read(self) -> pd.DataFrame:
        """Loads and oil temperature by hour."""
        folder = self.location()
        found = _FILE.found_in(folder)
        if found is None:
            raise DataError(
                f"ETTh1: found no {_FILE.name} or {_FILE.name}.gz in {folder}. Run `seqdis data fetch {self.name}`, or "
                f"set SEQDIS_DATA (or root=) to the folder that contains {self.folder_name}/."
            )
        path, columns = found[0], (*LOADS, _OIL_TEMPERATURE)
        frame = read_table(read_file(path), columns, ("date",), path)
        try:
            times = pd.DatetimeIndex(pd.to_datetime(frame["date"]))
        except ValueError as error:
            raise DataError(f"{path}: the column date holds no dates ({error}). Get it again.") from error
        check_hours(times, _FIRST, _LAST, path)
        values = frame.set_index(times)[list(columns)]
        missing = int((~np.isfinite(values.to_numpy())).sum())
        if missing:
            raise DataError(f"{path}: {missing} values are missing or infinite, expected none. Get it again.")
        return values

    def _months(self, times: pd.Index[pd.Timestamp]) -> dict[str, npt.NDArray[np.int64]]:
        stamps = pd.DatetimeIndex(times)
        rows = month_rows(stamps)
        test = stamps.year[rows[:, 0]] == _TEST_YEAR
        rest = rows[~test]
        drawn = random_parts(len(rest), {"train": 0.85, "valid": 0.15}, self.split_seed)
        return {part: rest[np.sort(index)] for part, index in drawn.items()} | {"test": rows[test]}


def _chronological() -> dict[str, npt.NDArray[np.int64]]:
    rows, start = {}, 0
    for part, hours in _HOURS.items():
        count = hours // MONTH_HOURS
        rows[part] = start + np.arange(count * MONTH_HOURS).reshape(count, MONTH_HOURS)
        start += hours
    return rows


def _sequences(frame: pd.DataFrame, rows: npt.NDArray[np.int64]) -> Sequences:
    times = pd.DatetimeIndex(frame.index)
    return Sequences(
        x=frame[list(LOADS)].to_numpy(dtype=np.float32)[rows],
        spec=DataSpec(kind="series", shape=(len(LOADS),), length=MONTH_HOURS, feature_names=LOADS, factors=_FACTORS),
        labels={
            "month": np.asarray(times.month, dtype=np.int64)[rows[:, MONTH_HOURS // 2]] - 1,
            "oil_temperature": frame[_OIL_TEMPERATURE].to_numpy()[rows],
        },
        ids=np.asarray(times.strftime("%Y-%m-%d"), dtype=str)[rows[:, 0]],
    )

"""Beijing multi-site air quality: pollutants and weather of twelve stations, hour by hour, in months of 28 days."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from seqdis.datasets._air_quality_records import (
    FEATURES,
    SEASONS,
    STATIONS,
    TABLES,
    WEATHER_GROUPS,
    read_months,
    season_of,
)
from seqdis.datasets._archives import content_hash
from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._cache import Arrays, prepared
from seqdis.datasets._download import RemoteFile
from seqdis.datasets._hourly import MONTH_HOURS, MONTHS
from seqdis.datasets._splits import random_parts
from seqdis.errors import DataError, SettingsError
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.inputs import standardised
from seqdis.sequences import DataSpec, FactorSpec, Sequences

_PREPARATION = 1  # raise when the code below changes what comes out of it
_URL = "https://archive.ics.uci.edu/static/public/501/beijing+multi+site+air+quality+data.zip"
_SHA256 = {  # packed copies verified against the commonly reported totals of missing values
    "Aotizhongxin": "28a5b697f46d2e7780a41cf4077e7b60cf3629a9ea90c8084a586ad7dac1a4d5",
    "Changping": "338044e897f877d704fcaf460adb3695721ab26bde5dbb8d5fcb12eb19e07ab1",
    "Dingling": "441e0b941e6916df524083c73eb1d2e06cad13cfc1f9ddb6e16bcaca1eb1cee3",
    "Dongsi": "9143e9bdf9c8cc31fe7c996fed90aa4299f6baed07f5c808b92c930cbecbdedc",
    "Guanyuan": "8f5f74750038acc13d43e43bb5dff7ec94cad964f0edf4e0a0ef4a24ed4f1ca4",
    "Gucheng": "448eec899812080e11380a748a184e9700d5e708c4303be52a9e234df3427ff3",
    "Huairou": "75afaac82fada503bd2c362e27c96658f988bcda14e65e702f7ef9b110700efe",
    "Nongzhanguan": "e71a07558749e736fbe8539adbef44befaea597053ff89b8bf8f3f4b22259567",
    "Shunyi": "a5099a112eea0d8b1df522fa706ce165742986ef6d40781c9cd8e59f95e7349a",
    "Tiantan": "5990391e4765a1c788addd4dd5115fc85c39b41d7358eaf5133cd6e174431eed",
    "Wanliu": "87351fafaaa66944852ee327f9823388795f82990700dee86243e89e1c24ddf6",
    "Wanshouxigong": "a766e89cffb938f71963140037a399b4c7562c8a7b214672ba03bb40e0457b69",
}
_ARCHIVE = RemoteFile(
    name="beijing+multi+site+air+quality+data.zip",
    url=_URL,
    also=(("PRSA2017_Data_20130301-20170228.zip", None), ("PRSA_Data_20130301-20170228", None)),
)
_LATEST = 2016
_FULL_YEARS = (2014, 2015, 2016)  # 2013 starts in March, 2017 ends in February
_STATIONS_HELD_OUT = 3
_FACTORS = (
    FactorSpec(name="month", kind="static", classes=MONTHS),
    FactorSpec(name="season", kind="static", classes=SEASONS),
    FactorSpec(name="station", kind="static", classes=STATIONS),
    FactorSpec(name="year", kind="static", unit="calendar year"),
    FactorSpec(name="rain", kind="dynamic", unit="mm per hour"),
)


@hyperparameters
class BeijingAirQuality(SequenceDataset):
    """Air pollutants and weather at twelve stations in Beijing: one sequence per month and station.

    Parameters
    ----------
    split_rule : "year" or "station"
        "year": all sequences of `test_year` are for testing. "station": some stations are; see Notes.
    test_year : int
        2013 (from March on) to 2016. Only with ``split_rule="year"``.
    valid : "random" or "year"
        With ``split_rule="year"``: a random 15 % of the sequences that are not for testing, as published, or the
        latest full year other than `test_year` (2015 for 2016, else 2016), which is honest; see Notes.
    split_seed : int
        Shuffles sequences into training and validation, or chooses the stations that are held out.
        Nothing is left to it with ``valid="year"``.
    root : str or None
        Folder that holds the files, or ``beijing_prsa/`` with them: the publisher's archive, the archive inside
        it, the folder inside that, or the twelve tables (``.csv`` or ``.csv.gz``). The first found is
        read. None: ``SEQDIS_DATA``, else the user's cache folder.

    Raises
    ------
    SettingsError
        From `split`: ``valid="year"`` with ``split_rule="station"``.
    DataError
        From `split`: files are missing, damaged or altered.

    Notes
    -----
    As in GLR and DBSE: a sequence is the first 672 hours (28 days) of a month at a station, 48 months x 12
    stations = 576 sequences of ten features. Rain is a label (mm per hour, NaN where missing), not a
    feature. Values are stored in the publisher's units, zero where missing; ``spec.center`` and ``spec.scale``
    are mean and standard deviation of the observed training values. How many hours make a window is
    the method's business (published: 24).

    Sizes of train / valid / test: 367 / 65 / 144 by default, and 288 / 144 / 144 with ``valid="year"`` or
    ``split_rule="station"``. With a full test year 2013 has 120 sequences and 2017 has 24, so that
    ``test_year=2013`` leaves 387 / 69 / 120, or 312 / 144 / 120.

    What leaks. By year with random validation, train and valid share months: the same weather over the
    same city, seen from other stations. A score on valid is therefore optimistic; choose settings
    with ``valid="year"``. By station, stations that share one weather series (Aotizhongxin = Guanyuan; Changping =
    Dingling; Dongsi = Nongzhanguan = Tiantan) are held out together, three stations for testing and
    three for validation. Even so all stations have the same days and season, so that month, season and rain can
    be recognised by a month seen in training: a split by stations says nothing about unseen weather.

    References
    ----------
    Zhang et al., Proceedings of the Royal Society A 473, 2017. Tonekaboni et al. (GLR), AISTATS 2022.
    Berman et al. (DBSE), ICML 2024.

    Examples
    --------
    >>> BeijingAirQuality(test_year=2015, valid="year").test_year
    2015
    """

    name: ClassVar[str] = "air-quality"
    folder_name: ClassVar[str] = "beijing_prsa"
    licence: ClassVar[str] = "CC BY 4.0"
    source: ClassVar[str] = "https://archive.ics.uci.edu/dataset/501/beijing+multi+site+air+quality+data"
    citation: ClassVar[str] = """@article{zhang2017cautionary,
  title   = {Cautionary Tales on Air-Quality Improvement in {Beijing}},
  author  = {Zhang, Shuyi and Guo, Bin and Dong, Anlan and He, Jing and Xu, Ziping and Chen, Song Xi},
  journal = {Proceedings of the Royal Society A},
  volume  = {473},
  number  = {2205},
  pages   = {20170457},
  year    = {2017}
}"""

    split_rule: Literal["year", "station"] = "year"
    test_year: int = hyper(default=_LATEST, at_least=2013, at_most=2016)
    valid: Literal["random", "year"] = "random"
    split_seed: int = hyper(default=0, at_least=0)
    root: str | None = hyper(default=None, identity=False)

    @classmethod
    def files(cls) -> tuple[RemoteFile, ...]:
        """The publisher's archive, and the tables inside it, which serve as well."""
        return (_ARCHIVE, *_tables())

    def needed(self) -> tuple[RemoteFile, ...]:
        """The archive, unless all tables are here without it."""
        folder = self.location()
        unpacked = all(table.found_in(folder) for table in _tables())
        return _tables() if unpacked and _ARCHIVE.found_in(folder) is None else (_ARCHIVE,)

    def _splits(self) -> Mapping[str, Sequences]:
        validate(self)
        if self.split_rule == "station" and self.valid == "year":
            raise SettingsError(
                "BeijingAirQuality.valid = 'year' with split_rule = 'station': years are held out only by "
                "split_rule = 'year'. Leave valid at 'random'; validation then has stations of its own."
            )
        if self.split_rule == "station" and self.test_year != _LATEST:
            raise SettingsError(
                f"BeijingAirQuality.test_year = {self.test_year} with split_rule = 'station': whole stations are held "
                "out then, of all years. Leave test_year out."
            )
        source = self._source()
        key = hashlib.sha256(f"{_PREPARATION} {content_hash(source, TABLES)}".encode()).hexdigest()[:32]
        arrays = prepared(self.name, key, lambda: read_months(source))
        rows = self._by_year(arrays["year"]) if self.split_rule == "year" else self._by_station(arrays["station"])
        everything = _sequences(arrays)
        spec = standardised(everything[rows["train"]])
        return {part: replace(everything[index], spec=spec, name=f"{self.name}/{part}") for part, index in rows.items()}

    def _source(self) -> Path:
        folder = self.location()
        archive = _ARCHIVE.found_in(folder)
        if archive is not None:
            return archive[0]
        if not any(table.found_in(folder) for table in _tables()):
            raise DataError(
                f"Beijing air quality: found neither {_ARCHIVE.name} nor tables like {_tables()[0].name} in {folder}. "
                f"Run `seqdis data fetch {self.name}`, or set SEQDIS_DATA (or root=) to the folder that contains "
                f"{self.folder_name}/."
            )
        return folder

    def _by_year(self, year: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
        test = year == self.test_year
        if self.valid == "year":
            valid = year == max(full for full in _FULL_YEARS if full != self.test_year)
            parts = {"train": ~test & ~valid, "valid": valid, "test": test}
            return {part: np.flatnonzero(chosen) for part, chosen in parts.items()}
        rest = np.flatnonzero(~test)
        drawn = random_parts(len(rest), {"train": 0.85, "valid": 0.15}, self.split_seed)
        return {part: rest[np.sort(index)] for part, index in drawn.items()} | {"test": np.flatnonzero(test)}

    def _by_station(self, station: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
        draw = np.random.default_rng(self.split_seed)
        parts: dict[str, list[str]] = {}
        while any(len(parts.get(part, ())) < _STATIONS_HELD_OUT for part in ("test", "valid")):
            # Drawn again where groups of two are left for a single place.
            left = list(draw.permutation(len(WEATHER_GROUPS)))
            for part in ("test", "valid"):
                parts[part] = []
                for group in list(left):
                    if len(parts[part]) + len(WEATHER_GROUPS[group]) <= _STATIONS_HELD_OUT:
                        parts[part] += WEATHER_GROUPS[group]
                        left.remove(group)
        parts["train"] = [name for group in left for name in WEATHER_GROUPS[group]]
        codes = {part: [STATIONS.index(name) for name in names] for part, names in parts.items()}
        return {part: np.flatnonzero(np.isin(station, codes[part])) for part in ("train", "valid", "test")}


def _tables() -> tuple[RemoteFile, ...]:
    names = {station: f"PRSA_Data_{station}_20130301-20170228.csv" for station in STATIONS}
    return tuple(
        RemoteFile(name=f"{name}.gz", url=_URL, sha256=_SHA256[station], also=((name, None),))
        for station, name in names.items()
    )


def _sequences(arrays: Arrays) -> Sequences:
    spec = DataSpec(
        kind="series",
        shape=(len(FEATURES),),
        length=MONTH_HOURS,
        missing=True,
        feature_names=FEATURES,
        factors=_FACTORS,
    )
    labels = {
        "month": arrays["month"],
        "season": season_of(arrays["month"]),
        "station": arrays["station"],
        "year": arrays["year"].astype(np.float64),
        "rain": arrays["rain"],
    }
    return Sequences(
        x=arrays["x"],
        spec=spec,
        mask=arrays["mask"],
        labels=labels,
        ids=arrays["ids"],
        groups=12 * arrays["year"] + arrays["month"],  # twelve stations see one month's weather
    )

"""A data set of the user: one file with arrays (.npy, .npz) or a long table (.csv, .parquet)."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._splits import random_parts, shares_of
from seqdis.disk import unreadable
from seqdis.errors import DataError, SettingsError
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.inputs import as_sequences, from_frame
from seqdis.labels import read_csv
from seqdis.sequences import Sequences

_ARRAYS = (".npy", ".npz")
_TABLES = (".csv", ".csv.gz", ".parquet")
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


@hyperparameters
class UserFile(SequenceDataset):
    """Sequences from one file, divided at random into train, valid and test.

    Parameters
    ----------
    path : str
        One of

        - ``.npy``: array (n, time, *features); NaN means missing.
        - ``.npz``: ``x`` like that, optionally ``mask`` (true = observed), ``lengths`` (n,), ``ids`` (n,) and ``times``
          (n, time). Every other array is a label: (n,) or (n, time).
        - ``.csv``, ``.csv.gz``, ``.parquet``: one line per step, with the columns below; all other
          columns are features.
    kind : "auto", "image", "spectrogram" or "series"
        What one step is; "auto" tells by the shape. Tables are always series.
    id_column, time_column : str
        Which column says the sequence, and which the order of its steps.
    label_columns : tuple of str
        Columns of a table that are labels instead of features.
    valid, test : float
        Share of the sequences in those parts; 0 leaves a part out.
    split_seed : int

    Raises
    ------
    DataError
        From `split`: no such file, damaged file, or content of another form.

    Examples
    --------
    >>> UserFile(path="gait.npz", test=0.2).test
    0.2
    """

    name: ClassVar[str] = "file"
    licence: ClassVar[str] = "as stated by the owner of the file"
    source: ClassVar[str] = "a file of the user"
    citation: ClassVar[str] = ""

    path: str = hyper(default="", identity=False)  # the fingerprint of the content identifies a run
    kind: Literal["auto", "image", "spectrogram", "series"] = "auto"
    id_column: str = "id"
    time_column: str = "time"
    label_columns: tuple[str, ...] = ()
    valid: float = hyper(default=0.1, at_least=0, at_most=0.9)
    test: float = hyper(default=0.1, at_least=0, at_most=0.9)
    split_seed: int = hyper(default=0, at_least=0)

    def whole(self, *, labelled: bool = True) -> Sequences:
        """All sequences of the file, undivided; without ``labelled`` a table may lack columns of labels."""
        validate(self)
        return self._read(Path(self.path).expanduser(), labelled)

    def _splits(self) -> Mapping[str, Sequences]:
        shares = shares_of("UserFile", self.valid, self.test)
        sequences = self.whole()
        parts = random_parts(len(sequences), shares, self.split_seed)
        return {
            part: replace(sequences[np.sort(rows)], name=f"{sequences.name}/{part}") for part, rows in parts.items()
        }

    def _read(self, path: Path, labelled: bool) -> Sequences:
        form = next((suffix for suffix in _ARRAYS + _TABLES if path.name.lower().endswith(suffix)), None)
        if form is None:
            raise SettingsError(
                f"UserFile.path = '{self.path}': expected a file ending in {', '.join(_ARRAYS + _TABLES)}."
            )
        if not path.is_file():
            raise DataError(f"UserFile.path: there is no file {path.absolute()}.")
        label = path.name[: -len(form)]
        if form in _TABLES:
            return self._from_table(path, form, label, labelled)
        for option in ("id_column", "time_column", "label_columns"):
            if getattr(self, option) != getattr(UserFile(), option):
                raise SettingsError(
                    f"UserFile.{option} = {getattr(self, option)!r}: {path.name} holds arrays and has no columns. In a "
                    ".npz an array 'ids' says the sequence, and every one that is not described is a label."
                )
        return self._from_arrays(path, form, label)

    def _from_table(self, path: Path, form: str, label: str, labelled: bool) -> Sequences:
        if self.kind not in ("auto", "series"):
            raise SettingsError(f"UserFile.kind = '{self.kind}': tables such as {path.name} hold series; use 'series'.")
        table = _read_table(path, form, self.id_column, self.label_columns)
        labels = [column for column in self.label_columns if labelled or column in table.columns]
        return from_frame(table, id=self.id_column, time=self.time_column, labels=labels, name=label)

    def _from_arrays(self, path: Path, form: str, label: str) -> Sequences:
        arrays = _read_arrays(path, form)
        if "x" not in arrays:
            raise DataError(f"{path}: expected an array named 'x' with the sequences, found {', '.join(arrays)}.")
        x, times = arrays.pop("x"), arrays.pop("times", None)
        if times is not None and (times.shape != x.shape[:2] or times.dtype.kind not in "iuf"):
            raise DataError(
                f"{path}: 'times' is {times.dtype} of shape {times.shape}; expected numbers of shape {x.shape[:2]}."
            )
        mask, lengths, ids = (arrays.pop(name, None) for name in ("mask", "lengths", "ids"))
        if ids is not None and (ids.shape != x.shape[:1] or len(np.unique(ids)) < len(ids)):
            raise DataError(f"{path}: 'ids' has shape {ids.shape}; expected {x.shape[:1]}, each once.")
        for name, values in arrays.items():
            if values.shape not in (x.shape[:1], x.shape[:2]):
                raise DataError(
                    f"{path}: '{name}' has shape {values.shape}; every array beside x, mask, lengths, ids and times is "
                    f"a label with shape {x.shape[:1]} or {x.shape[:2]}."
                )
        kind = None if self.kind == "auto" else self.kind
        sequences = as_sequences(x, mask=mask, lengths=lengths, labels=arrays, kind=kind, name=label)
        sequences = sequences if ids is None else replace(sequences, ids=ids)
        return sequences if times is None else replace(sequences, times=times.astype(np.float64))


def _read_arrays(path: Path, form: str) -> dict[str, npt.NDArray[Any]]:
    try:
        if form == ".npy":
            return {"x": np.load(path, allow_pickle=False)}
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except _DAMAGED as error:
        # NumPy's own words advise to load it as code; ours do not repeat them.
        why = ". It is cut short or damaged, or holds Python objects, which are never loaded; save plain arrays of "
        cause = DataError(type(error).__name__) if isinstance(error, ValueError) else error
        raise DataError(unreadable(path, cause, f"{why}numbers or text again.")) from error


def _read_table(path: Path, form: str, id_column: str, labels: tuple[str, ...]) -> pd.DataFrame:
    try:
        if form == ".parquet":
            return pd.read_parquet(path)
        table = read_csv(path, id_column, labels)
    except ImportError as error:
        raise DataError(f"{path}: reading Parquet needs pyarrow; `pip install 'seqdis[parquet]'`.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8 ({error}). Save it again with that encoding.") from error
    except _DAMAGED as error:
        raise DataError(unreadable(path, error, ". It is cut short or damaged; write it again.")) from error
    if len(table.columns) == 1 and any(mark in str(table.columns[0]) for mark in ";\t"):
        raise DataError(f"{path}: one column named {str(table.columns[0])!r}. Save it with commas between columns.")
    return table.assign(**{id_column: _numbers_if_any(table[id_column])}) if id_column in table.columns else table


def _numbers_if_any(ids: pd.Series) -> pd.Series:
    """Ids as integers if all are; else as written: numbers would lose zeros in front, or take 12e4 for 120000."""
    return pd.to_numeric(ids) if ids.str.fullmatch(r"0|-?[1-9]\d{0,17}").all() else ids

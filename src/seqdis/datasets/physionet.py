"""PhysioNet/CinC Challenge 2012: the first two days of intensive-care stays, hourly, with many values missing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from seqdis.datasets._archives import content_hash
from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._cache import Arrays, prepared
from seqdis.datasets._download import RemoteFile
from seqdis.datasets._physionet_records import (
    hourly_means,
    read_outcomes,
    read_records,
    split_descriptors,
    stay_labels,
)
from seqdis.datasets._physionet_splits import Strings, check_sets, merged, part_rows, with_unlabelled
from seqdis.errors import DataError, SettingsError, unknown_name
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.inputs import standardised
from seqdis.sequences import DataSpec, FactorSpec, Sequences

_PREPARATION = 1  # raise when the code below changes what comes out of it
_URL = "https://physionet.org/files/challenge-2012/1.0.0/"
_SHA256 = {  # copies verified against the published counts of stays, rows and deaths
    "Outcomes-a.txt": "2613ea60ccda29f87571a7d6b09ad130858a8ccd66325bd073365925026883c2",
    "Outcomes-b.txt": "1305f29734da374a809483229a99f33a9230aa8d4fa74b1a2d6ad788136423d5",
    "set-a.tar.xz": "e8d521f417acb17953e26993440ce50f99338b4559ea41cca52c2306ee0bd718",
    "set-b.tar.xz": "071c7e98044445b10e097bd0e18bc42db70911e21cb022c073ce56be3c7510f1",
}
TEN_FEATURES = ("DiasABP", "GCS", "HCT", "MAP", "NIDiasABP", "NIMAP", "NISysABP", "RespRate", "SysABP", "Temp")
ALL_FEATURES = (
    *("ALP", "ALT", "AST", "Albumin", "BUN", "Bilirubin", "Cholesterol", "Creatinine", "DiasABP", "FiO2", "GCS"),
    *("Glucose", "HCO3", "HCT", "HR", "K", "Lactate", "MAP", "MechVent", "Mg", "NIDiasABP", "NIMAP", "NISysABP", "Na"),
    *("PaCO2", "PaO2", "Platelets", "RespRate", "SaO2", "SysABP", "Temp", "TroponinI", "TroponinT", "Urine", "WBC"),
    *("Weight", "pH"),
)
_FACTORS = (
    FactorSpec(name="icu_unit", kind="static", classes=("coronary", "cardiac surgery", "medical", "surgical")),
    FactorSpec(name="mortality", kind="static", classes=("survived", "died in hospital")),
    FactorSpec(name="gender", kind="static", classes=("female", "male")),
    FactorSpec(name="age", kind="static", unit="years"),
    FactorSpec(name="height", kind="static", unit="cm"),
    FactorSpec(name="weight", kind="static", unit="kg"),
    FactorSpec(name="saps", kind="static", unit="SAPS-I points"),
    FactorSpec(name="sofa", kind="static", unit="SOFA points"),
    FactorSpec(name="length_of_stay", kind="static", unit="days"),
)


@hyperparameters
class PhysioNet2012(SequenceDataset):
    """Intensive-care stays of the PhysioNet 2012 challenge in hourly rows.

    Parameters
    ----------
    sets : tuple of "a", "b", "c"
        Parts of the challenge with labels. Published scores of sequential disentanglement use "a" alone.
    unlabelled : tuple of "a", "b", "c"
        Sets whose stays join the training part without their labels (-1 for classes, NaN for numbers), to
        learn codes from. They are not counted among `sets`, except for `test_set`: its stays may
        be learned from without labels as well as tested on (transductive; say so beside every score).
    features : tuple of str
        Measurements that make up a row; ``("all",)`` takes all 37. Which stays are kept is decided
        on the ten default ones, so every choice sees the same stays.
    test : "first" or "random"
        Which fifth of the stays is the test part: the first by record number, as published, or one drawn
        with `split_seed`, so that several splits can be compared.
    test_set : "", "a", "b" or "c"
        One of `sets` that is the test part as a whole; training and validation come from the others.
    split_seed : int
        Shuffles the stays that are not for testing into training and validation.
    rows : int
        Rows of every stored sequence: shorter stays are padded, longer ones cut. A stay has at most 47.
    min_rows : int
        Stays with fewer rows are dropped.
    max_missing : float
        Stays with a larger share of missing values are dropped.
    root : str or None
        Folder that holds the files, or ``physionet2012/`` with them. None: ``SEQDIS_DATA``, else the
        user's cache folder.

    Raises
    ------
    SettingsError
        From `split`: sets or features that contradict each other.
    DataError
        From `split`: files are missing, damaged or altered, or too few stays are left.

    Notes
    -----
    As in GLR and in the released loader of DBSE: values are cleaned; a stay's row ``k`` is the mean over the
    minutes ``(first + 60 k, first + 60 (k + 1)]``, where ``first`` is the time of its first measurement of any kind;
    rows end at the last full hour before its last one. Hence what was measured in the very first minute is
    not used. The first fifth of the kept stays by record number is the test part, the rest is
    shuffled and divided 80/20. On set a: 1,189 / 298 / 371 stays, with 39 deaths in the test part.

    Values are stored in clinical units, zero where missing; ``spec.center`` and ``spec.scale`` are mean and
    standard deviation of the observed values of the labelled training stays, with or without
    `unlabelled`. ``mask`` is true where **observed** (GLR's is the opposite).

    The released loader weights a value by the number of repeated entries of other parameters in
    the same minute; here a row is the plain mean.

    References
    ----------
    Silva et al., Computing in Cardiology 39, 2012. Tonekaboni et al. (GLR), AISTATS 2022.
    Berman et al. (DBSE), ICML 2024.

    Examples
    --------
    >>> PhysioNet2012(sets=("a", "b"), split_seed=1).sets
    ('a', 'b')
    """

    name: ClassVar[str] = "physionet"
    folder_name: ClassVar[str] = "physionet2012"
    licence: ClassVar[str] = "ODC-By 1.0"
    source: ClassVar[str] = "https://physionet.org/content/challenge-2012/1.0.0/"
    citation: ClassVar[str] = """@inproceedings{silva2012physionet,
  title     = {Predicting In-Hospital Mortality of {ICU} Patients:
               The {PhysioNet/Computing} in Cardiology Challenge 2012},
  author    = {Silva, Ikaro and Moody, George and Scott, Daniel J. and Celi, Leo A. and Mark, Roger G.},
  booktitle = {Computing in Cardiology},
  volume    = {39},
  pages     = {245--248},
  year      = {2012}
}"""

    sets: tuple[Literal["a", "b", "c"], ...] = ("a",)
    unlabelled: tuple[Literal["a", "b", "c"], ...] = ()
    features: tuple[str, ...] = TEN_FEATURES
    test: Literal["first", "random"] = "first"
    test_set: Literal["", "a", "b", "c"] = ""
    split_seed: int = hyper(default=0, at_least=0)
    rows: int = hyper(default=80, at_least=1)
    min_rows: int = hyper(default=40, at_least=1)
    max_missing: float = hyper(default=0.6, at_least=0, at_most=1)
    root: str | None = hyper(default=None, identity=False)

    @classmethod
    def files(cls) -> tuple[RemoteFile, ...]:
        """Archive and outcomes of the three sets."""
        return tuple(file for letter in "abc" for file in _set_files(letter))

    def needed(self) -> tuple[RemoteFile, ...]:
        """Archive and outcomes of `sets` and `unlabelled`."""
        return tuple(file for letter in dict.fromkeys(self.sets + self.unlabelled) for file in _set_files(letter))

    def _splits(self) -> Mapping[str, Sequences]:
        validate(self)
        check_sets(self.sets, self.unlabelled, self.test, self.test_set)
        features = ALL_FEATURES if self.features == ("all",) else self.features
        if not features or len(set(features)) < len(features):
            raise SettingsError(f"PhysioNet2012.features = {features}: expected one or more features, each once.")
        for feature in features:
            if feature not in ALL_FEATURES:
                raise SettingsError(f"PhysioNet2012.features: {unknown_name('feature', feature, ALL_FEATURES)}")
        each = {letter: self._set(letter, features) for letter in sorted({*self.sets, *self.unlabelled})}
        arrays, letters = merged({letter: each[letter] for letter in each if letter in self.sets})
        parts = self._divide(arrays, letters, features)
        if not self.unlabelled:
            return parts
        more, _ = merged({letter: each[letter] for letter in self.unlabelled})
        return {**parts, "train": with_unlabelled(parts["train"], _sequences(more, features))}

    def _set(self, letter: str, features: tuple[str, ...]) -> Arrays:
        archive, outcomes = self._paths(letter)
        settings = (_PREPARATION, features, self.rows, self.min_rows, self.max_missing)
        digest = hashlib.sha256(json.dumps(settings).encode())
        for path in (archive, outcomes):
            digest.update(content_hash(path, r"\d+\.txt").encode())
        return prepared(self.name, digest.hexdigest()[:32], lambda: self._prepare(archive, outcomes, features))

    def _paths(self, letter: str) -> tuple[Path, Path]:
        folder = self.location()
        archive, outcomes = (file.found_in(folder) for file in _set_files(letter))
        if archive is None or outcomes is None:
            file = _set_files(letter)[0 if archive is None else 1]
            names = ", ".join([file.name, *(name for name, _ in file.also)])
            raise DataError(
                f"PhysioNet 2012, set {letter}: found no {names} in {folder}. Run `seqdis data fetch physionet "
                f"--sets {letter}`, or set SEQDIS_DATA (or root=) to the folder that contains {self.folder_name}/."
            )
        return archive[0], outcomes[0]

    def _prepare(self, archive: Path, outcomes: Path, features: tuple[str, ...]) -> Arrays:
        descriptors, measured = split_descriptors(read_records(archive))
        records = descriptors.index.to_numpy()
        labels = stay_labels(descriptors, read_outcomes(outcomes, records, archive))
        binned = tuple(dict.fromkeys(features + TEN_FEATURES))
        means, lengths = hourly_means(measured, records, binned)
        ten = means[..., [binned.index(name) for name in TEN_FEATURES]]
        values = np.maximum(lengths * len(TEN_FEATURES), 1)  # rows beyond a stay's own are not observed
        missing = (values - np.isfinite(ten).sum(axis=(1, 2))) / values
        keep = (lengths >= self.min_rows) & (missing <= self.max_missing)
        rows = min(self.rows, means.shape[1])
        x = np.full((keep.sum(), self.rows, len(features)), np.nan, dtype=np.float32)
        x[:, :rows] = means[keep, :rows, : len(features)]
        arrays = {"x": np.nan_to_num(x), "mask": np.isfinite(x), "lengths": np.minimum(lengths, self.rows)[keep]}
        return arrays | {"ids": records[keep]} | {name: label[keep] for name, label in labels.items()}

    def _divide(self, arrays: Arrays, letters: Strings, features: tuple[str, ...]) -> dict[str, Sequences]:
        n = len(arrays["ids"])
        if n < 5:
            raise DataError(
                f"PhysioNet 2012: {n} stays are left after dropping those with fewer than {self.min_rows} rows or more "
                f"than {self.max_missing:.0%} missing; expected 5 or more. Relax min_rows or max_missing."
            )
        index = part_rows(letters, test=self.test, test_set=self.test_set, seed=self.split_seed)
        everything = _sequences(arrays, features)
        spec = standardised(everything[index["train"]])
        silent = int((~arrays["mask"].any(axis=(1, 2))).sum())
        if silent:
            raise DataError(
                f"PhysioNet 2012: {silent} of {n} stays have no value of {', '.join(features)}; give more features, or "
                "lower max_missing."
            )
        return {part: replace(everything[rows], spec=spec, name=f"physionet/{part}") for part, rows in index.items()}


def _sequences(arrays: Arrays, features: tuple[str, ...]) -> Sequences:
    return Sequences(
        x=arrays["x"],
        spec=DataSpec(
            kind="series",
            shape=(len(features),),
            length=arrays["x"].shape[1],
            missing=True,
            feature_names=features,
            factors=_FACTORS,
        ),
        mask=arrays["mask"],
        lengths=arrays["lengths"],
        labels={factor.name: arrays[factor.name] for factor in _FACTORS},
        ids=arrays["ids"],
    )


def _set_files(letter: str) -> tuple[RemoteFile, RemoteFile]:
    archive, outcomes = f"set-{letter}.tar.gz", f"Outcomes-{letter}.txt"
    also = tuple((name, _SHA256.get(name)) for name in (f"set-{letter}.zip", f"set-{letter}.tar.xz", f"set-{letter}"))
    return (
        RemoteFile(name=archive, url=_URL + archive, also=also),
        RemoteFile(name=outcomes, url=_URL + outcomes, sha256=_SHA256.get(outcomes)),
    )

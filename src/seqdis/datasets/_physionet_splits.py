"""Which stays of PhysioNet 2012 train, select and test. The entry is `physionet.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seqdis.datasets._cache import Arrays
from seqdis.datasets._splits import Index, random_parts
from seqdis.errors import DataError, SettingsError
from seqdis.sequences import Sequences

Strings = npt.NDArray[np.str_]


def check_sets(sets: tuple[str, ...], unlabelled: tuple[str, ...], test: str, test_set: str) -> None:
    """Refuse settings that contradict each other.

    Raises
    ------
    SettingsError
        A set named twice, one with labels and without them, or two ways to choose the test part.
    """
    if not sets or len(set(sets)) < len(sets):
        raise SettingsError(f"PhysioNet2012.sets = {sets}: expected one or more of 'a', 'b', 'c', each once.")
    if len(set(unlabelled)) < len(unlabelled):
        raise SettingsError(f"PhysioNet2012.unlabelled = {unlabelled}: expected sets each once.")
    if test_set and (test_set not in sets or len(sets) == 1):
        raise SettingsError(
            f"PhysioNet2012.test_set = '{test_set}' with sets = {sets}: expected one of `sets`, and another one in it "
            "to train on. Name both in `sets`."
        )
    if test_set and test != "first":
        raise SettingsError(
            f"PhysioNet2012.test = '{test}' with test_set = '{test_set}': a whole set is the test part, so none "
            "is drawn. Leave one of the two out."
        )
    both = [letter for letter in unlabelled if letter in sets and letter != test_set]
    if both:
        raise SettingsError(
            f"PhysioNet2012.unlabelled = {unlabelled} with sets = {sets}: '{both[0]}' would be in training with and "
            "without labels. Name it in one of the two; only `test_set` may be in both."
        )


def merged(each: Mapping[str, Arrays]) -> tuple[Arrays, Strings]:
    """Stays of several sets in the order of record numbers, and the set of each.

    Parameters
    ----------
    each : mapping from letter to arrays
        Prepared stays of each set, ordered by record number, with the number in ``ids``.
    """
    keys = list(next(iter(each.values())))
    arrays = {key: np.concatenate([part[key] for part in each.values()]) for key in keys}
    letters = np.repeat(list(each), [len(part["ids"]) for part in each.values()])
    order = np.argsort(arrays["ids"], kind="stable")
    return {key: values[order] for key, values in arrays.items()}, letters[order]


def part_rows(letters: Strings, *, test: str, test_set: str, seed: int) -> dict[str, Index]:
    """Ascending rows of train, valid and test.

    Parameters
    ----------
    letters : array of str, (n,)
        The set of each stay, in the order of record numbers.
    test : "first" or "random"
        Which fifth is for testing, unless ``test_set`` names a set. The rest is divided 80/20.
    test_set : str
        The set that is for testing as a whole, or "".
    seed : int

    Raises
    ------
    DataError
        No stay of ``test_set`` is left, or too few of the others.
    """
    n, fifth = len(letters), len(letters) // 5
    if test == "random" and not test_set:
        # The same sizes as with the first fifth, so that only the choice of stays differs.
        rest = (n - fifth) / n
        drawn = random_parts(n, {"test": fifth / n, "train": 0.8 * rest, "valid": 0.2 * rest}, seed)
        return {part: np.sort(drawn[part]) for part in ("train", "valid", "test")}
    held = letters == test_set if test_set else np.arange(n) < fifth
    if not held.any():
        raise DataError(f"PhysioNet 2012: no stay of set {test_set} is left to test on. Relax min_rows or max_missing.")
    others = np.flatnonzero(~held)
    parts = random_parts(len(others), {"train": 0.8, "valid": 0.2}, seed)
    return {part: others[np.sort(rows)] for part, rows in parts.items()} | {"test": np.flatnonzero(held)}


def with_unlabelled(train: Sequences, more: Sequences) -> Sequences:
    """The training part followed by stays without labels: -1 for classes, NaN for numbers."""

    def both(first: Any, second: Any) -> npt.NDArray[Any]:
        return np.concatenate([first, second])

    unknown = {
        name: np.full(len(more), -1 if train.spec.factor(name).classes else np.nan).astype(values.dtype)
        for name, values in train.labels.items()
    }
    return replace(
        train,
        x=both(train.x, more.x),
        mask=both(train.mask, more.mask),
        lengths=both(train.lengths, more.lengths),
        labels={name: both(values, unknown[name]) for name, values in train.labels.items()},
        ids=both(train.ids, more.ids),
    )

"""What an evaluation is given: a fitted model, and data in parts with labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np

from seqdis.errors import DataError, unknown_name
from seqdis.factors import Factors
from seqdis.sequences import Array, DataSpec, Sequences


class Model(Protocol):
    """What evaluation asks of a fitted model. Every method of seqdis answers it; so may others."""

    @property
    def spec_(self) -> DataSpec:
        """The data it was fitted on, with center and scale."""

    @property
    def static_dim(self) -> int:
        """Size of the static code."""

    @property
    def dynamic_dim(self) -> int:
        """Size of the dynamic code of one window."""

    def encode(self, X: Any, /) -> Factors:
        """Posterior means; the same input gives the same code."""

    def reconstruct(self, X: Any, /) -> Array:
        """Decoded codes of ``X``, in data units (images: [0, 1])."""

    def swap(self, A: Any, B: Any, /) -> Array:
        """Static code of ``A`` decoded with the dynamic codes of ``B``, row by row."""

    def untrained(self) -> Self:
        """The same network with fresh random weights."""


def parts_of(data: Any, names: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Sequences]:
    """The named parts of a data set.

    Parameters
    ----------
    data : SequenceDataset, mapping from name to Sequences, or Sequences
        A single `Sequences` is accepted where one part is wanted.
    names : iterable of str
        Parts that must be there.
    optional : iterable of str
        Parts taken along where they exist.

    Raises
    ------
    DataError
        A part is missing, empty-handed or of another type.
    """
    wanted = tuple(names)
    listed = ", ".join(wanted)
    if isinstance(data, Sequences):
        if len(wanted) != 1:
            raise DataError(
                f"one Sequences was given ('{data.name}'), but the parts {listed} are needed. "
                "Pass a data set or a mapping such as {'train': ..., 'test': ...}."
            )
        return {wanted[0]: data}
    found = data.parts() if callable(getattr(data, "parts", None)) else data
    if not isinstance(found, Mapping):
        raise DataError(
            f"got {type(data).__name__}; expected a data set, a mapping from part name to Sequences, or one Sequences."
        )
    for name in wanted:
        if name not in found:
            raise DataError(f"the parts {listed} are needed: {unknown_name('part', name, map(str, found))}")
    chosen = {name: found[name] for name in (*wanted, *optional) if name in found}
    for name, part in chosen.items():
        if not isinstance(part, Sequences):
            raise DataError(f"part '{name}' is a {type(part).__name__}; expected Sequences.")
    return chosen


def dataset_name(data: Any, parts: Mapping[str, Sequences]) -> str:
    """Name for reports: that of the data set, else what stands before the slash in a part's name."""
    if isinstance(data, Sequences | Mapping):
        return next(iter(parts.values())).name.split("/")[0]
    return str(data.name)


def check_same_classes(parts: Mapping[str, Sequences], label: str) -> None:
    """Refuse parts that number the classes of a label differently: equal numbers would mean different classes.

    Raises
    ------
    DataError
    """
    known = {
        name: factor.classes
        for name, part in parts.items()
        for factor in part.spec.factors
        if factor.name == label and factor.classes
    }
    if len(set(known.values())) > 1:
        listed = "; ".join(f"{name}: {', '.join(classes)}" for name, classes in known.items())
        raise DataError(
            f"label '{label}' has other classes in other parts ({listed}), so that equal numbers mean different "
            "classes. Read all parts in one go, or give labels as numbers of the same classes."
        )


def with_label(part: Sequences, label: str) -> Sequences:
    """The sequences whose class ``label`` is known, that label as int64.

    Raises
    ------
    DataError
        No such label, not one value per sequence, not numbers of classes, or none known.
    """
    if label not in part.labels:
        raise DataError(f"{part.name}: {unknown_name('label', label, part.labels)}")
    values = np.asarray(part.labels[label])
    if values.ndim != 1:
        raise DataError(f"{part.name}: label '{label}' has shape {values.shape}; expected one class per sequence.")
    if values.dtype.kind not in "biuf":
        raise DataError(
            f"{part.name}: label '{label}' is {values.dtype}; expected classes numbered from 0, -1 where unknown "
            "(seqdis.as_sequences numbers words)."
        )
    known = values >= 0  # false for -1 and for NaN alike
    if not known.any():
        raise DataError(f"{part.name}: label '{label}' is unknown (-1) for all {len(part)} sequences.")
    if (broken := values[known & (values % 1 != 0)]).size:
        raise DataError(f"{part.name}: label '{label}' has the value {broken[0]:g}; expected classes numbered from 0.")
    kept = part if known.all() else part[known]
    return replace(kept, labels={**kept.labels, label: kept.labels[label].astype(np.int64)})


def refuse_shared(parts: Mapping[str, Sequences]) -> None:
    """Refuse sequences of test that another part holds too: for protocols that learn without labels.

    Parameters
    ----------
    parts : mapping from part name to Sequences
        With "test". Sequences are equal if the same values are observed at the same places; those
        without any observed value tell nothing and are passed over.

    Raises
    ------
    DataError
        A sequence of test is also in another part.
    """
    test = parts["test"]
    sought = _hashes(test)
    for name, part in parts.items():
        held = set() if name == "test" else set(_hashes(part)) - {""}
        shared = [row for row, value in enumerate(sought) if value in held]
        if shared:
            some = ", ".join(str(row if test.ids is None else test.ids[row]) for row in shared[:5])
            raise DataError(
                f"{len(shared)} of {len(test)} sequences of {test.name} are also in {part.name} "
                f"({'row' if test.ids is None else 'id'} {some}{', ...' if len(shared) > 5 else ''}); expected none, "
                f"as what is fitted here needs no labels. Leave them out of '{name}', or read labels instead."
            )


def _hashes(part: Sequences) -> list[str]:
    """One per sequence, whatever stands where nothing was observed; empty where nothing was at all."""
    seen = part.observed()
    values = np.where(seen.reshape(*seen.shape, *[1] * (part.x.ndim - seen.ndim)), part.x, 0)
    return [
        hashlib.sha256(row.tobytes() + held.tobytes()).hexdigest() if held.any() else ""
        for row, held in zip(values, seen, strict=True)
    ]


def normalised(values: Array, spec: DataSpec) -> Array:
    """Stored values, (..., *features), as networks see them: ``(values - center) / scale``, per feature or channel."""
    channels = (-1, 1, 1) if spec.kind == "image" else (-1,)
    center, scale = (np.asarray(numbers, dtype=np.float32).reshape(channels) for numbers in (spec.center, spec.scale))
    return (values - center) / scale

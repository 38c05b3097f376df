"""What goes in: `Sequences` (a stored set), `Batch` (tensors of one step), and their description."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqdis.errors import DataError, unknown_name
from seqdis.spectrogram import utterances

Array = npt.NDArray[Any]
Kind = Literal["image", "spectrogram", "series"]


@dataclass(frozen=True, kw_only=True)
class FactorSpec:
    """A known factor of variation.

    Parameters
    ----------
    name : str
    kind : "static" or "dynamic"
        Static factors have one value per sequence; dynamic ones one per sequence or one per step.
    classes : tuple of str
        Names of the classes, in the order of the integer labels. Empty for a numeric factor.
    unit : str
        Unit of a numeric factor.

    Notes
    -----
    Unknown labels are -1 for classes and NaN for numbers.
    """

    name: str
    kind: Literal["static", "dynamic"]
    classes: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """What a method must know of the data to build its network.

    Parameters
    ----------
    kind : "image", "spectrogram" or "series"
        What one element of a sequence is. A *series* element is a row of measurements.
    shape : tuple of int
        Shape of one element: (channels, height, width), (bins,) or (features,).
    length : int
        Steps of the time axis, padding included.
    center, scale : tuple of float
        Networks see ``(stored - center) / scale``, per feature or one for all. Of images, ``scale`` says
        how they are stored: 255 for bytes. See `seqdis.inputs.scaled` for who chooses them.
    missing : bool
        Whether single values may be missing.
    feature_names : tuple of str
    factors : tuple of FactorSpec
    """

    kind: Kind
    shape: tuple[int, ...]
    length: int
    center: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    missing: bool = False
    feature_names: tuple[str, ...] = ()
    factors: tuple[FactorSpec, ...] = ()

    def factor(self, name: str) -> FactorSpec:
        """The factor of that name, or an error that lists those known."""
        for factor in self.factors:
            if factor.name == name:
                return factor
        raise DataError(unknown_name("factor", name, [f.name for f in self.factors]))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Tensors of some sequences, normalised and on the device.

    Parameters
    ----------
    x : Tensor, (batch, time, *features), float
        Zero where a value is missing or padded.
    mask : Tensor of bool or None
        True where **observed**. (batch, time, features) for series, (batch, time) for images and
        spectrograms. None: all is observed. Padded steps are false.
    lengths : Tensor of int64, (batch,), or None
        Real steps of each sequence; None: all have ``x.shape[1]``.
    times : Tensor or None, (batch, time)
        Time stamps, where the data have them.
    index : Tensor of int64, (batch,)
        Row of each sequence in its set.
    """

    x: Tensor
    mask: Tensor | None = None
    lengths: Tensor | None = None
    times: Tensor | None = None
    index: Tensor | None = None

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def valid_steps(self) -> Tensor:
        """(batch, time) bool, false on padded steps."""
        batch, time = self.x.shape[:2]
        if self.lengths is None:
            return torch.ones(batch, time, dtype=torch.bool, device=self.x.device)
        return torch.arange(time, device=self.x.device) < self.lengths[:, None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sequences:
    """A set of sequences in memory, as stored, with labels. What ``split`` returns and ``fit`` takes.

    Not to be confused with `Batch`: this one holds NumPy arrays in the stored type (bytes for
    video) and is not normalised.

    Parameters
    ----------
    x : array, (n, time, *features), uint8 or float32
    spec : DataSpec
    mask : array of bool or None
        True where observed; see `Batch`.
    lengths : array of int64 or None, (n,)
    times : array or None, (n, time)
    labels : mapping from factor name to array, (n,) or (n, time)
    ids : array, (n,)
        How the source calls each sequence.
    groups : array or None, (n,)
        Sequences that are no independent evidence carry the same value, such as one month seen from twelve stations.
        What another test part might give is asked by drawing whole groups.
    name : str
        Where it comes from, for reports ("physionet/test").
    """

    x: Array
    spec: DataSpec
    mask: Array | None = None
    lengths: Array | None = None
    times: Array | None = None
    labels: Mapping[str, Array] = field(default_factory=dict)
    ids: Array | None = None
    groups: Array | None = None
    name: str = "sequences"

    def __post_init__(self) -> None:
        n, time = self.x.shape[:2]
        if n == 0 or time == 0:
            raise DataError(f"{self.name}: got shape {self.x.shape}; expected at least one sequence of one step.")
        if tuple(self.x.shape[2:]) != self.spec.shape:
            raise DataError(f"{self.name}: elements have shape {self.x.shape[2:]}, the spec says {self.spec.shape}.")
        known = (("lengths", self.lengths), ("ids", self.ids), ("groups", self.groups))
        for key, values in (*known, *self.labels.items()):
            if values is not None and len(values) != n:
                raise DataError(f"{self.name}: '{key}' has {len(values)} entries for {n} sequences.")
        if self.lengths is not None and not ((self.lengths >= 1) & (self.lengths <= time)).all():
            bad = self.lengths[(self.lengths < 1) | (self.lengths > time)][0]
            raise DataError(f"{self.name}: length {bad} given; lengths must lie in 1..{time} (the time axis of x).")
        if self.mask is not None:
            full = self.x.shape if self.spec.kind == "series" else self.x.shape[:2]
            if self.mask.shape != full:
                raise DataError(f"{self.name}: mask has shape {self.mask.shape}, expected {full} (true = observed).")
        if np.issubdtype(self.x.dtype, np.floating) and not np.isfinite(self.x).all():
            seen = self.observed()
            bad = np.argwhere(~np.isfinite(self.x) & seen.reshape(*seen.shape, *[1] * (self.x.ndim - seen.ndim)))
            if len(bad):
                raise DataError(
                    f"{self.name}: {len(bad)} values are NaN or infinite where the mask says observed, first at "
                    f"{tuple(bad[0].tolist())}. Mark missing values in `mask`, or pass the array itself."
                )

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def __getitem__(self, rows: Any) -> Self:
        """Some of the sequences: a slice, an index, a list of indices or a boolean array."""
        if isinstance(rows, int | np.integer):
            if not -len(self) <= rows < len(self):
                raise IndexError(f"{self.name}: no sequence {rows}; there are {len(self)}.")
            rows = slice(int(rows) % len(self), int(rows) % len(self) + 1)
        elif not isinstance(rows, slice):
            rows = np.asarray(rows)
            rows = rows if rows.size else rows.astype(np.int64)  # an empty list is one of floats to NumPy

        def some(values: Array | None) -> Array | None:
            return None if values is None else values[rows]

        return replace(
            self,
            x=self.x[rows],
            mask=some(self.mask),
            lengths=some(self.lengths),
            times=some(self.times),
            labels={name: values[rows] for name, values in self.labels.items()},
            ids=some(self.ids),
            groups=some(self.groups),
        )

    def fingerprint(self) -> str:
        """Hash of values, masks, lengths, times and labels, and of which sequences are segments of one utterance.

        Not of what sequences are called, nor of `groups`, which no fit sees.
        """
        digest = hashlib.sha256(repr(self.spec).encode())
        labels = {f"label {name}": values for name, values in self.labels.items()}
        of = None if self.ids is None else utterances(self.ids)
        joined = {"utterances": of} if of is not None and len(np.unique(of)) < len(of) else {}
        arrays = {"x": self.x, "mask": self.mask, "lengths": self.lengths, "times": self.times, **joined, **labels}
        for name in sorted(arrays):
            values = arrays[name]
            if values is not None:
                digest.update(f"{name}{values.dtype}{values.shape}".encode())
                # As bytes in place: video would be copied whole otherwise.
                digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
        return digest.hexdigest()[:16]

    def observed(self) -> Array:
        """(n, time, ...) bool: observed and not padded. Trailing axes as in `mask`."""
        n, time = self.x.shape[:2]
        valid = np.ones((n, time), dtype=bool)
        if self.lengths is not None:
            valid = np.arange(time) < self.lengths[:, None]
        if self.mask is None:
            return valid if self.spec.kind != "series" else np.broadcast_to(valid[..., None], self.x.shape)
        return self.mask & (valid if self.mask.ndim == 2 else valid[..., None])

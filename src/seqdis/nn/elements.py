"""A batch as elements: what a dynamic code is given to, a frame or a window of steps of a series."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from seqdis.errors import DataError
from seqdis.factors import Factors
from seqdis.nn.series import informative_steps
from seqdis.nn.spectrograms import SpectrogramEncoder
from seqdis.sequences import Batch, DataSpec


@dataclass(frozen=True)
class Features:
    """Encoded elements of a batch.

    Parameters
    ----------
    values : Tensor, (batch, elements, width) for frames, (batch, elements, steps, width) for windows
    readable : Tensor of bool or None, (batch, elements[, steps])
        False where recurrent heads must see zeros: padding, missing frames, steps with too few values.
    lengths : Tensor of int64 or None, (batch,)
        Real elements of each sequence.
    """

    values: Tensor
    readable: Tensor | None = None
    lengths: Int[Tensor, " batch"] | None = None

    def read(self) -> Tensor:
        """The values, zero where they are not readable."""
        return self.values if self.readable is None else self.values * self.readable.unsqueeze(-1)

    def at(self, index: Int[Tensor, " batch"]) -> Tensor:
        """The values of one element of every sequence: (batch, ...)."""
        return self.values[torch.arange(len(index), device=index.device), index]

    def put(self, index: Int[Tensor, " batch"], values: Tensor) -> Features:
        """The same with other values for one element of every sequence."""
        rows = torch.arange(len(index), device=index.device)
        return replace(self, values=self.values.index_put((rows, index), values))


@dataclass(frozen=True)
class Observation:
    """Predicted observations, normalised units; ``scale`` is None where the variance is fixed."""

    mean: Float[Tensor, "batch time *features"]
    scale: Float[Tensor, "batch time features"] | None = None


def require_two_elements(spec: DataSpec, window: int = 1) -> None:
    """Refuse sequences of a single element, which cannot tell what stays from what changes.

    Raises
    ------
    DataError
    """
    window = window if spec.kind == "series" else 1
    elements = math.ceil(spec.length / window)
    if elements < 2:
        unit = "frames" if spec.kind != "series" else f"windows of {window} steps" if window > 1 else "steps"
        smaller = " or a smaller `window`" if window > 1 else ""
        raise DataError(
            f"sequences of {spec.length} step(s) make {elements} of the {unit} that codes are given to; at least 2 "
            f"are needed to tell what stays from what changes. Give longer sequences{smaller}."
        )


def join(static: Float[Tensor, "batch static"], dynamic: Float[Tensor, "batch elements dynamic"]) -> Tensor:
    """Joint codes of all elements, dynamic first: (batch, elements, dynamic + static)."""
    return torch.cat([dynamic, static.unsqueeze(1).expand(-1, dynamic.shape[1], -1)], dim=-1)


def elements_of(lengths: Tensor | None, stride: int) -> Tensor | None:
    """Elements that sequences of these many steps fill, the last one perhaps in part."""
    return None if lengths is None else -(-lengths // stride)


def frame_features(encoder: nn.Module, batch: Batch) -> Features:
    """Every readable frame encoded; the rest zero."""
    readable = frames_present(batch)
    if isinstance(encoder, SpectrogramEncoder):
        return Features(encoder(batch.x, readable, batch.lengths), readable, batch.lengths)
    return Features(encoder(batch.x, readable), readable, batch.lengths)


def fold_windows(batch: Batch, window: int) -> Features:
    """A series folded into windows, not encoded yet; the last window is filled up with zeros."""
    missing = -batch.x.shape[1] % window
    x = pad(batch.x, (0, 0, 0, missing)) if missing else batch.x
    readable = None
    if batch.mask is not None or batch.lengths is not None or missing:
        steps = batch.valid_steps() if batch.mask is None else informative_steps(batch.mask)
        readable = pad(steps, (0, missing)).unflatten(1, (-1, window))
    return Features(x.unflatten(1, (-1, window)), readable, elements_of(batch.lengths, window))


def observed_means(observation: Observation, factors: Factors, stride: int) -> Tensor:
    """The mean observation of decoded codes, zero on padded elements of ``stride`` steps."""
    if factors.lengths is None:
        return observation.mean
    steps = factors.valid().repeat_interleave(stride, dim=1)
    return observation.mean * steps.reshape(*steps.shape, *[1] * (observation.mean.ndim - 2))


def frames_present(batch: Batch) -> Tensor | None:
    """(batch, time) bool of frames that are real and observed, or None if all are."""
    if batch.mask is not None:
        return batch.mask
    return None if batch.lengths is None else batch.valid_steps()

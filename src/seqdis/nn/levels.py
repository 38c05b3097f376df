"""Vectors of whole sequences, around which the codes of their segments lie; and wholes made of segments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from seqdis.losses import product
from seqdis.sequences import Sequences
from seqdis.spectrogram import utterances

VARIANCE = 0.25
"""Of codes of segments around the vector of their sequence, whose own prior is N(0, I)."""


def most_likely(
    means: Float[Tensor, "batch segments dim"], readable: Bool[Tensor, "batch segments"]
) -> Float[Tensor, "batch dim"]:
    """The vector with the highest posterior density, given codes of the readable segments.

    ``sum_n means_n / (N + VARIANCE)``; zero without any. Hsu, Zhang, Glass, NeurIPS 2017.
    """
    return (means * readable.unsqueeze(-1)).sum(1) / (readable.sum(1, keepdim=True) + VARIANCE)


def confusion(
    means: Float[Tensor, "batch segments dim"], centers: Float[Tensor, "rows dim"], own: Int[Tensor, " batch"]
) -> Float[Tensor, "batch segments"]:
    """How little each code tells whose it is: ``-log softmax_j(-|mean - center_j|^2 / (2 VARIANCE))`` of its own.

    Parameters
    ----------
    means : Tensor, (batch, segments, dim)
    centers : Tensor, (rows, dim)
        Vectors of all sequences that are compared.
    own : Tensor of int64, (batch,)
        Row of each sequence.
    """
    # A matrix product: the square of the mean is the same for all rows, and no difference is written out.
    scores = (product(means.flatten(0, 1), centers.mT) - 0.5 * centers.square().sum(-1)) / VARIANCE
    target = own.repeat_interleave(means.shape[1])
    return cross_entropy(scores, target, reduction="none").unflatten(0, means.shape[:2])


class RowTable(nn.Module):
    """One trained vector for each training sequence, of which there are none until `allot`.

    How many there are follows from the data, not from the description that a network is built for. The
    optimiser holds the parameter from the start; a saved state brings its own number of rows.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.zeros(0, dim))

    def __len__(self) -> int:
        return len(self.rows)

    def allot(self, count: int, generator: torch.Generator | None = None) -> None:
        """So many rows, drawn from N(0, I); 0 clears the table."""
        shape, device = (count, self.rows.shape[1]), self.rows.device
        # In place of the data: the optimiser knows the parameter itself.
        self.rows.data = torch.randn(shape, generator=generator, device=device) if count else self.rows.data[:0].clone()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        stored = state_dict.get(f"{prefix}rows")
        if stored is not None:
            self.rows.data = self.rows.data.new_zeros(len(stored), self.rows.shape[1])
        super()._load_from_state_dict(state_dict, prefix, *rest)


@dataclass(frozen=True, kw_only=True, eq=False)
class Joined(Sequences):
    """Utterances in one piece, known by the fingerprint of the segments they were made of.

    Runs are found by the data that were given to `fit`. What belongs together is not part of a fingerprint.
    """

    segments: Sequences

    def fingerprint(self) -> str:
        """That of the segments."""
        return self.segments.fingerprint()


def joined(data: Sequences) -> Sequences:
    """One sequence of all segments of an utterance, in their order in the set; see `seqdis.spectrogram.utterances`.

    Labels and times are left out; ids are those of the first segments. Data without ids, or without two segments of
    one utterance, come back as they are.
    """
    if data.ids is None:
        return data
    of = utterances(data.ids)  # numbered by first appearance
    _, first, sizes = np.unique(of, return_index=True, return_counts=True)
    if len(first) == len(data):
        return data
    steps = data.x.shape[1]
    counts = np.full(len(data), steps) if data.lengths is None else data.lengths
    lengths = np.bincount(of, weights=counts).astype(np.int64)
    x = np.zeros((len(first), lengths.max(), *data.spec.shape), dtype=data.x.dtype)
    mask = None if data.mask is None else np.zeros(x.shape[: data.mask.ndim], dtype=bool)
    # One utterance at a time: the segments of a corpus in another order would be a copy of it all.
    for row, members in enumerate(np.split(np.argsort(of, kind="stable"), sizes.cumsum()[:-1])):
        real = np.arange(steps) < counts[members, None]
        x[row, : lengths[row]] = data.x[members][real]
        if mask is not None and data.mask is not None:
            mask[row, : lengths[row]] = data.mask[members][real]
    return Joined(
        x=x,
        spec=replace(data.spec, length=x.shape[1]),
        mask=mask,
        lengths=lengths,
        ids=data.ids[first],
        groups=None if data.groups is None else data.groups[first],
        name=data.name,
        segments=data,
    )

"""Verification by codes: one vector per utterance, all pairs compared; and what codes tell of the words said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from seqdis.errors import DataError
from seqdis.evaluation.metrics import equal_error_rate
from seqdis.evaluation.probe import summary
from seqdis.evaluation.tables import Table, table_of
from seqdis.factors import Factors
from seqdis.sequences import Array


def utterance_vectors(factors: Factors, utterance: Array) -> tuple[Array, Array]:
    """Static and dynamic vector of every utterance: (utterances, static) and (utterances, dynamic).

    Static codes are averaged over an utterance's segments, dynamic ones over all its real windows, as in released
    code of DBSE.

    Parameters
    ----------
    factors : Factors
        Codes of segments.
    utterance : array of int, (n,)
        Which utterance, 0 and up without gaps, each segment belongs to.
    """
    of = torch.as_tensor(utterance)
    static, dynamic = factors.static.double(), factors.dynamic.double()
    valid = factors.valid()

    def sums(values: Tensor) -> Tensor:
        return values.new_zeros(int(of.max()) + 1, *values.shape[1:]).index_add(0, of, values)

    segments, windows = sums(torch.ones_like(static[:, :1])), sums(valid.sum(1, keepdim=True).double())
    return (sums(static) / segments).numpy(), (sums((dynamic * valid[..., None]).sum(1)) / windows).numpy()


@dataclass(frozen=True)
class Trials:
    """All unordered pairs of vectors of known speakers.

    Parameters
    ----------
    speaker : array of int, (vectors,)

    Raises
    ------
    DataError
        No speaker with two vectors, or one speaker only.
    """

    speaker: Array

    def __post_init__(self) -> None:
        counts = np.unique(self.speaker, return_counts=True)[1]
        if len(counts) < 2 or counts.max() < 2:
            raise DataError(
                f"{len(self.speaker)} vector(s) of {len(counts)} speaker(s), at most {counts.max(initial=0)} of one: "
                "expected two speakers, and one with two vectors. Give more utterances or speakers, or take fewer "
                "utterances together."
            )

    def error_rate(self, vectors: Array, *, resamples: int = 0, seed: int = 0) -> tuple[float, Array]:
        """Equal error rate of cosine similarities, and those of resampled speakers.

        Parameters
        ----------
        vectors : array, (vectors, code)
            A vector of zeros is equally similar to all.
        resamples, seed : int
            Speakers are drawn with replacement; one drawn twice is not compared with itself. Equal seeds draw
            equal speakers.

        Returns
        -------
        float, array (resamples,)
        """
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = np.divide(vectors, length, out=np.zeros_like(vectors, dtype=np.float64), where=length > 0)
        first, second = np.triu_indices(len(vectors), 1)
        scores = (unit @ unit.T)[first, second]
        order = np.argsort(scores, kind="stable")
        # Sorted once: sorting what is sorted costs next to nothing in the resamples.
        scores, first, second = scores[order], first[order], second[order]
        known, speaker = np.unique(self.speaker, return_inverse=True)
        same = speaker[first] == speaker[second]
        draw, draws = np.random.default_rng(seed), list[float]()
        while len(draws) < resamples:
            count = np.bincount(draw.integers(len(known), size=len(known)), minlength=len(known))
            weights = count[speaker[first]] * np.where(same, 1, count[speaker[second]])
            if weights[same].any() and weights[~same].any():
                draws.append(equal_error_rate(same, scores, weights))
        return equal_error_rate(same, scores), np.array(draws)


def together(vectors: Array, speaker: Array, size: int, seed: int) -> tuple[Array, Array]:
    """Averages of so many vectors of one speaker, drawn at random without a rest, and their speakers.

    Parameters
    ----------
    vectors : array, (n, code)
    speaker : array of int, (n,)
    size, seed : int

    Returns
    -------
    vectors, speaker : array
        A speaker's left-over vectors are dropped.
    """
    if size == 1:
        return vectors, speaker
    draw, groups = np.random.default_rng(seed), []
    for who in np.unique(speaker):
        rows = draw.permutation(np.flatnonzero(speaker == who))
        groups.append(rows[: len(rows) // size * size].reshape(-1, size))
    rows = np.concatenate(groups)
    return vectors[rows].mean(1), speaker[rows[:, 0]]


def content_table(factors: Factors, code: Literal["static", "dynamic"], labels: Array, name: str) -> Table:
    """Rows that read what is said: of a label per sequence from the static code or the `course` of the dynamic one.

    Labels per window are read window by window, as in `seqdis.evaluation.tables.table_of`.

    Parameters
    ----------
    factors : Factors
    code : "static" or "dynamic"
    labels : array of int, (n,) or (n, windows)
        -1: unknown.
    name : str
        What is read, for errors.
    """
    if labels.ndim == 2:
        return table_of(factors, code, labels, name)
    read = factors.static if code == "static" else course(factors)
    return table_of(Factors(read, factors.dynamic), "static", labels, name)


def course(factors: Factors, steps: int = 8) -> Tensor:
    """How the dynamic code moves, equally many numbers of slow and fast speakers: (n, (steps + 2) * dynamic).

    The code at so many points from the first to the last real window, interpolated between windows; then its mean
    and standard deviation over real windows.
    """
    dynamic, valid = factors.dynamic, factors.valid()
    last = valid.sum(1, keepdim=True) - 1
    place = torch.linspace(0, 1, steps) * last
    before = place.floor().long()
    rows = torch.arange(len(factors))[:, None]
    after = torch.minimum(before + 1, last)
    points = torch.lerp(dynamic[rows, before], dynamic[rows, after], (place - before).unsqueeze(-1))
    dims = dynamic.shape[2]
    return torch.cat([points.flatten(1), summary(factors)[:, : 2 * dims]], 1)

"""`JudgedProtocol`: the kind of protocol that shows generated sequences to a judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from seqdis.datasets._cache import cache_folder
from seqdis.errors import CapabilityError
from seqdis.evaluation.judge import Judge
from seqdis.evaluation.judging import KINDS, Generative, Kind, RealTest, Views, judged, one_kept
from seqdis.evaluation.report import Role, Score
from seqdis.factors import Factors
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.protocols._base import Protocol, score_row
from seqdis.sequences import Array, Sequences

WORDS: Mapping[Kind, str] = {"static": "kept static", "dynamic": "kept dynamics"}
REAL, SHUFFLED, UNTRAINED = "real test data", "shuffled labels", "untrained network"

Place = tuple[str, str, str, str]
"""Metric, factor, form and the good direction of a score."""


@hyperparameters
class JudgedProtocol(Protocol):
    """Generates from the test part, several times, and scores a judge's view of it.

    Parameters
    ----------
    judge : Judge
        Trained on train, stopped by valid, and kept in the cache folder of prepared data.
    repeats : int
        Draws from the prior with one model; 300 for reports. Their spread is not that of training.
    """

    needs: ClassVar[tuple[str, ...]] = ("train", "valid", "test")

    judge: Judge = hyper(factory=Judge)
    repeats: int = hyper(default=5, at_least=1)

    def _real(self, parts: Mapping[str, Sequences]) -> RealTest:
        test = parts["test"]
        if test.spec.kind != "image":
            raise CapabilityError(f"{self.name} needs a judge of video; {test.name} holds {test.spec.kind}.")
        return RealTest.of(self.judge, parts, cache_folder())

    def _judged(self, test: Sequences, kind: Kind) -> list[str]:
        """Factors of one kind that the judge will read, before there is one."""
        return [
            factor.name
            for factor in test.spec.factors
            if factor.kind == kind
            and factor.classes
            and np.ndim(test.labels.get(factor.name, 0)) == 1
            and factor.name in (self.judge.factors or test.labels)
        ]

    def _kept(self, model: Generative, codes: Factors, real: RealTest) -> Iterator[dict[Kind, Views]]:
        """For every repeat, what the judge sees where the static and where the dynamic code was kept."""
        for k in range(self.repeats):
            yield {
                kind: judged(real.judge, model, one_kept(model, codes, kind, self.seed + k), real.part)
                for kind in KINDS
            }

    def _shuffled(self, labels: Array, repeat: int) -> Array:
        """The labels in another order: what is left of a score without any relation to the source."""
        return np.random.default_rng(self.seed + repeat).permutation(labels)


def correct(labels: Array, probabilities: Array) -> float:
    """Share of rows of known label that are read right; NaN where none is known."""
    known = labels >= 0
    return float((probabilities[known].argmax(1) == labels[known]).mean()) if known.any() else np.nan


def rows_of(method: str, role: Role, repeats: Sequence[Mapping[Place, float]], over: str = "samplings") -> list[Score]:
    """One row per place, averaged over repeats that have it."""
    return [
        score_row(
            method=method,
            metric=place[0],
            factor=place[1],
            form=place[2],
            better=place[3],
            value=draws.mean(),
            draws=draws,
            over=over,
            role=role,
        )
        for place in repeats[0]
        for draws in [np.array([values[place] for values in repeats])]
    ]

"""`JudgedProtocol`: the kind of protocol that shows generated sequences to a judge."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from seqdis.datasets._cache import cache_folder
from seqdis.disk import obstacle
from seqdis.errors import CapabilityError
from seqdis.evaluation.judge import Judge
from seqdis.evaluation.judge_cache import fitted_judge
from seqdis.evaluation.judging import KINDS, Generative, Kind, RealTest, Views, judged, one_kept
from seqdis.evaluation.parts import parts_of
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
    draws_from_prior: ClassVar[bool] = True

    judge: Judge = hyper(factory=Judge)
    repeats: int = hyper(default=5, at_least=1)

    def prepare(self, data: Any) -> None:
        """Train the judge, where it can be kept."""
        parts = parts_of(data, self.needs, self.welcome)
        if parts["test"].spec.kind == "image" and not obstacle(cache_folder()):
            fitted_judge(self.judge, parts["train"], parts["valid"], cache_folder())

    def _real(self, parts: Mapping[str, Sequences], needed: Collection[str] | None = None) -> RealTest:
        """Real test data; a judge that is weak is refused, of the factors that are ``needed`` (None: of any)."""
        test = parts["test"]
        if test.spec.kind != "image":
            raise CapabilityError(f"{self.name} needs a judge of video; {test.name} holds {test.spec.kind}.")
        return RealTest.of(self.judge, parts, cache_folder(), needed)

    def _judged(self, test: Sequences, kind: Kind) -> list[str]:
        """Factors of one kind that the judge will read, before there is one."""
        return [
            factor.name
            for factor in test.spec.factors
            if factor.kind == kind
            and len(factor.classes) > 1
            and np.ndim(test.labels.get(factor.name, 0)) == 1
            and factor.name in (self.judge.factors or test.labels)
        ]

    def _kept(self, model: Generative, codes: Factors, real: RealTest) -> Iterator[dict[Kind, Views]]:
        """For every repeat, what the judge sees where the static and where the dynamic code was kept."""
        steps, lengths = real.part.x.shape[1], real.part.lengths
        for k in range(self.repeats):
            seed = self._seed_of(k)
            yield {
                kind: judged(real.judge, model, one_kept(model, codes, kind, seed), steps, lengths) for kind in KINDS
            }

    def _seed_of(self, repeat: int) -> int:
        """What all draws of one repeat start from; adding up would give neighbouring seeds the same draws."""
        return int(np.random.SeedSequence([self.seed, repeat]).generate_state(1)[0])

    def _shuffled(self, labels: Array, repeat: int) -> Array:
        """The labels in another order: what is left of a score without any relation to the source."""
        return np.random.default_rng(self._seed_of(repeat)).permutation(labels)


def correct(labels: Array, probabilities: Array) -> float:
    """Share of rows of known label that are read right; NaN where none is known."""
    known = labels >= 0
    return float((probabilities[known].argmax(1) == labels[known]).mean()) if known.any() else np.nan


def bounds(rows: Sequence[Score], factors: Collection[str] | None = None) -> list[Score]:
    """The same rows, marked as bounds; with ``factors`` those about these only."""
    return [replace(row, bound=factors is None or row.factor.rpartition(",")[0] in factors) for row in rows]


def rows_of(method: str, role: Role, repeats: Sequence[Mapping[Place, float]], over: str = "samplings") -> list[Score]:
    """One row per place, averaged over repeats where it has a number; NaN where none has."""
    return [
        score_row(
            method=method,
            metric=place[0],
            factor=place[1],
            form=place[2],
            better=place[3],
            value=draws.mean() if len(draws) else np.nan,
            draws=draws,
            over=over,
            role=role,
        )
        for place in dict.fromkeys(place for values in repeats for place in values)
        for found in [np.array([values.get(place, np.nan) for values in repeats])]
        for draws in [found[~np.isnan(found)]]
    ]

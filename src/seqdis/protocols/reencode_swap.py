"""Swapped sequences encoded again: does each code come back as that of its own donor?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from seqdis.errors import DataError
from seqdis.evaluation.judging import KINDS, Kind, different_pairs, produced
from seqdis.evaluation.metrics import bootstrap
from seqdis.evaluation.parts import Model
from seqdis.evaluation.report import Score
from seqdis.factors import Factors
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.protocols._base import Protocol, score_row, with_roles
from seqdis.sequences import Array, Sequences

SCALED_BY = 1000
"""Sequences of train, at most, whose codes say how much a code varies."""


@hyperparameters
class ReencodeSwap(Protocol):
    """Codes of decoded swaps against those of both donors: nearest donor, distance, retrieval among test.

    Needs train (does a code vary at all?) and test, of any kind. No label and no judge is involved.

    Parameters
    ----------
    n_pairs : int
        Pairs of different test sequences, drawn at random with ``seed``.
    resamples : int
        Resamples of the pairs for the spread; 0: none.

    Notes
    -----
    The static code of A is decoded with the dynamic codes of B, and the result is encoded again. Its
    static code should be that of A, its dynamic codes those of B; the other donor is the stranger.
    Distances are Euclidean (dynamic codes side by side over time, zero on padding). Dimensions keep their own
    spread: scaled one by one, those that a model has switched off, noise about a constant, would drown the others.
    All scores are ratios or ranks, so that a factor common to a code changes none of them, nor does a rotation;
    stretching single dimensions does. A code that is constant on train tells nobody apart.

    - *nearest donor*: share of swaps whose code lies nearer to its own donor than to the stranger;
      chance is 0.5, and equal distances count half.
    - *relative distance*: distance to the own donor over the distance between the donors, each averaged
      over pairs. 0: the code came back unchanged; 1: as far off as a stranger.
    - *retrieval*: share of swaps whose own donor is the nearest of all test sequences; chance is
      one over their number. Of k equally near ones each counts 1 / k, so that a collapsed code scores chance
      and test sequences that cannot be told apart (equal first frames, say) lower the ceiling.

    Controls: *no swap*, each donor reconstructed and encoded again, which is the ceiling (the network's
    cycle without any mixing), and the same network with random weights. High scores do not say that the
    codes are disentangled: a decoder may keep what an encoder that ignores the data puts in. Read them
    beside judged swaps.

    Not published in this form.

    Examples
    --------
    >>> ReencodeSwap(n_pairs=64).seed
    0
    """

    name: ClassVar[str] = "reencode-swap"
    title: ClassVar[str] = "Swaps encoded again"
    needs: ClassVar[tuple[str, ...]] = ("train", "test")
    version: ClassVar[int] = 2

    n_pairs: int = hyper(default=256, at_least=2)
    resamples: int = hyper(default=200, at_least=0)

    def _measure(
        self, model: Model, parts: Mapping[str, Sequences], data: Any, controls: bool
    ) -> tuple[list[Score], dict[str, Any]]:
        test = parts["test"]
        if len(test) < 2:
            raise DataError(f"the test part has {len(test)} sequence; reencode-swap needs two or more to make pairs.")
        first, second = different_pairs(len(test), self.n_pairs, self.seed)
        a, b = test[first], test[second]
        rows: list[Score] = []
        models = {type(model).__name__: model, **({"untrained network": model.untrained()} if controls else {})}
        for method, each in models.items():
            scale, known = self._scale(each, parts["train"]), each.encode(test)
            hybrid = each.encode(produced(each.swap(a, b), b))
            back = dict.fromkeys(KINDS, hybrid)
            rows += self._rows(method, _returned(back, known, scale, first, second))
            if controls and each is model:
                donors: dict[Kind, Sequences] = {"static": a, "dynamic": b}
                again = {kind: each.encode(produced(each.reconstruct(part), part)) for kind, part in donors.items()}
                unswapped = self._rows("no swap", _returned(again, known, scale, first, second))
                rows += [replace(row, bound=True) for row in unswapped]
        return with_roles(rows, type(model).__name__), {"pairs": self.n_pairs, "test sequences": len(test)}

    def _scale(self, model: Model, train: Sequences) -> dict[Kind, float]:
        """Largest standard deviation on train among the dimensions of each code; infinite where none varies."""
        draw = np.random.default_rng(self.seed)
        rows = np.sort(draw.permutation(len(train))[:SCALED_BY])
        codes = model.encode(train[rows])
        tables: dict[Kind, torch.Tensor] = {"static": codes.static, "dynamic": codes.dynamic[codes.valid()]}
        scales = {}
        for kind, table in tables.items():
            values = table.double().numpy()
            deviation = values.std(0)
            # Stored codes have 24 bits: what varies less than that is rounding.
            varying = deviation[deviation > 1e-6 * np.abs(values).max(0)]
            scales[kind] = float(varying.max(initial=0)) or np.inf
        return scales

    def _rows(self, method: str, returned: Mapping[Kind, _Returned]) -> list[Score]:
        rows = []
        for kind, found in returned.items():
            for metric, better, sums, counts in (
                ("nearest donor", "higher", found.nearest, np.ones(self.n_pairs)),
                ("relative distance", "lower", found.own, found.apart),
                ("retrieval", "higher", found.retrieved, np.ones(self.n_pairs)),
            ):
                rows.append(self._row(method, metric, f"{kind} code", better, sums, counts))
        return rows

    def _row(self, method: str, metric: str, factor: str, better: str, sums: Array, counts: Array) -> Score:
        def score(drawn: Array) -> float:
            total = counts[drawn].sum()
            return float(sums[drawn].sum() / total) if total > 0 else np.nan

        draws = bootstrap(score, len(sums), resamples=self.resamples, seed=self.seed)
        return score_row(
            method=method,
            metric=metric,
            factor=factor,
            form="",
            better=better,
            value=score(np.arange(len(sums))),
            draws=draws[np.isfinite(draws)],
            over="pair resamples",
        )


@dataclass(frozen=True)
class _Returned:
    """Of every pair, (n_pairs,): nearer to the own donor or not, distance to it, between donors, retrieved or not."""

    nearest: Array
    own: Array
    apart: Array
    retrieved: Array


def _returned(
    back: Mapping[Kind, Factors], known: Factors, scale: Mapping[Kind, float], first: Array, second: Array
) -> dict[Kind, _Returned]:
    """Codes encoded again against those of the test part; the static donor is ``first``, the dynamic ``second``."""
    donors: dict[Kind, tuple[Array, Array]] = {"static": (first, second), "dynamic": (second, first)}
    return {
        kind: _compared(_table(back[kind], kind, scale), _table(known, kind, scale), *donors[kind]) for kind in KINDS
    }


def _compared(back: Array, known: Array, own: Array, stranger: Array) -> _Returned:
    from scipy.spatial.distance import cdist

    distances = cdist(back, known)
    pairs = np.arange(len(own))
    to_own, to_stranger = distances[pairs, own], distances[pairs, stranger]
    nearest = distances.min(1)
    tied = (distances == nearest[:, None]).sum(1)
    return _Returned(
        nearest=(to_own < to_stranger) + 0.5 * (to_own == to_stranger),
        own=to_own,
        apart=np.linalg.norm(known[own] - known[stranger], axis=1),
        retrieved=(to_own == nearest) / tied,
    )


def _table(codes: Factors, kind: Kind, scale: Mapping[Kind, float]) -> Array:
    code = codes.static if kind == "static" else codes.dynamic
    return (code.double().numpy() / scale[kind]).reshape(len(codes), -1)

"""How much each code of a series tells of its own kind of content and of the other kind, without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from seqdis.errors import CapabilityError, DataError
from seqdis.evaluation.metrics import bootstrap, leakage_gap
from seqdis.evaluation.parts import Model
from seqdis.evaluation.probe import Codes, stride_of, summary
from seqdis.evaluation.raw_windows import window_codes
from seqdis.evaluation.report import Score
from seqdis.evaluation.windows import as_sequences, rows
from seqdis.factors import Factors
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.protocols._base import Protocol, score_row, with_roles
from seqdis.sequences import Array, Sequences

Target = Literal["sequence means", "deviations", "deviations by position"]
Code = Literal["static", "dynamic"]
ASKED: tuple[tuple[Target, Code], ...] = (
    ("sequence means", "static"),
    ("sequence means", "dynamic"),
    ("deviations", "dynamic"),
    ("deviations by position", "static"),
    ("deviations by position", "dynamic"),
)
INTENDED: Mapping[Target, Code] = {
    "sequence means": "static",
    "deviations": "dynamic",
    "deviations by position": "dynamic",
}
OWN: Mapping[Code, Target] = {"static": "sequence means", "dynamic": "deviations"}
OTHER: Mapping[Code, Target] = {"static": "deviations by position", "dynamic": "sequence means"}

# Penalties per row for columns of variance 1, strongest first: of equals the strongest is taken.
STRENGTHS = 10.0 ** np.arange(3, -5, -1)


@hyperparameters
class SeriesLeakage(Protocol):
    """R2 of reading what stays and what changes in a series from both codes, and the gaps. No labels.

    Needs train, valid and test, all series, with or without missing values, of equal length or not.

    Parameters
    ----------
    least : int
        Values of train that a feature (by position: a feature at a position) must have to be read.
        The rule does not look at the codes, so that all of them are asked about the same values.
    resamples : int
        Resamples of the test sequences for the spread; 0: none.

    Notes
    -----
    What is static by construction is the mean of a feature over all that was observed of it in a
    sequence (*sequence means*). What is dynamic by construction is how far its mean over a window, the
    steps of one dynamic code, lies from that (*deviations*); known where the window holds a value and
    another window of the sequence does too. Every target is scaled by its deviation on train; features
    that do not vary there are left out. Codes are posterior means.

    Each target is read by ridge regression on train, its strength chosen per feature on valid, missing
    targets left out. With y a scaled target and ŷ what is read, over all known values of test::

        R2 = 1 - sum (y - ŷ)^2 / sum (y - mean of train)^2

    - *sequence means* are read from the static code, or from mean, standard deviation and last value of
      the dynamic one.
    - *deviations* are read from the dynamic code of the window, by one regression for all windows: the
      headline, as a code that means the same at every step needs no more.
    - *deviations by position* are read by one regression for every position, counted from the start: the
      only way in which one code per sequence can say when something happens. The course common to
      all sequences is then in the mean of train and earns nothing. The dynamic code is read in this
      form too, for comparison with the static one.

    ``gap`` is signed, `leakage_gap` of R2 in place of accuracy: for the static code, sequence means minus
    deviations by position; for the dynamic code, deviations minus sequence means. Raw features have
    summaries as their static code (see `window_codes`); they hold all and leave no gap worth having.

    Not published anywhere. It does not measure what a nonlinear read would find; static properties
    other than levels (variability, rhythm) and dynamic ones within a window; nor whether values are
    missing at random. A sequence mean is the level plus the mean of what happened, so that a dynamic code
    without any leak may tell some of it, the more the fewer windows there are: compare with controls. Not
    to be confused with `latent-leakage`, which classifies labelled factors.

    Examples
    --------
    >>> SeriesLeakage(resamples=0).least
    50
    """

    name: ClassVar[str] = "series-leakage"
    title: ClassVar[str] = "Leakage between the codes of series"

    least: int = hyper(default=50, at_least=2)
    resamples: int = hyper(default=200, at_least=0)

    def _measure(
        self, model: Model, parts: Mapping[str, Sequences], data: Any, controls: bool
    ) -> tuple[list[Score], dict[str, Any]]:
        for part in parts.values():
            if part.spec.kind != "series":
                raise CapabilityError(
                    f"series-leakage reads means of the features of series; {part.name} holds {part.spec.kind}s. "
                    "Use latent-leakage, which reads labelled factors."
                )
        own = {name: Codes.of(model.encode(part), part).factors for name, part in parts.items()}
        targets = _scaled({name: _targets(part, own[name]) for name, part in parts.items()})
        coders = {type(model).__name__: own, **(window_codes(model, parts, own, self.seed) if controls else {})}
        found: list[Score] = []
        counts: dict[str, int] = {}
        for method, codes in coders.items():
            readings = {}
            for target, code in ASKED:
                blocks = {name: _blocks(target, code, codes[name], targets[name]) for name in parts}
                reading = _read(target, blocks, len(parts["test"]), self.least)
                readings[target, code] = self._r2(reading)
                counts[target] = reading.values
            found += _rows(method, readings)
        windows = {name: int(targets[name].known.any(2).sum()) for name in parts}
        notes = {"sequences": {name: len(part) for name, part in parts.items()}, "windows with deviations": windows}
        return with_roles(found, type(model).__name__), notes | {"values of test": counts}

    def _r2(self, reading: _Reading) -> _R2:
        def score(drawn: Array) -> float:
            total = reading.totals[drawn].sum()
            return float(1 - reading.errors[drawn].sum() / total) if total > 0 else np.nan

        n = len(reading.totals)
        return _R2(score(np.arange(n)), bootstrap(score, n, resamples=self.resamples, seed=self.seed))


@dataclass(frozen=True)
class _R2:
    value: float
    draws: Array


@dataclass(frozen=True)
class _Reading:
    """Squared errors of what was read and of the mean of train, (n,) over test sequences; how many values."""

    errors: Array
    totals: Array
    values: int


@dataclass(frozen=True, kw_only=True)
class _Targets:
    """Means (n, features), deviations (n, windows, features), and which of them are known."""

    means: Array
    known_means: Array
    deviations: Array
    known: Array


@dataclass(frozen=True)
class _Block:
    """Rows that one set of regressions is for: columns of code, targets, known ones, and whose they are."""

    x: Array
    y: Array
    known: Array
    sequence: Array

    def where(self, chosen: Array) -> _Block:
        return _Block(self.x[chosen], self.y[chosen], self.known[chosen], self.sequence[chosen])


def _targets(part: Sequences, factors: Factors) -> _Targets:
    if len(factors) != len(part):
        raise DataError(f"{part.name}: got codes of {len(factors)} sequences; expected {len(part)}, one of each.")
    n, windows = factors.dynamic.shape[:2]
    cut = as_sequences(part, windows, stride_of(part.x.shape[1], windows, factors.stride))
    seen = cut.observed()
    sums = np.where(seen, cut.x, 0).sum(1, dtype=np.float64).reshape(n, windows, -1)
    counts = seen.sum(1).reshape(sums.shape)
    means = sums.sum(1) / np.maximum(counts.sum(1), 1)
    # The only window with a value lies no distance from the mean, whatever happened.
    several = (counts > 0).sum(1, keepdims=True) > 1
    return _Targets(
        means=means,
        known_means=counts.any(1),
        deviations=sums / np.maximum(counts, 1) - means[:, None],
        known=(counts > 0) & several,
    )


def _scaled(targets: Mapping[str, _Targets]) -> dict[str, _Targets]:
    """In deviations of train; features that do not vary there are unknown everywhere."""
    train = targets["train"]
    # Stored values have 24 bits: what varies less than that is rounding.
    floor = 1e-7 * np.abs(train.means).max(0)
    means, deviations = (
        np.std(values, axis=axes, where=known | ~known.any(axes, keepdims=True))
        for values, known, axes in ((train.means, train.known_means, (0,)), (train.deviations, train.known, (0, 1)))
    )
    return {
        name: _Targets(
            means=part.means / np.where(means > floor, means, 1.0),
            known_means=part.known_means & (means > floor),
            deviations=part.deviations / np.where(deviations > floor, deviations, 1.0),
            known=part.known & (deviations > floor),
        )
        for name, part in targets.items()
    }


def _blocks(target: Target, code: Code, factors: Factors, targets: _Targets) -> list[_Block]:
    """One block, or one per position."""
    if target == "sequence means":
        x = (factors.static if code == "static" else summary(factors)).numpy()
        return [_Block(x, targets.means, targets.known_means, np.arange(len(x)))]
    listed = targets.known.any(2)
    sequence, window = np.nonzero(listed)
    block = _Block(rows(factors, code, listed), targets.deviations[listed], targets.known[listed], sequence)
    if target == "deviations":
        return [block]
    return [block.where(window == position) for position in range(listed.shape[1])]


def _read(target: Target, blocks: Mapping[str, list[_Block]], n: int, least: int) -> _Reading:
    """Regressions on train, strengths from valid, errors on test."""
    fits = []
    for train, valid, test in zip(blocks["train"], blocks["valid"], blocks["test"], strict=False):
        asked = train.known.sum(0) >= least
        if asked.any():
            fits.append((_Ridges(train, asked), valid, test))
    if not fits:
        most = max(int(block.known.sum(0).max()) for block in blocks["train"])
        raise DataError(
            f"no feature of train has {least} values of '{target}' that vary; the most are {most}. "
            "Lower `least`, use more sequences, or a model with two windows or more per sequence."
        )
    missed = sum(ridges.squares(valid)[0].sum(1) for ridges, valid, _ in fits)
    strength = np.argmin(missed, 0)
    errors, totals, values = np.zeros(n), np.zeros(n), 0
    for ridges, _, test in fits:
        squares, base = ridges.squares(test)
        chosen = squares[strength, :, np.arange(len(strength))].sum(0)
        errors += np.bincount(test.sequence, weights=chosen, minlength=n)
        totals += np.bincount(test.sequence, weights=base.sum(1), minlength=n)
        values += int(test.known[:, ridges.asked].sum())
    return _Reading(errors, totals, values)


class _Ridges:
    """Ridge regressions of every strength on one table, one per target; unknown targets are left out."""

    def __init__(self, train: _Block, asked: Array) -> None:
        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        # A rotation changes no prediction, and leaves wide tables as many columns as rows.
        wide = train.x.shape[1] > len(train.x)
        x = train.x.astype(np.float64)
        self.prepare = make_pipeline(StandardScaler(), PCA(svd_solver="full") if wide else "passthrough").fit(x)
        self.asked = asked
        known = train.known & asked
        self.means = train.y.sum(0, where=known) / np.maximum(known.sum(0), 1)
        x = self.prepare.transform(x)
        self.weights = np.zeros((len(STRENGTHS), x.shape[1], len(asked)))
        self.intercepts = np.zeros((len(STRENGTHS), len(asked)))
        # Targets known in the same rows share one factorisation.
        patterns, which = np.unique(known[:, asked], axis=1, return_inverse=True)
        for number, chosen in enumerate(patterns.T):
            columns = np.flatnonzero(asked)[which.ravel() == number]
            center = x[chosen].mean(0)
            weights = _every_strength(x[chosen] - center, (train.y[chosen] - self.means)[:, columns])
            self.weights[:, :, columns] = weights
            self.intercepts[:, columns] = self.means[columns] - center @ weights

    def squares(self, block: _Block) -> tuple[Array, Array]:
        """Squared errors (strengths, rows, features), and those of the mean of train; zero where not asked."""
        if not len(block.x):
            return np.zeros((len(STRENGTHS), *block.y.shape)), np.zeros(block.y.shape)
        known = block.known & self.asked
        read = self.prepare.transform(block.x.astype(np.float64)) @ self.weights + self.intercepts[:, None]
        return tuple(np.where(known, np.square(block.y - guess), 0.0) for guess in (read, self.means))


def _every_strength(x: Array, y: Array) -> Array:
    """Weights (strengths, columns, targets) that minimise ``mean (y - x w)^2 + strength |w|^2``; x, y centred."""
    variances, axes = np.linalg.eigh(x.T @ x / len(x))
    turned = axes.T @ (x.T @ y) / len(x)
    return axes @ (turned / (np.maximum(variances, 0)[:, None] + STRENGTHS[:, None, None]))


def _rows(method: str, readings: Mapping[tuple[Target, Code], _R2]) -> list[Score]:
    def row(metric: str, factor: str, better: str, reading: _R2) -> Score:
        draws = reading.draws[np.isfinite(reading.draws)]  # a resample may hold sequences without targets only
        return score_row(
            method=method,
            metric=metric,
            factor=factor,
            form="",
            better=better,
            value=reading.value,
            draws=draws,
            over="test resamples",
        )

    found = [
        row("R2", f"{target} from {code}", "higher" if INTENDED[target] == code else "", reading)
        for (target, code), reading in readings.items()
    ]
    for code, target in OWN.items():
        own, cross = readings[target, code], readings[OTHER[code], code]
        gap = _R2(float(leakage_gap(own.value, cross.value)), leakage_gap(own.draws, cross.draws))
        found.append(row("gap", f"{code} code", "higher", gap))
    return found

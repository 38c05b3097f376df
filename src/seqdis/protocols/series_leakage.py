"""How much each code of a series tells of its own kind of content and of the other kind, without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from seqdis.errors import CapabilityError, DataError
from seqdis.evaluation.metrics import bootstrap, leakage_gap
from seqdis.evaluation.parts import Model, refuse_shared
from seqdis.evaluation.probe import Codes, stride_of, summary
from seqdis.evaluation.raw_windows import window_codes
from seqdis.evaluation.report import Score
from seqdis.evaluation.ridges import STRENGTHS, Block, Ridges
from seqdis.evaluation.windows import as_sequences, rows
from seqdis.factors import Factors
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.protocols._base import Protocol, score_row, with_roles
from seqdis.sequences import Array, Sequences

Target = Literal["sequence means", "deviations", "deviations by position"]
Code = Literal["static", "dynamic"]
# Which direction is good, of every target and the code that it is read from.
ASKED: Mapping[tuple[Target, Code], str] = {
    ("sequence means", "static"): "higher",
    ("sequence means", "dynamic"): "",
    ("deviations", "dynamic"): "higher",
    ("deviations by position", "static"): "",
    ("deviations by position", "dynamic"): "higher",
}
GAPS: Mapping[Code, tuple[Target, Target]] = {
    "static": ("sequence means", "deviations by position"),
    "dynamic": ("deviations", "sequence means"),
}


@hyperparameters
class SeriesLeakage(Protocol):
    """R2 of reading what stays and what changes in a series from both codes, and the gaps. No labels.

    Needs train, valid and test, all series, with or without missing values, of equal length or not.

    Parameters
    ----------
    least : int
        Sequences of train that must hold a feature (by position: hold it there) for it to be read.
        The rule does not look at the codes, so that all of them are asked about the same values.
    resamples : int
        Resamples of the test sequences for the spread; 0: none.

    Notes
    -----
    Static by construction is the mean of a feature over all that a sequence holds of it (*sequence
    means*). Dynamic by construction is how far its mean over a window, the steps of one dynamic code,
    lies from that (*deviations*); known where this window and another one hold a value. Targets are
    scaled by their deviation on train; features that do not vary there are left out. Codes are posterior
    means. Each target is read by ridge regression on train, its strength chosen per feature on valid,
    missing targets left out. With y a target and ŷ what is read, over all known values of test::

        R2 = 1 - sum (y - ŷ)^2 / sum (y - mean of train)^2

    - *sequence means* are read from the static code, or from mean, standard deviation and last value of
      the dynamic one.
    - *deviations* are read from the dynamic code of the window, by one regression for all windows: the
      headline, as a code that means the same at every step needs no more.
    - *deviations by position* are read by one regression for each position, counted from the start: the
      only way in which one code per sequence can say when something happens. The course common to all
      sequences earns nothing here. The dynamic code is read in this form too, to compare it with the static.

    ``gap`` is signed: for the static code, R2 of sequence means minus that of deviations by position; for
    the dynamic code, deviations minus sequence means. Nothing read is 0: an R2 below 0 is subtracted as 0,
    or a read that fails on test would count as a merit. Raw features have summaries as static code.

    Not published anywhere. It does not measure what a nonlinear read would find, static properties other
    than levels (variability, rhythm), dynamics within a window, or what the pattern of missing values
    tells. A sequence mean is the level plus the mean of what happened: a dynamic code without any leak
    may tell some of it, the more the fewer windows there are. Not to be confused with `latent-leakage`,
    which classifies labelled factors.

    Examples
    --------
    >>> SeriesLeakage(resamples=0).least
    50
    """

    version: ClassVar[int] = 2
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
        refuse_shared(parts)
        own = {name: Codes.of(model.encode(part), part).factors for name, part in parts.items()}
        targets = _scaled({name: _targets(part, own[name]) for name, part in parts.items()})
        coders = {type(model).__name__: own, **(window_codes(model, parts, own, self.seed) if controls else {})}
        found: list[Score] = []
        values: dict[str, int] = {}
        for method, codes in coders.items():
            readings = {asked: self._read(*asked, codes, targets, parts["test"].groups) for asked in ASKED}
            values |= {target: reading.values for (target, _), reading in readings.items()}
            found += _rows(method, readings)
        notes = {"sequences": {name: len(part) for name, part in parts.items()}, "values of test": values}
        return with_roles(found, type(model).__name__), notes

    def _read(
        self,
        target: Target,
        code: Code,
        codes: Mapping[str, Factors],
        targets: Mapping[str, _Targets],
        groups: Array | None,
    ) -> _R2:
        """Regressions on train, strengths from valid, errors on test."""
        positions = targets["train"].known.shape[1]  # of later ones train knows nothing
        blocks = [_blocks(target, code, codes[name], targets[name], positions) for name in self.needs]
        fits = []
        for train, valid, test in zip(*blocks, strict=True):
            asked = train.holding() >= self.least
            if asked.any():
                fits.append((Ridges(train, asked), valid, test))
        if not fits:
            most = max(int(train.holding().max()) for train in blocks[0])
            raise DataError(
                f"no feature has '{target}' that vary in {self.least} sequences of train; the most are {most}. "
                f"Lower `least` (--series-leakage.least {max(2, most)}), use more sequences, or, for deviations, a "
                "model with two windows or more per sequence."
            )
        n, features = targets["test"].means.shape
        missed = [
            sum(ridges.squares(valid, np.full(features, k))[0].sum(0) for ridges, valid, _ in fits)
            for k in range(len(STRENGTHS))
        ]
        strength = np.argmin(missed, 0)
        errors, totals, values = np.zeros(n), np.zeros(n), 0
        for ridges, _, test in fits:
            squares, base = ridges.squares(test, strength)
            errors += np.bincount(test.sequence, weights=squares.sum(1), minlength=n)
            totals += np.bincount(test.sequence, weights=base.sum(1), minlength=n)
            values += int(test.known[:, ridges.asked].sum())

        def score(drawn: Array) -> float:
            total = totals[drawn].sum()
            return float(1 - errors[drawn].sum() / total) if total > 0 else np.nan

        draws = bootstrap(score, n, resamples=self.resamples, seed=self.seed, groups=groups)
        return _R2(score(np.arange(n)), draws, values)


@dataclass(frozen=True)
class _R2:
    value: float
    draws: Array
    values: int  # of test that were read


@dataclass(frozen=True, kw_only=True)
class _Targets:
    """Means (n, features), deviations (n, windows, features), and which of them are known."""

    means: Array
    known_means: Array
    deviations: Array
    known: Array


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
    means = np.ma.array(train.means, mask=~train.known_means).std(0).filled(0.0)
    deviations = np.ma.array(train.deviations, mask=~train.known).std((0, 1)).filled(0.0)
    return {
        name: _Targets(
            means=part.means / np.where(means > floor, means, 1.0),
            known_means=part.known_means & (means > floor),
            deviations=part.deviations / np.where(deviations > floor, deviations, 1.0),
            known=part.known & (deviations > floor),
        )
        for name, part in targets.items()
    }


def _blocks(target: Target, code: Code, factors: Factors, targets: _Targets, positions: int) -> list[Block]:
    """One block, or one per position."""
    if target == "sequence means":
        x = (factors.static if code == "static" else summary(factors)).numpy()
        return [Block(x, targets.means, targets.known_means, np.arange(len(x)))]
    listed = np.asarray(targets.known.any(2))
    sequence, window = np.nonzero(listed)
    block = Block(rows(factors, code, listed), targets.deviations[listed], targets.known[listed], sequence)
    return [block] if target == "deviations" else [block.where(window == k) for k in range(positions)]


def _rows(method: str, readings: Mapping[tuple[Target, Code], _R2]) -> list[Score]:
    found = [
        ("R2", f"{target} from {code}", ASKED[target, code], reading.value, reading.draws)
        for (target, code), reading in readings.items()
    ]
    for code, (intended, other) in GAPS.items():
        own, cross = readings[intended, code], readings[other, code]
        gap = float(leakage_gap(own.value, np.maximum(cross.value, 0)))
        found.append(("gap", f"{code} code", "higher", gap, leakage_gap(own.draws, np.maximum(cross.draws, 0))))
    return [
        score_row(
            method=method,
            metric=metric,
            factor=factor,
            form="",
            better=better,
            value=value,
            draws=draws[np.isfinite(draws)],  # a resample may hold sequences without targets only
            over="test resamples",
        )
        for metric, factor, better, value, draws in found
    ]

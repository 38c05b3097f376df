"""From the single scores of a study to tables: means with both spreads, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from seqdis.benchmark.intervals import Values, paired, spreads, t_interval
from seqdis.errors import SettingsError, unknown_name
from seqdis.evaluation.report import Report, Score

SplitKind = Literal["random", "independent", "same test"]
"""How splits of a data set differ: the same sequences divided again, no sequence in common, or train and valid only."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """What was planned.

    Parameters
    ----------
    methods : tuple of str
    splits : mapping from data set to labels of its splits
    seeds : tuple of int
    reference : str
    kinds : mapping from data set to "random", "independent" or "same test"
    test_share : mapping from data set to float
        Sequences that a split leaves out per training sequence that it draws, where splits divide one pool again:
        its test sequences ("random"), or its valid ones ("same test").
    controls_known : bool
        Whether of every data set some run has measured all controls: a reference that is none of them is then refused.
    """

    methods: tuple[str, ...]
    splits: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    reference: str
    kinds: Mapping[str, SplitKind]
    test_share: Mapping[str, float]
    controls_known: bool = True


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a table of scores.

    Parameters
    ----------
    mean : float
        Mean over splits of the means over seeds; NaN where nothing was measured.
    seed_spread : float or None
        Standard deviation over training seeds, pooled over splits.
    split_spread : float or None
        Standard deviation over splits of the means over seeds.
    n, planned : int
        Values averaged, and how many the study wants; 0 planned: printed.
    printed_spread : float or None
    source : str
        Of printed numbers.
    bound : bool
        See `seqdis.evaluation.report.Score`.
    """

    method: str
    role: str
    mean: float
    seed_spread: float | None = None
    split_spread: float | None = None
    n: int = 0
    planned: int = 0
    printed_spread: float | None = None
    source: str = ""
    bound: bool = False


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean of paired differences, ``method`` minus ``against``, with a 95 % interval.

    Parameters
    ----------
    low, high : float or None
        None: a single difference has no interval, and neither have equal ones. Methods that agree in a few values
        would seem to be known to agree in all.
    n : int
        Differences.
    over : "training seeds" or "splits"
        What they differ in.
    """

    method: str
    against: str
    mean: float
    low: float | None
    high: float | None
    n: int
    over: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """All that may be compared: one protocol, data set, form, metric and factor.

    Parameters
    ----------
    strongest : str
        The control of the best mean score on test, bounds aside; empty where there is none or no good direction.
    splits : "random", "independent" or "same test"
        What intervals over splits cover; only those of "random" ones allow for shared sequences.
    """

    protocol: str
    dataset: str
    form: str
    metric: str
    factor: str
    better: str
    lines: tuple[Line, ...]
    differences: tuple[Difference, ...]
    strongest: str
    splits: SplitKind


def summarise(report: Report, design: Design) -> tuple[Group, ...]:
    """Group the scores of a study and summarise each group.

    Parameters
    ----------
    report : Report
        Rows with method, split and seed, see `seqdis.benchmark.gathering.collect`.
    design : Design

    Raises
    ------
    SettingsError
        The reference is neither a method nor a control that was measured.
    """
    check_reference(report, design)
    places: dict[tuple[str, ...], list[Score]] = {}
    for score in report:
        places.setdefault(score.place(), []).append(score)
    return tuple(_group(scores, design) for scores in places.values() if any(s.role != "published" for s in scores))


def check_reference(report: Report, design: Design) -> None:
    """Refuse a reference that is neither a method nor, once all were measured, a control, and labels of controls.

    Raises
    ------
    SettingsError
    """
    controls = {score.method for score in report if score.role == "control"}
    known = {*design.methods, *controls}
    if both := controls.intersection(design.methods):
        raise SettingsError(f"Study.methods: '{min(both)}' is what a control is called; label the method otherwise.")
    if controls and design.controls_known and design.reference not in known:
        raise SettingsError(f"Study.reference: {unknown_name('method or control', design.reference, known)}")


def _group(scores: Sequence[Score], design: Design) -> Group:
    first = scores[0]
    methods = {label: _values(scores, "model", label) for label in design.methods}
    names = dict.fromkeys(score.method for score in scores if score.role == "control")
    controls = {name: _values(scores, "control", name) for name in names}
    bounds = {score.method for score in scores if score.bound}
    better = next((score.better for score in scores if score.role != "published" and score.better), "")
    strongest = _strongest({name: values for name, values in controls.items() if name not in bounds}, better)
    splits = design.splits.get(first.dataset, ())
    share = design.test_share.get(first.dataset, 0.0)
    return Group(
        protocol=first.protocol,
        dataset=first.dataset,
        form=first.form,
        metric=first.metric,
        factor=first.factor,
        better=better,
        lines=(
            *(_line(name, "model", values, len(splits) * len(design.seeds)) for name, values in methods.items()),
            *(
                replace(_line(name, "control", values, len(splits)), bound=name in bounds)
                for name, values in controls.items()
            ),
            *(_printed(score) for score in scores if score.role == "published"),
        ),
        differences=_differences(methods, controls, (design.reference, strongest), share),
        strongest=strongest,
        splits=design.kinds[first.dataset],
    )


def _values(scores: Iterable[Score], role: str, method: str) -> dict[str, dict[int | None, float]]:
    values: dict[str, dict[int | None, float]] = {}
    for score in scores:
        if (score.role, score.method) == (role, method):
            values.setdefault(score.split, {})[score.seed] = score.value
    return values


def _strongest(controls: Mapping[str, Values], better: str) -> str:
    means = {name: spreads([list(seeds.values()) for seeds in values.values()])[0] for name, values in controls.items()}
    defined = {name: mean for name, mean in means.items() if math.isfinite(mean)}
    if not defined or better not in ("higher", "lower"):
        return ""
    return (max if better == "higher" else min)(defined, key=lambda name: defined[name])


def _line(method: str, role: str, values: Values, planned: int) -> Line:
    mean, over_seeds, over_splits = spreads([list(seeds.values()) for seeds in values.values()])
    return Line(
        method=method,
        role=role,
        mean=mean,
        seed_spread=over_seeds,
        split_spread=over_splits,
        n=sum(map(len, values.values())),
        planned=planned,
    )


def _printed(score: Score) -> Line:
    return Line(
        method=score.method, role="published", mean=score.value, printed_spread=score.spread, n=1, source=score.source
    )


def _differences(
    methods: Mapping[str, Values], controls: Mapping[str, Values], against: Sequence[str], share: float
) -> tuple[Difference, ...]:
    found = []
    for other in dict.fromkeys(name for name in against if name):
        second = methods.get(other) or controls.get(other, {})
        for name, first in methods.items():
            over, values = paired(first, second)
            if name != other and values:
                mean, low, high = t_interval(values, share if over == "splits" else 0.0)
                if len(set(values)) == 1:
                    low = high = None
                found.append(
                    Difference(method=name, against=other, mean=mean, low=low, high=high, n=len(values), over=over)
                )
    return tuple(found)

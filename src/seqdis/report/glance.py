"""A study at a glance: the few scores that its page begins with, every method beside all controls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from seqdis.report.layout import EMPTY

ARROWS = {"higher": "↑", "lower": "↓"}
NOTE = (
    "± is over splits where there are several, else over training seeds; controls from best to worst, bounds (what "
    "cannot be beaten, such as real data) last."
)


@dataclass(frozen=True)
class Glance:
    """A table of words: one row per score, its heads first."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def at_a_glance(groups: Sequence[Any], wanted: Sequence[str] = ()) -> Glance:
    """The scores that a study is read by.

    Parameters
    ----------
    groups : sequence
        As `seqdis.benchmark.summary.summarise` returns them.
    wanted : sequence of str
        Patterns of "protocol: metric, factor", in the order of the rows; see `seqdis.benchmark.Study`. What no
        score matches keeps a row that says so. Empty: the first score of every protocol.

    Notes
    -----
    Of several forms of a score the corrected one is shown, and of the first scores one with a good direction.
    """
    shown = [group for group in groups if group.form == "corrected" or not _has_corrected(group, groups)]
    methods = list(dict.fromkeys(line.method for group in groups for line in group.lines if line.role == "model"))
    several = len({group.dataset for group in groups}) > 1
    rows: list[tuple[str, ...]] = []
    if wanted:
        left = list(shown)
        for pattern in wanted:
            found = [group for group in shown if fnmatchcase(_name(group), pattern)]
            rows += [_row(group, methods, several) for group in found if group in left]
            rows += [] if found else [(pattern, *["not measured"] * len(methods), EMPTY)]
            left = [group for group in left if group not in found]
    else:
        firsts: dict[tuple[str, str], Any] = {}
        for group in sorted(shown, key=lambda group: (not group.better, group.form != "corrected")):
            firsts.setdefault((group.protocol, group.dataset), group)
        rows = [_row(group, methods, several) for group in shown if group in firsts.values()]
    return Glance(("score", *methods, "controls"), tuple(rows))


def digits(values: Sequence[float]) -> int:
    """Digits after the point: about four significant ones of the largest value."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    power = math.floor(math.log10(largest)) if largest else 0
    return min(max(3 - power if power >= 0 else 2 - power, 0), 8)


def places_of(lines: Sequence[Any]) -> int:
    """Digits after the point of all lines of a score: where methods lie far below controls, up to three more."""
    coarse = digits([line.mean for line in lines])
    return min(max(coarse, digits([line.mean for line in lines if line.role == "model"])), coarse + 3)


def number(value: float | None, places: int) -> str:
    """A value as tables print it."""
    if value is None:
        return EMPTY
    return "undefined" if math.isnan(value) else f"{value:.{places}f}"


def _has_corrected(group: Any, groups: Sequence[Any]) -> bool:
    return any(other.form == "corrected" and _score(other) == _score(group) for other in groups)


def _score(group: Any) -> tuple[str, ...]:
    return (group.protocol, group.dataset, group.metric, group.factor)


def _name(group: Any) -> str:
    return f"{group.protocol}: {group.metric}" + (f", {group.factor}" if group.factor else "")


def _row(group: Any, methods: Sequence[str], several: bool) -> tuple[str, ...]:
    places = places_of(group.lines)
    own = {line.method: line for line in group.lines if line.role == "model"}
    controls = [line for line in group.lines if line.role == "control" and math.isfinite(line.mean)]
    if group.better:
        controls.sort(key=lambda line: line.mean, reverse=group.better == "higher")
    controls.sort(key=lambda line: line.bound)
    beside = "; ".join(f"{line.method}{' (bound)' * line.bound} {number(line.mean, places)}" for line in controls)
    title = f"{group.dataset} · " * several + f"{_name(group)} {ARROWS.get(group.better, '')}".rstrip()
    return (title, *(_value(own.get(name), places) for name in methods), beside or EMPTY)


def _value(line: Any, places: int) -> str:
    if line is None or not line.n:
        return EMPTY
    spread = line.seed_spread if line.split_spread is None else line.split_spread
    known = spread is not None and math.isfinite(spread)
    return number(line.mean, places) + (f" ± {spread:.{places}f}" if known else "")

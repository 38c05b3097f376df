"""`Report` -> `Table`: what stands where, before anyone decides how it is drawn.

One table per protocol, data set and form; rows are the model, its controls and the published
numbers, in that order; columns are metrics (with the factor they read). Values stay in the unit in
which they were measured: a fraction is never turned into a percentage.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seqdis.evaluation.published import AS_PRINTED
from seqdis.evaluation.report import Report, Score

ROLES = ("model", "control", "published")
EMPTY = "—"
LEGEND = (
    "↑ higher is better, ↓ lower is better, no arrow: neither is the goal. "
    "Values are in the unit in which they were measured; fractions are not percentages."
)


@dataclass(frozen=True)
class Column:
    """One metric, read for one factor (or code)."""

    metric: str
    factor: str
    better: str

    @property
    def arrow(self) -> str:
        """The good direction; empty where neither is the goal."""
        return {"higher": "↑", "lower": "↓"}.get(self.better, "")

    @property
    def heading(self) -> str:
        """The metric with its arrow."""
        return f"{self.metric} {self.arrow}".strip()

    @property
    def label(self) -> str:
        """Metric and factor in one line, without the arrow."""
        return f"{self.metric}, {self.factor}" if self.factor else self.metric


@dataclass(frozen=True)
class Cell:
    """A score as it is printed: value, spread ("" if none) and the letter of its note ("" if none)."""

    score: Score
    value: str
    spread: str
    mark: str

    def __str__(self) -> str:
        return f"{self.value} ± {self.spread}" if self.spread else self.value


@dataclass(frozen=True)
class Row:
    """Scores of one method; ``kind`` is its role, with the number of the source where published."""

    method: str
    role: str
    kind: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Table:
    """One protocol on one data set in one form."""

    protocol: str
    dataset: str
    form: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Protocol, data set and, where it matters, the form."""
        form = f"{self.form} form" if self.form else ""
        return " · ".join(part for part in (self.protocol, self.dataset, form) if part)

    def tail(self, column: int) -> str:
        """The longest spread of a column as printed; values without one keep its room, so that points line up."""
        cells = [cell for row in self.rows if (cell := row.cells[column]) is not None and cell.spread]
        return max((f" ± {cell.spread}" for cell in cells), key=len, default="")


def tables(report: Report) -> tuple[Table, ...]:
    """Lay a report out, groups and columns in order of first appearance.

    Notes
    -----
    Scores that would share a cell (two evaluations of one model, say) get rows of their own: spread
    over sampling and spread over training are never merged. Identical scores are printed once.
    """
    groups: dict[tuple[str, str, str], list[Score]] = {}
    for score in dict.fromkeys(report):
        groups.setdefault((score.protocol, score.dataset, score.form), []).append(score)
    return tuple(_table(*key, scores) for key, scores in groups.items())


def _table(protocol: str, dataset: str, form: str, scores: list[Score]) -> Table:
    ordered = sorted(scores, key=lambda score: ROLES.index(score.role))
    better: dict[tuple[str, str], str] = {}
    for score in ordered:
        key = (score.metric, score.factor)
        better[key] = better.get(key) or score.better
    decimals = {key: _decimals([s for s in ordered if (s.metric, s.factor) == key]) for key in better}
    marks, spread_notes = _spread_notes(ordered)
    sources = list(dict.fromkeys(s.source for s in ordered if s.role == "published" and s.source))
    rows = []
    for lead, placed in _place(ordered):
        cells = [_cell(placed.get(key), decimals[key], marks) for key in better]
        rows.append(Row(_method(lead, ordered), lead.role, _kind(lead, sources), tuple(cells)))
    columns = tuple(Column(metric, factor, way) for (metric, factor), way in better.items())
    numbered = [f"[{i}] {source}" for i, source in enumerate(sources, start=1)]
    notes = (*spread_notes, *_missing_controls(columns, ordered), *numbered)
    return Table(protocol, dataset, form, columns, tuple(rows), notes)


def _place(scores: Iterable[Score]) -> list[tuple[Score, dict[tuple[str, str], Score]]]:
    """Rows as (first score, scores by column); a score goes to its method's first row with that cell free."""
    rows: list[tuple[Score, dict[tuple[str, str], Score]]] = []
    for score in scores:
        column = (score.metric, score.factor)
        for lead, placed in rows:
            if _identity(lead) == _identity(score) and column not in placed:
                placed[column] = score
                break
        else:
            rows.append((score, {column: score}))
    return rows


def _identity(score: Score) -> tuple[str, str, int | None, str]:
    return (score.role, score.method, score.seed, score.source if score.role == "published" else "")


def _method(lead: Score, scores: Iterable[Score]) -> str:
    seeds = {s.seed for s in scores if (s.role, s.method) == (lead.role, lead.method)}
    return f"{lead.method}, seed {lead.seed}" if len(seeds) > 1 and lead.seed is not None else lead.method


def _kind(lead: Score, sources: Sequence[str]) -> str:
    if lead.role != "published":
        return lead.role
    return f"published [{sources.index(lead.source) + 1}]" if lead.source else "published, source not stated"


def _decimals(scores: Sequence[Score]) -> int | None:
    """Digits after the point for a whole column; None where only powers of ten are readable.

    About four significant digits of the largest value, and up to two more where the smallest
    spread would otherwise be printed as zero, or the smallest value with a single digit.
    """
    largest = max((abs(s.value) for s in scores if math.isfinite(s.value)), default=0.0)
    if largest == 0.0:
        return 3
    power = math.floor(math.log10(largest))
    if power < -4 or power > 5:
        return None
    digits = max(0, 3 - power if power >= 0 else 2 - power)
    spreads = [s.spread for s in scores if s.spread and math.isfinite(s.spread)]
    values = [abs(s.value) for s in scores if s.value and math.isfinite(s.value)]
    needed = max(
        -math.floor(math.log10(min(spreads))) if spreads else 0,
        1 - math.floor(math.log10(min(values))),
    )
    return min(max(digits, needed), digits + 2)


def _cell(score: Score | None, decimals: int | None, marks: dict[tuple[int, str, bool], str]) -> Cell | None:
    if score is None:
        return None
    spread = "" if score.spread is None else _number(score.spread, decimals)
    return Cell(score, _number(score.value, decimals), spread, marks.get(_average(score), ""))


def _number(value: float, decimals: int | None) -> str:
    if not math.isfinite(value):
        return "undefined"
    return f"{value:.2e}" if decimals is None else f"{value:.{decimals}f}"


def _average(score: Score) -> tuple[int, str, bool]:
    return (score.n, score.over, score.spread is not None)


def _spread_notes(scores: Sequence[Score]) -> tuple[dict[tuple[int, str, bool], str], list[str]]:
    """What the values average: one plain note, or a letter for each of several kinds (most frequent first)."""
    kinds = Counter(_average(s) for s in scores if s.n > 1 or s.spread is not None)
    ranked = [kind for kind, _ in kinds.most_common()]
    marks = {kind: chr(ord("a") + i % 26) for i, kind in enumerate(ranked)} if len(ranked) > 1 else {}
    notes = [f"{marks[kind]}: {_words(kind)}." if marks else f"{_words(kind)}." for kind in ranked]
    if any(s.spread is None and s.n == 1 for s in scores):
        notes.append("Without ±: no spread is known." if notes else "No spread is known.")
    return marks, notes


def _words(kind: tuple[int, str, bool]) -> str:
    n, over, has_spread = kind
    if over == AS_PRINTED:
        return "± as printed"
    if n == 1:
        return f"± over {over}" if over else "± of unstated origin"
    return f"Mean{' ± standard deviation' if has_spread else ''} over n = {n} {over or 'values'}"


def _missing_controls(columns: Iterable[Column], scores: Sequence[Score]) -> list[str]:
    """A model score that stands alone is said to stand alone."""

    def has(role: str, column: Column) -> bool:
        return any((s.role, s.metric, s.factor) == (role, column.metric, column.factor) for s in scores)

    measured = [c for c in columns if has("model", c)]
    bare = [c.label for c in measured if not has("control", c)]
    if not bare:
        return []
    return ["No control was measured." if len(bare) == len(measured) else f"No control for: {'; '.join(bare)}."]

"""Figures of codes, training and scores; those of sequences are in `seqdis.report.grids`.

Every function returns `Picture`s: bytes with a name and a caption, nothing on screen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seqdis.errors import DataError
from seqdis.evaluation.report import Report
from seqdis.factors import Factors
from seqdis.report.embedding import class_colors, per_sequence, positions
from seqdis.report.grids import reconstructions, sample_grid, swap_grid
from seqdis.report.layout import Row, Table, tables
from seqdis.report.picture import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    Picture,
    as_png,
    grid_of_axes,
    legend,
    literal,
    new_figure,
    plain,
    title,
)
from seqdis.sequences import DataSpec, FactorSpec

__all__ = ["Picture", "loss_curves", "reconstructions", "sample_grid", "score_bars", "swap_grid", "tsne"]

Array = npt.NDArray[Any]
MOST_POINTS = 1000
_MOST_NAMES = 12
_ACROSS = 3
_FACTORS_ACROSS = 4
_FEWEST_POINTS = 8


def tsne(
    factors: Factors,
    labels: Mapping[str, Array],
    spec: DataSpec,
    *,
    perplexity: float = 30.0,
    seed: int = 0,
) -> Picture:
    """t-SNE maps of the static code and of the time mean of the dynamic code, coloured by each factor.

    Parameters
    ----------
    factors : Factors
    labels : mapping from factor name to array, (n,) or (n, time)
        A factor with one value per step is shown by its most frequent class or its mean.
    spec : DataSpec
        Says which factors there are; those without labels are left out.
    perplexity : float
        At most a third of the number of points is used.
    seed : int
        Also chooses which sequences are shown if there are more than `MOST_POINTS`.

    Raises
    ------
    DataError
        No factor has labels, or there are fewer than 8 sequences.

    References
    ----------
    van der Maaten & Hinton, "Visualizing Data using t-SNE", JMLR 9, 2008.
    """
    known = [factor for factor in spec.factors if factor.name in labels]
    if not known:
        names = ", ".join(f.name for f in spec.factors) or "none"
        raise DataError(
            f"no labels to colour a t-SNE map by; factors of the data: {names}; "
            f"labels given: {', '.join(labels) or 'none'}."
        )
    if len(factors) < _FEWEST_POINTS:
        raise DataError(f"{len(factors)} sequences given; a t-SNE map needs at least {_FEWEST_POINTS}.")
    rows = np.arange(len(factors))
    if len(rows) > MOST_POINTS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_POINTS, replace=False))
    codes = {"static code": factors.static, "dynamic code (mean)": factors.dynamic_mean()}
    maps = {
        name: positions(code.detach().cpu().double().numpy()[rows], perplexity, seed) for name, code in codes.items()
    }
    unknown = False
    across = min(len(known), _FACTORS_ACROSS)
    figure, axes = grid_of_axes(2 * math.ceil(len(known) / across), across, 2.45, 2.3)
    for i, factor in enumerate(known):
        top, column = 2 * (i // across), i % across
        values = per_sequence(np.asarray(labels[factor.name])[rows], factor)
        unknown |= bool(np.isnan(values).any())
        title(axes[top, column], f"{factor.name} ({factor.kind})")
        for ax, (name, points) in zip(axes[top : top + 2, column], maps.items(), strict=True):
            shown = _scatter(ax, points, values, factor)
            if column == 0:
                ax.set_ylabel(name, fontsize=8.5, color=INK)
        _key(figure, axes[top + 1, column], shown, factor)
    for ax in axes[-2:, (len(known) - 1) % across + 1 :].flat:
        ax.set_visible(False)
    some = " Grey: not known." if unknown else ""
    some += f" {len(rows)} of {len(factors)} sequences, drawn at random." if len(rows) < len(factors) else ""
    caption = (
        "t-SNE maps of the codes. A good static code is sorted by static factors and mixed by dynamic ones, "
        f"a good dynamic code the other way round.{some}"
    )
    return as_png(figure, "tsne", caption, smooth=any(not factor.classes for factor in known))


def loss_curves(history: Sequence[Mapping[str, Any]]) -> Picture:
    """Every loss term by epoch, on training and (where measured) validation data.

    Parameters
    ----------
    history : sequence of {"epoch": int, "train": {term: value}, "valid": {term: value} (optional)}
        The total, where there is one, comes first.

    Raises
    ------
    DataError
        The history is empty.
    """
    if not history:
        raise DataError("no history given; a fitted model has one epoch at least (model.history_).")
    terms = list(dict.fromkeys(term for epoch in history for term in epoch["train"]))
    terms.sort(key=lambda term: term != "total")
    columns = min(4, len(terms))
    figure, axes = grid_of_axes(math.ceil(len(terms) / columns), columns, 2.4, 1.75)
    for ax, term in zip(axes.flat, terms, strict=False):
        for part, color in (("train", INK), ("valid", ORANGE)):
            points = [(e["epoch"], e[part][term]) for e in history if term in (e.get(part) or {})]
            if points:
                epochs, values = zip(*points, strict=True)
                ax.plot(epochs, values, color=color, label=part, linewidth=1.4, marker="o" if len(points) < 3 else "")
        title(ax, term.replace("_", " "))
        ax.xaxis.get_major_locator().set_params(integer=True)
        if _spans_decades(ax):
            ax.set_yscale("log")
    for ax in axes.flat[len(terms) :]:
        ax.set_visible(False)
    for ax in axes[-1]:
        ax.set_xlabel("epoch", fontsize=7.5, color=MUTED)
    handles, names = axes[0, 0].get_legend_handles_labels()
    legend(figure, handles, names)
    caption = "Loss terms by epoch, averaged over sequences, before weighting (total: weighted sum)."
    return as_png(figure, "losses", caption)


def score_bars(report: Report) -> Picture:
    """Model, controls and published numbers as bars with their spread, one panel per metric.

    Raises
    ------
    DataError
        The report has no scores.
    """
    shown = tables(report)
    if not shown:
        raise DataError("the report holds no scores; nothing to draw.")
    heights = [_lines(table) * (0.75 + 0.27 * len(table.rows)) + 0.35 for table in shown]
    figure = new_figure(9.3, sum(heights))
    parts = figure.subfigures(len(shown), 1, height_ratios=heights, squeeze=False)
    for part, table in zip(parts.flat, shown, strict=True):
        part.suptitle(literal(table.title), fontsize=9.5, color=INK, x=0.01, ha="left", fontweight="bold")
        axes = part.subplots(_lines(table), _ACROSS, squeeze=False, sharey=True)
        for i, ax in enumerate(axes.flat):
            plain(ax)
            ax.set_visible(i < len(table.columns))
            if i < len(table.columns):
                _bars(ax, table, i)
    caption = "Scores of the model (blue), its controls (grey) and published numbers (outlined)."
    return as_png(figure, "score_bars", caption)


def _scatter(ax: Any, points: Array, values: Array, factor: FactorSpec) -> Any:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_facecolor("#f7f8fa")
    ax.margins(0.08)
    look = {"s": float(np.clip(1800 / len(points), 3, 18)), "linewidths": 0, "alpha": 0.85}
    if not np.ptp(points):
        words = "collapsed: the same\nfor all sequences"
        ax.text(0.5, 0.6, words, transform=ax.transAxes, ha="center", fontsize=7.5, color=MUTED)
    unknown = np.isnan(values)
    ax.scatter(*points[unknown].T, color="#c9ced8", **look)
    points, values = points[~unknown], values[~unknown]
    if not factor.classes:
        return ax.scatter(*points.T, c=values, cmap="viridis", **look)
    colors = class_colors(len(factor.classes))[values.astype(int)]
    # One call in random order: class after class, the last would hide the others.
    order = np.random.default_rng(0).permutation(len(points))
    return ax.scatter(*points[order].T, c=colors[order], **look)


def _key(figure: Any, ax: Any, shown: Any, factor: FactorSpec) -> None:
    """Class names, their number if they are many, or a colour bar, below a panel."""
    if not factor.classes:
        bar = figure.colorbar(shown, cax=ax.inset_axes((0.1, -0.09, 0.8, 0.035)), orientation="horizontal")
        bar.locator = _few_ticks()
        bar.set_label(literal(factor.unit), fontsize=7.5, color=MUTED)
        bar.ax.tick_params(labelsize=7, colors=MUTED, length=0)
        bar.outline.set_visible(False)
        return
    if len(factor.classes) > _MOST_NAMES:
        ax.set_xlabel(f"{len(factor.classes)} classes", fontsize=7.5, color=MUTED)
        return
    for color, name in zip(class_colors(len(factor.classes)), factor.classes, strict=True):
        ax.scatter([], [], s=18, color=color, linewidths=0, label=literal(name))
    columns = 2 if len(factor.classes) == 4 or max(map(len, factor.classes)) > 9 else 3
    look = {"fontsize": 7, "frameon": False, "handletextpad": 0.1, "columnspacing": 0.8, "labelcolor": INK}
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=columns, **look)


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4, steps=[1, 2, 5, 10])


def _spans_decades(ax: Any) -> bool:
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.lines])
    return bool(values.min() > 0 and values.max() / values.min() > 50)


def _lines(table: Table) -> int:
    return math.ceil(len(table.columns) / _ACROSS)


def _bars(ax: Any, table: Table, index: int) -> None:
    looks: dict[str, dict[str, Any]] = {
        "model": {"color": BLUE},
        "control": {"color": "#b6bdc9"},
        "published": {"color": PAPER, "edgecolor": INK, "linewidth": 0.9},
    }
    names = []
    for y, row in enumerate(table.rows):
        cell = row.cells[index]
        names.append(literal(f"{row.method}\n{_source(row) if row.role == 'published' else row.role}"))
        if cell is not None:
            bar = {"height": 0.62, "ecolor": INK, "error_kw": {"linewidth": 1.0}, **looks[row.role]}
            ax.barh(y, cell.score.value, xerr=cell.score.spread, **bar)
    ax.set_yticks(range(len(names)), names, fontsize=7, color=INK)
    # Limits by hand: all panels share them, and the first row stands on top.
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_locator(_few_ticks())
    column = table.columns[index]
    title(ax, column.heading)
    ax.set_xlabel(literal(column.factor), fontsize=7.5, color=MUTED)


def _source(row: Row) -> str:
    return next((cell.score.source for cell in row.cells if cell is not None), "") or "source not stated"

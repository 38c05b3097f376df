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
from seqdis.report.grids import reconstructions, sample_grid, swap_grid
from seqdis.report.layout import Column, Table, tables
from seqdis.report.picture import (
    BLUE,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    Picture,
    as_png,
    grid_of_axes,
    legend,
    need_matplotlib,
    title,
)
from seqdis.sequences import DataSpec, FactorSpec

__all__ = ["Picture", "loss_curves", "reconstructions", "sample_grid", "score_bars", "swap_grid", "tsne"]

Array = npt.NDArray[Any]
MOST_POINTS = 2000
_MOST_NAMES = 12
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
    need_matplotlib()
    known = [factor for factor in spec.factors if factor.name in labels]
    if not known:
        names = ", ".join(f.name for f in spec.factors) or "none"
        raise DataError(f"no labels to colour a t-SNE map by; factors of the data: {names}, labels given: {', '.join(labels) or 'none'}.")
    if len(factors) < _FEWEST_POINTS:
        raise DataError(f"{len(factors)} sequences given; a t-SNE map needs at least {_FEWEST_POINTS}.")
    rows = np.arange(len(factors))
    if len(rows) > MOST_POINTS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_POINTS, replace=False))
    codes = {"static code": factors.static, "dynamic code, mean over time": factors.dynamic_mean()}
    figure, axes = grid_of_axes(2, len(known), 2.45, 2.3)
    for line, (name, code) in zip(axes, codes.items(), strict=True):
        points = _map(code.detach().cpu().numpy()[rows].astype(np.float64), perplexity, seed)
        for ax, factor in zip(line, known, strict=True):
            _scatter(figure, ax, points, _per_sequence(np.asarray(labels[factor.name])[rows], factor), factor, name)
        line[0].set_ylabel(name, fontsize=8.5, color=INK)
    for ax, factor in zip(axes[0], known, strict=True):
        title(ax, f"{factor.name} ({factor.kind})")
    some = f" {len(rows)} of {len(factors)} sequences, drawn at random." if len(rows) < len(factors) else ""
    caption = (
        "t-SNE maps of the codes. A good static code is sorted by static factors and mixed by dynamic ones, "
        f"a good dynamic code the other way round.{some}"
    )
    return as_png(figure, "tsne", caption)


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
            points = [(e["epoch"], e[part][term]) for e in history if term in e.get(part, {})]
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
    return as_png(figure, "losses", "Loss terms by epoch, averaged over sequences, before weighting (total: weighted sum).")


def score_bars(report: Report) -> Picture:
    """Model, controls and published numbers as bars with their spread, one panel per metric.

    Raises
    ------
    DataError
        The report has no scores.
    """
    panels = [(table, i) for table in tables(report) for i in range(len(table.columns))]
    if not panels:
        raise DataError("the report holds no scores; nothing to draw.")
    columns = min(3, len(panels))
    tallest = max(len(table.rows) for table, _ in panels)
    figure, axes = grid_of_axes(math.ceil(len(panels) / columns), columns, 3.1, 0.95 + 0.21 * tallest)
    for ax, (table, i) in zip(axes.flat, panels, strict=False):
        _bars(ax, table, i)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    return as_png(figure, "score_bars", "Scores of the model (blue), its controls (grey) and published numbers (outlined).")


def _map(code: Array, perplexity: float, seed: int) -> Array:
    """(n, 2) positions; all in one place where the code is the same for all sequences."""
    from sklearn.manifold import TSNE

    spread = code.std(0)
    scale = spread.max()
    if not np.isfinite(scale):
        raise DataError("the codes hold NaN or infinity; the model has diverged.")
    if scale < 1e-12:
        return np.zeros((len(code), 2))
    # One common factor: dimensions that the model switched off must stay small.
    code = (code - code.mean(0)) / scale
    if code.shape[1] == 1:
        code = np.concatenate([code, np.zeros_like(code)], axis=1)
    return TSNE(init="pca", perplexity=min(perplexity, len(code) / 3), random_state=seed).fit_transform(code)


def _per_sequence(labels: Array, factor: FactorSpec) -> Array:
    """One value per sequence, NaN where unknown."""
    if not factor.classes:
        values = labels.astype(np.float64)
        if values.ndim == 1:
            return values
        known = np.isfinite(values)
        return np.where(known.any(1), np.where(known, values, 0.0).sum(1) / np.maximum(known.sum(1), 1), np.nan)
    if labels.ndim == 1:
        return np.where(labels < 0, np.nan, labels)
    counts = np.stack([(labels == k).sum(1) for k in range(len(factor.classes))], axis=1)
    return np.where(counts.any(1), counts.argmax(1), np.nan)


def _scatter(figure: Any, ax: Any, points: Array, values: Array, factor: FactorSpec, code: str) -> None:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_facecolor("#f7f8fa")
    ax.margins(0.08)
    size = float(np.clip(1800 / len(points), 3, 18))
    unknown = np.isnan(values)
    ax.scatter(*points[unknown].T, s=size, color="#c9ced8", linewidths=0)
    if not np.ptp(points):
        ax.text(0.5, 0.6, "collapsed: the same\nfor all sequences", transform=ax.transAxes, ha="center", fontsize=7.5, color=MUTED)
    last = code != "static code"
    if not factor.classes:
        shown = ax.scatter(*points[~unknown].T, s=size, c=values[~unknown], cmap="viridis", linewidths=0)
        if last:
            bar = figure.colorbar(shown, ax=ax, orientation="horizontal", pad=0.03, aspect=30)
            bar.set_label(factor.unit, fontsize=7.5, color=MUTED)
            bar.ax.tick_params(labelsize=7, colors=MUTED, length=0)
            bar.outline.set_visible(False)
        return
    colors = _class_colors(len(factor.classes))
    for k, name in enumerate(factor.classes):
        ax.scatter(*points[values == k].T, s=size, color=colors[k], linewidths=0, label=name)
    if last:
        _class_legend(ax, factor)


def _class_legend(ax: Any, factor: FactorSpec) -> None:
    if len(factor.classes) > _MOST_NAMES:
        ax.set_xlabel(f"{len(factor.classes)} classes", fontsize=7.5, color=MUTED)
        return
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=2 if max(map(len, factor.classes)) > 9 else 3,
        fontsize=7,
        frameon=False,
        handletextpad=0.1,
        columnspacing=0.8,
        labelcolor=INK,
        markerscale=1.3,
    )


def _class_colors(count: int) -> Array:
    from matplotlib import colormaps

    if count <= 20:
        return np.asarray(colormaps["tab10" if count <= 10 else "tab20"].colors)[:count]
    return colormaps["turbo"](np.linspace(0.03, 0.97, count))[:, :3]


def _spans_decades(ax: Any) -> bool:
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.lines])
    return bool(values.min() > 0 and values.max() / values.min() > 50)


def _bars(ax: Any, table: Table, index: int) -> None:
    column: Column = table.columns[index]
    looks = {
        "model": {"color": BLUE},
        "control": {"color": "#b6bdc9"},
        "published": {"color": PAPER, "edgecolor": INK, "linewidth": 0.9},
    }
    shown = [(row, cell) for row in table.rows if (cell := row.cells[index]) is not None]
    for y, (row, cell) in enumerate(shown):
        ax.barh(y, cell.score.value, height=0.66, xerr=cell.score.spread, ecolor=INK, error_kw={"linewidth": 1.0}, **looks[row.role])
    names = [row.method if row.role != "published" else f"{row.method} ({row.kind})" for row, _ in shown]
    ax.set_yticks(range(len(shown)), names, fontsize=7.5, color=INK)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.axvline(0, color=GRID, linewidth=1)
    title(ax, column.heading)
    where = " · ".join(part for part in (column.factor, table.title) if part)
    ax.set_xlabel(where, fontsize=7, color=MUTED)

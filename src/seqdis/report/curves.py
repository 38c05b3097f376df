"""Series as curves: features down, sequences (or pairs of them) across."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seqdis.report.picture import BLUE, INK, MUTED, ORANGE, SKY, Picture, as_png, grid_of_axes, legend, literal, title
from seqdis.sequences import Sequences

Array = npt.NDArray[Any]
MOST_FEATURES = 5
_WIDTH, _HEIGHT = 2.5, 1.35


def swaps(static_of: Sequences, dynamic_of: Sequences, swapped: Array, truth: Array | None) -> Picture:
    """One column per pair: both sources, the model's hybrid, the true one where it is known."""
    chosen = _features(static_of)
    figure, axes = grid_of_axes(len(chosen), len(static_of), _WIDTH, _HEIGHT, sharey="row")
    first, second = with_gaps(static_of), with_gaps(dynamic_of)
    hybrids = _cut(swapped, dynamic_of)
    true = None if truth is None else _cut(truth, dynamic_of)
    for j in range(len(static_of)):
        title(axes[0, j], f"static of {_name(static_of, j)}\ndynamic of {_name(dynamic_of, j)}")
        times = _times(dynamic_of, j)
        for ax, k in zip(axes[:, j], chosen, strict=True):
            _line(ax, _times(static_of, j), first[j, :, k], label="static source", color=ORANGE, alpha=0.75)
            _line(ax, times, second[j, :, k], label="dynamic source", color=SKY)
            if true is not None:
                _line(ax, times, true[j, :, k], label="true hybrid", color=INK, width=2.6, alpha=0.3)
            _line(ax, times, hybrids[j, :, k], label="model's hybrid", color=BLUE, width=1.6)
    _dress(figure, axes, static_of, chosen)
    caption = "Swapped series: the static code of one sequence decoded with the dynamic code of another."
    return as_png(figure, "swap_grid", caption + _left_out(static_of, chosen))


def samples(like: Sequences, drawn: Sequence[Array], name: str, caption: str) -> Picture:
    """One column per given sequence: itself, and the draws that share one code with it."""
    chosen = _features(like)
    figure, axes = grid_of_axes(len(chosen), len(like), _WIDTH, _HEIGHT, sharey="row")
    given = with_gaps(like)
    # The ends and time stamps of the given sequences say nothing about samples of another length.
    alike = drawn[0].shape[1] == like.x.shape[1]
    curves = [_cut(x, like) if alike else x for x in drawn]
    for j in range(len(like)):
        title(axes[0, j], _name(like, j))
        times = _times(like, j) if alike else np.arange(drawn[0].shape[1])
        for ax, k in zip(axes[:, j], chosen, strict=True):
            for i, curve in enumerate(curves):
                _line(ax, times, curve[j, :, k], label="_" if i else "samples", color=BLUE, alpha=0.45)
            _line(ax, _times(like, j), given[j, :, k], label="given", color=INK, width=1.6)
    _dress(figure, axes, like, chosen)
    return as_png(figure, name, caption + _left_out(like, chosen))


def reconstructions(sequences: Sequences, rebuilt: Array) -> Picture:
    """One column per sequence: observed values as points, the reconstruction as a line."""
    chosen = _features(sequences)
    figure, axes = grid_of_axes(len(chosen), len(sequences), _WIDTH, _HEIGHT, sharey="row")
    given, copies = with_gaps(sequences), _cut(rebuilt, sequences)
    for j in range(len(sequences)):
        title(axes[0, j], _name(sequences, j))
        times = _times(sequences, j)
        for ax, k in zip(axes[:, j], chosen, strict=True):
            _line(ax, times, given[j, :, k], label="observed", color=INK, width=0.8, dots=3.5)
            _line(ax, times, copies[j, :, k], label="rebuilt", color=ORANGE, width=1.6)
    _dress(figure, axes, sequences, chosen)
    caption = "Series and what the model rebuilds from their two codes; gaps are missing values."
    return as_png(figure, "reconstructions", caption + _left_out(sequences, chosen))


def with_gaps(sequences: Sequences) -> Array:
    """(n, time, features) float, NaN where nothing was observed."""
    return np.where(sequences.observed(), sequences.x.astype(np.float64), np.nan)


def _cut(x: Array, sequences: Sequences) -> Array:
    """NaN beyond the end of each sequence."""
    if sequences.lengths is None:
        return x
    beyond = np.arange(x.shape[1]) >= sequences.lengths[:, None]
    return np.where(beyond[..., None], np.nan, x)


def _features(sequences: Sequences) -> list[int]:
    """The features seen most often, in their order."""
    seen = np.isfinite(with_gaps(sequences)).sum((0, 1))
    return sorted(np.argsort(-seen, kind="stable")[:MOST_FEATURES].tolist())


def _left_out(sequences: Sequences, chosen: list[int]) -> str:
    total = sequences.spec.shape[0]
    return f" Shown: the {len(chosen)} most often observed of {total} features." if len(chosen) < total else ""


def _times(sequences: Sequences, row: int) -> Array:
    return np.arange(sequences.x.shape[1]) if sequences.times is None else sequences.times[row]


def _name(sequences: Sequences, row: int) -> str:
    return f"sequence {row + 1}" if sequences.ids is None else str(sequences.ids[row])


def _line(ax: Any, times: Array, values: Array, *, width: float = 1.2, dots: float = 0.0, **style: Any) -> None:
    """A curve with gaps; a value whose neighbours are missing is a dot, or it would not be seen."""
    known = np.isfinite(values)
    before, after = np.concatenate([[False], known[:-1]]), np.concatenate([known[1:], [False]])
    lonely = known & ~before & ~after
    look = {"linewidth": width, "marker": "o" if dots else "", "markersize": dots, **style}
    ax.plot(times, values, solid_capstyle="round", **look)
    if lonely.any() and not dots:
        ax.plot(times[lonely], values[lonely], "o", markersize=2 * width, **(style | {"label": "_"}))


def _dress(figure: Any, axes: Any, sequences: Sequences, chosen: list[int]) -> None:
    names = sequences.spec.feature_names or tuple(f"feature {i + 1}" for i in range(sequences.spec.shape[0]))
    for row, feature in zip(axes, chosen, strict=True):
        row[0].set_ylabel(literal(names[feature]), fontsize=8, color=INK)
    for ax in axes[-1]:
        ax.set_xlabel("time" if sequences.times is not None else "step", fontsize=7.5, color=MUTED)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    legend(figure, handles, labels)

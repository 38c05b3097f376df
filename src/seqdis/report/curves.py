"""Series as curves: features down, sequences (or pairs of them) across.

Swaps and samples are here; reconstructions are in `seqdis.report.series_figures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seqdis.report.picture import BLUE, INK, MUTED, ORANGE, SKY, Picture, as_png, grid_of_axes, legend, literal, title
from seqdis.sequences import Sequences

Array = npt.NDArray[Any]
MOST_FEATURES = 5
WIDTH, HEIGHT = 2.5, 1.35


def swaps(static_of: Sequences, dynamic_of: Sequences, swapped: Array, truth: Array | None) -> Picture:
    """One column per pair: both sources, the model's hybrid, the true one where it is known."""
    chosen = shown_features(static_of)
    figure, axes = grid_of_axes(len(chosen), len(static_of), WIDTH, HEIGHT, sharey="row")
    first, second = with_gaps(static_of), with_gaps(dynamic_of)
    hybrids = cut_to_ends(swapped, dynamic_of)
    true = None if truth is None else cut_to_ends(truth, dynamic_of)
    for j in range(len(static_of)):
        title(axes[0, j], f"static of {name_of(static_of, j)}\ndynamic of {name_of(dynamic_of, j)}")
        times = times_of(dynamic_of, j)
        for ax, k in zip(axes[:, j], chosen, strict=True):
            draw_line(ax, times_of(static_of, j), first[j, :, k], label="static source", color=ORANGE, alpha=0.75)
            draw_line(ax, times, second[j, :, k], label="dynamic source", color=SKY)
            if true is not None:
                draw_line(ax, times, true[j, :, k], label="true hybrid", color=INK, width=2.6, alpha=0.3)
            draw_line(ax, times, hybrids[j, :, k], label="model's hybrid", color=BLUE, width=1.6)
    dress(figure, axes, static_of, chosen)
    caption = "Swapped series: the static code of one sequence decoded with the dynamic code of another."
    return as_png(figure, "swap_grid", caption + left_out(static_of, chosen))


def samples(like: Sequences, drawn: Sequence[Array], name: str, caption: str) -> Picture:
    """One column per given sequence: itself, and the draws that share one code with it."""
    chosen = shown_features(like)
    figure, axes = grid_of_axes(len(chosen), len(like), WIDTH, HEIGHT, sharey="row")
    given = with_gaps(like)
    # The ends and time stamps of the given sequences say nothing about samples of another length.
    alike = drawn[0].shape[1] == like.x.shape[1]
    curves = [cut_to_ends(x, like) if alike else x for x in drawn]
    for j in range(len(like)):
        title(axes[0, j], name_of(like, j))
        times = times_of(like, j) if alike else np.arange(drawn[0].shape[1])
        for ax, k in zip(axes[:, j], chosen, strict=True):
            for i, curve in enumerate(curves):
                draw_line(ax, times, curve[j, :, k], label="_" if i else "samples", color=BLUE, alpha=0.45)
            draw_line(ax, times_of(like, j), given[j, :, k], label="given", color=INK, width=1.6)
    dress(figure, axes, like, chosen)
    return as_png(figure, name, caption + left_out(like, chosen))


def with_gaps(sequences: Sequences) -> Array:
    """(n, time, features) float, NaN where nothing was observed."""
    return np.where(sequences.observed(), sequences.x.astype(np.float64), np.nan)


def cut_to_ends(x: Array, sequences: Sequences) -> Array:
    """NaN beyond the end of each sequence."""
    if sequences.lengths is None:
        return x
    beyond = np.arange(x.shape[1]) >= sequences.lengths[:, None]
    return np.where(beyond[..., None], np.nan, x)


def shown_features(sequences: Sequences, most: int = MOST_FEATURES) -> list[int]:
    """The features seen most often, in their order."""
    seen = np.isfinite(with_gaps(sequences)).sum((0, 1))
    return sorted(np.argsort(-seen, kind="stable")[:most].tolist())


def left_out(sequences: Sequences, chosen: list[int]) -> str:
    """A sentence for the caption if some features are not shown."""
    total = sequences.spec.shape[0]
    return f" Shown: the {len(chosen)} most often observed of {total} features." if len(chosen) < total else ""


def times_of(sequences: Sequences, row: int) -> Array:
    """Time stamps of one sequence, else the numbers of its steps."""
    return np.arange(sequences.x.shape[1]) if sequences.times is None else sequences.times[row]


def name_of(sequences: Sequences, row: int) -> str:
    """What the source calls a sequence, else its number."""
    return f"sequence {row + 1}" if sequences.ids is None else str(sequences.ids[row])


def draw_line(ax: Any, times: Array, values: Array, *, width: float = 1.2, **style: Any) -> None:
    """A curve with gaps; a value whose neighbours are missing is a dot, or it would not be seen."""
    known = np.isfinite(values)
    before, after = np.concatenate([[False], known[:-1]]), np.concatenate([known[1:], [False]])
    lonely = known & ~before & ~after
    ax.plot(times, values, solid_capstyle="round", linewidth=width, **style)
    if lonely.any():
        ax.plot(times[lonely], values[lonely], "o", markersize=2 * width, **(style | {"label": "_"}))


def dress(figure: Any, axes: Any, sequences: Sequences, chosen: list[int]) -> None:
    """Names of features on the left, the time axis below, one legend."""
    names = sequences.spec.feature_names or tuple(f"feature {i + 1}" for i in range(sequences.spec.shape[0]))
    for row, feature in zip(axes, chosen, strict=True):
        row[0].set_ylabel(literal(names[feature]), fontsize=8, color=INK)
    for ax in axes[-1]:
        ax.set_xlabel("time" if sequences.times is not None else "step", fontsize=7.5, color=MUTED)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    legend(figure, handles, labels)

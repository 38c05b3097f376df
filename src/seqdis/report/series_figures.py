"""Figures of time series: maps of static codes by season and rain, and curves of what a model rebuilds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from seqdis.errors import DataError
from seqdis.factors import Factors
from seqdis.report import curves
from seqdis.report.embedding import class_colors, per_sequence, positions
from seqdis.report.picture import INK, MUTED, ORANGE, Picture, as_png, grid_of_axes, literal, new_figure, title
from seqdis.sequences import DataSpec, Sequences

Array = npt.NDArray[Any]
LONG = 100  # steps; more of them need wider panels
STRETCH = 24
_FEWEST_POINTS = 8
_MOST_SEQUENCES, _MOST_LONG_SEQUENCES = 4, 2
_SMALLEST, _LARGEST = 9.0, 160.0  # area of a marker, square points


def season_map(
    factors: Factors,
    labels: Mapping[str, Array],
    spec: DataSpec,
    *,
    colour: str = "season",
    size: str = "rain",
    steps_per_day: int = 24,
    perplexity: float = 30.0,
    seed: int = 0,
) -> Picture:
    """t-SNE map of the static codes: colour is a class, size is the mean daily amount of something.

    Parameters
    ----------
    factors : Factors
    labels : mapping from factor name to array, (n,) or (n, time)
    spec : DataSpec
    colour : str
        A factor with classes.
    size : str
        A numeric factor, not negative, such as rain in mm per step. Unknown steps are left out of the mean.
    steps_per_day : int
        Steps that make a day.
    perplexity : float
        At most a third of the number of points is used.
    seed : int

    Raises
    ------
    DataError
        One of the factors has no labels or is of the other kind, or there are fewer than 8 sequences.

    References
    ----------
    Berman et al. (DBSE), ICML 2024, Figure 3. van der Maaten & Hinton, JMLR 9, 2008.
    """
    for factor, wanted in ((colour, "classes"), (size, "numbers")):
        if factor not in labels or bool(spec.factor(factor).classes) != (wanted == "classes"):
            raise DataError(f"a season map needs labels of '{factor}' that are {wanted}; labels: {', '.join(labels)}.")
    if len(factors) < _FEWEST_POINTS:
        raise DataError(f"{len(factors)} sequences given; a t-SNE map needs at least {_FEWEST_POINTS}.")
    points = positions(factors.static.detach().cpu().double().numpy(), perplexity, seed)
    classes = per_sequence(np.asarray(labels[colour]), spec.factor(colour))
    amount = steps_per_day * per_sequence(np.asarray(labels[size]), spec.factor(size))
    figure = new_figure(6.4, 4.6)
    ax = figure.subplots()
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_facecolor("#f7f8fa")
    title(ax, f"static code: {colour} and {size}")
    _mark(ax, points, classes, amount, spec.factor(colour).classes)
    _keys(figure, ax, amount, spec.factor(colour).classes, f"{size} per day")
    caption = (
        f"t-SNE map of the static codes. Colour: {colour}; size: mean {size} per day; "
        "crosses and grey: not known. Neighbours should agree in both."
    )
    return as_png(figure, f"tsne_{colour}", caption)


def reconstruction_pictures(sequences: Sequences, rebuilt: Array) -> tuple[Picture, ...]:
    """Whole sequences and, if they are long, the best observed stretch of 24 steps."""
    whole = reconstruction_curves(sequences, rebuilt)
    if sequences.x.shape[1] <= LONG:
        return (whole,)
    return whole, reconstruction_curves(sequences, rebuilt, steps=_best_stretch(sequences))


def reconstruction_curves(
    sequences: Sequences,
    rebuilt: Array,
    *,
    steps: slice | None = None,
    most_features: int = curves.MOST_FEATURES,
) -> Picture:
    """One row per feature, one column per sequence: observed values as points, the reconstruction as a line.

    Parameters
    ----------
    sequences : Sequences
        At most 4 are drawn, of long series 2.
    rebuilt : array, (n, time, features)
        What a model makes of them, in the units of the data.
    steps : slice, optional
        Which steps to draw, such as ``slice(24, 48)`` for the second day of hourly data; all if left out.
    most_features : int
        Of more features those seen most often are drawn.

    Raises
    ------
    DataError
        ``rebuilt`` has another shape, or no step is left.

    References
    ----------
    Berman et al. (DBSE), ICML 2024, Figure 16.
    """
    if rebuilt.shape != sequences.x.shape:
        raise DataError(f"rebuilt has shape {rebuilt.shape}; expected that of the sequences, {sequences.x.shape}.")
    steps = steps or slice(None)
    shown = len(np.arange(sequences.x.shape[1])[steps])
    if not shown:
        raise DataError(f"steps {steps.start}:{steps.stop} hold none of {sequences.x.shape[1]} steps.")
    long = shown > LONG
    few = sequences[: _MOST_LONG_SEQUENCES if long else _MOST_SEQUENCES]
    chosen = curves.shown_features(sequences, most_features)
    given, copies = curves.with_gaps(few), curves.cut_to_ends(rebuilt[: len(few)], few)
    width = curves.WIDTH * (2 if long else 1)
    figure, axes = grid_of_axes(len(chosen), len(few), width, curves.HEIGHT, sharey="row")
    for j in range(len(few)):
        title(axes[0, j], curves.name_of(few, j))
        times = curves.times_of(few, j)[steps]
        for ax, k in zip(axes[:, j], chosen, strict=True):
            dots = {"linestyle": "", "marker": "o", "markersize": 1.6 if long else 3.2, "markeredgewidth": 0}
            ax.plot(times, given[j, steps, k], color=INK, alpha=0.75, label="observed", **dots)
            curves.draw_line(ax, times, copies[j, steps, k], label="rebuilt", color=ORANGE, width=1.1 if long else 1.6)
    curves.dress(figure, axes, few, chosen)
    part = "" if shown == sequences.x.shape[1] else f" Shown: {shown} of {sequences.x.shape[1]} steps."
    caption = "Series and what the model rebuilds from their two codes; values that are not observed have no point."
    name = "reconstructions" if not part else "reconstructions_close"
    return as_png(figure, name, caption + part + curves.left_out(sequences, chosen))


def _best_stretch(sequences: Sequences) -> slice:
    """The stretch of 24 steps, from a multiple of 24 on, with the most observed values."""
    seen = sequences.observed().sum(axis=(0, 2))
    whole = len(seen) // STRETCH
    start = STRETCH * int(seen[: whole * STRETCH].reshape(whole, STRETCH).sum(1).argmax())
    return slice(start, start + STRETCH)


def _areas(amount: Array, largest: float) -> Array:
    """Areas of markers, linear in the amount so that twice as much looks like twice as much more."""
    return _SMALLEST + (_LARGEST - _SMALLEST) * np.clip(amount, 0, None) / (largest or 1.0)


def _mark(ax: Any, points: Array, classes: Array, amount: Array, names: tuple[str, ...]) -> None:
    unknown = np.isnan(classes)
    colors = np.full((len(points), 3), 0.79)
    colors[~unknown] = class_colors(len(names))[classes[~unknown].astype(int)]
    sized = np.isfinite(amount)
    largest = float(np.nanmax(amount, initial=0.0))
    # Large markers first, or they would hide the small ones.
    order = np.flatnonzero(sized)[np.argsort(-amount[sized], kind="stable")]
    ax.scatter(
        *points[order].T, s=_areas(amount[order], largest), c=colors[order], alpha=0.75, linewidths=0.4, edgecolors="w"
    )
    ax.scatter(*points[~sized].T, s=16, c=colors[~sized], marker="x", linewidths=0.9)
    ax.margins(0.06)


def _keys(figure: Any, ax: Any, amount: Array, names: tuple[str, ...], amount_name: str) -> None:
    """Two legends on the right: classes, and sizes of nothing, half of the most and the most."""
    look = {"frameon": False, "fontsize": 7.5, "labelcolor": INK, "alignment": "left"}
    colors = class_colors(len(names))
    classes = [
        ax.scatter([], [], s=26, color=c, linewidths=0, label=literal(n)) for c, n in zip(colors, names, strict=True)
    ]
    figure.legend(handles=classes, loc="outside right upper", **look)
    largest = float(np.nanmax(amount, initial=0.0))
    if largest == 0:
        return
    sizes = [
        ax.scatter([], [], s=_areas(np.array(value), largest), color=MUTED, linewidths=0, label=f"{value:.3g}")
        for value in (0.0, largest / 2, largest)
    ]
    key = figure.legend(handles=sizes, loc="outside right lower", title=literal(amount_name), labelspacing=0.9, **look)
    key.get_title().set(fontsize=7.5, color=MUTED)

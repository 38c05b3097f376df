"""What a model does to sequences, as pictures: swaps, samples and reconstructions.

Video and spectrograms become tiles, series become curves; each function picks by ``spec.kind``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from seqdis.errors import DataError
from seqdis.evaluation.judging import prior_codes
from seqdis.factors import Factors
from seqdis.report import curves, series_figures
from seqdis.report.picture import MUTED, Picture
from seqdis.report.sheet import GAP, Painter, Pixels, Sheet, beside, strip
from seqdis.sequences import Sequences

Array = npt.NDArray[Any]
Truth = Callable[[Sequences, Sequences], Array]
Fold = Callable[[Pixels], Pixels]
_LABEL, _SPACE = 24, 10
_MOST_PAIRS = 4
_MOST_FRAMES = 48  # a page must stay small enough to mail


class Interventions(Protocol):
    """What a figure asks of a fitted model."""

    def swap(self, static_of: Any, dynamic_of: Any, /) -> Array: ...  # noqa: D102

    def reconstruct(self, X: Any, /) -> Array: ...  # noqa: D102

    def sample(self, n: int, /, *, like: Any, keep: Any, seed: int) -> Array: ...  # noqa: D102


def swap_grid(
    model: Interventions,
    sequences: Sequences,
    rows: Sequence[int],
    columns: Sequence[int],
    truth: Truth | None = None,
    frames: int = 4,
) -> tuple[Picture, ...]:
    """Every cell has the static code of its row's source and the dynamic code of its column's.

    Parameters
    ----------
    model : fitted model
    sequences : Sequences
    rows, columns : sequence of int
        Which sequences lend the static and the dynamic code. Of series at most 4 pairs are drawn.
    truth : callable, optional
        ``truth(static_of, dynamic_of)`` renders the true hybrids of two equally long `Sequences`
        row by row; they are shown beside the model's.
    frames : int
        Frames of each cell in the still picture.

    Returns
    -------
    tuple of Picture
        Video: an animated GIF and a still PNG, both named "swap_grid". Else one PNG.
    """
    pairs = [(row, column) for row in rows for column in columns]
    if not pairs:
        raise DataError("swap_grid needs at least one row and one column; got none.")
    if sequences.spec.kind == "series":
        pairs = _few(rows, columns)
    static_of = sequences[[row for row, _ in pairs]]
    dynamic_of = sequences[[column for _, column in pairs]]
    swapped = np.asarray(model.swap(static_of, dynamic_of))
    true = None if truth is None else np.asarray(truth(static_of, dynamic_of))
    if sequences.spec.kind == "series":
        return (curves.swaps(static_of, dynamic_of, swapped, true),)
    paint = Painter.of(sequences)
    left, above = _given(paint, sequences[list(rows)]), _given(paint, sequences[list(columns)])
    hybrids = _made(paint, swapped, dynamic_of)
    truths = None if true is None else _made(paint, true, dynamic_of)
    caption = "Rows keep the static factors of the sequence on their left, columns the dynamic ones of that above."
    return _both(lambda fold: _swap_sheet(left, above, hybrids, truths, fold), "swap_grid", caption, frames)


def sample_grid(
    model: Interventions,
    like: Sequences,
    keep: Literal["static", "dynamic"],
    draws: int = 5,
    seed: int = 0,
    frames: int = 4,
) -> tuple[Picture, ...]:
    """Sequences sampled with one code kept: each row keeps that of the sequence on its left.

    Parameters
    ----------
    model : fitted model
    like : Sequences
        One row each.
    keep : "static" or "dynamic"
    draws : int
        Samples per row.
    seed : int
        Seed of the first draw; the others count up from it.
    frames : int
        Frames of each cell in the still picture.

    Returns
    -------
    tuple of Picture
        Video: a GIF and a PNG, both named "sample_<keep>". Else one PNG.
    """
    if keep not in ("static", "dynamic"):
        raise DataError(f"keep = {keep!r}: expected 'static' or 'dynamic'.")
    if draws < 1:
        raise DataError(f"draws = {draws}: expected at least 1.")
    drawn = [np.asarray(model.sample(len(like), like=like, keep=keep, seed=seed + i)) for i in range(draws)]
    other = "dynamic" if keep == "static" else "static"
    caption = f"The {keep} code of the given sequence is kept; the {other} code is drawn from the prior."
    if like.spec.kind == "series":
        return (curves.samples(like, drawn, f"sample_{keep}", caption),)
    paint = Painter.of(like)
    left, tiles = _given(paint, like), [_made(paint, x, like) for x in drawn]
    return _both(lambda fold: _sample_sheet(left, tiles, keep, fold), f"sample_{keep}", caption, frames)


def drawn_grid(
    model: Any, like: Sequences, rows: int = 4, columns: int = 4, seed: int = 0, frames: int = 4
) -> tuple[Picture, ...]:
    """Both codes drawn from the prior, every static one with every dynamic one: what stands in for swaps.

    For models without an encoder, which cannot read the codes of given sequences.

    Parameters
    ----------
    model : fitted Disentangler
    like : Sequences
        Decide how many steps are drawn and how they are painted.
    rows, columns : int
        How many static and how many dynamic codes.
    seed : int
    frames : int
        Frames of each cell in the still picture.

    Returns
    -------
    tuple of Picture
        Video: a GIF and a PNG, both named "drawn_codes". Else one PNG; of series none.
    """
    if like.spec.kind == "series":
        return ()
    steps = like.x.shape[1]
    drawn = prior_codes(model, max(rows, columns), -(-steps // model.network_.stride), mean=False, seed=seed)
    static = drawn.static[:rows].repeat_interleave(columns, 0)
    crossed = Factors(static, drawn.dynamic[:columns].repeat(rows, 1, 1), stride=model.network_.stride)
    paint = Painter.of(like)
    cells = [paint(x) for x in model.decode(crossed)[:, :steps]]
    caption = "Each row has one static code, each column one dynamic code; all are drawn from the prior."
    return _both(lambda fold: _drawn_sheet(cells, columns, fold), "drawn_codes", caption, frames)


def reconstructions(model: Interventions, sequences: Sequences, frames: int = 8) -> tuple[Picture, ...]:
    """Originals and what the model makes of their codes; missing values are gaps.

    Parameters
    ----------
    model : fitted model
    sequences : Sequences
    frames : int
        Frames shown of each video.

    Returns
    -------
    tuple of Picture
        One; of long series a second one shows a short stretch.
    """
    rebuilt = np.asarray(model.reconstruct(sequences))
    if sequences.spec.kind == "series":
        return series_figures.reconstruction_pictures(sequences, rebuilt)
    paint = Painter.of(sequences)
    originals, copies = _given(paint, sequences), _made(paint, rebuilt, sequences)
    sheet = Sheet()
    y = _SPACE
    for original, copy in zip(originals, copies, strict=True):
        for words, tile in (("original", original), ("rebuilt", copy)):
            folded = strip(tile, frames)
            sheet.tile(58, y, folded)
            sheet.text(52, y + folded.shape[1] / 2, words, ha="right", color=MUTED)
            y += folded.shape[1] + GAP
        y += _SPACE
    return (sheet.png("reconstructions", "Each sequence above what the model rebuilds from its two codes."),)


def _few(rows: Sequence[int], columns: Sequence[int]) -> list[tuple[int, int]]:
    """Curves need room: few pairs, along the diagonals of the grid so that sources are not repeated."""
    places = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
    places.sort(key=lambda place: ((place[1] - place[0]) % len(columns), place[0]))
    return [(rows[i], columns[j]) for i, j in places[:_MOST_PAIRS]]


def _given(paint: Painter, sequences: Sequences) -> list[Pixels]:
    """The sequences themselves, blank where a step is missing."""
    return [paint(x, seen) for x, seen in zip(sequences.x, sequences.observed(), strict=True)]


def _made(paint: Painter, made: Array, like: Sequences) -> list[Pixels]:
    """What a model made of sequences, blank beyond their ends (which say nothing about another length)."""
    if like.lengths is None or made.shape[1] != like.x.shape[1]:
        return [paint(x) for x in made]
    return [paint(x, np.arange(len(x)) < length) for x, length in zip(made, like.lengths, strict=True)]


def _both(draw: Callable[[Fold], Sheet], name: str, caption: str, shown: int) -> tuple[Picture, ...]:
    """The moving and the still form of one sheet; ``draw`` is told how to fold time into a tile."""
    still = draw(lambda tile: strip(tile, shown)).png(name, caption)
    moving = draw(lambda tile: tile[:_MOST_FRAMES])
    longest = max(len(frames) for _, _, frames in moving.tiles)
    if longest == 1:
        return (still,)
    note = f" Moving: the first {_MOST_FRAMES} frames." if longest == _MOST_FRAMES else ""
    return moving.gif(name, caption + note), still


def _swap_sheet(
    left: list[Pixels],
    above: list[Pixels],
    hybrids: list[Pixels],
    truths: list[Pixels] | None,
    fold: Fold,
) -> Sheet:
    heads, stubs, cells = [fold(t) for t in above], [fold(t) for t in left], [fold(t) for t in hybrids]
    tall, wide = heads[0].shape[1:3]
    # Wide tiles (strips, spectrograms) stand above each other, so that time stays aligned.
    axis = 1 if wide > tall else 2
    if truths is not None:
        cells = [beside([cell, fold(true)], axis) for cell, true in zip(cells, truths, strict=True)]
    down, across = cells[0].shape[1:3]
    sheet = Sheet()
    x0, y0 = _LABEL + wide + _SPACE, _LABEL + tall + _SPACE
    for j, head in enumerate(heads):
        sheet.tile(x0 + j * (across + _SPACE // 2) + (across - wide) // 2, _LABEL, head)
    for i, stub in enumerate(stubs):
        y = y0 + i * (down + _SPACE // 2)
        sheet.tile(_LABEL, y + (down - tall) // 2, stub)
        for j in range(len(heads)):
            sheet.tile(x0 + j * (across + _SPACE // 2), y, cells[i * len(heads) + j])
    width = len(heads) * (across + _SPACE // 2)
    height = len(stubs) * (down + _SPACE // 2)
    sheet.text(x0 + width / 2, _LABEL / 2, "dynamic factors from", fontweight="bold")
    sheet.text(_LABEL / 2, y0 + height / 2, "static factors from", fontweight="bold", rotation=90)
    if truths is not None:
        words = "model above,\ntruth below" if axis == 1 else "model left,\ntruth right"
        sheet.text(_LABEL + wide / 2, _LABEL + tall / 2, words, color=MUTED)
    return sheet


def _sample_sheet(left: list[Pixels], tiles: list[list[Pixels]], keep: str, fold: Fold) -> Sheet:
    sheet = Sheet()
    stubs = [fold(tile) for tile in left]
    tall, wide = stubs[0].shape[1:3]
    x0 = _SPACE + wide + 2 * _SPACE
    across = fold(tiles[0][0]).shape[2] + _SPACE // 2
    for i, stub in enumerate(stubs):
        y = _LABEL + i * (tall + _SPACE // 2)
        sheet.tile(_SPACE, y, stub)
        for j, drawn in enumerate(tiles):
            sheet.tile(x0 + j * across, y, fold(drawn[i]))
    sheet.text(_SPACE + wide / 2, _LABEL / 2, "given", fontweight="bold")
    sheet.text(x0 + len(tiles) * across / 2, _LABEL / 2, f"sampled, same {keep} code", fontweight="bold")
    return sheet


def _drawn_sheet(cells: list[Pixels], columns: int, fold: Fold) -> Sheet:
    tiles = [fold(cell) for cell in cells]
    down, across = (side + _SPACE // 2 for side in tiles[0].shape[1:3])
    sheet = Sheet()
    for number, tile in enumerate(tiles):
        i, j = divmod(number, columns)
        sheet.tile(_LABEL + j * across, _LABEL + i * down, tile)
    sheet.text(_LABEL + columns * across / 2, _LABEL / 2, "one dynamic code each", fontweight="bold")
    middle = _LABEL + len(tiles) // columns * down / 2
    sheet.text(_LABEL / 2, middle, "one static code each", fontweight="bold", rotation=90)
    return sheet

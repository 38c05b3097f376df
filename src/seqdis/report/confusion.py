"""Confusion matrices: which class a judge saw where which was meant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seqdis.errors import DataError
from seqdis.evaluation.report import Report
from seqdis.report.picture import INK, MUTED, Picture, as_png, literal, new_figure, plain, title

Array = npt.NDArray[np.int64]


def confusion_matrix(counts: Array, classes: Sequence[str], factor: str) -> Picture:
    """True classes in rows, judged ones in columns; every row sums to one.

    Parameters
    ----------
    counts : array of int, (classes, classes)
        Row: true class; column: judged class. A row without any sequence is left blank.
    classes : sequence of str
    factor : str
        What is judged, for title and file name.

    Raises
    ------
    DataError
        Not one row and column per class, or no sequence at all.
    """
    counts = np.asarray(counts)
    if counts.shape != (len(classes), len(classes)) or not counts.sum():
        raise DataError(
            f"confusion of '{factor}': got {counts.sum()} sequences in a table of shape {counts.shape}; expected some, "
            f"with a row and a column for each of {len(classes)} classes."
        )
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 1.6 + 0.42 * len(classes)
    figure = new_figure(side + 0.8, side)
    ax = figure.subplots()
    plain(ax)
    ax.grid(visible=False)
    ax.imshow(np.where(counts.sum(1, keepdims=True) > 0, shares, np.nan), cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        if counts[row, column]:
            color = "white" if share > 0.55 else INK
            ax.text(column, row, f"{share:.2f}", ha="center", va="center", fontsize=6.5, color=color)
    names = [literal(name) for name in classes]
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), names)
    ax.set_xlabel("judged", fontsize=8, color=MUTED)
    ax.set_ylabel("true", fontsize=8, color=MUTED)
    title(ax, f"{factor}, dynamics kept")
    caption = (
        f"True classes of '{factor}' (rows) and what the judge sees (columns) when the dynamic code is kept and the "
        "static code is drawn; rows sum to one."
    )
    return as_png(figure, f"confusion_{_plain(factor)}", caption, smooth=True)


def confusion_pictures(report: Report) -> list[Picture]:
    """One picture per dynamic factor that ``conditional-generation`` judged; none if it was not run."""
    notes = report.provenance.get("conditional-generation", {})
    return [
        confusion_matrix(np.array(found["counts"]), found["classes"], factor)
        for factor, found in notes.get("confusion", {}).items()
    ]


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)

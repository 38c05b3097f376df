"""`Picture`: a finished figure as bytes; and how a Matplotlib figure becomes one.

Matplotlib is imported when the first figure is drawn, and only through `Figure` objects: no
pyplot, no backend switch, no settings changed for the rest of the process.
"""

from __future__ import annotations

import importlib.util
import io
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seqdis.disk import write_bytes
from seqdis.errors import SeqdisError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1d2330", "#667085", "#e4e7ec", "#ffffff"
# Okabe and Ito's palette: told apart with the common kinds of colour blindness.
BLUE, ORANGE, SKY = "#0072b2", "#d55e00", "#56b4e9"
DPI = 192
_SUFFIXES = {"image/png": ".png", "image/gif": ".gif"}


@dataclass(frozen=True)
class Picture:
    """A figure that is ready to be saved or mailed.

    Parameters
    ----------
    name : str
        File name without suffix. A moving (GIF) and a still (PNG) picture of one name are two
        forms of one figure.
    caption : str
    data : bytes
    mime : "image/png" or "image/gif"
    """

    name: str
    caption: str
    data: bytes = field(repr=False)
    mime: str = "image/png"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, read from the header."""
        if self.mime == "image/gif":
            width, height = struct.unpack("<HH", self.data[6:10])
        else:
            width, height = struct.unpack(">II", self.data[16:24])
        return width, height

    def save(self, folder: str | Path) -> Path:
        """Write ``folder/name.png`` (or ``.gif``), whole or not at all; return the path."""
        path = Path(folder) / f"{self.name}{_SUFFIXES[self.mime]}"
        write_bytes(path, self.data)
        return path


def need_matplotlib() -> None:
    """Check that figures can be drawn.

    Raises
    ------
    SeqdisError
        Matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise SeqdisError("figures need Matplotlib, which is not installed: pip install 'seqdis[plot]'.")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches."""
    need_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor=PAPER)


def grid_of_axes(rows: int, columns: int, width: float, height: float, **sharing: Any) -> tuple[Figure, Any]:
    """A figure of ``rows`` x ``columns`` plain axes; ``width`` and ``height`` are inches per panel."""
    figure = new_figure(columns * width, rows * height)
    axes = figure.subplots(rows, columns, squeeze=False, **sharing)
    for ax in axes.flat:
        plain(ax)
    return figure, axes


def plain(ax: Axes) -> None:
    """Quiet axes: two spines, small labels, a light grid behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GRID)
    ax.tick_params(labelsize=7.5, colors=MUTED, length=0)
    ax.grid(color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)


def literal(words: str) -> str:
    """Words as they are: a dollar sign in a name must not start a formula."""
    return words.replace("$", r"\$")


def title(ax: Axes, words: str) -> None:
    """A small bold heading, flush left."""
    ax.set_title(literal(words), fontsize=8.5, color=INK, loc="left", fontweight="bold")


def legend(figure: Figure, handles: list[Any], labels: list[str]) -> None:
    """One legend for the whole figure, below it."""
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(4, len(labels)),
        frameon=False,
        fontsize=8,
        labelcolor=INK,
    )


def as_png(figure: Figure, name: str, caption: str, *, smooth: bool = False) -> Picture:
    """Draw the figure. The same figure gives the same bytes; ``smooth`` keeps colour gradients whole."""
    from PIL import Image

    image = Image.fromarray(as_pixels(figure))
    if not smooth:
        # 256 colours take a third of the bytes; only a colour bar would show it.
        image = image.quantize(256, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return Picture(name, caption, buffer.getvalue())


def as_pixels(figure: Figure) -> npt.NDArray[np.uint8]:
    """(height, width, 3) bytes of the drawn figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()

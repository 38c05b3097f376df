"""Rendering of sprites: layers of LPC sheets, one over the other on black."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqdis.datasets._images import Pixels, decoded
from seqdis.errors import DataError

Index = npt.NDArray[np.int64]

CELL = 64  # pixels; sheets have 21 rows of 13 cells
SHEET = (21 * CELL, 13 * CELL, 4)
ATTRIBUTES = ("body", "bottomwear", "topwear", "hair")  # folders of the layers, in the order of painting
VALUES = 6
LAYERS = (*(f"{folder}/{value}.png" for folder in ATTRIBUTES for value in range(VALUES)), "shoes/1.png")
# The sheet row that shows the back; left, front and right follow it, one row each.
_FIRST_ROW = {"walk": 8, "spellcast": 0, "slash": 12}
_COLUMNS = {
    "walk": (8, 1, 2, 3, 4, 5, 6, 7),
    "spellcast": (0, 1, 2, 3, 4, 5, 4, 6),
    "slash": (0, 1, 2, 3, 4, 5, 4, 0),
}
_DIRECTIONS = {"front": 2, "left": 1, "right": 3}
ACTIONS = tuple(f"{movement} {direction}" for movement in _COLUMNS for direction in _DIRECTIONS)
FRAMES = 8
_BLOCK = 64  # sequences that are rendered before they are written


class Overlay(NamedTuple):
    """The pixels that one layer paints in the eight frames of one action, and nothing of the rest.

    ``at`` are their places in a flat array (frames, 3, height, width), ``colour`` their values there, and
    ``alpha`` their opacity, 0 to 255; None where all are opaque, as nearly all layers are.
    """

    at: Index
    colour: Pixels
    alpha: npt.NDArray[np.int64] | None


def read_layers(folder: Path) -> dict[str, list[Overlay]]:
    """Overlays of all layers by file name, one for each action.

    Raises
    ------
    DataError
        A layer is missing, damaged or of another size.
    """
    layers = {}
    for name in LAYERS:
        sheet = decoded(folder / name, colour=False)
        if sheet.shape != SHEET or sheet.dtype != np.uint8:
            raise DataError(
                f"{folder / name}: {sheet.dtype} image of shape {sheet.shape}; expected a sprite sheet of "
                f"{SHEET[1]} x {SHEET[0]} pixels with transparency. Get the published layer again."
            )
        layers[name] = [_overlay(_cells(sheet, action)) for action in ACTIONS]
    return layers


def attributes_of(character: Index) -> Index:
    """(..., 4) values of the attributes: base-six digits of a character's number."""
    return np.stack(np.unravel_index(character, (VALUES,) * len(ATTRIBUTES)), axis=-1)


def rendered(
    layers: Mapping[str, list[Overlay]], character: Index, action: Index, size: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """Sequences in blocks of (some, 8, 3, size, size), in the order given.

    Parameters
    ----------
    layers : mapping
        From `read_layers`.
    character, action : array of int64, (n,)
        Numbers 0..1295 and 0..8.
    size : 64 or 32
        32: the mean of four pixels, rounded to the nearest, halves up.
    """
    for start in range(0, len(character), _BLOCK):
        some = slice(start, start + _BLOCK)
        block = np.zeros((len(character[some]), FRAMES, 3, CELL, CELL), dtype=np.uint8)
        for row, values, doing in zip(block, attributes_of(character[some]), action[some], strict=True):
            canvas = row.reshape(-1)
            for folder, value in zip(ATTRIBUTES, values, strict=True):
                _paint(canvas, layers[f"{folder}/{value}.png"][doing])
            _paint(canvas, layers["shoes/1.png"][doing])
        yield block if size == CELL else _halved(block)


def _cells(sheet: Pixels, action: str) -> Pixels:
    """(8, 64, 64, 4): the frames of one action."""
    movement, direction = action.split()
    grid = sheet.reshape(21, CELL, 13, CELL, 4).swapaxes(1, 2)
    return grid[_FIRST_ROW[movement] + _DIRECTIONS[direction], list(_COLUMNS[movement])]


def _overlay(cells: Pixels) -> Overlay:
    frame, y, x = np.nonzero(cells[..., 3])
    at = np.stack([np.ravel_multi_index((frame, c, y, x), (FRAMES, 3, CELL, CELL)) for c in range(3)])
    alpha = np.broadcast_to(cells[frame, y, x, 3].astype(np.int64), at.shape)
    colour = cells[frame, y, x, :3].T
    opaque = bool((alpha == 255).all())
    return Overlay(at.reshape(-1), colour.reshape(-1), None if opaque else alpha.reshape(-1))


def _paint(canvas: Pixels, layer: Overlay) -> None:
    if layer.alpha is None:
        canvas[layer.at] = layer.colour
    else:  # "over" on an opaque ground, rounded to the nearest byte
        blend = layer.colour * layer.alpha + canvas[layer.at] * (255 - layer.alpha)
        canvas[layer.at] = (2 * blend + 255) // 510


def _halved(block: Pixels) -> Pixels:
    tall = block[..., ::2, :].astype(np.uint16) + block[..., 1::2, :]
    return ((tall[..., ::2] + tall[..., 1::2] + 2) // 4).astype(np.uint8)

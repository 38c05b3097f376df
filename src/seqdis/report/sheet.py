"""`Sheet`: a pixel-exact page of small moving images with captions, saved as PNG or animated GIF.

Frames are pasted, never resampled by a plotting library, so that a 16 x 16 toy and a 64 x 64 face
are both shown exactly as the model made them.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from seqdis.errors import DataError
from seqdis.report.picture import INK, Picture, as_pixels, literal, need_matplotlib, new_figure
from seqdis.sequences import DataSpec, Sequences

Pixels = npt.NDArray[np.uint8]
GAP = 2
BLANK = 238
_FRAME = 210
_MARGIN = 12
_TALL, _WIDE = 72, 120
_RANGE = (2.0, 98.0)


@dataclass
class Sheet:
    """Tiles and words at positions in pixels from the top left corner."""

    tiles: list[tuple[int, int, Pixels]] = field(default_factory=list)
    words: list[tuple[float, float, str, dict[str, Any]]] = field(default_factory=list)

    def tile(self, x: int, y: int, frames: Pixels) -> None:
        """Place ``frames`` (frames, height, width, 3)."""
        self.tiles.append((x, y, frames))

    def text(self, x: float, y: float, words: str, **style: Any) -> None:
        """Write centred on a point; ``style`` as for Matplotlib's ``Text``."""
        look = {"fontsize": 8, "color": INK, "ha": "center", "va": "center"} | style
        self.words.append((x, y, literal(words), look))

    def pixels(self, scale: int) -> Pixels:
        """(frames, height, width, 3), all coordinates times ``scale``."""
        width = _MARGIN + max(x + frames.shape[2] for x, _, frames in self.tiles)
        height = _MARGIN + max(y + frames.shape[1] for _, y, frames in self.tiles)
        page = self._page(width, height, scale)
        count = max(len(frames) for _, _, frames in self.tiles)
        out = np.repeat(page[None], count, axis=0)
        for x, y, frames in self.tiles:
            big = frames.repeat(scale, axis=1).repeat(scale, axis=2)
            top, left = y * scale, x * scale
            bottom, right = top + big.shape[1], left + big.shape[2]
            # A thin frame, or a white video would melt into the page.
            out[:, top - 1 : bottom + 1, left - 1 : right + 1] = _FRAME
            # A tile with fewer frames than the longest stands still on its last one.
            out[:, top:bottom, left:right] = big[np.minimum(np.arange(count), len(big) - 1)]
        return out

    def _page(self, width: int, height: int, scale: int) -> Pixels:
        dpi = 96 * scale
        figure = new_figure(1, 1)
        figure.set_layout_engine("none")
        figure.set_dpi(dpi)
        # Half a pixel more: 1/96 inch steps are not exact, and Agg truncates.
        figure.set_size_inches((width * scale + 0.5) / dpi, (height * scale + 0.5) / dpi)
        for x, y, words, style in self.words:
            figure.text(x / width, 1 - y / height, words, **style)
        return as_pixels(figure)

    def png(self, name: str, caption: str) -> Picture:
        """The first frame, twice as fine as a screen pixel."""
        return Picture(name, caption, _encode_png(self.pixels(2)[0]))

    def gif(self, name: str, caption: str, milliseconds: int = 140) -> Picture:
        """All frames, repeated for ever."""
        return Picture(name, caption, _encode_gif(self.pixels(1), milliseconds), "image/gif")


def strip(frames: Pixels, shown: int) -> Pixels:
    """Some frames, evenly spaced in time, side by side: (1, height, wide, 3)."""
    chosen = np.linspace(0, len(frames) - 1, min(shown, len(frames))).round().astype(int)
    return beside([frames[i : i + 1] for i in chosen])


def beside(tiles: list[Pixels], axis: int = 2) -> Pixels:
    """Tiles side by side (``axis=2``) or one above the other (``axis=1``) with a thin gap."""
    count = max(len(tile) for tile in tiles)
    parts: list[Pixels] = []
    for tile in tiles:
        padded = tile[np.minimum(np.arange(count), len(tile) - 1)]
        if parts:
            shape = list(padded.shape)
            shape[axis] = GAP
            parts.append(np.full(shape, 255, dtype=np.uint8))
        parts.append(padded)
    return np.concatenate(parts, axis=axis)


@dataclass(frozen=True)
class Painter:
    """Turns elements of a data set into RGB frames of a readable size.

    Parameters
    ----------
    spec : DataSpec
    zoom : (int, int)
        Screen pixels per image pixel, down and across.
    low, high : float
        Range of the colour scale of spectrograms, in data units.
    """

    spec: DataSpec
    zoom: tuple[int, int]
    low: float = 0.0
    high: float = 1.0

    @classmethod
    def of(cls, like: Sequences) -> Painter:
        """A painter whose colour scale and size suit what is observed in these sequences: padding is no sound."""
        spec = like.spec
        if spec.kind == "image":
            zoom = max(1, round(_TALL / spec.shape[1]))
            return cls(spec, (zoom, zoom))
        low, high = np.percentile(like.x[like.observed()], _RANGE)
        zooms = max(1, round(_TALL / spec.shape[0])), max(1, round(_WIDE / like.x.shape[1]))
        return cls(spec, zooms, low=float(low), high=float(max(high, low + 1e-12)))

    def __call__(self, x: npt.NDArray[Any], seen: npt.NDArray[np.bool_] | None = None) -> Pixels:
        """One sequence (time, *features) as (frames, height, width, 3); a spectrogram is one frame.

        Steps that are not ``seen`` (time,) are left blank: missing, or beyond the end.
        """
        unseen = np.zeros(len(x), dtype=bool) if seen is None else ~seen
        if self.spec.kind == "spectrogram":
            frames = self._spectrogram(x)
            frames[:, :, unseen] = BLANK
        else:
            frames = _rgb(x, self.spec.scale[0])
            frames[unseen] = BLANK
        return frames.repeat(self.zoom[0], axis=1).repeat(self.zoom[1], axis=2)

    def _spectrogram(self, x: npt.NDArray[Any]) -> Pixels:
        need_matplotlib()
        from matplotlib import colormaps

        level = np.clip((x - self.low) / (self.high - self.low), 0.0, 1.0)
        # Low frequencies at the bottom, time from left to right.
        picture = colormaps["magma"](level.T[::-1])[..., :3]
        painted: Pixels = np.rint(picture[None] * 255).astype(np.uint8)
        return painted


def _rgb(x: npt.NDArray[Any], white: float) -> Pixels:
    """(time, channels, height, width) of bytes in [0, white] or of numbers in [0, 1] -> (time, height, width, 3).

    A fourth channel is opacity, before the white of the page.
    """
    if x.ndim != 4 or x.shape[1] not in (1, 3, 4):
        raise DataError(f"cannot draw elements of shape {x.shape[1:]}; expected (1, 3 or 4 channels, height, width).")
    fractions = np.clip(x / white if x.dtype == np.uint8 else np.nan_to_num(x), 0.0, 1.0)
    if x.shape[1] == 4:
        fractions = 1.0 - fractions[:, 3:] * (1.0 - fractions[:, :3])
    frames = np.rint(fractions * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return np.broadcast_to(frames, (*frames.shape[:3], 3)).copy()


def _encode_png(pixels: Pixels) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _encode_gif(frames: Pixels, milliseconds: int) -> bytes:
    """One palette for all frames, so that colours do not flicker."""
    from PIL import Image

    chosen = np.linspace(0, len(frames) - 1, min(6, len(frames))).round().astype(int)
    found = Image.fromarray(np.concatenate(frames[chosen])).quantize(255, method=Image.Quantize.MEDIANCUT)
    # Entry 0 is the paper: a found palette would average it with its neighbours.
    entries = [255, 255, 255, *(found.getpalette() or [])[: 255 * 3]]
    palette = Image.new("P", (1, 1))
    palette.putpalette(entries)
    images = []
    for frame in frames:
        indices = np.array(Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE))
        indices[(frame == 255).all(-1)] = 0
        image = Image.fromarray(indices)
        image.putpalette(entries)
        images.append(image)
    buffer = io.BytesIO()
    images[0].save(
        buffer, format="GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0, optimize=False
    )
    return buffer.getvalue()

"""Generated video with known factors: what a figure is (static) and how it moves (dynamic)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._hybrids import hybrid_labels
from seqdis.datasets._splits import unseen_combinations
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.sequences import DataSpec, FactorSpec, Sequences

Array = npt.NDArray[Any]


def _triangle(u: Array, v: Array, r: Array) -> Array:
    v = v - 0.39 * r  # centred on its bounding box, which leaves it the most room to move
    return np.maximum(0.866 * np.abs(u) - 0.5 * v, v) - 0.78 * r


def _cross(u: Array, v: Array, r: Array) -> Array:
    a, b = np.abs(u), np.abs(v)
    return np.minimum(np.maximum(a - 1.14 * r, b - 0.42 * r), np.maximum(a - 0.42 * r, b - 1.14 * r))


# Signed distance in pixels (negative inside) at offset (u right, v down) from the centre. The
# factors of r give all shapes about the area of a disc of radius r, so that size and shape can be told apart.
SHAPES: dict[str, Callable[[Array, Array, Array], Array]] = {
    "disc": lambda u, v, r: np.hypot(u, v) - r,
    "square": lambda u, v, r: np.maximum(np.abs(u), np.abs(v)) - 0.89 * r,
    "diamond": lambda u, v, r: (np.abs(u) + np.abs(v)) * 0.707 - 0.89 * r,
    "triangle": _triangle,
    "cross": _cross,
    "ring": lambda u, v, r: np.abs(np.hypot(u, v) - 0.98 * r) - 0.26 * r,
}
EXTENT = 1.36  # half the side of a box that holds any shape, in r

COLOURS = {
    "red": (235, 50, 50),
    "green": (50, 205, 70),
    "blue": (65, 95, 245),
    "yellow": (240, 220, 50),
    "magenta": (225, 70, 225),
    "cyan": (50, 215, 225),
}
SIZES = {"small": 0.12, "medium": 0.155, "large": 0.19}  # r as a fraction of the frame


class Motion(NamedTuple):
    """A closed curve in the square [-1, 1] x [-1, 1] and the pace on it.

    On each axis (x right, y **down**) the figure is at ``amplitude * wave(harmonic * c + shift)``
    for ``c`` cycles, and one cycle takes ``frames`` frames.
    """

    name: str
    wave: Literal["sine", "triangle"]
    frames: int
    amplitude: tuple[float, float]
    harmonic: tuple[int, int] = (1, 1)
    shift: tuple[float, float] = (0.0, 0.0)


MOTIONS = (
    Motion("left-right", "triangle", 8, (0.75, 0.0)),
    Motion("up-down", "triangle", 8, (0.0, 0.75)),
    Motion("left-right fast", "triangle", 4, (0.75, 0.0)),
    Motion("rising diagonal", "triangle", 8, (0.55, -0.55)),
    Motion("falling diagonal", "triangle", 8, (0.55, 0.55)),
    Motion("clockwise", "sine", 8, (0.55, 0.55), shift=(0.25, 0.0)),
    Motion("anticlockwise", "sine", 8, (0.55, -0.55), shift=(0.25, 0.0)),
    Motion("zig-zag", "triangle", 16, (0.75, 0.5), harmonic=(1, 4)),
    Motion("figure eight", "sine", 8, (0.6, 0.7), harmonic=(2, 1)),
)
FACTORS = (
    FactorSpec(name="shape", kind="static", classes=tuple(SHAPES)),
    FactorSpec(name="colour", kind="static", classes=tuple(COLOURS)),
    FactorSpec(name="size", kind="static", classes=tuple(SIZES)),
    FactorSpec(name="motion", kind="dynamic", classes=tuple(motion.name for motion in MOTIONS)),
    FactorSpec(name="position_x", kind="dynamic", unit="px"),
    FactorSpec(name="position_y", kind="dynamic", unit="px"),
)
STATIC_COUNTS = (len(SHAPES), len(COLOURS), len(SIZES))
PARTS = ("train", "valid", "test")


@hyperparameters
class MovingFigures(SequenceDataset):
    """Coloured figures that move on black, generated from a seed; the true hybrid of any two is known.

    Parameters
    ----------
    n_train, n_valid, n_test : int
        Sequences of each part. Parts are independent draws.
    size : int
        Height and width of a frame in pixels.
    length : int
        Frames of a sequence. The pace of a motion does not depend on it; 8 frames show every motion.
    spread : float
        At 0 every motion is one fixed course from the middle of the frame, so that the first frame shows the
        static factors and nothing else: what methods assume that read the static code from one frame. Above 0,
        figures start anywhere within this radius of the middle (1 is as far as a figure can go) at any phase of
        their course; then the first frame also tells where the course begins, and the task is far harder.
    noise : float
        Standard deviation of Gaussian pixel noise, where white is 1. Values are clipped to [0, 1].
    missing_rate : float
        Chance of a frame to be missing (black and marked in ``mask``). One frame of a sequence always stays.
    unseen : float
        Share of the combinations of (shape, colour, size) and motion that only ``test`` contains;
        ``test`` then contains no others. At 0 all parts follow one distribution: without spread and noise
        there are 972 different videos, so that many of ``test`` stand in ``train`` too.
    seed : int

    Notes
    -----
    Frames are uint8 of shape (n, length, 3, size, size), edges anti-aliased by signed distances.
    Shape, colour, size and motion are independent and uniform. The first position has one distribution
    for all motions, so the first frame does not tell the motion. A figure never leaves the frame.
    Labels "position_x" and "position_y", (n, length), are the centre of the figure in pixels from the top left corner.

    Examples
    --------
    >>> train, test = MovingFigures(n_train=6, n_test=2).split("train", "test")
    >>> train.x.shape
    (6, 8, 3, 32, 32)
    """

    name: ClassVar[str] = "moving-figures"
    licence: ClassVar[str] = "Apache-2.0"
    source: ClassVar[str] = "generated by seqdis"
    citation: ClassVar[str] = "Moving figures, generated by seqdis (no publication)."
    modality: ClassVar[str] = "video"

    n_train: int = hyper(default=1200, at_least=1)
    n_valid: int = hyper(default=200, at_least=1)
    n_test: int = hyper(default=300, at_least=1)
    size: int = hyper(default=32, at_least=16, at_most=512)
    length: int = hyper(default=8, at_least=1)
    spread: float = hyper(default=0.0, at_least=0.0, at_most=0.6)
    noise: float = hyper(default=0.0, at_least=0.0, at_most=1.0)
    missing_rate: float = hyper(default=0.0, at_least=0.0, at_most=0.9)
    unseen: float = hyper(default=0.0, at_least=0.0, at_most=0.8)
    seed: int = hyper(default=0, at_least=0)

    def hybrid(self, static_of: Sequences, dynamic_of: Sequences) -> Array:
        """Render the true hybrids: shape, colour and size of one set, whole trajectory of the other.

        Parameters
        ----------
        static_of, dynamic_of : Sequences of this data set, paired row by row

        Returns
        -------
        array of uint8, (n, time of ``dynamic_of``, 3, size, size)
            Without noise and with no frame missing.

        Raises
        ------
        DataError
            Different numbers of sequences, or sequences without these labels or of another shape.
        """
        labels = hybrid_labels(self.name, FACTORS, (3, self.size, self.size), static_of, dynamic_of)
        return self._render(labels)

    def _splits(self) -> Mapping[str, Sequences]:
        validate(self)
        statics = math.prod(STATIC_COUNTS)
        combinations = np.arange(statics * len(MOTIONS))
        seen = unseen = combinations
        if self.unseen > 0:
            static, motion = np.divmod(combinations, len(MOTIONS))
            seen, unseen = unseen_combinations(static, motion, self.unseen, self.seed)
        sizes = (self.n_train, self.n_valid, self.n_test)
        return {
            name: self._part(part, sizes[part], unseen if name == "test" else seen) for part, name in enumerate(PARTS)
        }

    def _part(self, part: int, n: int, combinations: Array) -> Sequences:
        # One stream per purpose: noise or missing frames leave the factors of every sequence as they are.
        draw, frames, pixels = (np.random.default_rng([self.seed, part, purpose]) for purpose in range(3))
        static, motion = np.divmod(combinations[draw.integers(len(combinations), size=n)], len(MOTIONS))
        shape, colour, size = np.unravel_index(static, STATIC_COUNTS)
        position_x, position_y = self._positions(motion, draw)
        labels = {"shape": shape, "colour": colour, "size": size, "motion": motion}
        labels |= {"position_x": position_x, "position_y": position_y}
        x = self._render(labels)
        if self.noise > 0:
            x = _add_noise(x, self.noise, pixels)
        mask = None
        if self.missing_rate > 0:
            mask = frames.random((n, self.length)) >= self.missing_rate
            mask[np.arange(n), frames.integers(self.length, size=n)] |= ~mask.any(axis=1)
            x[~mask] = 0
        spec = DataSpec(
            kind="image",
            shape=(3, self.size, self.size),
            length=self.length,
            scale=(255.0,),
            missing=self.missing_rate > 0,
            factors=FACTORS,
        )
        return Sequences(x=x, spec=spec, mask=mask, labels=labels, ids=np.arange(n), name=f"{self.name}/{PARTS[part]}")

    def _positions(self, motion: Array, draw: np.random.Generator) -> tuple[Array, Array]:
        """Centre of the figure in pixels, x and y, each (n, length) float32."""
        n, tries = len(motion), 256
        # The start is drawn without looking at the motion; then comes a phase that keeps the curve inside.
        radius, angle = self.spread * np.sqrt(draw.random((n, 1))), 2 * np.pi * draw.random((n, 1))
        start = np.stack([radius * np.cos(angle), radius * np.sin(angle)])
        phases = (np.arange(tries) + (draw.random((n, 1)) if self.spread else np.zeros((n, 1)))) / tries
        centre = start - _curve(motion, phases)
        room = 1 - np.abs([[MOTIONS[m].amplitude[axis] for m in motion] for axis in (0, 1)])[..., None]
        inside = (np.abs(centre) <= room).all(axis=0)
        liking = draw.random((n, tries)) if self.spread else np.zeros((n, tries))  # all alike: the first that fits
        chosen = np.where(inside, liking, -1.0).argmax(axis=1)[:, None]
        phase, centre = np.take_along_axis(phases, chosen, 1), np.take_along_axis(centre, chosen[None], 2)
        pace = 1 / np.array([MOTIONS[m].frames for m in motion])[:, None]
        at = centre + _curve(motion, phase + pace * np.arange(self.length))
        reach = self.size * (0.5 - EXTENT * max(SIZES.values())) - 1  # a pixel for the soft edge
        x, y = (self.size / 2 + reach * at).astype(np.float32)
        return x, y

    def _render(self, labels: Mapping[str, Array]) -> Array:
        x, y = labels["position_x"], labels["position_y"]
        frames = np.empty((*x.shape, 3, self.size, self.size), dtype=np.uint8)
        radius = (np.array(list(SIZES.values()), dtype=np.float32) * self.size)[labels["size"]]
        colour = np.array(list(COLOURS.values()), dtype=np.float32)[labels["colour"]]
        grid = np.arange(self.size, dtype=np.float32) + np.float32(0.5)
        for kind, distance in enumerate(SHAPES.values()):
            rows = np.flatnonzero(labels["shape"] == kind)
            for some in np.array_split(rows, max(1, len(rows) // 16)):  # small enough to stay in the cache
                u = grid - x[some, :, None, None]
                v = grid[:, None] - y[some, :, None, None]
                cover = np.clip(0.5 - distance(u, v, radius[some, None, None, None]), 0, 1)
                frames[some] = cover[:, :, None] * colour[some, None, :, None, None] + np.float32(0.5)
        return frames


def _curve(motion: Array, cycles: Array) -> Array:
    """Points on the curve of each row's motion, (2, n, k), for cycles (n, k)."""
    points = np.empty((2, *cycles.shape))
    for code, kind in enumerate(MOTIONS):
        rows = motion == code
        for axis in (0, 1):
            turn = kind.harmonic[axis] * cycles[rows] + kind.shift[axis]
            wave = np.sin(2 * np.pi * turn) if kind.wave == "sine" else 4 * np.abs((turn - 0.25) % 1 - 0.5) - 1
            points[axis, rows] = kind.amplitude[axis] * wave
    return points


def _add_noise(x: Array, noise: float, draw: np.random.Generator) -> Array:
    """Bytes with Gaussian noise of standard deviation ``noise`` (white is 1), rounded and clipped."""
    noisy = np.empty_like(x)
    for row, frames in enumerate(x):  # one sequence at a time: noise in float32 takes four times the room of bytes
        grain = draw.standard_normal(frames.shape, dtype=np.float32) * np.float32(255 * noise)
        noisy[row] = np.clip(np.rint(frames + grain), 0, 255)
    return noisy

"""A world whose latents are known, and a model that reads them: no training, exact swaps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from seqdis.evaluation.report import Report, Score
from seqdis.factors import Factors
from seqdis.sequences import DataSpec, FactorSpec, Sequences

SIDE, STEPS = 16, 8
COLOURS = {"red": (220, 60, 50), "green": (40, 160, 90), "blue": (50, 100, 210), "gold": (230, 180, 40)}
MOTIONS = {"right": (0, 1), "down": (1, 0), "diagonal": (1, 1), "still": (0, 0)}


def draw_square(colour, size, path):
    """One video, (time, 3, side, side) bytes; ``path`` (time, 2) is the top left corner."""
    video = np.full((len(path), 3, SIDE, SIDE), 20, dtype=np.uint8)
    for t, (y, x) in enumerate(np.rint(path).astype(int)):
        video[t, :, y : y + size, x : x + size] = np.asarray(colour)[:, None, None]
    return video


def moving_squares(n=24, seed=0):
    rng = np.random.default_rng(seed)
    colour, motion = rng.integers(0, 4, n), rng.integers(0, 4, n)
    size = rng.integers(4, 8, n)
    spec = DataSpec(
        kind="image",
        shape=(3, SIDE, SIDE),
        length=STEPS,
        scale=(255.0,),
        factors=(
            FactorSpec(name="colour", kind="static", classes=tuple(COLOURS)),
            FactorSpec(name="size", kind="static", unit="pixels"),
            FactorSpec(name="motion", kind="dynamic", classes=tuple(MOTIONS)),
        ),
    )
    start = rng.integers(0, 2, (n, 2))
    paths = start[:, None] + np.arange(STEPS)[:, None] * np.array(list(MOTIONS.values()))[motion][:, None]
    videos = [draw_square(list(COLOURS.values())[colour[i]], size[i], paths[i]) for i in range(n)]
    steps = np.repeat(motion[:, None], STEPS, axis=1)
    labels = {"colour": colour, "size": size.astype(np.float32), "motion": steps}
    return Sequences(x=np.stack(videos), spec=spec, labels=labels, name="moving-squares/test")


def waves(n=4, seed=0):
    """Series with missing values: the level is static, the rhythm is dynamic; the last sequence is shorter."""
    rng = np.random.default_rng(seed)
    level, rhythm = rng.uniform(-3, 3, (n, 1, 2)), rng.uniform(0.15, 0.6, (n, 1, 1))
    x = (level + np.sin(np.arange(40)[None, :, None] * rhythm)).astype(np.float32)
    mask = rng.random(x.shape) > 0.25
    mask[:, 10:18, 1] = False
    spec = DataSpec(kind="series", shape=(2,), length=40, missing=True, feature_names=("heart rate", "lactate"))
    lengths = np.array([40] * (n - 1) + [30])
    ids = np.array([f"patient {i + 1}" for i in range(n)])
    return Sequences(x=x, spec=spec, mask=mask, lengths=lengths, ids=ids, name="waves/test")


@dataclass
class SquareReader:
    """Reads colour and size (static) and position (dynamic) off the pixels and draws them again."""

    dim: float = 1.0

    def encode(self, X):
        static, dynamic = [], []
        for video in X.x:
            ys, xs = zip(*(np.nonzero(frame.max(0) > 25) for frame in video), strict=True)
            corner = np.array([[y.min(), x.min()] for y, x in zip(ys, xs, strict=True)])
            colour = video[0][:, ys[0][0], xs[0][0]]
            static.append([*colour, np.ptp(ys[0]) + 1])
            dynamic.append(corner)
        return Factors(torch.tensor(np.array(static)).float(), torch.tensor(np.array(dynamic)).float())

    def decode(self, factors):
        static, dynamic = factors.static.numpy(), factors.dynamic.numpy()
        videos = [draw_square(s[:3] * self.dim, int(s[3]), d) for s, d in zip(static, dynamic, strict=True)]
        return np.stack(videos).astype(np.float32) / 255

    def reconstruct(self, X):
        return self.decode(self.encode(X))

    def swap(self, static_of, dynamic_of):
        return self.decode(Factors(self.encode(static_of).static, self.encode(dynamic_of).dynamic))

    def sample(self, n, length=None, like=None, keep=None, seed=0):
        static, dynamic = self.encode(moving_squares(n, seed + 100))
        given = self.encode(like)
        return self.decode(
            Factors(given.static if keep == "static" else static, given.dynamic if keep == "dynamic" else dynamic)
        )


class LevelReader:
    """Mean level is the static code, what is left the dynamic one."""

    def _codes(self, X):
        x = np.where(X.observed(), X.x, np.nan)
        return np.nanmean(x, axis=1, keepdims=True), np.sin(np.arange(40) * 0.3)[None, :, None] + 0 * X.x

    def reconstruct(self, X):
        level, rest = self._codes(X)
        return level + rest

    def swap(self, static_of, dynamic_of):
        return self._codes(static_of)[0] + self._codes(dynamic_of)[1]

    def sample(self, n, length=None, like=None, keep=None, seed=0):
        phase = np.random.default_rng(seed).uniform(0, 6)
        level, _ = self._codes(like)
        return level + np.sin(np.arange(40) * 0.3 + phase)[None, :, None] * np.ones(2)


def some_scores():
    """Two protocols; a spread over heads and one over splits; controls for all but one column."""
    shared = {"dataset": "moving-squares/test", "protocol": "latent leakage", "form": "corrected"}
    scores = []
    for factor, good, chance, better in (
        ("colour from static", 0.9812, 0.25, "higher"),
        ("motion from static", 0.2621, 0.25, "lower"),
        ("motion from dynamic", 0.9743, 0.25, "higher"),
    ):
        row = {**shared, "metric": "accuracy", "factor": factor, "better": better}
        heads = {"n": 5, "over": "heads"}
        scores += [
            Score(method="majority class", role="control", value=chance, **row),
            Score(method="DBSE", value=good, spread=0.0042, seed=0, **heads, **row),
            Score(method="untrained encoder", role="control", value=chance + 0.2, spread=0.021, seed=0, **heads, **row),
            Score(method="DBSE", role="published", value=good - 0.02, source="DBSE paper Tab. 2", **row),
        ]
    gap = {**shared, "metric": "leakage gap", "factor": "static", "better": "higher"}
    scores.append(Score(method="DBSE", value=0.719, spread=0.0112, n=10, over="splits", seed=0, **gap))
    other = {"dataset": "moving-squares/test", "protocol": "conditional generation", "form": "published"}
    scores.append(Score(method="DBSE", metric="H(y|x)", value=0.0412, better="lower", seed=0, **other))
    scores.append(Score(method="judge on noise", metric="H(y|x)", value=1.31, better="lower", role="control", **other))
    return Report(scores=tuple(scores))


def some_history(epochs=30):
    rows = []
    for epoch in range(1, epochs + 1):
        terms = {"reconstruction": 900 / epoch, "kl_static": 4 - 2 / epoch, "kl_dynamic": 9 - 5 / epoch}
        row = {"epoch": epoch, "seconds": 1.5, "train": {"total": sum(terms.values()), **terms}}
        if epoch % 5 == 0:
            row["valid"] = {name: value * 1.1 for name, value in row["train"].items()}
        rows.append(row)
    return rows


@pytest.fixture(scope="session")
def video():
    return moving_squares()


@pytest.fixture(scope="session")
def series():
    return waves()


@pytest.fixture(scope="session")
def squares():
    return SquareReader()


@pytest.fixture(scope="session")
def levels():
    return LevelReader()


@pytest.fixture(scope="session")
def report():
    return some_scores()


@pytest.fixture(scope="session")
def history():
    return some_history()


@pytest.fixture(scope="session")
def spectrograms():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 20, 80)).astype(np.float32).cumsum(axis=1)
    spec = DataSpec(kind="spectrogram", shape=(80,), length=20)
    return Sequences(x=x, spec=spec, lengths=np.array([20, 20, 15, 20]), name="speech/test")


@pytest.fixture(scope="session")
def truth(squares):
    """The generator's own hybrids."""
    return replace(squares, dim=1.0).swap

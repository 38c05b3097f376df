"""A generated data set and a model whose codes are known by construction, for tests of evaluations."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from seqdis.factors import Factors
from seqdis.sequences import DataSpec, FactorSpec, Sequences

STATIC, DYNAMIC, NOISE = slice(0, 4), slice(4, 7), slice(7, 9)


@dataclass
class PlantedData:
    """Series whose features are one-hot (static class, dynamic class of each step) and noise.

    Parameters: sizes of train, valid and test; names of the factors; whether the dynamic label is per
    step; whether lengths differ; noise added to all features.
    """

    sizes: tuple[int, int, int] = (120, 60, 100)
    static: str = "person"
    static_classes: int = 4
    dynamic: str = "gesture"
    per_step: bool = False
    ragged: bool = False
    noise: float = 0.05
    time: int = 6
    seed: int = 0
    name: str = "planted"
    poison: int = 0  # added to the static labels of test, modulo the classes

    def parts(self) -> dict[str, Sequences]:
        return {part: self._part(part, self.sizes[k], k) for k, part in enumerate(("train", "valid", "test"))}

    def hybrid(self, static_of: Sequences, dynamic_of: Sequences) -> np.ndarray:
        return mixed(static_of, dynamic_of)

    def _part(self, part: str, n: int, k: int) -> Sequences:
        draw = np.random.default_rng([self.seed, k])
        static = draw.integers(self.static_classes, size=n)
        dynamic = draw.integers(3, size=(n, self.time) if self.per_step else n)
        steps = dynamic if self.per_step else np.repeat(dynamic[:, None], self.time, 1)
        x = np.zeros((n, self.time, 9), dtype=np.float32)
        x[..., STATIC] = np.eye(4, dtype=np.float32)[static][:, None]
        x[..., DYNAMIC] = np.eye(3, dtype=np.float32)[steps]
        x[..., NOISE] = draw.standard_normal((n, self.time, 2))
        x += self.noise * draw.standard_normal(x.shape).astype(np.float32)
        lengths = None
        if self.ragged:
            lengths = draw.integers(2, self.time + 1, size=n)
            x[np.arange(self.time) >= lengths[:, None]] = 0
        factors = (
            FactorSpec(name=self.static, kind="static", classes=tuple("abcd"[: self.static_classes])),
            FactorSpec(name="level", kind="static", unit="m"),
            FactorSpec(name=self.dynamic, kind="dynamic", classes=tuple("xyz")),
        )
        if part == "test":
            static = (static + self.poison) % self.static_classes
        return Sequences(
            x=x,
            spec=DataSpec(kind="series", shape=(9,), length=self.time, factors=factors),
            lengths=lengths,
            labels={self.static: static, self.dynamic: dynamic, "level": draw.standard_normal(n)},
            name=f"{self.name}/{part}",
        )


@dataclass
class PlantedModel:
    """Codes are features of the input: those of ``static`` averaged over time, those of ``dynamic`` per window."""

    static: slice = field(default_factory=lambda: STATIC)
    dynamic: slice = field(default_factory=lambda: DYNAMIC)
    stride: int = 1
    spec_: DataSpec = field(default_factory=lambda: DataSpec(kind="series", shape=(9,), length=6))
    informative: bool = True
    asked: list[str] = field(default_factory=list)

    @property
    def static_dim(self) -> int:
        return self.static.stop - self.static.start

    @property
    def dynamic_dim(self) -> int:
        return self.dynamic.stop - self.dynamic.start

    def encode(self, X: Sequences) -> Factors:
        self.asked.append(X.name)
        x = torch.from_numpy(X.x if self.informative else np.random.default_rng(0).standard_normal(X.x.shape)).float()
        n, time = x.shape[:2]
        windows = -(-time // self.stride)
        full = torch.zeros(n, windows * self.stride, x.shape[2])
        full[:, :time] = x
        lengths = None if X.lengths is None else torch.from_numpy(-(-X.lengths // self.stride))
        return Factors(
            x[..., self.static].mean(1), full.unflatten(1, (windows, self.stride)).mean(2)[..., self.dynamic], lengths
        )

    def reconstruct(self, X: Sequences) -> np.ndarray:
        return X.x if self.informative else np.zeros_like(X.x)

    def swap(self, A: Sequences, B: Sequences) -> np.ndarray:
        return mixed(A, B) if self.informative else np.zeros_like(B.x)

    def untrained(self) -> PlantedModel:
        return replace(self, informative=False)


def mixed(static_of: Sequences, dynamic_of: Sequences) -> np.ndarray:
    x = dynamic_of.x.copy()
    x[..., STATIC] = static_of.x[..., STATIC]
    return x


def groups(report) -> dict[tuple[str, str, str, str], set[str]]:
    """(protocol, form, metric, factor) -> roles found there."""
    found: dict[tuple[str, str, str, str], set[str]] = {}
    for row in report:
        found.setdefault((row.protocol, row.form, row.metric, row.factor), set()).add(row.role)
    return found

"""Small moving figures, a small judge that reads them, and a model whose codes are their true factors."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from seqdis.datasets import MovingFigures
from seqdis.evaluation.judge import Judge
from seqdis.factors import Factors
from seqdis.sequences import DataSpec, Sequences

FIGURES = MovingFigures(n_train=800, n_valid=80, n_test=60, size=16)
JUDGE = Judge(epochs=30, lr=3e-3, batch_size=32, filters=8, feature_dim=32, hidden_dim=32)
STATIC = {"shape": 6, "colour": 6, "size": 3}


def codes_of(labels) -> Factors:
    """Static: classes of shape, colour and size. Dynamic: position of every frame."""
    static = np.stack([labels[name] for name in STATIC], 1)
    dynamic = np.stack([labels["position_x"], labels["position_y"]], 2)
    return Factors(torch.from_numpy(static).float(), torch.from_numpy(dynamic).float())


class TruePrior(nn.Module):
    """Uniform static classes; courses of real sequences."""

    def __init__(self, courses: torch.Tensor) -> None:
        super().__init__()
        self.courses = nn.Parameter(courses)

    def prior(self, n, length, generator=None, *, mean=False):
        static = [torch.randint(count, (n,), generator=generator) for count in STATIC.values()]
        rows = torch.randint(len(self.courses), (n,), generator=generator)
        return Factors(torch.stack(static, 1).float(), self.courses[rows, :length].detach())


@dataclass
class TrueModel:
    """Renders what its codes say; ``blank``: black frames, as an untrained network might."""

    data: MovingFigures = field(default_factory=lambda: FIGURES)
    blank: bool = False
    encoded: int = 0
    static_dim: int = 3
    dynamic_dim: int = 2

    @property
    def spec_(self) -> DataSpec:
        return self.data.spec

    @property
    def network_(self) -> TruePrior:
        return TruePrior(codes_of(self.data.split("train")[0].labels).dynamic)

    def encode(self, X: Sequences) -> Factors:
        self.encoded += 1
        return codes_of(X.labels)

    def decode(self, factors: Factors) -> np.ndarray:
        labels = dict(zip(STATIC, factors.static.long().numpy().T, strict=True))
        labels |= {"position_x": factors.dynamic[..., 0].numpy(), "position_y": factors.dynamic[..., 1].numpy()}
        frames = self.data._render(labels).astype(np.float32) / 255
        return np.zeros_like(frames) if self.blank else frames

    def reconstruct(self, X: Sequences) -> np.ndarray:
        return self.decode(self.encode(X))

    def swap(self, A: Sequences, B: Sequences) -> np.ndarray:
        return self.decode(Factors(self.encode(A).static, self.encode(B).dynamic))

    def untrained(self) -> TrueModel:
        return TrueModel(self.data, blank=True)

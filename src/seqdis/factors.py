"""What is in the middle: `Gaussian`, `Posterior` and `Factors`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """A diagonal Gaussian, or a point where ``logvar`` is None.

    Parameters
    ----------
    mean : Tensor, (..., dim)
    logvar : Tensor, (..., dim), or None
        Logarithm of the **variance** (not of the standard deviation).
    """

    mean: Float[Tensor, "*batch dim"]
    logvar: Float[Tensor, "*batch dim"] | None = None

    def sample(self, generator: torch.Generator | None = None) -> Float[Tensor, "*batch dim"]:
        """One reparameterised draw; the mean itself for a point."""
        if self.logvar is None:
            return self.mean
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return torch.addcmul(self.mean, noise, torch.exp(0.5 * self.logvar))

    def map(self, change: Callable[..., Tensor], *others: Gaussian) -> Gaussian:
        """The Gaussian of ``change(mean, *other means)`` and ``change(logvar, *other logvars)``."""
        logvars = [g.logvar for g in (self, *others) if g.logvar is not None]
        mean = change(self.mean, *(other.mean for other in others))
        return Gaussian(mean, change(*logvars) if len(logvars) == 1 + len(others) else None)


@dataclass(frozen=True)
class Factors:
    """The two codes of some sequences: ``static, dynamic = factors``; ``len(factors)``, ``factors[rows]``: sequences.

    Parameters
    ----------
    static : Tensor, (batch, static_dim)
    dynamic : Tensor, (batch, windows, dynamic_dim)
        ``windows`` equals the number of steps unless the method codes windows of several steps.
    lengths : Tensor of int64, (batch,), or None
        Real windows of each sequence; codes beyond are zero. None: all are real.
    stride : int
        Steps that one dynamic code stands for; 0 where it is not stated.
    """

    static: Float[Tensor, "batch static"]
    dynamic: Float[Tensor, "batch windows dynamic"]
    lengths: Int[Tensor, " batch"] | None = None
    stride: int = 0

    def __len__(self) -> int:
        return int(self.static.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        """The two codes, not sequence by sequence."""
        return iter((self.static, self.dynamic))

    def __getitem__(self, rows: slice | Tensor) -> Factors:
        lengths = None if self.lengths is None else self.lengths[rows]
        return Factors(self.static[rows], self.dynamic[rows], lengths, self.stride)

    def to(self, device: torch.device | str) -> Factors:
        """The same codes on another device."""
        lengths = None if self.lengths is None else self.lengths.to(device)
        return Factors(self.static.to(device), self.dynamic.to(device), lengths, self.stride)

    def valid(self) -> Tensor:
        """(batch, windows) bool, false on padded windows."""
        windows = torch.arange(self.dynamic.shape[1], device=self.dynamic.device)
        if self.lengths is None:
            return torch.ones(self.dynamic.shape[:2], dtype=torch.bool, device=self.dynamic.device)
        return windows < self.lengths[:, None]

    def dynamic_mean(self) -> Float[Tensor, "batch dynamic"]:
        """Average of the dynamic code over the real windows."""
        valid = self.valid().unsqueeze(-1).to(self.dynamic.dtype)
        return (self.dynamic * valid).sum(1) / valid.sum(1)


@dataclass(frozen=True)
class Posterior:
    """Distributions of the two codes given the observations; see `Factors` for shapes."""

    static: Gaussian
    dynamic: Gaussian
    lengths: Tensor | None = None

    def mean(self) -> Factors:
        """The codes that ``encode`` returns."""
        return Factors(self.static.mean, self.dynamic.mean, self.lengths)

    def sample(self, generator: torch.Generator | None = None) -> Factors:
        """One draw of both codes."""
        return Factors(self.static.sample(generator), self.dynamic.sample(generator), self.lengths)

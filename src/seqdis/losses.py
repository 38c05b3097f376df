"""`LossTerms` and the loss terms that methods share, as pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from seqdis.factors import Gaussian


@dataclass
class LossTerms:
    """Named, weighted, ordered terms; every value is a scalar averaged over sequences.

    ``add`` each term once; ``total`` is what the optimiser sees.
    """

    weights: dict[str, float] = field(default_factory=dict)
    values: dict[str, Float[Tensor, ""]] = field(default_factory=dict)

    def add(self, name: str, value: Float[Tensor, ""], weight: float = 1.0) -> LossTerms:
        """Append one term and return self."""
        if name in self.values:
            raise KeyError(f"loss term '{name}' was added twice")
        self.values[name] = value
        self.weights[name] = weight
        return self

    @property
    def total(self) -> Float[Tensor, ""]:
        """The weighted sum."""
        return torch.stack([self.weights[name] * value for name, value in self.values.items()]).sum()

    def detached(self) -> dict[str, Tensor]:
        """The plain values and their weighted sum, without gradient, for logging."""
        return {name: value.detach() for name, value in self.values.items()} | {"total": self.total.detach()}


def kl_standard(q: Gaussian) -> Float[Tensor, "*batch"]:
    """KL(q || N(0, I)), summed over the last axis (closed form)."""
    mean, logvar = q.mean.float(), _logvar(q).float()
    return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).sum(-1)


def kl_gaussian(q: Gaussian, p: Gaussian) -> Float[Tensor, "*batch"]:
    """KL(q || p) of diagonal Gaussians, summed over the last axis (closed form)."""
    q_logvar, p_logvar = _logvar(q).float(), _logvar(p).float()
    gap = (q.mean.float() - p.mean.float()).square()
    return 0.5 * (p_logvar - q_logvar + (q_logvar.exp() + gap) * torch.exp(-p_logvar) - 1.0).sum(-1)


def gaussian_nll(
    x: Float[Tensor, "*shape"], mean: Float[Tensor, "*shape"], std: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Elementwise negative log-likelihood of Normal(mean, std), constants included."""
    z = (x - mean) / std
    return 0.5 * z.square() + torch.log(std) + 0.5 * math.log(2.0 * math.pi)


def kl_cycle(epoch: int, length: int) -> float:
    """Weight of the KL terms: 0 at a cycle's start, a cosine ramp to 1 at its middle, 1 to its end."""
    if length == 0:
        return 1.0
    position = min(1.0, 2.0 * (epoch % length) / length)
    return 0.5 * (1.0 - math.cos(math.pi * position))


def _logvar(gaussian: Gaussian) -> Tensor:
    if gaussian.logvar is None:
        raise ValueError("the KL divergence of a point is infinite; this term needs a Gaussian with a variance")
    return gaussian.logvar

"""Priors over dynamic codes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqdis.factors import Gaussian
from seqdis.nn.heads import GaussianHead


class AutoregressivePrior(nn.Module):
    """p(d_t | d_<t): two LSTM layers and a Gaussian, the learned prior of the DSVAE family.

    Teacher forcing needs no loop: the codes are shifted right by one step (d_0 = 0) and go through
    one fused call, which equals the step-by-step form to float precision.
    """

    def __init__(self, dim: int, hidden: int, layers: int = 2) -> None:
        super().__init__()
        self.dim = dim
        self.rnn = nn.LSTM(dim, hidden, layers, batch_first=True)
        self.gaussian = GaussianHead(hidden, dim)

    def forward(self, codes: Float[Tensor, "batch time dim"]) -> Gaussian:
        """Distribution of every step given the codes before it."""
        shifted = torch.cat([codes.new_zeros(codes.shape[0], 1, self.dim), codes[:, :-1]], dim=1)
        states, _ = self.rnn(shifted)
        return self.gaussian(states)

    def rollout(
        self, n: int, length: int, generator: torch.Generator | None = None, *, mean: bool = False
    ) -> Float[Tensor, "n length dim"]:
        """Draw sequences of codes step by step, feeding every sample back.

        ``mean`` returns the step means along the sampled path (published evaluations decode those);
        otherwise the samples themselves.
        """
        steps, codes = self.path(n, length, generator)
        return steps.mean if mean else codes

    def path(
        self, n: int, length: int, generator: torch.Generator | None = None
    ) -> tuple[Gaussian, Float[Tensor, "n length dim"]]:
        """The distribution of every step of a sampled path, and the path."""
        weight = self.gaussian.mean.weight
        code = torch.zeros(n, self.dim, device=weight.device, dtype=weight.dtype)
        state: tuple[Tensor, Tensor] | None = None
        steps: list[tuple[Tensor, Tensor, Tensor]] = []
        for _ in range(length):
            hidden, state = self.rnn(code.unsqueeze(1), state)
            step = self.gaussian(hidden[:, 0])
            assert step.logvar is not None
            code = step.sample(generator)
            steps.append((step.mean, step.logvar, code))
        mean, logvar, codes = (torch.stack(parts, dim=1) for parts in zip(*steps, strict=True))
        return Gaussian(mean, logvar), codes

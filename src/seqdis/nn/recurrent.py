"""Posteriors that read a whole sequence of elements, one vector each."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from seqdis.factors import Gaussian
from seqdis.nn.codec import over_time
from seqdis.nn.heads import GaussianHead
from seqdis.nn.sequence_vae import Features

LOGVAR_FLOOR = -6.0
"""Least log-variance: what only looks at all posteriors together would let each shrink to a point."""


class FlooredHead(GaussianHead):
    """A Gaussian whose log-variance stays above a floor, smoothly: its gradient never vanishes there."""

    def forward(self, features: Float[Tensor, "*batch width"]) -> Gaussian:
        """One Gaussian per row of features."""
        plain = super().forward(features)
        assert plain.logvar is not None
        return Gaussian(plain.mean, LOGVAR_FLOOR + softplus(plain.logvar - LOGVAR_FLOOR))


class StaticReader(nn.Module):
    """Both last states of a bidirectional LSTM over the elements, then the static posterior."""

    def __init__(self, width: int, hidden: int, dim: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.gaussian = FlooredHead(2 * hidden, dim)

    def forward(self, features: Float[Tensor, "batch elements width"], lengths: Tensor | None = None) -> Gaussian:
        """Static posterior of every sequence; with ``lengths``, padding changes nothing."""
        return self.gaussian(over_time(self.rnn, Features(features, lengths=lengths))[1])


class DynamicReader(nn.Module):
    """q(d_t | d_<t, x_<=t): an LSTM over the elements, and a second one over its states and the last code.

    Without ``feedback`` the second one sees the states only, and all steps take one call.
    """

    def __init__(self, width: int, hidden: int, dim: int, feedback: bool = True) -> None:
        super().__init__()
        self.dim, self.feedback = dim, feedback
        self.rnn = nn.LSTM(width, hidden, batch_first=True)
        self.second = nn.LSTM(hidden + dim * feedback, hidden, batch_first=True)
        self.gaussian = FlooredHead(hidden, dim)

    def forward(
        self,
        features: Float[Tensor, "batch elements width"],
        draw: bool = False,
        generator: torch.Generator | None = None,
    ) -> tuple[Gaussian, Float[Tensor, "batch elements dim"]]:
        """Dynamic posterior of every element, and its codes: samples if ``draw``, else the means."""
        states, _ = self.rnn(features)
        if not self.feedback:
            every = self.gaussian(self.second(states)[0])
            return every, every.sample(generator) if draw else every.mean
        code, carried = states.new_zeros(len(states), 1, self.dim), None
        steps: list[tuple[Tensor, Tensor, Tensor]] = []
        for state in states.split(1, dim=1):
            hidden, carried = self.second(torch.cat([state, code.to(state.dtype)], dim=-1), carried)
            step = self.gaussian(hidden)
            assert step.logvar is not None
            code = step.sample(generator) if draw else step.mean
            steps.append((step.mean, step.logvar, code))
        mean, logvar, codes = (torch.cat(parts, dim=1) for parts in zip(*steps, strict=True))
        return Gaussian(mean, logvar), codes


def start_loud(module: nn.Module) -> None:
    """Start LSTMs so that each passes its input on at full strength.

    PyTorch's start makes states a fraction of what is read; where several stand in a row, codes of different
    sequences begin all but equal and stay so for long.
    """
    for layer in module.modules():
        if isinstance(layer, nn.LSTM):
            for name, weights in layer.named_parameters():
                for gate in weights.detach().chunk(4) if "weight" in name else ():
                    if "_hh_" in name:
                        nn.init.orthogonal_(gate)
                    else:
                        nn.init.xavier_normal_(gate, gain=2.0)

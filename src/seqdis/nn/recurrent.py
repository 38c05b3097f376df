"""Posteriors that read a whole sequence of elements, one vector each."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqdis.factors import Gaussian, Posterior
from seqdis.nn.elements import Features, join
from seqdis.nn.heads import GaussianHead


def over_time(
    rnn: nn.LSTM, elements: Features
) -> tuple[Float[Tensor, "batch elements states"], Float[Tensor, "batch states"]]:
    """States of a bidirectional LSTM at every element, and those at its two ends: after the last and the first."""
    if elements.lengths is None:
        states, (last, _) = rnn(elements.values)
    else:
        # Packing keeps the backward direction from starting in the padding.
        packed, (last, _) = rnn(
            pack_padded_sequence(elements.values, elements.lengths.cpu(), batch_first=True, enforce_sorted=False)
        )
        states, _ = pad_packed_sequence(packed, batch_first=True, total_length=elements.values.shape[1])
    return states, torch.cat([last[0], last[1]], dim=-1)


class RecurrentHeads(nn.Module):
    """Both posteriors from one bidirectional LSTM over the elements, the heads of S3VAE, C-DSVAE and SPYL.

    Static: the states at the two ends. Dynamic: a forward tanh RNN over all states, hence it sees
    later elements too.
    """

    def __init__(self, width: int, hidden: int, static_dim: int, dynamic_dim: int) -> None:
        super().__init__()
        self.both_ways = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.static = GaussianHead(2 * hidden, static_dim)
        self.forwards = nn.RNN(2 * hidden, hidden, batch_first=True)
        self.dynamic = GaussianHead(hidden, dynamic_dim)

    def forward(self, elements: Features) -> Posterior:
        """Posteriors of every sequence; padding changes nothing before it."""
        states, ends = over_time(self.both_ways, elements)
        return Posterior(self.static(ends), self.dynamic(self.forwards(states)[0]), elements.lengths)

    def static_of(self, elements: Features) -> Gaussian:
        """The static posterior alone."""
        static: Gaussian = self.static(over_time(self.both_ways, elements)[1])
        return static


class ElementHeads(nn.Module):
    """DSVAE's factorised posterior: static from the whole sequence, each dynamic code from its own element only."""

    def __init__(self, width: int, hidden: int, static_dim: int, dynamic_dim: int) -> None:
        super().__init__()
        self.both_ways = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.static = GaussianHead(2 * hidden, static_dim)
        self.alone = nn.Sequential(nn.Linear(width, hidden), nn.LeakyReLU(0.2))
        self.dynamic = GaussianHead(hidden, dynamic_dim)

    def forward(self, elements: Features) -> Posterior:
        """Posteriors of every sequence."""
        static = self.static(over_time(self.both_ways, elements)[1])
        return Posterior(static, self.dynamic(self.alone(elements.values)), elements.lengths)


class ConditionedHeads(nn.Module):
    """DSVAE's full posterior ``q(s | x) q(d | s, x)``: dynamic codes are read beside a static one."""

    def __init__(self, width: int, hidden: int, static_dim: int, dynamic_dim: int) -> None:
        super().__init__()
        self.both_ways = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.gaussian = GaussianHead(2 * hidden, static_dim)
        self.beside = nn.LSTM(width + static_dim, hidden, batch_first=True, bidirectional=True)
        self.forwards = nn.RNN(2 * hidden, hidden, batch_first=True)
        self.given = GaussianHead(hidden, dynamic_dim)

    def static(self, elements: Features) -> Gaussian:
        """q(s | x)."""
        static: Gaussian = self.gaussian(over_time(self.both_ways, elements)[1])
        return static

    def dynamic(self, elements: Features, static: Float[Tensor, "batch static"]) -> Gaussian:
        """q(d | s, x) for a static code; padding changes nothing before it."""
        beside = replace(elements, values=join(static, elements.values))
        dynamic: Gaussian = self.given(self.forwards(over_time(self.beside, beside)[0])[0])
        return dynamic

    def forward(self, elements: Features) -> Posterior:
        """Both posteriors, the dynamic one for the mean static code."""
        static = self.static(elements)
        return Posterior(static, self.dynamic(elements, static.mean), elements.lengths)


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

    def forward(self, elements: Features) -> Gaussian:
        """Static posterior of every sequence; padding changes nothing."""
        return self.gaussian(over_time(self.rnn, elements)[1])


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
        self, elements: Features, draw: bool = False, generator: torch.Generator | None = None
    ) -> tuple[Gaussian, Float[Tensor, "batch elements dim"]]:
        """Dynamic posterior of every element, and its codes: samples if ``draw``, else the means."""
        states, _ = self.rnn(elements.values)
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

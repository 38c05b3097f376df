"""What most methods share: codes from elements, an autoregressive prior, observations from joint codes."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor

from seqdis.factors import Factors
from seqdis.nn.bodies import FrameBody, SeriesBody
from seqdis.nn.codec import FrameCodec, WindowCodec
from seqdis.nn.elements import Observation, join, observed_means
from seqdis.nn.network import Network
from seqdis.nn.priors import AutoregressivePrior
from seqdis.sequences import DataSpec

Body = TypeVar("Body", bound=FrameBody | SeriesBody | FrameCodec | WindowCodec)


class SequenceVAE(Network, Generic[Body]):
    """Both ends of a method and an autoregressive prior over its dynamic codes; ``p(s) = N(0, I)``.

    The decoder reads the two codes side by side, dynamic first. A method adds its posterior and its loss.
    """

    def __init__(self, spec: DataSpec, body: Body, static_dim: int, dynamic_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.spec = spec
        self.body = body
        self.static_dim = static_dim
        self.dynamic_prior = AutoregressivePrior(dynamic_dim, hidden_dim)
        self.stride = body.stride

    def observe(self, codes: Factors) -> Observation:
        """Predicted observations of codes."""
        valid = None if codes.lengths is None else codes.valid()
        return self.body.observe(join(codes.static, codes.dynamic), valid)

    def decode(self, factors: Factors) -> Tensor:
        """(batch, elements * stride, *features): the mean observation, zero on padding."""
        return observed_means(self.observe(factors), factors, self.stride)

    def prior(self, n: int, length: int, generator: torch.Generator | None = None, *, mean: bool = False) -> Factors:
        """Static codes from N(0, I), dynamic ones from a roll-out of the learned prior."""
        dynamic = self.dynamic_prior.rollout(n, length, generator, mean=mean)
        static = torch.randn(n, self.static_dim, generator=generator, device=dynamic.device, dtype=dynamic.dtype)
        return Factors(static, dynamic)

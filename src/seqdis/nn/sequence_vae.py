"""What most methods share: codes from elements, an autoregressive prior, observations from joint codes."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor

from seqdis.factors import Factors, Gaussian, Posterior
from seqdis.losses import LossTerms, kl_gaussian, kl_standard
from seqdis.nn.bodies import FrameBody, SeriesBody
from seqdis.nn.codec import FrameCodec, WindowCodec
from seqdis.nn.elements import Observation, join, observed_means
from seqdis.nn.likelihood import reconstruction_error
from seqdis.nn.network import Network
from seqdis.nn.priors import AutoregressivePrior
from seqdis.sequences import Batch, DataSpec

Body = TypeVar("Body", bound=FrameBody | SeriesBody | FrameCodec | WindowCodec)


class SequenceVAE(Network, Generic[Body]):
    """Both ends of a method and an autoregressive prior over its dynamic codes; ``p(s) = N(0, I)``.

    The decoder reads the two codes side by side, dynamic first. A method adds its posterior, and its loss to the bound.
    """

    def __init__(self, spec: DataSpec, body: Body, static_dim: int, dynamic_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.spec = spec
        self.body = body
        self.static_dim = static_dim
        self.dynamic_prior = AutoregressivePrior(dynamic_dim, hidden_dim)
        self.stride = body.stride

    def bound(
        self,
        batch: Batch,
        posterior: Posterior,
        codes: Factors,
        weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
        prior: Gaussian | None = None,
    ) -> LossTerms:
        """The negative evidence bound: reconstruction, KL of the static and of the dynamic codes, by their weights.

        Parameters
        ----------
        batch : Batch
        posterior : Posterior
        codes : Factors
            One sample of it.
        weights : tuple of float
        prior : Gaussian, (batch, elements, dynamic), or None
            Of the dynamic codes. None: the learned one, every step given the sampled codes before it.
        """
        prior = self.dynamic_prior(codes.dynamic) if prior is None else prior
        kl_dynamic = kl_gaussian(posterior.dynamic, prior)
        if codes.lengths is not None:
            kl_dynamic = kl_dynamic * codes.valid()
        error = reconstruction_error(self.observe(codes), batch)
        terms = LossTerms().add("reconstruction", error.mean(), weights[0])
        terms.add("kl_static", kl_standard(posterior.static).mean(), weights[1])
        return terms.add("kl_dynamic", kl_dynamic.sum(1).mean(), weights[2])

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

"""A method as somebody else would write it: linear, deterministic codes, nothing from the shelf.

Imported by tests as it is, and copied to where a plug-in would lie; hence it imports the package only.
"""

from __future__ import annotations

import torch
from torch import nn

from seqdis.estimator import Disentangler
from seqdis.factors import Factors, Gaussian, Posterior
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.losses import LossTerms
from seqdis.nn.network import Network


@hyperparameters
class Tiny(Disentangler):
    """Static code: a linear map of the mean step. Dynamic code: a linear map of every step."""

    name = "tiny"

    static_dim: int = hyper(default=2, at_least=1)
    dynamic_dim: int = hyper(default=1, at_least=1)

    def build(self, spec):
        return TinyNetwork(self, spec)


class TinyNetwork(Network):
    def __init__(self, settings, spec):
        super().__init__()
        self.spec = spec
        self.sizes = (settings.static_dim, settings.dynamic_dim)
        self.static = nn.Linear(spec.shape[0], settings.static_dim)
        self.dynamic = nn.Linear(spec.shape[0], settings.dynamic_dim)
        self.out = nn.Linear(settings.static_dim + settings.dynamic_dim, spec.shape[0])

    def encode(self, batch):
        valid = batch.valid_steps().unsqueeze(-1)
        mean = (batch.x * valid).sum(1) / valid.sum(1)
        return Posterior(Gaussian(self.static(mean)), Gaussian(self.dynamic(batch.x)), batch.lengths)

    def decode(self, factors):
        static = factors.static.unsqueeze(1).expand(-1, factors.dynamic.shape[1], -1)
        return self.out(torch.cat([static, factors.dynamic], dim=-1))

    def prior(self, n, length, generator=None, *, mean=False):
        static, dynamic = self.sizes
        draw = torch.randn(n, static + length * dynamic, generator=generator)
        return Factors(draw[:, :static], draw[:, static:].reshape(n, length, dynamic))

    def forward(self, batch, progress):
        error = (self.decode(self.encode(batch).mean()) - batch.x).square() * batch.valid_steps().unsqueeze(-1)
        return LossTerms().add("reconstruction", error.sum((1, 2)).mean())

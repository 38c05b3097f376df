"""Critics that tell posterior samples from prior samples, and the two sides of their game."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, normalize, softplus

START_ITERATIONS = 15
"""Power iterations before the first step, from a random direction; one per training step follows."""


class SpectralLinear(nn.Linear):
    """A linear map divided by its largest singular value, so that it never stretches a distance.

    One power iteration per call in training mode follows the weights (Miyato et al., Spectral
    Normalization for Generative Adversarial Networks, ICLR 2018, Algorithm 1). The same numbers as
    ``torch.nn.utils.parametrizations.spectral_norm``, whose modules cannot be pickled.
    """

    left: Tensor

    def __init__(self, width: int, out: int) -> None:
        super().__init__(width, out)
        self.register_buffer("left", normalize(torch.randn(out), dim=0))
        for _ in range(START_ITERATIONS):
            self._iterate()

    def forward(self, input: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch out"]:
        """The map of every row."""
        if self.training:
            self._iterate()
        return linear(input, self.weight / self._norm(), self.bias)

    def _norm(self) -> Tensor:
        return torch.dot(self.left, torch.mv(self.weight, self._right()))

    @torch.no_grad()
    def _right(self) -> Tensor:
        return normalize(torch.mv(self.weight.T, self.left), dim=0)

    @torch.no_grad()
    def _iterate(self) -> None:
        # A new tensor, not a change in place: an earlier call may still wait for its backward pass.
        self.left = normalize(torch.mv(self.weight, self._right()), dim=0)


class Critic(nn.Module):
    """Rows of samples -> log-odds that a row comes from the prior.

    Hidden layers with ReLU and spectral norm; the last map is free, so that the critic may be as
    sure as it wants to.

    Parameters
    ----------
    width : int
        Size of a sample.
    hidden, layers : int
        Width and number of hidden layers.
    """

    def __init__(self, width: int, hidden: int = 512, layers: int = 4) -> None:
        super().__init__()
        maps = [SpectralLinear(*sizes) for sizes in pairwise([width, *[hidden] * layers])]
        self.layers = nn.Sequential(*(layer for each in maps for layer in (each, nn.ReLU())), nn.Linear(hidden, 1))

    def forward(self, samples: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch"]:
        """Log-odds of every row, float32 even under autocast."""
        return self.layers(samples).squeeze(-1).float()


def critic_loss(q: Float[Tensor, "*batch"], p: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """What a critic minimises, given its log-odds of posterior and prior samples.

    The cross-entropy of both sides, ``-log sigmoid(p) - log(1 - sigmoid(q))``. Its least mean value is
    ``2 log 2 - 2 JS(Q, P)``, reached by the log-ratio of the densities of P and Q (Goodfellow et al., Generative
    Adversarial Nets, NeurIPS 2014, Theorem 1).
    """
    return softplus(-p) + softplus(q)


def fooling_loss(q: Float[Tensor, "*batch"], p: Float[Tensor, "*batch"] | None = None) -> Float[Tensor, "*batch"]:
    """What the encoder minimises: ``-log sigmoid(q)``, the non-saturating form.

    A prior that is learned plays too: given ``p``, its samples want to be taken for the posterior's.
    """
    return softplus(-q) if p is None else critic_loss(p, q)

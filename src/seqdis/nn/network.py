"""What the loop and the estimator ask of a network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqdis.factors import Factors, Posterior
from seqdis.losses import LossTerms
from seqdis.sequences import Batch, DataSpec


@dataclass(frozen=True)
class Progress:
    """Where training stands, and where its random numbers come from.

    Parameters
    ----------
    epoch, epochs : int
        Current epoch from 0, and how many there will be.
    step : int
        Optimiser steps done since the start.
    generator : torch.Generator or None
        Source of every draw of the step.
    """

    epoch: int = 0
    epochs: int = 1
    step: int = 0
    generator: torch.Generator | None = None


class Network(nn.Module):
    """A torch module with the four verbs of sequential disentanglement.

    ``spec`` describes the data it was built for; ``stride`` is the number of steps that one
    dynamic code stands for: 1, or a window.
    """

    spec: DataSpec
    stride: int = 1
    objectives: tuple[str, ...] = ("model",)
    """What is minimised, each by an optimiser of its own; `forward` states which one a term belongs to."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's decay rates."""
    closed_form: bool = False
    """Whether `prepare` has something to fit before the first step."""

    def prepare(self, everything: Batch, generator: torch.Generator) -> None:
        """Fit what has a closed form to all training sequences at once; called before the first step.

        What it sets must be buffers, so that it is saved, and resumed, with the weights.
        """

    def conclude(self, batches: Iterable[Batch]) -> None:
        """Fit what follows from the trained weights; called once after the last epoch, in evaluation mode.

        ``batches`` are all training sequences in their order. What it sets must be buffers, so that
        it is saved with the weights.
        """

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        """The training loss, averaged over the sequences of the batch."""
        raise TypeError(f"{type(self).__name__} has no training loss")

    def encode(self, batch: Batch) -> Posterior:
        """Posterior of both codes; the same input gives the same posterior, whatever its batch mates."""
        raise TypeError(f"{type(self).__name__} has no encoder")

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> Factors:
        """One sample of both codes, of their joint posterior where that is more than what `encode` returns."""
        return self.encode(batch).sample(generator)

    def decode(self, factors: Factors) -> Tensor:
        """(batch, windows * stride, *features): the mean observation, in normalised units."""
        raise TypeError(f"{type(self).__name__} has no decoder")

    def prior(self, n: int, length: int, generator: torch.Generator | None = None, *, mean: bool = False) -> Factors:
        """Draw ``n`` pairs of codes of ``length`` windows; ``mean`` returns step means along a sampled path."""
        raise TypeError(f"{type(self).__name__} has no prior")

    def parameters_of(self, objective: str) -> list[nn.Parameter]:
        """Parameters that one objective trains: no other objective's gradient reaches them."""
        return list(self.parameters())

    def rate_of(self, objective: str) -> float:
        """Factor on the learning rate of one objective."""
        return 1.0

"""A categorical code of a whole sequence, read from its dynamic codes."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

from seqdis.factors import Factors


class CategoricalReader(nn.Module):
    """An LSTM over the dynamic codes and a small network on its last state: logits of the classes."""

    def __init__(self, dim: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(dim, hidden, batch_first=True)
        self.layers = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, codes: Factors) -> Float[Tensor, "batch classes"]:
        """Unnormalised log-probabilities, float32 even under autocast; padded windows are not read."""
        states, _ = self.rnn(codes.dynamic)
        last = codes.valid().sum(1) - 1
        return self.layers(states[torch.arange(len(last), device=last.device), last]).float()


def gumbel_softmax(
    logits: Float[Tensor, "batch classes"], temperature: float, generator: torch.Generator | None = None
) -> Float[Tensor, "batch classes"]:
    """A draw from the classes, softened; its largest entry is an exact draw at any temperature.

    Jang, Gu, Poole, Categorical Reparameterization with Gumbel-Softmax, ICLR 2017. PyTorch's own takes no
    generator.
    """
    noise = -torch.empty_like(logits).exponential_(generator=generator).log()
    return torch.softmax((logits + noise) / temperature, dim=-1)


def likeliest(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
    """One at the likeliest class of each row, else zero."""
    return one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)


def uniformity_and_entropy(logits: Float[Tensor, "batch classes"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """KL(mean of the rows || uniform), 0 if all classes are equally frequent, and the mean entropy of a row.

    Their sum is ``log(classes)`` minus the mutual information of row and class, in nats.
    """
    each = torch.log_softmax(logits, dim=-1)
    share = each.logsumexp(0) - math.log(len(each))
    return (share.exp() * (share + math.log(len(share)))).sum(), -(each.exp() * each).sum(-1).mean()

"""From features to posteriors: static and dynamic heads."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqdis.factors import Gaussian


def side_by_side(x: Float[Tensor, "*batch width"], first: nn.Linear, second: nn.Linear) -> tuple[Tensor, Tensor]:
    """Two linear maps of one input as a single product: narrow ones cost little more than one of them."""
    weight = torch.cat([first.weight, second.weight])
    joint = linear(x, weight, torch.cat([first.bias, second.bias]))
    return joint[..., : first.out_features], joint[..., first.out_features :]


class GaussianHead(nn.Module):
    """Two linear maps: mean and log-variance.

    ``leaky`` passes both through a leaky ReLU of slope 0.2, as released audio code does.
    """

    def __init__(self, width: int, dim: int, *, leaky: bool = False) -> None:
        super().__init__()
        self.mean = nn.Linear(width, dim)
        self.logvar = nn.Linear(width, dim)
        self.leaky = leaky

    def forward(self, features: Float[Tensor, "*batch width"]) -> Gaussian:
        """One Gaussian per row of features; float32 even under autocast."""
        mean, logvar = side_by_side(features, self.mean, self.logvar)
        if self.leaky:
            mean, logvar = leaky_relu(mean, 0.2), leaky_relu(logvar, 0.2)
        return Gaussian(mean.float(), logvar.float())


class StaticHead(nn.Module):
    """One hidden tanh layer, then a Gaussian: features of one element -> static posterior."""

    def __init__(self, width: int, hidden: int, dim: int, *, leaky: bool = False) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, hidden)
        self.gaussian = GaussianHead(hidden, dim, leaky=leaky)

    def forward(self, features: Float[Tensor, "batch width"]) -> Gaussian:
        """Static posterior of every sequence."""
        return self.gaussian(torch.tanh(self.hidden(features)))


class DynamicHead(nn.Module):
    """A two-layer LSTM over the steps, then a Gaussian per step.

    ``causal`` runs it forward only, so that a step's code sees no later step; otherwise both ways.
    """

    def __init__(self, width: int, dim: int, *, causal: bool = False, layers: int = 2) -> None:
        super().__init__()
        self.rnn = nn.LSTM(width, dim, layers, batch_first=True, bidirectional=not causal)
        self.gaussian = GaussianHead(dim if causal else 2 * dim, dim)

    def forward(self, features: Float[Tensor, "batch time width"], lengths: Tensor | None = None) -> Gaussian:
        """Dynamic posterior of every step; with ``lengths``, padding changes nothing before it."""
        if lengths is None:
            states, _ = self.rnn(features)
        else:
            # Packing keeps the backward direction from starting in the padding.
            packed = pack_padded_sequence(features, lengths.cpu(), batch_first=True, enforce_sorted=False)
            states, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=features.shape[1])
        return self.gaussian(states)


def initialise_like_dcgan(module: nn.Module) -> None:
    """Convolutions and linear layers from N(0, 0.01^2) with zero biases, as the released video code starts."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def start_certain(module: nn.Module, logvar: float = -5.0) -> None:
    """Start posteriors with a small variance: codes carry signal, not unit noise, from the first step."""
    for layer in module.modules():
        if isinstance(layer, GaussianHead):
            nn.init.constant_(layer.logvar.bias, logvar)

"""Masked, windowed time series: step encoder, heads over windows of steps, and decoder.

One element of the sequence is a *window* of ``window`` steps. Windows are folded into the batch
axis, so every brick makes one call whatever their number.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from seqdis.factors import Gaussian
from seqdis.nn.heads import GaussianHead, StaticHead, side_by_side

MANY_ROWS = 3000
"""Rows from which `through` uses oneDNN."""

CACHED_WINDOWS = 1500
"""Windows per call of the dynamic head's LSTM, whose states then stay in a core's cache."""


def informative_steps(mask: Bool[Tensor, "batch time features"]) -> Bool[Tensor, "batch time"]:
    """Steps that recurrent encoders may read: fewer than ``int(0.7 * features)`` values are missing.

    The rule of the GLR and DBSE loaders; with one feature, a step counts where it is observed.
    """
    features = mask.shape[-1]
    return mask.sum(-1, dtype=torch.int32) > features - max(1, int(0.7 * features))


def through(layers: nn.Sequential, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch out"]:
    """A stack of linear layers and ReLUs, by oneDNN where many rows pass it on a CPU.

    On a processor with AVX-512 its products took 0.6 of the time of PyTorch's default ones; below
    `MANY_ROWS` the two conversions cost what that gains.
    """
    rows = x.shape[:-1].numel()
    plain = x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
    if plain or rows < MANY_ROWS or not torch.backends.mkldnn.is_available():
        return layers(x)
    return layers(x.reshape(rows, -1).to_mkldnn()).to_dense().unflatten(0, x.shape[:-1])


class StepEncoder(nn.Module):
    """Linear-ReLU three times, step by step: features -> 32 -> 64 -> 32 at the published width."""

    def __init__(self, features: int, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, 2 * width),
            nn.ReLU(inplace=True),
            nn.Linear(2 * width, width),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch width"]:
        """Features of every step."""
        return through(self.layers, x)


class WindowStaticHead(nn.Module):
    """A GRU over the steps of the anchor window, then the static posterior."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(width, width, batch_first=True)
        self.head = StaticHead(width, width, dim)

    def forward(self, window: Float[Tensor, "batch steps width"]) -> Gaussian:
        """Static posterior of every window given."""
        _, last = self.rnn(window)
        return self.head(last[0])


class WindowDynamicHead(nn.Module):
    """An LSTM inside every window, started afresh for each, then one Gaussian per window."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(width, width, batch_first=True)
        self.gaussian = GaussianHead(width, dim)

    def forward(self, windows: Float[Tensor, "batch windows steps width"]) -> Gaussian:
        """Dynamic posterior of every window."""
        parts = windows.flatten(0, 1).split(CACHED_WINDOWS)
        last = torch.cat([self.rnn(part)[0][:, -1] for part in parts])
        return self.gaussian(last.unflatten(0, windows.shape[:2]))


class WindowDecoder(nn.Module):
    """One code per window -> mean and scale of every value in it.

    The code starts the state of an LSTM that runs over the window's steps. Its inputs carry no
    information: zeros, or normal noise where a generator is given (as released; the noise only
    adds variance).

    Parameters
    ----------
    width : int
        Size of the joint code.
    features, steps : int
        Values per step, steps per window.
    scale_floor : float
        Smallest predicted scale, in normalised units. Without one the likelihood is unbounded.
    """

    def __init__(self, width: int, features: int, steps: int, hidden: int = 32, scale_floor: float = 0.0) -> None:
        super().__init__()
        self.steps = steps
        self.scale_floor = scale_floor
        self.embed = nn.Sequential(nn.Linear(width, hidden), nn.Tanh())
        self.rnn = nn.LSTM(hidden, hidden, batch_first=True)
        self.layers = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.ReLU(inplace=True), nn.Linear(2 * hidden, hidden))
        self.mean = nn.Linear(hidden, features)
        self.scale = nn.Linear(hidden, features)

    def forward(
        self, codes: Float[Tensor, "batch windows width"], noise: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "batch time features"], Float[Tensor, "batch time features"]]:
        """Mean and scale (standard deviation), normalised units."""
        start = self.embed(codes.flatten(0, 1))
        shape = (start.shape[0], self.steps, start.shape[1])
        if noise is None:
            inputs = start.new_zeros(shape)
        else:
            inputs = torch.randn(shape, generator=noise, device=start.device, dtype=start.dtype)
        states, _ = self.rnn(inputs, (start.unsqueeze(0), start.unsqueeze(0)))
        hidden = through(self.layers, states).unflatten(0, codes.shape[:2]).flatten(1, 2)
        mean, scale = side_by_side(hidden, self.mean, self.scale)
        return mean.float(), self.scale_floor + (0.5 - self.scale_floor) * torch.sigmoid(scale.float())

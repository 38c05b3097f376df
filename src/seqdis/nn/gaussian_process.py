"""Gaussian processes over the windows of a sequence: kernels, a prior, and posteriors with a banded precision.

Every dimension of a code is a process of its own. All factors are lower triangular, so the leading block
of a factor is the factor of the leading windows: one factorisation serves all shorter sequences, and the
first rows of a KL are the KL of the first windows, whatever the padding behind them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqdis.factors import Gaussian

Kernel = Literal["cauchy", "rbf", "exponential", "periodic"]
JITTER = 1e-5
CAUCHY_RIDGE = 1e-3


def covariance(
    kernel: Kernel, windows: int, length_scale: float, *, sigma: float = 1.0, period: float = 15.0
) -> Float[Tensor, "windows windows"]:
    """Prior covariance of one dimension, in float64.

    Parameters
    ----------
    kernel
        With ``r`` the distance in windows and ``l`` the length scale: "cauchy", ``sigma / (1 + r^2/l^2)`` and a
        ridge of `CAUCHY_RIDGE`; "rbf", ``exp(-r^2 / (2 l^2))``; "exponential", ``exp(-r / sqrt(l))``;
        "periodic", ``exp(-2 sin^2(pi r / period) / l^2)``.
    windows
        Size of the matrix.
    length_scale, period
        In windows.
    sigma
        Variance of the Cauchy kernel; that of the others is 1.

    Notes
    -----
    Tonekaboni et al. (GLR), AISTATS 2022, and the code released with it, which calls the exponential
    kernel "matern". `JITTER` is added to the diagonal of all.
    """
    steps = torch.arange(windows, dtype=torch.float64)
    distance = (steps[:, None] - steps).abs()
    if kernel == "rbf":
        matrix = torch.exp(-0.5 * (distance / length_scale).square())
    elif kernel == "exponential":
        matrix = torch.exp(-distance / math.sqrt(length_scale))
    elif kernel == "periodic":
        matrix = torch.exp(-2.0 * (torch.sin(math.pi * distance / period) / length_scale).square())
    else:
        matrix = sigma / (1.0 + (distance / length_scale).square())
    ridge = JITTER + (CAUCHY_RIDGE if kernel == "cauchy" else 0.0)
    return matrix + ridge * torch.eye(windows, dtype=torch.float64)


def share_out(dim: int, kernels: Sequence[Kernel], scales: int) -> list[tuple[Kernel, int]]:
    """Kernel, and how often its length scale is halved, of every dimension.

    Equal shares for the kernels, within each for the scales; the last group takes what is left over. Where there
    are fewer dimensions than groups, the first ones, hence the longest scales, get one each.
    """

    def shares(total: int, parts: int) -> list[int]:
        if total < parts:
            return [1] * total + [0] * (parts - total)
        return [total // parts] * (parts - 1) + [total - total // parts * (parts - 1)]

    return [
        (kernel, halvings)
        for kernel, own in zip(kernels, shares(dim, len(kernels)), strict=True)
        for halvings, count in enumerate(shares(own, scales))
        for _ in range(count)
    ]


DENSE = 32
"""Windows up to which one triangular solve is faster than a loop over them, whose cost grows with their square only.

By `benchmarks/banded_speed.py`, one thread of an Intel Xeon, the solve takes 0.76 and 0.35 of the loop's time at 20 and
28 windows (the second with a batch of 10), as much at 48, and 4.7 and 5.7 times as much at 80 and 96.
"""


@dataclass(frozen=True)
class BandedGaussian:
    """A Gaussian over the windows of every dimension whose precision is tridiagonal.

    Not to be confused with `Gaussian`, in which windows are independent.

    Parameters
    ----------
    mean : Tensor, (batch, windows, dim)
    diagonal : Tensor, (batch, windows, dim), positive
    coupling : Tensor, (batch, windows - 1, dim)
        Diagonal and upper diagonal of ``B``; the precision is ``B B'``. Where neighbours' coupling is
        positive, they vary against each other.
    """

    mean: Float[Tensor, "batch windows dim"]
    diagonal: Float[Tensor, "batch windows dim"]
    coupling: Float[Tensor, "batch earlier dim"]

    @cached_property
    def factor(self) -> Float[Tensor, "batch dim windows windows"]:
        """``L = B^-T``, lower triangular: the covariance is ``L L'``."""
        band = torch.diag_embed(self.diagonal.transpose(1, 2)) + torch.diag_embed(self.coupling.transpose(1, 2), -1)
        eye = torch.eye(band.shape[-1], device=band.device, dtype=band.dtype)
        return torch.linalg.solve_triangular(band, eye.expand_as(band), upper=False)

    def sample(
        self, generator: torch.Generator | None = None, copies: int = 1
    ) -> Float[Tensor, "copies_batch windows dim"]:
        """Reparameterised draws, copy-major: all sequences once, then all once more, and so on."""
        batch, windows, dim = self.mean.shape
        shape = (copies, batch, dim, windows)
        noise = torch.randn(shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        if windows <= DENSE:
            drawn = _product(self.factor, noise.unsqueeze(-1)).squeeze(-1)
        else:  # what solves B' z = noise, from the first window on
            diagonal, coupling = self.diagonal.transpose(1, 2), self.coupling.transpose(1, 2)
            steps = [noise[..., 0] / diagonal[..., 0]]
            for window in range(1, windows):
                passed_on = coupling[..., window - 1] * steps[-1]
                steps.append((noise[..., window] - passed_on) / diagonal[..., window])
            drawn = torch.stack(steps, -1)
        return (self.mean + drawn.transpose(2, 3)).flatten(0, 1)

    def spread(self, whitening: Float[Tensor, "dim windows windows"]) -> Float[Tensor, "batch dim windows"]:
        """Squared length of every row of ``whitening L``: traces that sum over windows one by one."""
        windows = self.mean.shape[1]
        if windows <= DENSE:
            return _product(whitening, self.factor).square().sum(-1)
        # Columns of what solves M B' = whitening, from the last one back.
        diagonal, coupling = self.diagonal.transpose(1, 2), self.coupling.transpose(1, 2)
        column = whitening[..., -1] / diagonal[..., -1:]
        total = column.square()
        for window in reversed(range(windows - 1)):
            after = coupling[..., window, None] * column
            column = (whitening[..., window] - after) / diagonal[..., window, None]
            total = total + column.square()
        return total

    def marginals(self) -> Gaussian:
        """Every window by itself. Linear in their number, where `factor` is quadratic."""
        precision = self.diagonal.square()
        variance = [1.0 / precision[:, 0]]
        for window in range(1, precision.shape[1]):
            passed_on = self.coupling[:, window - 1].square() * variance[-1]
            variance.append((1.0 + passed_on) / precision[:, window])
        return Gaussian(self.mean, torch.stack(variance, 1).log())

    def weighted_sum(self, weights: Float[Tensor, "batch windows"]) -> Gaussian:
        """The sum over windows of ``weights`` times the code, (batch, dim). Linear in their number, too."""
        share = weights.unsqueeze(-1)
        # The variance is w' L L' w: the squared length of what solves B y = w, from the last window back.
        solved = share[:, -1] / self.diagonal[:, -1]
        variance = solved.square()
        for window in reversed(range(self.coupling.shape[1])):
            solved = (share[:, window] - self.coupling[:, window] * solved) / self.diagonal[:, window]
            variance = variance + solved.square()
        return Gaussian((self.mean * share).sum(1), variance.log())


class GaussianProcessPrior(nn.Module):
    """p(d): independent Gaussian processes with zero mean, one per dimension, of several kernels and scales.

    Kernel ``k`` has the length scales ``l, l/2, l/4, ...``; `share_out` says which dimension has which.
    Matrices are factorised in float64, once per distinct kernel and scale and again only for sequences
    longer than any before. Memory grows with the square of the number of windows.

    Parameters
    ----------
    dim
        Dimensions of the code.
    windows
        Windows to factorise for at the start.
    kernels, length_scale, scales
        Kernels, largest length scale in windows, and number of length scales of each kernel.
    sigma, period
        See `covariance`.
    """

    group: Tensor
    factors: Tensor
    whitenings: Tensor

    def __init__(
        self,
        dim: int,
        windows: int,
        kernels: Sequence[Kernel] = ("cauchy", "rbf"),
        *,
        length_scale: float = 2.0,
        scales: int = 4,
        sigma: float = 1.0,
        period: float = 15.0,
    ) -> None:
        super().__init__()
        owners = share_out(dim, kernels, scales)
        self.dim = dim
        self.kernels = list(dict.fromkeys(owners))
        self.length_scale, self.sigma, self.period = length_scale, sigma, period
        # They follow from the settings, so none is saved with the weights.
        index = torch.tensor([self.kernels.index(owner) for owner in owners])
        self.register_buffer("group", index, persistent=False)
        factors, whitenings = self._factorised(windows)
        self.register_buffer("factors", factors, persistent=False)
        self.register_buffer("whitenings", whitenings, persistent=False)

    def kl(self, q: BandedGaussian) -> Float[Tensor, "batch windows"]:
        """KL(q || p), summed over dimensions, as what each window adds to that of the windows before it.

        The sum of the first ``k`` entries is the KL of the first ``k`` windows.
        """
        factor, whitening = self._first(q.mean.shape[1])
        spread = q.spread(whitening)
        shift = _product(whitening, q.mean.transpose(1, 2).unsqueeze(-1)).squeeze(-1).square()
        logs = factor.diagonal(dim1=-2, dim2=-1).log() + q.diagonal.transpose(1, 2).log()
        return (0.5 * (spread + shift - 1.0) + logs).sum(1)

    def sample(
        self, n: int, windows: int, generator: torch.Generator | None = None, *, mean: bool = False
    ) -> Float[Tensor, "n windows dim"]:
        """Draw codes; ``mean`` returns the mean of every window given those before it on the drawn path."""
        factor, _ = self._first(windows)
        noise = torch.randn(n, self.dim, windows, 1, generator=generator, device=factor.device, dtype=factor.dtype)
        return _product(factor.tril(-1) if mean else factor, noise).squeeze(-1).transpose(1, 2)

    def _first(self, windows: int) -> tuple[Tensor, Tensor]:
        """Cholesky factor and its inverse of every dimension, (dim, windows, windows) each."""
        if windows > self.factors.shape[-1]:
            factors, whitenings = self._factorised(windows)
            self.factors, self.whitenings = factors.to(self.factors.device), whitenings.to(self.factors.device)
        return self.factors[self.group, :windows, :windows], self.whitenings[self.group, :windows, :windows]

    def _factorised(self, windows: int) -> tuple[Tensor, Tensor]:
        # What is made in inference mode could never be trained with later.
        with torch.inference_mode(False):
            matrices = [
                covariance(kernel, windows, self.length_scale / 2**halvings, sigma=self.sigma, period=self.period)
                for kernel, halvings in self.kernels
            ]
            factors = torch.linalg.cholesky(torch.stack(matrices))
            eye = torch.eye(windows, dtype=factors.dtype).expand_as(factors)
            whitenings = torch.linalg.solve_triangular(factors, eye, upper=False)
            return factors.float(), whitenings.float()


def _product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` in the precision of its factors, under autocast too: inverse factors hold large entries that cancel."""
    with torch.autocast(a.device.type, enabled=False):
        return a @ b

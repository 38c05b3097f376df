"""A static posterior from many elements, in closed form: an analysis of variance with sequences as groups."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import pad

from seqdis.errors import DataError
from seqdis.factors import Gaussian

CLIP = 5.0  # standard deviations beyond which a statistic says no more


def window_statistics(
    x: Float[Tensor, "batch time features"],
    seen: Bool[Tensor, "batch time features"],
    valid: Bool[Tensor, "batch windows"],
    window: int,
    profile: bool,
) -> tuple[Float[Tensor, "batch windows statistics"], Float[Tensor, "batch windows statistics"]]:
    """What each window holds, one row per window, and how much each number counts.

    Per feature mean, squared mean, least and largest value, logarithm of the count, and whether it was
    seen at all, all counted in every real window and zero where nothing was seen, so that their averages
    also say how often it was; then the mean again, counted only where it was seen. With ``profile``
    also the value at every step.

    Parameters
    ----------
    x : Tensor, (batch, time, features)
        Normalised; zero where not seen.
    seen : Tensor of bool, (batch, time, features)
    valid : Tensor of bool, (batch, windows)
        False on padded windows.
    window : int
        Steps per window; the last one may be filled in part.
    profile : bool

    Returns
    -------
    rows, weight : Tensor, (batch, windows, statistics)
        Weights are 0 or 1. See `statistics_of` for how many statistics there are.
    """
    x, seen = _windows(x, window), _windows(seen, window)
    count = seen.sum(2)
    ever = count > 0
    mean = x.sum(2) / count.clamp(min=1)
    low = torch.where(ever, x.masked_fill(~seen, torch.inf).amin(2), 0.0)
    high = torch.where(ever, x.masked_fill(~seen, -torch.inf).amax(2), 0.0)
    counted = [mean, mean.square(), low, high, count.to(x.dtype).log1p(), ever.to(x.dtype)]
    if profile:
        counted.append(x.flatten(2))
    rows = torch.cat([*counted, mean], 2)
    real = valid.unsqueeze(-1).expand(-1, -1, rows.shape[2] - mean.shape[2])
    return rows, torch.cat([real, ever & valid.unsqueeze(-1)], 2).to(x.dtype)


def statistics_of(features: int, window: int, profile: bool) -> int:
    """How many statistics `window_statistics` gives."""
    return features * (7 + window * profile)


def window_profile(
    x: Float[Tensor, "batch time features"],
    seen: Bool[Tensor, "batch time features"],
    window: int,
    profile: bool,
    shrink: float = 1.0,
) -> Float[Tensor, "batch time features"]:
    """What a sequence's windows have in common, repeated over its time: what many anchors subtract.

    The mean of each feature, with ``profile`` apart for each step of a window. Means are drawn towards
    zero (the training mean), and steps towards the feature's mean, as ``shrink`` values would.
    """
    time = x.shape[1]
    total, count = (_windows(values, window).sum(1) for values in (x, seen.to(x.dtype)))
    common = (total.sum(1) / (count.sum(1) + shrink)).unsqueeze(1)
    if not profile:
        return common.expand_as(x)
    steps = common + (total - count * common) / (count + shrink)
    return steps.repeat(1, -(-time // window), 1)[:, :time]


class ManyElements(nn.Module):
    """q(s | windows): a linear map of statistics averaged over the windows, fitted in closed form.

    The map leads to the directions in which sequences differ most, measured against how much the
    windows of one sequence differ (`steady_directions`). The posterior's variance is what the choice of
    windows leaves open; together with the variance of the means it makes 1 over the training sequences, so
    that N(0, I) is the prior.

    Parameters
    ----------
    statistics : int
        Statistics of a window.
    parts : int
        1: windows are averaged over the sequence and their order is lost. More: over each of so many
        equal parts, one after the other; a statistic not seen in a part has the whole's average.
    dim : int
        Size of the static code.
    """

    center: Tensor
    scale: Tensor
    directions: Tensor
    origin: Tensor
    logvar: Tensor

    def __init__(self, statistics: int, parts: int, dim: int) -> None:
        super().__init__()
        self.parts = parts
        self.register_buffer("center", torch.zeros(statistics))
        self.register_buffer("scale", torch.ones(statistics))
        # Random until fitted: what an untrained encoder is.
        self.register_buffer("directions", torch.randn(parts * statistics, dim) / (parts * statistics) ** 0.5)
        self.register_buffer("origin", torch.zeros(dim))
        self.register_buffer("logvar", torch.zeros(dim))

    def forward(
        self, rows: Float[Tensor, "batch windows statistics"], weight: Float[Tensor, "batch windows statistics"]
    ) -> Gaussian:
        """Static posterior of every sequence."""
        pooled = torch.cat([(rows * share).sum(1) for rows, share in self._parts(rows, weight)], 1)
        mean = pooled @ self.directions - self.origin
        return Gaussian(mean, self.logvar.expand_as(mean))

    @torch.no_grad()
    def fit(
        self,
        rows: Float[Tensor, "batch windows statistics"],
        weight: Float[Tensor, "batch windows statistics"],
        ridge: float,
    ) -> None:
        """Set the map from the training sequences.

        Parameters
        ----------
        rows, weight
            Of all training sequences, as `window_statistics` gives them.
        ridge : float
            See `steady_directions`.

        Raises
        ------
        DataError
            A single sequence, which differs from no other.
        """
        if len(rows) < 2:
            raise DataError("1 sequence was given; what tells sequences apart needs at least 2. Give more sequences.")
        rows, weight = rows.double(), weight.double()
        total = weight.sum((0, 1)).clamp(min=1)
        center = (rows * weight).sum((0, 1)) / total
        spread = (((rows - center).square() * weight).sum((0, 1)) / total).sqrt()
        self.center.copy_(center)
        self.scale.copy_(torch.where(spread > 1e-6, spread, 1.0))
        pooled, moved = [], []
        for values, share in self._parts(rows, weight):
            average = (values * share).sum(1)
            pooled.append(average)
            moved.append((values - average.unsqueeze(1)) * share * _unbiased(share))
        # Parts side by side: where two of them fall back on the same windows they move together.
        joint = torch.cat(moved, 2)
        self._set(torch.cat(pooled, 1), torch.einsum("nwi,nwj->ij", joint, joint), ridge)

    def _set(self, pooled: Tensor, within: Tensor, ridge: float) -> None:
        total = torch.atleast_2d(torch.cov(pooled.mT))
        directions = steady_directions(total, within, self.directions.shape[1], ridge)
        variance = torch.einsum("ij,ik,kj->j", directions, total, directions)
        # Beyond the rank of the training sequences there is nothing to tell: such a code stays zero.
        told = variance > 1e-8 * variance.amax().clamp(min=1e-8)
        directions = torch.where(told, directions / variance.clamp(min=1e-16).sqrt(), 0.0)
        noise = torch.einsum("ij,ik,kj->j", directions, within, directions).clamp(1e-4, 0.99)
        # Level and noise add up to the variance of 1: a code's mean has what is left of it.
        directions = directions * (1 - noise).sqrt()
        self.directions.copy_(directions)
        self.origin.copy_((pooled @ directions).mean(0))
        self.logvar.copy_(torch.where(told, noise, 1.0).log())

    def _parts(self, rows: Tensor, weight: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Standardised rows of each part, and each window's share of the part's average."""
        rows = ((rows - self.center) / self.scale).clamp(-CLIP, CLIP)
        whole = _share(weight)
        if self.parts == 1:
            yield rows, whole
            return
        windows = torch.arange(rows.shape[1], device=rows.device).unsqueeze(-1)
        # Most statistics count in every real window, whatever was seen in it.
        count = weight.amax(-1).sum(1).long().clamp(min=1)
        place = (windows * self.parts // count[:, None, None]).clamp(max=self.parts - 1)
        for part in range(self.parts):
            within = weight * (place == part)
            share = _share(within)
            yield rows, torch.where(within.sum(1, keepdim=True) > 0, share, whole)


def steady_directions(
    total: Float[Tensor, "size size"], within: Float[Tensor, "size size"], dim: int, ridge: float
) -> Float[Tensor, "size dim"]:
    """Directions that tell sequences apart and hardly move inside one.

    The leading solutions ``v`` of ``total v = lambda (within + ridge * mean(diag(within)) * I) v``. For
    ``ridge -> 0`` these are the canonical variates of Fisher's discriminant analysis with every
    sequence a class of its own; for ``ridge -> infinity`` the principal components of the averages.

    Parameters
    ----------
    total : Tensor, (size, size)
        Covariance of the sequences' averages.
    within : Tensor, (size, size)
        Covariance of an average around its sequence.
    dim : int
        Directions wanted, at most ``size``.
    ridge : float
        Above 0.

    Returns
    -------
    Tensor, (size, dim)
        Sign fixed by the largest entry, which is positive.

    References
    ----------
    Fisher, Annals of Eugenics 7, 1936. Ioffe, Probabilistic Linear Discriminant Analysis, ECCV 2006.
    """
    # A constant keeps the metric invertible where no statistic varies within sequences at all.
    size = ridge * within.diagonal().mean() + 1e-9 * total.diagonal().mean() + 1e-12
    metric = within + size * torch.eye(len(within), dtype=within.dtype, device=within.device)
    factor = torch.linalg.cholesky(metric)
    half = torch.linalg.solve_triangular(factor, total, upper=False)
    whitened = torch.linalg.solve_triangular(factor, half.mT, upper=False)
    _, vectors = torch.linalg.eigh(0.5 * (whitened + whitened.mT))
    directions = torch.linalg.solve_triangular(factor.mT, vectors.flip(-1)[:, :dim], upper=True)
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    return directions * largest.sign()


def _windows(values: Tensor, window: int) -> Tensor:
    missing = -values.shape[1] % window
    return pad(values, (0, 0, 0, missing)).unflatten(1, (-1, window))


def _share(weight: Tensor) -> Tensor:
    """Weights that sum to one over the windows; all zero where nothing was seen."""
    return weight / weight.sum(1, keepdim=True).clamp(min=1)


def _unbiased(share: Tensor) -> Tensor:
    """(batch, 1, statistics): what makes the sum of squared ``share * deviation`` the variance of an average.

    Deviations from an average are too small by the window's own share in it. Sequences that hold a
    statistic in one window say nothing of how it moves: they count for nothing, the others for more.
    """
    spare = 1 - share.square().sum(1, keepdim=True)
    known = (spare > 1e-9) & (share.sum(1, keepdim=True) > 0)
    sequences = known.sum(0, keepdim=True).clamp(min=1)
    return torch.where(known, spare.clamp(min=1e-9).rsqrt() * sequences.rsqrt(), 0.0)

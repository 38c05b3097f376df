"""`LossTerms` and the loss terms that methods share, as pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from seqdis.factors import Gaussian


@dataclass
class LossTerms:
    """Named, weighted, ordered terms; every value is a scalar averaged over sequences.

    ``add`` each term once; ``total`` is what the optimiser sees. Terms of other objectives than
    "model" (a critic's) are summed apart, for an optimiser of their own.
    """

    weights: dict[str, float] = field(default_factory=dict)
    values: dict[str, Float[Tensor, ""]] = field(default_factory=dict)
    objectives: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: Float[Tensor, ""], weight: float = 1.0, *, objective: str = "model") -> LossTerms:
        """Append one term and return self."""
        if name in self.values:
            raise KeyError(f"loss term '{name}' was added twice")
        self.values[name] = value
        self.weights[name] = weight
        self.objectives[name] = objective
        return self

    @property
    def total(self) -> Float[Tensor, ""]:
        """The weighted sum of the model's terms."""
        return self.total_of("model")

    def total_of(self, objective: str) -> Float[Tensor, ""]:
        """The weighted sum of one objective's terms."""
        mine = [name for name, its in self.objectives.items() if its == objective]
        if not mine:
            raise KeyError(f"no loss term was added for the objective '{objective}'")
        return torch.stack([self.weights[name] * self.values[name] for name in mine]).sum()

    def detached(self) -> dict[str, Tensor]:
        """The plain values and the weighted sum of each objective, without gradient, for logging."""
        values = {name: value.detach() for name, value in self.values.items()}
        for objective in dict.fromkeys(self.objectives.values()):
            values["total" if objective == "model" else f"total_{objective}"] = self.total_of(objective).detach()
        return values


def kl_standard(q: Gaussian) -> Float[Tensor, "*batch"]:
    """KL(q || N(0, I)), summed over the last axis (closed form)."""
    mean, logvar = q.mean.float(), _logvar(q).float()
    return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).sum(-1)


def kl_gaussian(q: Gaussian, p: Gaussian) -> Float[Tensor, "*batch"]:
    """KL(q || p) of diagonal Gaussians, summed over the last axis (closed form)."""
    q_logvar, p_logvar = _logvar(q).float(), _logvar(p).float()
    gap = (q.mean.float() - p.mean.float()).square()
    return 0.5 * (p_logvar - q_logvar + (q_logvar.exp() + gap) * torch.exp(-p_logvar) - 1.0).sum(-1)


def pairwise_kl(q: Gaussian, p: Gaussian) -> Float[Tensor, "rows columns"]:
    """KL(q_i || p_j) of all pairs of diagonal Gaussians, as matrix products: no (rows, columns, dim) tensor."""
    q_logvar, p_logvar = _logvar(q).float(), _logvar(p).float()
    precision = torch.exp(-p_logvar)
    spread = product(q_logvar.exp(), precision.mT) + _weighted_squares(q.mean.float(), p.mean.float(), precision)
    return 0.5 * (spread + p_logvar.sum(-1) - q_logvar.sum(-1, keepdim=True) - q.mean.shape[-1])


def mutual_information(
    static: Float[Tensor, "batch static"],
    q_static: Gaussian,
    dynamic: Float[Tensor, "batch time dynamic"],
    q_dynamic: Gaussian,
    valid: Bool[Tensor, "batch time"] | None = None,
    population: int | None = None,
) -> Float[Tensor, ""]:
    """I(s; d_t) by mini-batch weighted sampling, averaged over steps: from 0 to log(batch), up to noise.

    Per step, the mean over sequences i of ``log q(s_i, d_i) - log q(s_i) - log q(d_i)``, where
    ``q(.) = mean_j q(. | x_j)`` over the sequences of the batch.

    Parameters
    ----------
    static, dynamic : Tensor, (batch, static), (batch, time, dynamic)
        One sample of each posterior.
    q_static, q_dynamic : Gaussian
        The posteriors.
    valid : Tensor of bool, (batch, time), or None
        False on padded steps, which are left out.
    population : int or None
        A number N of training sequences: as the released code of C-DSVAE and SPYL, which takes the log-variance for a
        logarithm of the standard deviation, adds log N to every sequence's part and clips it at zero, below which
        that density would take it without bound.

    Notes
    -----
    Densities of pairs, (batch, batch) of the static and (time, batch, batch) of the dynamic codes, are
    matrix products, and their sum is the joint one: nothing is tiled over time or kept per dimension.

    References
    ----------
    Chen, Li, Grosse, Duvenaud. Isolating Sources of Disentanglement in VAEs. NeurIPS 2018, Section 4.1.
    """
    if population is not None:
        q_static, q_dynamic = (Gaussian(q.mean, 2.0 * _logvar(q)) for q in (q_static, q_dynamic))
    of_static = _log_densities(static, q_static)
    of_dynamic = _log_densities(dynamic.transpose(0, 1), q_dynamic.map(lambda code: code.transpose(0, 1)))
    if valid is None:
        valid = torch.ones(dynamic.shape[:2], dtype=torch.bool, device=dynamic.device)
        marginal = torch.logsumexp(of_static, -1)
    else:
        absent = ~valid.mT.unsqueeze(1)
        # No infinity: a step at which all is padding would make the gradient NaN.
        of_dynamic = of_dynamic.masked_fill(absent, NEVER)
        marginal = torch.logsumexp(of_static.masked_fill(absent, NEVER), -1)
    ratio = torch.logsumexp(of_static + of_dynamic, -1) - marginal - torch.logsumexp(of_dynamic, -1)
    ratio = ratio + valid.sum(0).clamp(min=1).log().unsqueeze(-1)
    if population is not None:
        ratio = (ratio + math.log(population)).relu()
    return torch.where(valid.mT, ratio, 0.0).sum() / valid.sum()


def _log_densities(x: Float[Tensor, "*batch rows dim"], q: Gaussian) -> Float[Tensor, "*batch rows columns"]:
    """log q_j(x_i) of all pairs."""
    logvar = _logvar(q).float()
    squares = _weighted_squares(x.float(), q.mean.float(), torch.exp(-logvar))
    return -0.5 * (squares + (logvar + math.log(2.0 * math.pi)).sum(-1).unsqueeze(-2))


def _weighted_squares(
    x: Float[Tensor, "*batch rows dim"],
    y: Float[Tensor, "*batch columns dim"],
    weight: Float[Tensor, "*batch columns dim"],
) -> Float[Tensor, "*batch rows columns"]:
    """``sum_k weight_jk (x_ik - y_jk)^2`` of all pairs, by expanding the square."""
    # Differences stay as they are, and less is lost where squares cancel.
    center = y.mean(-2, keepdim=True).detach()
    x, y = x - center, y - center
    pulled = y * weight
    return product(x.square(), weight.mT) - 2.0 * product(x, pulled.mT) + (y * pulled).sum(-1).unsqueeze(-2)


def product(a: Float[Tensor, "*batch rows inner"], b: Float[Tensor, "*batch inner columns"]) -> Tensor:
    """``a @ b`` in the precision of its arguments, under autocast too: what is left where large terms cancel."""
    with torch.autocast(a.device.type, enabled=False):
        return a @ b


def gaussian_nll(
    x: Float[Tensor, "*shape"], mean: Float[Tensor, "*shape"], std: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Elementwise negative log-likelihood of Normal(mean, std), constants included."""
    z = (x - mean) / std
    return 0.5 * z.square() + torch.log(std) + 0.5 * math.log(2.0 * math.pi)


def kl_cycle(epoch: int, length: int) -> float:
    """Weight of the KL terms: 0 at a cycle's start, a cosine ramp to 1 at its middle, 1 to its end."""
    if length == 0:
        return 1.0
    position = min(1.0, 2.0 * (epoch % length) / length)
    return 0.5 * (1.0 - math.cos(math.pi * position))


def passing(early: float, late: float, done: float, begin: float, end: float) -> float:
    """A weight that passes from one positive value to another, geometrically, between two shares of the training.

    ``done`` is the share of the training that is over: before ``begin`` the weight is ``early``, from ``end``
    on ``late``.
    """
    share = min(1.0, max(0.0, (done - begin) / (end - begin)))
    return math.exp((1.0 - share) * math.log(early) + share * math.log(late))


def _logvar(gaussian: Gaussian) -> Tensor:
    if gaussian.logvar is None:
        raise ValueError("the KL divergence of a point is infinite; this term needs a Gaussian with a variance")
    return gaussian.logvar


KERNELS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "imq": lambda distance, width: width / (width + distance),
    "rbf": lambda distance, width: torch.exp(-distance / width),
}
"""Inverse multiquadric and Gaussian kernels of a squared distance."""

NEVER = -1e30
"""Logarithm of a density of zero, without an infinity that gradients could not pass."""
KERNEL_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Kernels are summed over these multiples of the width, as Wasserstein autoencoders do."""


def mmd(
    q: Float[Tensor, "*sets n dim"],
    p: Float[Tensor, "*sets n dim"],
    kernel: str = "imq",
    *,
    spread: float | None = None,
    present: Bool[Tensor, "*sets n"] | None = None,
) -> Float[Tensor, "*sets"]:
    """Squared maximum mean discrepancy between Q and P, estimated from samples without bias.

    Parameters
    ----------
    q, p : Tensor
        Samples. Those with one row number may depend on each other: they are never compared.
    kernel : "imq" or "rbf"
    spread : float or None
        Kernel width: the mean squared distance of two draws of P, ``2 * dim`` for N(0, I). None: taken
        from ``p``, as a constant, so that shrinking both distributions does not lower the value.
    present : Tensor or None
        False where a row counts in neither set.

    Notes
    -----
    0 in the mean where P = Q, hence negative by chance; 0 for fewer than two rows. Estimator: Gretton et al., A
    Kernel Two-Sample Test, JMLR 13, 2012, Lemma 6, the form for m = n. Kernels: Tolstikhin et al., ICLR 2018.
    """
    n = q.shape[-2]
    both = torch.cat([q, p], dim=-2).float()
    distance = torch.cdist(both, both).square()
    rows = both.new_ones(q.shape[:-1]) if present is None else present.to(both.dtype)
    pairs = rows.unsqueeze(-1) * rows.unsqueeze(-2) * (1.0 - torch.eye(n, device=rows.device))
    count = pairs.sum((-2, -1)).clamp(min=1.0)
    if spread is None:
        drawn = (distance[..., n:, n:] * pairs).sum((-2, -1)) / count
        width = drawn.detach().clamp(min=1e-6)[..., None, None]
    else:
        width = distance.new_tensor(spread)
    value = sum((KERNELS[kernel](distance, scale * width) for scale in KERNEL_SCALES), torch.zeros_like(distance))
    across = value[..., :n, n:] + value[..., n:, :n]
    return ((value[..., :n, :n] + value[..., n:, n:] - across) * pairs).sum((-2, -1)) / count

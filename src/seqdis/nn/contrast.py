"""Contrast between codes: views of the model's own making, which of them are negatives, and the loss on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from seqdis.factors import Factors, Gaussian, Posterior
from seqdis.losses import NEVER, product
from seqdis.nn.network import Network
from seqdis.sequences import Batch

Part = Literal["static", "dynamic"]
Negatives = Literal["farthest", "middle", "middle+farthest", "random"]


def info_nce(
    anchor: Float[Tensor, "batch dim"],
    positive: Float[Tensor, "batch dim"],
    views: Float[Tensor, "views dim"],
    negatives: Int[Tensor, "batch count"],
    temperature: float,
) -> Float[Tensor, ""]:
    """``-log(e+ / (e+ + sum_j e-_j))`` with ``e = exp(cosine / temperature)``, averaged over the batch.

    Parameters
    ----------
    anchor, positive : Tensor, (batch, dim)
        Codes, and what each is to be similar to.
    views : Tensor, (views, dim)
        Codes that rows choose their negatives from.
    negatives : Tensor of int64, (batch, count)
        Rows of ``views`` that each anchor is to be dissimilar to.
    temperature : float
        Above 0.

    References
    ----------
    Oord, Li, Vinyals. Representation Learning with Contrastive Predictive Coding, 2018. Eq. 6 of SPYL.
    """
    anchor, positive, views = (normalize(codes.float(), dim=-1) for codes in (anchor, positive, views))
    alike = (anchor * positive).sum(-1, keepdim=True)
    logits = torch.cat([alike, product(anchor, views.mT).gather(1, negatives)], dim=1) / temperature
    return (torch.logsumexp(logits, 1) - logits[:, 0]).mean()


def nt_xent(
    one: Float[Tensor, "batch dim"], other: Float[Tensor, "batch dim"], temperature: float
) -> Float[Tensor, ""]:
    """``-log(e+ / sum_j e_j)`` with ``e = exp(cosine / temperature)``, averaged over both codes of every sequence.

    Each of the 2n codes is to be similar to the other one of its sequence, and dissimilar to the 2n - 2 of others.

    References
    ----------
    Chen, Kornblith, Norouzi, Hinton. A Simple Framework for Contrastive Learning. ICML 2020, Eq. 1.
    """
    codes = normalize(torch.cat([one, other]).float(), dim=-1)
    count = len(one)
    alike = product(codes, codes.mT) / temperature
    alike = alike.masked_fill(torch.eye(2 * count, dtype=torch.bool, device=codes.device), NEVER)
    return (torch.logsumexp(alike, 1) - alike.diagonal(count).repeat(2)).mean()


def nearest_third(distance: Float[Tensor, "batch candidates"]) -> Int[Tensor, "batch third"]:
    """The ``floor(n / 3)`` nearest candidates of every row, at least one: pools of positives."""
    return distance.topk(max(1, distance.shape[1] // 3), largest=False).indices


def negatives_pool(
    distance: Float[Tensor, "batch candidates"], which: Negatives, generator: torch.Generator | None = None
) -> Int[Tensor, "batch pool"]:
    """Candidates that the negatives of every row are drawn from, nearest first.

    The middle third of n begins at ``floor(n / 3)``, the farthest at ``floor(2 n / 3)``. "random" is a
    third of all candidates, chosen for every row apart, whatever their distance.
    """
    n = distance.shape[1]
    first, second = n // 3, 2 * n // 3
    if which == "random":
        distance = torch.rand(distance.shape, generator=generator, device=distance.device)
    nearest_first = distance.argsort(1)
    if which == "middle":
        return nearest_first[:, first : max(second, first + 1)]
    return nearest_first[:, first if which == "middle+farthest" else second :]


def pick(
    pool: Int[Tensor, "batch pool"], count: int, generator: torch.Generator | None = None
) -> Int[Tensor, "batch count"]:
    """Draw from every row of a pool, with replacement."""
    chosen = torch.randint(pool.shape[1], (len(pool), count), generator=generator, device=pool.device)
    return pool.gather(1, chosen)


def draw_negatives(
    pool: Int[Tensor, "batch pool"], count: int, shared: int, generator: torch.Generator | None = None
) -> tuple[Int[Tensor, " views"], Int[Tensor, "batch count"]]:
    """Whose posterior each negative view is drawn from, and which views each row takes.

    With ``shared`` > 0 every posterior has so many views, and rows pick among those of their pool;
    else every row has ``count`` views of its own.
    """
    rows = pick(pool, count, generator)
    if not shared:
        return rows.flatten(), torch.arange(rows.numel(), device=rows.device).view_as(rows)
    which = torch.randint(shared, rows.shape, generator=generator, device=rows.device)
    return torch.arange(len(pool), device=rows.device).repeat_interleave(shared), rows * shared + which


def bank_negatives(
    distance: Float[Tensor, "batch bank"], which: Negatives, count: int, generator: torch.Generator | None = None
) -> Int[Tensor, "batch count"]:
    """Negatives from a bank, without replacement, by distance as the released code of SPYL ranks them.

    Parameters
    ----------
    distance : Tensor, (batch, bank)
    which : str
        "farthest" takes the ``count`` farthest; "middle" those that follow the farthest third;
        "middle+farthest" random ones of the farthest two thirds; "random" any. Random ranks are the
        same for all rows. (Released as "soft", "semi" and "hard"; the last is ours.)
    count : int
        At most half of the bank.
    """
    bank = distance.shape[1]
    if which == "farthest":
        return distance.topk(count).indices
    farthest_first = distance.argsort(1, descending=True)
    third = bank // 3
    if which == "middle":
        return farthest_first[:, third : third + count]
    among = bank if which == "random" else 2 * third
    return farthest_first[:, torch.randperm(among, generator=generator, device=distance.device)[:count]]


def encode_again(network: Network, codes: Factors) -> Posterior:
    """Posteriors of the mean observations of these codes: what predictive sampling makes of a code."""
    lengths = None if codes.lengths is None else codes.lengths * network.stride
    return network.encode(Batch(x=network.decode(codes), lengths=lengths))


def views(
    network: Network,
    part: Part,
    posterior: Posterior,
    rows: Int[Tensor, " views"],
    generator: torch.Generator | None = None,
    *,
    predictive: bool = True,
) -> Float[Tensor, "views dim"]:
    """Samples of one code, one per row named, that are like that row's.

    Parameters
    ----------
    part : "static" or "dynamic"
        Which code. Dynamic ones come as whole `paths`.
    posterior : Posterior
        Of a batch.
    rows : Tensor of int64, (views,)
        Whose posterior each view is drawn from.
    predictive : bool
        Join the draw with the other code from the prior, decode, encode, and draw again (Eq. 8 of SPYL);
        else the draw itself.
    """
    chosen = Posterior(
        posterior.static.map(lambda code: code[rows]),
        posterior.dynamic.map(lambda code: code[rows]),
        None if posterior.lengths is None else posterior.lengths[rows],
    )
    codes = chosen.sample(generator)
    if predictive:
        arbitrary = network.prior(len(rows), codes.dynamic.shape[1], generator)
        joined = (
            replace(arbitrary, static=codes.static) if part == "static" else replace(codes, static=arbitrary.static)
        )
        codes = encode_again(network, joined).sample(generator)
    return codes.static if part == "static" else paths(codes)


def paths(codes: Factors) -> Float[Tensor, "batch path"]:
    """Dynamic codes of all windows side by side, zero on padding."""
    return (codes.dynamic * codes.valid().unsqueeze(-1)).flatten(1)


def path_posterior(posterior: Posterior) -> Gaussian:
    """q(d_1, d_2, ...) as one Gaussian: windows are independent given the observations; N(0, I) on padding."""
    return posterior.dynamic.map(lambda code: paths(replace(posterior.mean(), dynamic=code)))


def mean_posterior(posterior: Posterior) -> Gaussian:
    """Mean and log-variance of the dynamic posterior, each averaged over the real windows, as SPYL was released."""
    return posterior.dynamic.map(lambda code: replace(posterior.mean(), dynamic=code).dynamic_mean())


@contextmanager
def running_statistics_kept(module: nn.Module) -> Iterator[None]:
    """Batch norms normalise by the batch as before, but leave the statistics that encoding uses alone."""
    norms = [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    before = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(norms, before, strict=True):
            layer.momentum = momentum

"""What small networks that are fitted on the spot share: a seed of their own, and one pass over the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def one_pass(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    inputs: tuple[Tensor, ...],
    targets: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch_size: int,
    clip: float | None = None,
) -> None:
    """One update per batch, rows in random order (torch's generator: see `seeded`).

    Parameters
    ----------
    net : Module
        Called with rows of ``inputs``.
    optimiser : Optimizer
    inputs : tuple of Tensor, (n, ...)
    targets : Tensor, (n, ...)
    loss : callable
        From outputs and targets to a scalar.
    batch_size : int
        The last batch may be smaller, but never a single row beside others: batch norm needs two.
    clip : float or None
        Largest gradient norm.
    """
    net.train()
    batches = list(torch.randperm(len(targets)).split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    for rows in batches:
        optimiser.zero_grad()
        loss(net(*(values[rows] for values in inputs)), targets[rows]).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimiser.step()


class seeded:
    """Torch's generator seeded inside the block and restored after it: layers and dropout take no generator."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __enter__(self) -> None:
        self.fork: Any = torch.random.fork_rng(devices=[])
        self.fork.__enter__()
        torch.manual_seed(self.seed)

    def __exit__(self, *error: object) -> None:
        self.fork.__exit__(*error)

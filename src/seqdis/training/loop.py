"""The training loop: reads top to bottom, resumes after a kill at the last state written."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch

from seqdis.errors import SeqdisError
from seqdis.losses import LossTerms
from seqdis.nn.network import Network, Progress
from seqdis.sequences import Sequences
from seqdis.training.checkpoint import RunFolder
from seqdis.training.engine import Engine, Store
from seqdis.training.settings import Training

History = list[dict[str, Any]]
Watcher = Callable[[int, int, dict[str, Any] | None], None]
"""Called with (steps done, steps in all, the epoch's record at an epoch's end)."""

VALIDATIONS = 12
"""About how often a run looks at its validation part; every epoch in short runs."""


def train(
    network: Network,
    sequences: Sequences,
    settings: Training,
    *,
    valid: Sequences | None = None,
    folder: RunFolder | None = None,
    watch: Watcher | None = None,
) -> History:
    """Optimise a network; returns one record per epoch.

    Order and noise of an epoch follow from (seed, epoch) alone: a run that is killed and resumed
    makes the same draws as one that is not.

    Raises
    ------
    SeqdisError
        A loss or a weight is not finite at the end of an epoch.
    """
    engine = Engine(settings, network.spec)
    store = Store(sequences, network.spec, engine.device)
    valid_store = None if valid is None else Store(valid, network.spec, engine.device)
    optimisers = engine.setup(network, settings)
    history: History = [] if folder is None else folder.resume(network, optimisers, engine.device)
    if network.closed_form and not history:
        network.prepare(store.take(torch.arange(len(store))), engine.generator(settings.seed))
    steps = -(-len(store) // settings.batch_size)

    for epoch in range(len(history), settings.max_epochs):
        started = time.perf_counter()
        order = torch.randperm(len(store), generator=torch.Generator().manual_seed(_mix(settings.seed, epoch)))
        generator = engine.generator(_mix(settings.seed, epoch) + 1)
        network.train()
        sums: dict[str, torch.Tensor] = {}
        for step, rows in enumerate(order.split(settings.batch_size)):
            progress = Progress(epoch, settings.max_epochs, epoch * steps + step, generator)
            batch = store.take(rows)
            rate = settings.rate(progress.step / (settings.max_epochs * steps))
            with engine.autocast():
                terms = network(batch, progress)
            _step(engine, network, optimisers, terms, rate, settings.gradient_clip)
            # Sums stay on the device and are read once per epoch: no step waits for the host.
            for name, value in terms.detached().items():
                sums[name] = sums.get(name, 0.0) + value * len(rows)
            if watch is not None:
                watch(epoch * steps + step + 1, settings.max_epochs * steps, None)

        record: dict[str, Any] = {"epoch": epoch + 1, "train": _averages(sums, len(store))}
        if valid_store is not None and _looks(epoch, settings.max_epochs):
            record["valid"] = evaluate(network, valid_store, settings, epoch)
        record["seconds"] = round(time.perf_counter() - started, 4)
        _refuse_divergence(record, network)
        history.append(record)
        if folder is not None:
            folder.save_state(network, optimisers, history, settings)
        if watch is not None:
            watch((epoch + 1) * steps, settings.max_epochs * steps, record)
    network.eval()
    with torch.no_grad():
        network.conclude(store.take(rows) for rows in torch.arange(len(store)).split(settings.batch_size))
    return history


def _step(engine: Engine, network: Network, optimisers: list[Any], terms: LossTerms, rate: float, clip: float) -> None:
    """One step of every objective from one forward pass; a gradient reaches its own parameters only."""
    last = len(optimisers) - 1
    for number, (objective, optimiser) in enumerate(zip(network.objectives, optimisers, strict=True)):
        (group,) = optimiser.param_groups
        group["lr"] = rate * network.rate_of(objective)
        optimiser.zero_grad(set_to_none=True)
        engine.backward(terms.total_of(objective), group["params"] if last else None, keep=number < last)
        if clip:
            engine.clip(group["params"], clip)
    # Not before: a step changes weights in place that the other gradients are computed with.
    for optimiser in optimisers:
        optimiser.step()


@torch.no_grad()
def evaluate(network: Network, store: Store, settings: Training, epoch: int = 0) -> dict[str, float]:
    """Loss terms averaged over sequences, in evaluation mode, always with the same draws."""
    network.eval()
    generator = torch.Generator(store.device).manual_seed(settings.seed)
    sums: dict[str, torch.Tensor] = {}
    for rows in torch.arange(len(store)).split(settings.batch_size):
        terms = network(store.take(rows), Progress(epoch, settings.max_epochs, 0, generator))
        for name, value in terms.detached().items():
            sums[name] = sums.get(name, 0.0) + value * len(rows)
    return _averages(sums, len(store))


def _averages(sums: dict[str, torch.Tensor], n: int) -> dict[str, float]:
    values = (torch.stack(list(sums.values())) / n).tolist()
    return {name: round(value, 6) for name, value in zip(sums, values, strict=True)}


def _looks(epoch: int, epochs: int) -> bool:
    return (epoch + 1) % max(1, epochs // VALIDATIONS) == 0 or epoch + 1 == epochs


def _mix(seed: int, epoch: int) -> int:
    """Distinct stream per (seed, epoch); the odd multiplier keeps nearby seeds apart."""
    return (seed * 1_000_003 + epoch) * 2


def _refuse_divergence(record: dict[str, Any], network: Network) -> None:
    bad = [name for name, value in record["train"].items() if not math.isfinite(value)]
    # The last step's gradients are in no loss yet, but in the weights.
    finite = [value.isfinite().all() for value in network.state_dict().values() if value.is_floating_point()]
    if not bad and not torch.stack(finite).all():
        bad = ["weights"]
    if bad:
        raise SeqdisError(
            f"training diverged in epoch {record['epoch']}: {', '.join(bad)} not finite. "
            "Lower `training.lr` or set `training.gradient_clip`."
        )

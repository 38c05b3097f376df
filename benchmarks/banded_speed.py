"""Speed of GP-VAE's banded posterior: one dense triangular solve beside a loop over windows.

    python benchmarks/banded_speed.py
    python benchmarks/banded_speed.py --json benchmarks/results/banded_speed.json

A call takes a sample and the traces of the KL term, forward and backward: all of a training step that depends on
the way. Ways alternate within a round, so that a busy neighbour slows both; figures are medians of rounds, ratios
quartiles of paired ratios. Which one a number of windows gets, `seqdis.nn.gaussian_process.DENSE` says.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch

from seqdis.evaluation.report import provenance
from seqdis.nn import gaussian_process
from seqdis.nn.gaussian_process import BandedGaussian

SIZES = ((30, 20, 8), (10, 28, 8), (30, 48, 8), (64, 80, 35), (32, 96, 96))
"""(batch, windows, dimensions): PhysioNet, air quality, between both ways, and stays and frames as published."""
WAYS = {"dense": 10**6, "loop": 0}
"""What `DENSE` has to be for each."""


def call(batch: int, windows: int, dim: int) -> Callable[[], None]:
    """Forward and backward through a fresh posterior, as every step builds one."""
    generator = torch.Generator().manual_seed(0)
    mean, diagonal, coupling = (
        torch.rand(batch, count, dim, generator=generator) for count in (windows, windows, windows - 1)
    )
    diagonal = (diagonal + 1).requires_grad_()
    coupling.requires_grad_()
    whitening = torch.rand(dim, windows, windows, generator=generator).tril()

    def step() -> None:
        posterior = BandedGaussian(mean, diagonal, coupling)
        (posterior.sample(generator).sum() + posterior.spread(whitening).sum()).backward()

    return step


def timed(step: Callable[[], None], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each way, one entry per round; those of a first round do not count."""
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds + 1):
        for way, dense in WAYS.items():
            with patch.object(gaussian_process, "DENSE", dense):
                started = time.perf_counter()
                step()
                if number:
                    times[way].append(1e3 * (time.perf_counter() - started))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = []
    for batch, windows, dim in SIZES:
        times = timed(call(batch, windows, dim), options.rounds)
        ratios = [dense / loop for dense, loop in zip(times["dense"], times["loop"], strict=True)]
        entry = {
            "batch": batch,
            "windows": windows,
            "dimensions": dim,
            "milliseconds": {way: round(statistics.median(values), 2) for way, values in times.items()},
            "dense over loop": [round(q, 2) for q in statistics.quantiles(ratios)],
        }
        result.append(entry)
        print(*(f"{name} {value}" for name, value in entry.items()), sep=", ")
    if options.json:
        settings = {name: getattr(options, name) for name in ("rounds", "threads")}
        whole = {"sizes": result, "settings": settings, "provenance": provenance({})}
        options.json.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()

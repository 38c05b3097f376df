"""Speed of DBSE on series at the published PhysioNet sizes: training step and encoding.

    python benchmarks/series_speed.py
    python benchmarks/series_speed.py --beside path/to/driver.py --json benchmarks/results/series_speed.json

``--beside`` names a Python file that defines ``make_released(copies) -> (model, step, encode)``, where
``step(batch)`` and ``encode(batch)`` run the authors' code on ``batch = (x, mask)`` (mask 1 = missing).
That code has no licence and is not part of this project. Rounds alternate between the two sides in one
process, so that a busy neighbour slows both; figures are medians of rounds, ratios are medians of paired
ratios. Data are random at the real sizes: stays of 80 rows x 10 features, 40 to 47 rows real, 40 % observed.
A training step takes 30 stays. Encoding takes a set of 480 stays from arrays to posterior means: ours as
`Disentangler.encode` does it, the authors' as their scripts do it, in batches of 30.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqdis.evaluation.report import provenance
from seqdis.methods import DBSE
from seqdis.nn.network import Progress
from seqdis.sequences import DataSpec, Sequences
from seqdis.training.engine import Store

STAYS, ENCODED, ROWS, FEATURES = 30, 480, 80, 10


def made_up_stays(count: int, seed: int = 0) -> Sequences:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(40, 48, count)
    lengths[0] = 47
    mask = (rng.random((count, ROWS, FEATURES)) < 0.4) & (np.arange(ROWS)[None, :, None] < lengths[:, None, None])
    x = np.where(mask, rng.normal(size=mask.shape), 0).astype(np.float32)
    spec = DataSpec(kind="series", shape=(FEATURES,), length=ROWS, missing=True)
    return Sequences(x=x, spec=spec, mask=mask, lengths=lengths)


def our_step(settings: DBSE, data: Sequences) -> Callable[[], Any]:
    network = settings.build(data.spec).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    store, rows = Store(data, data.spec), torch.arange(STAYS)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        terms = network(store.take(rows), Progress(generator=generator))
        optimiser.zero_grad(set_to_none=True)
        terms.total.backward()
        optimiser.step()

    return step


def our_encoding(settings: DBSE, data: Sequences) -> Callable[[], Any]:
    model = settings.replace(training__max_epochs=1).fit(data[:STAYS])
    return lambda: model.encode(data)


def released_side(driver: Path, copies: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    found = importlib.util.spec_from_file_location("driver", driver)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    _, step, encode = module.make_released(copies=copies)
    one, many = _tensors(made_up_stays(STAYS)), _tensors(made_up_stays(ENCODED))
    batches = list(zip(many[0].split(STAYS), many[1].split(STAYS), strict=True))
    return lambda: step(one), lambda: [encode(batch) for batch in batches]


def _tensors(data: Sequences) -> tuple[torch.Tensor, torch.Tensor]:
    assert data.mask is not None
    return torch.from_numpy(data.x), torch.from_numpy(1.0 - data.mask.astype(np.float32))


def timed(calls: dict[str, Callable[[], Any]], rounds: int, inner: dict[str, int]) -> dict[str, list[float]]:
    """Milliseconds per call, one entry per round, sides alternating within a round."""
    for call in calls.values():
        for _ in range(3):
            call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            for _ in range(inner[name]):
                call()
            times[name].append(1e3 * (time.perf_counter() - started) / inner[name])
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, help="driver of the authors' code")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = made_up_stays(STAYS)
    reference = DBSE.published("mortality", "reference")
    encode = f"encode {ENCODED} stays"
    calls = {
        "step, 10 copies": our_step(reference, data),
        "step, 1 copy (default)": our_step(DBSE.published("mortality"), data),
        encode: our_encoding(reference, made_up_stays(ENCODED)),
    }
    if options.beside:
        calls["released step, 10 copies"], calls["released encode"] = released_side(options.beside, 10)
    inner = {name: 10 if "1 copy" in name else 3 if name == encode else 1 for name in calls}
    times = timed(calls, options.rounds, inner)
    result: dict[str, Any] = {"milliseconds": {}, "stays_per_second": {}, "speedup": {}}
    for name, values in times.items():
        middle = statistics.median(values)
        result["milliseconds"][name] = round(middle, 3)
        stays = ENCODED if "encode" in name else STAYS
        result["stays_per_second"][name] = round(1e3 * stays / middle, 1)
        print(f"{name:28s} {middle:9.2f} ms  {1e3 * stays / middle:10.0f} stays/s")
    if options.beside:
        pairs = {
            "step, 10 copies": "released step, 10 copies",
            "step, 1 copy (default)": "released step, 10 copies",
            encode: "released encode",
        }
        for name, other in pairs.items():
            ratios = [b / a for a, b in zip(times[name], times[other], strict=True)]
            quartiles = statistics.quantiles(ratios, n=4)
            result["speedup"][name] = {"median": round(quartiles[1], 2), "quartiles": [round(q, 2) for q in quartiles]}
            print(f"{name:28s} {quartiles[1]:6.2f} times the released code ({quartiles[0]:.2f} to {quartiles[2]:.2f})")
    if options.json:
        result["settings"] = {"rounds": options.rounds, "threads": options.threads, "stays": STAYS}
        result["provenance"] = provenance({})
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

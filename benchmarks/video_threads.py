"""How long OpenMP threads should spin: two-thread video steps on a quiet machine and beside a busy process.

    python benchmarks/video_threads.py [--json benchmarks/results/video_threads.json]

The setting is read when torch is imported, so every measurement is a process of its own; rounds
alternate between the settings. DBSE, 24 filters, batches of 32 sequences of 8 frames of 32x32.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SETTINGS = {
    "library default": {},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
}
SPIN = "import time\nend = time.time() + 600\nwhile time.time() < end: pass"


def steps(count: int) -> float:
    """Median seconds of a training step in this process."""
    import torch

    from seqdis.datasets import MovingFigures
    from seqdis.methods import DBSE
    from seqdis.nn.network import Progress
    from seqdis.training.engine import Store

    torch.set_num_threads(2)
    data = MovingFigures(n_train=32, n_valid=1, n_test=1).split("train")[0]
    store, network = Store(data, data.spec), DBSE(filters=24).build(data.spec).train()
    optimiser = torch.optim.Adam(network.parameters(), fused=True)
    progress = Progress(generator=torch.Generator().manual_seed(0))
    times = []
    for _ in range(count):
        started = time.perf_counter()
        loss = network(store.take(torch.arange(32)), progress).total
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        times.append(time.perf_counter() - started)
    return statistics.median(times[3:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps:
        print(steps(options.steps))
        return
    plain = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    result: dict[str, dict[str, float]] = {}
    for where in ("quiet", "beside a busy process"):
        neighbour = subprocess.Popen([sys.executable, "-c", SPIN]) if where != "quiet" else None
        found: dict[str, list[float]] = {name: [] for name in SETTINGS}
        for _ in range(options.rounds):
            for name, variables in SETTINGS.items():
                command = [sys.executable, __file__, "--steps", "13"]
                done = subprocess.run(command, env=plain | variables, capture_output=True, text=True, check=True)
                found[name].append(32 / float(done.stdout))
        if neighbour is not None:
            neighbour.kill()
        result[where] = {name: round(statistics.median(values), 1) for name, values in found.items()}
        for name, value in result[where].items():
            print(f"{where:24s}{name:28s}{value:8.1f} sequences/s")
    if options.json:
        from seqdis.evaluation.report import provenance

        options.json.write_text(
            json.dumps({"sequences_per_second": result, "provenance": provenance({})}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()

"""Speed of SPYL's training step at the released Sprites setting, with a smaller batch.

    python benchmarks/spyl_speed.py
    python benchmarks/spyl_speed.py --beside path/to/driver.py --json benchmarks/results/spyl_speed.json

``--beside`` names a Python file that defines ``make_released(batch, contrast) -> step``, where ``step(video)``
trains the authors' code once on (batch, 8, 3, 64, 64) float32 in [0, 1]; without ``contrast`` as in its first
50 epochs. That code has no licence and is not part of this project. Rounds alternate between the two
sides in one process, so that a busy neighbour slows both; figures are medians of rounds, ratios are
medians of paired ratios. Data are random: time does not depend on their values. Both banks hold 4 times
the batch, of which every row takes 2 times the batch as negatives, as released at a batch of 128. Ours runs
in single precision, as the authors' code does, and in bfloat16; it keeps its memory, as in training. Beside
the wall's time stands the processor's, of all threads, which a busy machine falsifies less.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqdis.evaluation.report import provenance
from seqdis.methods import SPYL
from seqdis.nn.network import Progress
from seqdis.sequences import DataSpec, Sequences
from seqdis.training.engine import Engine, Store, kept_memory

FRAMES, FRAME = 8, (3, 64, 64)
Seconds = tuple[float, float]
"""Wall time, and processor time of all threads."""
RELEASED, WARM_UP = "released step", "released step in warm-up"


def our_step(settings: SPYL, batch: int) -> Callable[[], Any]:
    """One training step as the loop takes it."""
    spec = DataSpec(kind="image", shape=FRAME, length=FRAMES, scale=(255.0,))
    video = np.random.default_rng(0).integers(0, 256, (batch, FRAMES, *FRAME), dtype=np.uint8)
    engine = Engine(settings.training)
    network = settings.build(spec).train()
    (optimiser,) = engine.setup(network, settings.training)
    store, rows = Store(Sequences(x=video, spec=spec), spec, engine.device), torch.arange(batch)
    generator = engine.generator(0)

    def step() -> None:
        with engine.autocast():
            terms = network(store.take(rows), Progress(generator=generator))
        optimiser.zero_grad(set_to_none=True)
        engine.backward(terms.total)
        optimiser.step()

    return step


def our_steps(batch: int) -> dict[str, Callable[[], Any]]:
    """Steps as released, the same before contrast sets in, and of Algorithm 1; in both precisions."""
    released = SPYL.published("sprites", "reference").replace(warm_up=0, training__accelerator="cpu")
    kinds = {"step": {}, "step in warm-up": {"warm_up": 1}, "step, Algorithm 1": {"variant": "paper"}}
    return {
        f"{name}, {precision}": our_step(released.replace(training__precision=precision, **changes), batch)
        for precision in ("32-true", "bf16-mixed")
        for name, changes in kinds.items()
    }


def released_steps(driver: Path, batch: int) -> dict[str, Callable[[], Any]]:
    """The authors' step with and without contrast."""
    found = importlib.util.spec_from_file_location("driver", driver)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    video = torch.rand(batch, FRAMES, *FRAME, generator=torch.Generator().manual_seed(0))
    with_contrast, without = (module.make_released(batch, contrast=contrast) for contrast in (True, False))
    return {RELEASED: lambda: with_contrast(video), WARM_UP: lambda: without(video)}


def timed(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[Seconds]]:
    """Seconds per call, one entry per round, sides alternating within a round.

    Of two calls in a row the second counts, which finds the memory as a training finds it; so do not
    the calls of a first round.
    """
    times: dict[str, list[Seconds]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            with nullcontext() if name in (RELEASED, WARM_UP) else kept_memory():
                call()
                started = time.perf_counter(), time.process_time()
                call()
                if number:
                    times[name].append((time.perf_counter() - started[0], time.process_time() - started[1]))
    return times


def speedup(theirs: list[Seconds], ours: list[Seconds]) -> dict[str, list[float]]:
    """First quartile, median and third quartile of the paired ratios, of either clock."""
    return {
        clock: [round(q, 2) for q in statistics.quantiles([b[k] / a[k] for a, b in zip(ours, theirs, strict=True)])]
        for k, clock in enumerate(("wall", "processor"))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, help="driver of the authors' code")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    calls = our_steps(options.batch)
    if options.beside:
        calls |= released_steps(options.beside, options.batch)
    times = timed(calls, options.rounds)
    result: dict[str, Any] = {"milliseconds": {}, "speedup": {}}
    for name, seconds in times.items():
        wall, processor = (round(1e3 * statistics.median(values), 1) for values in zip(*seconds, strict=True))
        result["milliseconds"][name] = {"wall": wall, "processor": processor}
        print(f"{name:30s} {wall:9.1f} ms, of all processors {processor:9.1f} ms")
    for name in [name for name in times if options.beside and not name.startswith(RELEASED)]:
        result["speedup"][name] = speedup(times[WARM_UP if "warm-up" in name else RELEASED], times[name])
        print(f"{name:30s} times the released code, quartiles: {result['speedup'][name]}")
    if options.json:
        names = ("batch", "rounds", "threads")
        result["settings"] = {name: getattr(options, name) for name in names}
        result["provenance"] = provenance({})
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

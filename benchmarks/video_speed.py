"""Speed of DBSE on video at the published Sprites sizes: training step and encoding.

    python benchmarks/video_speed.py
    python benchmarks/video_speed.py --beside path/to/driver.py --json benchmarks/results/video_speed.json
    python benchmarks/video_speed.py --device cuda --batch 128 --peak 989

``--beside`` names a Python file that defines ``make_released_video() -> (step, encode)``, both of which
take (batch, time, height, width, channels) float32, as the authors' loader gives it. Their code has no
licence and is not part of this project. Rounds alternate between all sides in one process, so that a busy
neighbour slows each; figures are medians of rounds, ratios are medians of paired ratios. Beside wall time
stands processor time of all threads, which a neighbour on the same cores changes less.

Data are random bytes: 8 frames of 64x64x3. Every way of ours is the whole step, from bytes to updated weights;
"plain" is torch's own layers in float32, and each further line adds one thing to the line above it.
On a CPU one large product in bfloat16 is timed along: what a step would take at that rate alone bounds what any
rewriting of its layers can gain. On a GPU ``--peak`` gives the rate of dense bfloat16 products in TFLOP/s.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from seqdis.evaluation.report import provenance
from seqdis.methods import DBSE
from seqdis.nn import frames, products
from seqdis.nn.network import Network, Progress
from seqdis.sequences import DataSpec, Sequences
from seqdis.training import Training
from seqdis.training.engine import Engine, Store, kept_memory

Call = Callable[[], Any]
Seconds = tuple[float, float]
"""Wall time, and processor time of all threads."""
WAYS = [
    "plain",
    "bfloat16",
    "whole-map layers as products",
    "gradients by products",
    "kept memory",
    "small maps as products",
]
PRODUCT = "large product"
TILES = products.TILES
WARM = 3
"""Calls of a side before those that are timed: kept memory has found its places by the third step."""


def made_up_video(count: int, seed: int = 0) -> Sequences:
    values = np.random.default_rng(seed).integers(0, 256, (count, 8, 3, 64, 64), dtype=np.uint8)
    return Sequences(x=values, spec=DataSpec(kind="image", shape=(3, 64, 64), length=8, scale=(255.0,)))


def undo(network: Network, way: str) -> None:
    """Turn the network's layers back into torch's own, as far as this way does not use ours yet."""
    level = WAYS.index(way)
    own: list[tuple[type[nn.Module], type[nn.Module], int]] = [
        (products.MapToVector, nn.Conv2d, 2),
        (products.VectorToMap, nn.ConvTranspose2d, 2),
        (frames.Leaky, nn.LeakyReLU, 3),
        (products.Halving, nn.Conv2d, 3),
        (products.Doubling, nn.ConvTranspose2d, 3),
    ]
    for layer in network.modules():
        for ours, plain, since in own:
            if type(layer) is ours and level < since:
                layer.__class__ = plain
                if isinstance(layer, nn.LeakyReLU):
                    layer.inplace = True


def our_step(way: str, data: Sequences, device: Literal["cpu", "cuda"]) -> tuple[Call, float]:
    """A training step, and the FLOPs of its products and convolutions as torch counts them."""
    settings = Training(precision="32-true" if way == "plain" else "bf16-mixed", accelerator=device)
    torch.manual_seed(0)
    network = DBSE.published("sprites", "reference").build(data.spec).train()
    engine = Engine(settings, data.spec)
    (optimiser,) = engine.setup(network, settings)
    undo(network, way)
    store, rows, generator = Store(data, data.spec, engine.device), torch.arange(len(data)), engine.generator(0)

    def step() -> None:
        with engine.autocast():
            terms = network(store.take(rows), Progress(generator=generator))
        optimiser.zero_grad(set_to_none=True)
        engine.backward(terms.total)
        optimiser.step()

    counter = FlopCounterMode(display=False)
    with counter:
        step()
    return step, float(counter.get_total_flops())


def our_encoding(data: Sequences) -> Call:
    model = DBSE.published("sprites", "reference").replace(training__max_epochs=1).fit(data[:2])
    return lambda: model.encode(data)


def large_product(side: int = 2048) -> tuple[Call, float]:
    """One square product in bfloat16, and its FLOPs."""
    left, right = torch.randn(2, side, side).bfloat16()
    return lambda: left @ right, 2.0 * side**3


def released_side(driver: Path, data: Sequences) -> tuple[Call, Call]:
    found = importlib.util.spec_from_file_location("driver", driver)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    step, encode = module.make_released_video()
    video = torch.from_numpy(np.ascontiguousarray(np.moveaxis(data.x, 2, -1))).float() / 256
    return lambda: step(video), lambda: encode(video)


def timed(calls: dict[str, Call], rounds: int, inner: int, device: str) -> dict[str, list[Seconds]]:
    """(wall, processor) seconds per call, one entry per round, sides alternating within a round."""
    times: dict[str, list[Seconds]] = {name: [] for name in calls}
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(rounds):
        for name, call in calls.items():
            with surroundings_of(name):
                for _ in range(WARM):
                    call()
                wait()
                started, used = time.perf_counter(), time.process_time()
                for _ in range(inner):
                    call()
                wait()
                spent = time.perf_counter() - started, time.process_time() - used
            times[name].append((spent[0] / inner, spent[1] / inner))
    return times


@contextmanager
def surroundings_of(name: str) -> Iterator[None]:
    """Sides that keep memory do so while they run, only the last one chooses by tiles and the size of maps."""
    products.TILES = TILES and name == WAYS[-1]
    with kept_memory() if name in WAYS[-2:] else nullcontext():
        yield
    products.TILES = TILES


def ratios(theirs: list[Seconds], ours: list[Seconds]) -> dict[str, Any]:
    """Paired ratios of wall and of processor time: median and quartiles."""
    result = {}
    for kind, clock in enumerate(("wall", "processor")):
        quartiles = statistics.quantiles([b[kind] / a[kind] for a, b in zip(ours, theirs, strict=True)], n=4)
        result[clock] = {"median": round(quartiles[1], 2), "quartiles": [round(q, 2) for q in quartiles]}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, help="driver of the authors' code")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=32, help="sequences per step and per encoding")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--inner", type=int, default=1, help="calls per round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--peak", type=float, help="TFLOP/s of the device in dense bfloat16 products")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    load = os.getloadavg()[0]
    data = made_up_video(options.batch)
    calls: dict[str, Call] = {}
    flops = of_product = 0.0
    for way in options.ways:
        calls[way], flops = our_step(way, data, options.device)
    if options.device == "cpu":
        calls["encode"] = our_encoding(data)
        calls[PRODUCT], of_product = large_product()
    if options.beside:
        calls["released step"], calls["released encode"] = released_side(options.beside, data)
    times = timed(calls, options.rounds, options.inner, options.device)
    peak = of_product / statistics.median(wall for wall, _ in times.pop(PRODUCT)) / 1e12 if of_product else options.peak
    result = summary(times, options.batch, flops, peak)
    if options.json:
        names = ("device", "batch", "rounds", "inner", "threads")
        result["settings"] = {name: getattr(options, name) for name in names}
        result["settings"]["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY")
        result["load_before_and_after"] = [round(value, 1) for value in (load, os.getloadavg()[0])]
        result["provenance"] = provenance({})
        options.json.write_text(json.dumps(result, indent=1) + "\n")


def summary(times: dict[str, list[Seconds]], batch: int, flops: float, peak: float | None) -> dict[str, Any]:
    """What is printed and written: medians, and ratios to the released code, or else to the plain way."""
    result: dict[str, Any] = {"sequences_per_second": {}, "processor_seconds": {}, "speedup": {}, "teraflops": {}}
    if peak:
        result["teraflops"]["one large product in bfloat16, or the peak given"] = round(peak, 3)
        result["seconds_per_step_at_that_rate"] = round(flops / peak / 1e12, 3)
        print(f"{flops / 1e12:.3f} TFLOP a step; products at {peak:.2f} TFLOP/s alone take {flops / peak / 1e12:.3f} s")
    for name, values in times.items():
        wall, processor = (statistics.median(kind) for kind in zip(*values, strict=True))
        result["sequences_per_second"][name] = round(batch / wall, 1)
        result["processor_seconds"][name] = round(processor, 3)
        print(f"{name:24s}{batch / wall:9.1f} sequences/s {processor:8.3f} s of processors", end="")
        if name in WAYS:
            result["teraflops"][name] = round(flops / wall / 1e12, 3)
            print(f"{flops / wall / 1e12:9.2f} TFLOP/s", end="")
            print(f" {flops / wall / 1e10 / peak:5.1f} % of peak" if peak else "", end="")
        other = "released encode" if name == "encode" else "released step" if "released step" in times else "plain"
        if not name.startswith("released") and other in times and other != name:
            found = result["speedup"][f"{name} / {other}"] = ratios(times[other], values)
            print(
                f"  {found['wall']['median']:.2f} x {other}, {found['processor']['median']:.2f} x by processor", end=""
            )
        print()
    return result


if __name__ == "__main__":
    main()

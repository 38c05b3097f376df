"""`Training`: how a network is optimised."""

from __future__ import annotations

import math
from typing import Literal

from seqdis.hyperparameters import Settings, hyper, hyperparameters


@hyperparameters
class Training(Settings):
    """Settings of the training loop; Adam without weight decay.

    Parameters
    ----------
    max_epochs
        Passes over the training sequences.
    batch_size
        Sequences per step.
    lr
        Learning rate.
    schedule
        "constant", as in nearly all published settings, or "cosine": the rate falls to zero over the run.
    gradient_clip
        Largest norm of the gradient; 0 leaves it alone.
    seed
        Fixes initial weights, order and every draw: same seed, data and settings, same weights.
    precision
        "32-true"; "bf16-mixed": products in bfloat16 by autocast, while weights, log-variances, KLs
        and likelihoods stay in float32; "auto": the latter for video where the processor or GPU
        computes with bfloat16 in hardware, else the former. Same weights on the same machine only.
    accelerator
        "auto", "cpu", "cuda" or "mps".
    threads
        Threads on a CPU; 0: one for series, whose small training steps only lose by sharing, else all
        cores. Encoding uses all.
    save_seconds
        Least time between two states written for resuming.
    """

    max_epochs: int = hyper(default=100, at_least=1)
    batch_size: int = hyper(default=32, low=8, high=256, log=True, at_least=1)
    lr: float = hyper(default=1e-3, low=1e-4, high=1e-2, log=True, above=0)
    schedule: Literal["constant", "cosine"] = "constant"
    gradient_clip: float = hyper(default=0.0, at_least=0)
    seed: int = hyper(default=0, at_least=0, at_most=2**32 - 1)
    precision: Literal["32-true", "bf16-mixed", "auto"] = "32-true"
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = hyper(default="auto", identity=False)
    threads: int = hyper(default=0, at_least=0, identity=False)
    save_seconds: float = hyper(default=20.0, at_least=0, identity=False)

    def rate(self, done: float) -> float:
        """Learning rate when this share of the run, 0 to 1, is done."""
        return self.lr if self.schedule == "constant" else 0.5 * self.lr * (1.0 + math.cos(math.pi * done))

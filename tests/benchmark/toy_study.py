"""A study of seconds, and methods that fail in their own ways; importable by worker processes."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

from seqdis.benchmark import Study
from seqdis.datasets import ToySeries
from seqdis.hyperparameters import hyperparameters
from seqdis.methods import DBSE
from seqdis.protocols import SwapFidelity
from seqdis.training import Training

FULL = DBSE(static_dim=3, dynamic_dim=2, hidden_dim=4, feature_dim=4, training=Training(max_epochs=1))
BROKEN = FULL.replace(anchor=99)  # valid until it meets sequences of four windows


def draw(seed: int = 0) -> ToySeries:
    return ToySeries(n_train=16, n_valid=8, n_test=12, length=16, seed=seed)


def toy_study(**changes: Any) -> Study:
    settings = {
        "name": "toy",
        "title": "Does subtraction matter?",
        "methods": {"DBSE": FULL, "w/o sub": FULL.replace(subtract=False)},
        "data": {"toy": draw()},
        "protocols": (SwapFidelity(),),
        "seeds": (0, 1),
        "reference": "DBSE",
    }
    return Study(**settings | changes)


@hyperparameters
class SameTest(ToySeries):
    """Other training sequences, and so another scale, before one and the same test part."""

    name = "same-test"

    def _splits(self):
        parts, fixed = draw(self.seed).parts(), draw(0).parts()["test"]
        spec = replace(fixed.spec, center=parts["train"].spec.center, scale=(2.0 + self.seed,))
        return {**parts, "test": replace(fixed, spec=spec)}


@hyperparameters
class Mortal(DBSE):
    """Its process is killed, as by a system short of memory."""

    name = "mortal"

    def build(self, spec):
        os.kill(os.getpid(), signal.SIGKILL)


@hyperparameters
class Buggy(DBSE):
    """Raises what nobody foresaw."""

    name = "buggy"

    def build(self, spec):
        return 1 / 0

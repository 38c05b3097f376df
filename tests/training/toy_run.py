"""The run that `test_resume` stops: imported there, and started by itself to be killed."""

from __future__ import annotations

import sys
import time

import numpy as np

from seqdis.methods import DBSE
from seqdis.training import Training

SERIES = np.random.default_rng(0).normal(size=(10, 9, 3))


def method() -> DBSE:
    training = Training(max_epochs=12, batch_size=4, save_seconds=0)
    sizes = {"static_dim": 2, "dynamic_dim": 2, "feature_dim": 4, "hidden_dim": 4, "filters": 2}
    return DBSE(**sizes, anchor="random_per_batch", training=training)


if __name__ == "__main__":
    method().fit(SERIES, out=sys.argv[1], watch=lambda *_: time.sleep(0.05))

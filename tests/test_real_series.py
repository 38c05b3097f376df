"""On real records too, what was not observed changes no code, whatever stands in its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from seqdis.datasets import BeijingAirQuality, PhysioNet2012
from seqdis.methods import DBME, DBSE
from seqdis.training import Training

SMALL = {"static_dim": 4, "dynamic_dim": 3, "hidden_dim": 8, "feature_dim": 8, "training": Training(max_epochs=1)}
DATA = {"physionet": (PhysioNet2012, 4), "air-quality": (BeijingAirQuality, 24)}


@pytest.mark.data
@pytest.mark.parametrize("method", [DBSE, DBME])
@pytest.mark.parametrize("name", DATA)
def test_missing_values_padding_and_mates_change_no_code(name: str, method: type, data_root: Path) -> None:
    entry, window = DATA[name]
    train, test = entry().split("train", "test")
    model = method(**SMALL, window=window).fit(train[:64])
    part = test[:24]
    codes = model.encode(part)
    garbage = np.where(part.mask, part.x, np.float32(1e6))
    others = {
        "other values where none was observed": model.encode(replace(part, x=garbage)),
        "other batch mates": model.encode(test[:60])[slice(0, 24)],
    }
    if part.lengths is not None:
        cut = int(part.lengths.max())
        assert cut < part.x.shape[1]
        others["less padding"] = model.encode(replace(part, x=part.x[:, :cut], mask=part.mask[:, :cut]))
    for what, found in others.items():
        torch.testing.assert_close(found.static, codes.static, atol=1e-5, rtol=1e-5, msg=what)
        windows = found.dynamic.shape[1]
        torch.testing.assert_close(found.dynamic, codes.dynamic[:, :windows], atol=1e-5, rtol=1e-5, msg=what)
        assert not codes.dynamic[:, windows:].any(), what

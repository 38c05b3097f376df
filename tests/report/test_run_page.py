"""Which pictures a run's page shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from seqdis.evaluation.report import Report
from seqdis.factors import Factors
from seqdis.nn.network import Network
from seqdis.report.run_page import pictures

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("probabilistic", [True, False])
def test_samples_are_drawn_where_a_model_has_a_prior(squares, video, monkeypatch, probabilistic):
    monkeypatch.setattr(type(squares), "probabilistic", probabilistic, raising=False)
    names = {picture.name for picture in pictures(squares, video, None, Report(scores=()), 0)}
    assert {"swap_grid", "tsne", "reconstructions"} <= names
    assert ({"sample_static", "sample_dynamic"} <= names) is probabilistic


@pytest.mark.parametrize("probabilistic", [True, False])
def test_without_an_encoder_codes_are_drawn_and_crossed(video, monkeypatch, probabilistic):
    model = Drawing()
    monkeypatch.setattr(model, "probabilistic", probabilistic)
    names = {picture.name for picture in pictures(model, video, None, Report(scores=()), 0)}
    assert names == ({"drawn_codes"} if probabilistic else set())
    if probabilistic:
        (codes,) = model.decoded
        assert codes.static[:, 0].tolist() == [row for row in range(4) for _ in range(4)]
        assert codes.dynamic[:, 0, 0].tolist() == 4 * list(range(4))
        assert codes.dynamic.shape == (16, video.x.shape[1], 1)


def test_of_series_without_an_encoder_nothing_is_drawn(series):
    assert pictures(Drawing(), series, None, Report(scores=()), 0) == []


class Numbering(Network):
    """A prior whose codes are their numbers."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def prior(self, n, length, generator=None, *, mean=False):
        return Factors(torch.arange(n).float()[:, None], torch.arange(n).float()[:, None, None].repeat(1, length, 1))


class Drawing:
    """A model that decodes and draws, and cannot encode."""

    has_encoder, probabilistic = False, True

    def __init__(self):
        self.network_ = Numbering()
        self.decoded = []

    def decode(self, factors):
        self.decoded.append(factors)
        return np.zeros((*factors.dynamic.shape[:2], 3, 16, 16), dtype=np.float32)

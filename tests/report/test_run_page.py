"""Which pictures a run's page shows."""

from __future__ import annotations

import pytest

from seqdis.evaluation.report import Report
from seqdis.report.run_page import pictures

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("probabilistic", [True, False])
def test_samples_are_drawn_where_a_model_has_a_prior(squares, video, monkeypatch, probabilistic):
    monkeypatch.setattr(type(squares), "probabilistic", probabilistic, raising=False)
    names = {picture.name for picture in pictures(squares, video, None, Report(scores=()), 0)}
    assert {"swap_grid", "tsne", "reconstructions"} <= names
    assert ({"sample_static", "sample_dynamic"} <= names) is probabilistic

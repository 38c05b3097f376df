"""The page of one run: which pictures are drawn, of which sequences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seqdis.evaluation.report import Report
from seqdis.report.confusion import confusion_pictures
from seqdis.report.figures import score_bars, tsne
from seqdis.report.grids import drawn_grid, reconstructions, sample_grid, swap_grid
from seqdis.report.page import write_page
from seqdis.report.picture import Picture
from seqdis.report.players import exchanges
from seqdis.report.series_figures import season_map
from seqdis.sequences import Sequences

TSNE_POINTS = 400


def write_run_page(path: Path, *, model: Any, data: Any, report: Report, command: str, seed: int = 0) -> Path:
    """Draw a fitted model on held-out sequences and write its page.

    Parameters
    ----------
    path : where the page goes
    model : fitted Disentangler
    data : SequenceDataset
        Its "test" part is drawn ("train" if it has no other). A ``hybrid`` method renders the truth beside swaps.
    report : Report
        Scores measured so far.
    command : str
        The command that made the run.
    seed : int
        Which sequences and draws are shown.
    """
    parts = data.parts()
    part: Sequences = parts.get("test", parts["train"])
    heard = hasattr(data, "spectrogram") and getattr(model, "has_encoder", True)
    return write_page(
        path,
        f"{type(model).__name__} on {data.name}",
        report,
        pictures(model, part, getattr(data, "hybrid", None), report, seed),
        history=model.history_,
        command=command,
        players=exchanges(model, part, data.spectrogram, seed=seed) if heard else (),
    )


def pictures(model: Any, part: Sequences, truth: Any, report: Report, seed: int) -> list[Picture]:
    """Swap grid, samples with either code kept, t-SNE (and by season and rain), reconstructions, score bars.

    A model without a prior has no samples; one without an encoder has drawn codes only. Only hourly weather has
    a map by season and rain.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(part))
    count = min(4, len(part) // 2) or 1
    drawn: list[Picture] = [score_bars(report)] if len(report) else []
    sampled = getattr(model, "probabilistic", True)
    if not getattr(model, "has_encoder", True):
        return drawn + list(drawn_grid(model, part, seed=seed) if sampled else ()) + confusion_pictures(report)
    if len(part) > 1:
        drawn += swap_grid(model, part, order[:count].tolist(), order[count : 2 * count].tolist(), truth)
    few = part[np.sort(order[:count])]
    if sampled:
        drawn += sample_grid(model, few, "static", seed=seed)
        drawn += sample_grid(model, few, "dynamic", seed=seed)
    some = part[np.sort(order[:TSNE_POINTS])]
    if some.labels and len(some) >= 8:
        codes = model.encode(some)
        drawn.append(tsne(codes, some.labels, some.spec, seed=seed))
        if _is_hourly_weather(some):
            drawn.append(season_map(codes, some.labels, some.spec, seed=seed))
    return drawn + list(reconstructions(model, few)) + confusion_pictures(report)


def _is_hourly_weather(part: Sequences) -> bool:
    """Whether season and rain are labelled as by the air-quality data.

    Users' labels may be called so and be something else; and of rain in another unit the map could not say how much
    falls in a day.
    """
    known = {factor.name: factor for factor in part.spec.factors if factor.name in part.labels}
    if not {"season", "rain"} <= set(known):
        return False
    season, rain = known["season"], known["rain"]
    return bool(season.classes) and not rain.classes and rain.unit.endswith("per hour")

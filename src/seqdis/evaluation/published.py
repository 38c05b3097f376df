"""The printed numbers of the papers, with the table each came from."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import cast

from seqdis.evaluation.report import Score

AS_PRINTED = "as printed"
"""What a printed ± is over: papers do not always say."""


def published(dataset: str, metric: str, method: str | None = None) -> list[Score]:
    """Scores as printed, in the order of the file.

    Parameters
    ----------
    dataset : str
        "PhysioNet"; capitals, spaces and dashes do not matter.
    metric : str
        As in ``published.csv``, such as "mortality_AUROC". Units are those printed, often per cent.
    method : str or None
        "DBSE", "C-DSVAE", "raw features", "random", ...; None: all.

    Returns
    -------
    list of Score
        Role and form "published", ``source`` naming paper and table. Empty where nothing was printed.
    """
    return [
        Score(
            method=row["method"],
            dataset=row["dataset"],
            protocol="",
            metric=metric,
            value=float(row["value"]),
            spread=float(row["std"]) if row["std"] else None,
            over=AS_PRINTED if row["std"] else "",
            role="published",
            form="published",
            better=row["direction"] if row["direction"] != "n/a" else "",
            source=row["source"],
        )
        for row in _rows()
        if row["metric"] == metric and _same(row["dataset"], dataset) and method in (None, row["method"])
    ]


@cache
def _rows() -> tuple[dict[str, str], ...]:
    text = (files("seqdis.evaluation") / "published.csv").read_text(encoding="utf-8")
    return tuple(cast("dict[str, str]", row) for row in csv.DictReader(text.splitlines()))


def _same(left: str, right: str) -> bool:
    return _plain(left) == _plain(right)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())

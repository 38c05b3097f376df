"""Rows of `LatentLeakage`: accuracies of every code on every factor, and the gaps between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from seqdis.evaluation.metrics import leakage_gap
from seqdis.evaluation.report import Role, Score
from seqdis.evaluation.tables import Classifier
from seqdis.protocols._base import Form, score_row
from seqdis.sequences import Array

Kind = Literal["static", "dynamic"]
KINDS: tuple[Kind, ...] = ("static", "dynamic")


@dataclass(frozen=True)
class Reading:
    """An accuracy, and what draws it varies over."""

    value: float
    draws: Array
    over: str


def at_least(reading: Reading, floor: Reading) -> Reading:
    """The larger of the two, draw by draw."""
    return Reading(max(reading.value, floor.value), np.maximum(reading.draws, floor.draws), reading.over)


@dataclass(frozen=True)
class Group:
    """What the rows of one classifier on one method's codes share."""

    method: str
    classifier: Classifier
    form: Form
    role: Role


def leakage_rows(
    group: Group,
    names: Mapping[Kind, str],
    readings: Mapping[tuple[Kind, Kind], Reading],
    guesses: Mapping[tuple[Kind, Kind], Reading],
) -> list[Score]:
    """Accuracies of every code and factor, and the gap of each code; ``guesses``: those of the majority class."""

    def row(metric: str, factor: str, better: str, reading: Reading) -> Score:
        return score_row(
            method=group.method,
            metric=f"{metric} ({group.classifier})",
            factor=factor,
            form=group.form,
            better=better,
            value=reading.value,
            draws=reading.draws,
            over=reading.over,
            role=group.role,
        )

    rows = [
        row("accuracy", f"{names[kind]} from {code}", "higher" if code == kind else "", reading)
        for (code, kind), reading in readings.items()
    ]
    others: dict[Kind, Kind] = {"static": "dynamic", "dynamic": "static"}
    for code, other in others.items() if len(names) == 2 else ():
        own, cross = readings[code, code], readings[code, other]
        if group.form == "corrected":
            cross = at_least(cross, guesses[code, other])
        gap = Reading(float(leakage_gap(own.value, cross.value)), leakage_gap(own.draws, cross.draws), own.over)
        rows.append(row("leakage_gap", f"{code} code", "higher", gap))
    return rows

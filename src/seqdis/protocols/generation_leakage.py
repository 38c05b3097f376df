"""How much of each kind of factor a kept code carries into generated video, by a judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from seqdis.errors import DataError, SettingsError, unknown_name
from seqdis.evaluation.judging import KINDS, Generative, Kind, RealTest, Views, generative
from seqdis.evaluation.metrics import leakage_gap
from seqdis.evaluation.parts import Model
from seqdis.evaluation.report import Score
from seqdis.hyperparameters import hyperparameters
from seqdis.protocols._base import Printed
from seqdis.protocols._generation import (
    REAL,
    SHUFFLED,
    UNTRAINED,
    WORDS,
    JudgedProtocol,
    Place,
    correct,
    rows_of,
)
from seqdis.sequences import Sequences

OTHER: Mapping[Kind, Kind] = {"static": "dynamic", "dynamic": "static"}


def _printed_numbers() -> tuple[Printed, ...]:
    numbers = []
    for code in KINDS:
        for kind in KINDS:
            key = f"generation/{code}_feats_{kind}_acc_percent"
            better = "higher" if code == kind else ""
            factor = f"{{{kind}}}, {WORDS[code]}"
            numbers.append(Printed(key=key, metric="accuracy", factor=factor, better=better, unit=0.01))
        key = f"generation/{code}_feats_leakage_gap_percent"
        numbers.append(Printed(key=key, metric="leakage_gap", factor=WORDS[code], unit=0.01))
    return tuple(numbers)


@hyperparameters
class GenerationLeakage(JudgedProtocol):
    """Accuracy of a static and a dynamic factor where one code is kept and the other drawn, and the gaps.

    Needs train, valid and test of video with a static and a dynamic class factor, one label per sequence.

    Parameters
    ----------
    static_factor, dynamic_factor : str or None
        None: the first of that kind that the judge reads.

    Notes
    -----
    With the static code kept, the static factor should be that of the source and the dynamic one no
    more often than by chance; the other way round with the dynamic code. ``leakage_gap`` is the first
    accuracy minus the second, signed: negative where the kept code tells more of the other kind.
    Generation as in `ConditionalGeneration`, with no batch left out. Of the printed gaps one lacks its sign
    and another differs from its accuracies; see their sources. Controls: the real test data, whose gap is
    about zero as they show both factors of the source; shuffled labels, which is chance; the same network
    with random weights.

    Not to be confused with `LatentLeakage`, which reads the codes themselves.

    References
    ----------
    Berman et al., ICML 2024 (DBSE), Tab. 2 (upper) and Tab. 9.

    Examples
    --------
    >>> GenerationLeakage(static_factor="shape").repeats
    5
    """

    name: ClassVar[str] = "generation-leakage"
    title: ClassVar[str] = "Leakage into generated video, by a judge"
    published: ClassVar[tuple[Printed, ...]] = _printed_numbers()
    version: ClassVar[int] = 2

    static_factor: str | None = None
    dynamic_factor: str | None = None

    def _measure(
        self, model: Model, parts: Mapping[str, Sequences], data: Any, controls: bool
    ) -> tuple[list[Score], dict[str, Any]]:
        made, names = generative(model), self._factors(parts["test"])
        real = self._real(parts, names.values())
        rows = rows_of(type(model).__name__, "model", self._generated(made, real, names))
        if controls:
            both: dict[Kind, Views] = dict.fromkeys(KINDS, real.views)
            rows += [
                # Nothing was exchanged in real data: of the gap, and of what should not be there, they are no bound.
                replace(row, bound=row.metric == "accuracy" and row.better == "higher")
                for row in rows_of(REAL, "control", [_values(both, real, names)])
            ]
            chance = [_values(both, self._strangers(real, names, k), names) for k in range(self.repeats)]
            rows += rows_of(SHUFFLED, "control", chance, "shufflings")
            untrained = generative(made.untrained())
            rows += rows_of(UNTRAINED, "control", self._generated(untrained, real, names))
        return rows, {"factors": dict(names), "judge": real.notes()}

    def _places(self, parts: Mapping[str, Sequences]) -> tuple[Printed, ...]:
        names = self._factors(parts["test"])
        return tuple(replace(place, factor=place.factor.format(**names)) for place in self.published)

    def _factors(self, test: Sequences) -> dict[Kind, str]:
        names = {}
        for kind, wanted in zip(KINDS, (self.static_factor, self.dynamic_factor), strict=True):
            having = self._judged(test, kind)
            if wanted is not None and wanted not in having:
                raise SettingsError(f"{kind}_factor: {unknown_name(f'judged {kind} factor', wanted, having)}")
            if not having:
                raise DataError(f"{test.name}: no {kind} class factor with one label per sequence that is judged.")
            names[kind] = wanted if wanted is not None else having[0]
        return names

    def _generated(self, model: Generative, real: RealTest, names: Mapping[Kind, str]) -> list[dict[Place, float]]:
        return [_values(views, real, names) for views in self._kept(model, model.encode(real.part), real)]

    def _strangers(self, real: RealTest, names: Mapping[Kind, str], repeat: int) -> RealTest:
        labels = {name: self._shuffled(real.part.labels[name], repeat) for name in names.values()}
        return replace(real, part=replace(real.part, labels={**real.part.labels, **labels}))


def _values(views: Mapping[Kind, Views], real: RealTest, names: Mapping[Kind, str]) -> dict[Place, float]:
    values: dict[Place, float] = {}
    marks = "".join(real.mark(name) for name in names.values())
    for code in KINDS:
        read = {kind: correct(real.part.labels[name], views[code][name]) for kind, name in names.items()}
        for kind, name in names.items():
            factor = f"{name}, {WORDS[code]}{real.mark(name)}"
            values["accuracy", factor, "published", "higher" if kind == code else ""] = read[kind]
        gap = float(leakage_gap(read[code], read[OTHER[code]]))
        values["leakage_gap", f"{WORDS[code]}{marks}", "published", "higher"] = gap
    return values

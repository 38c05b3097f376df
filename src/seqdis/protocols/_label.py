"""`LabelProtocol`: the kind of protocol that reads one class label per sequence from codes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from seqdis.evaluation.controls import control_codes, samplers
from seqdis.evaluation.metrics import ALL_CLASSES, Metric, bootstrap
from seqdis.evaluation.parts import Model, check_same_classes, with_label
from seqdis.evaluation.probe import READS, Codes, LinearProbe, Probe, Read
from seqdis.evaluation.raw_labels import label_controls
from seqdis.evaluation.report import Score
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.protocols._base import BOTH, SAMPLED, CodesRead, Form, Protocol, check_forms, score_row, with_roles
from seqdis.sequences import Array, Sequences


@hyperparameters
class LabelProtocol(Protocol):
    """Reads one class label from frozen codes, in the published and in the corrected form.

    Parameters
    ----------
    forms : tuple of "published" and "corrected"
        *published*: the paper's head on posterior means, repeated with several seeds.
        *corrected*: logistic regression, strength chosen on valid, separately on each code and on both.
    repeats : int
        Seeds of the published head.
    epochs : int
        Epochs of the published head.
    codes : "means" or "samples"
        What the published head reads: posterior means, encoded once, or as released a fresh sample at every pass,
        also of test. Rows of the latter are of the form "published, sampled codes".
    resamples : int
        Resamples of the test part for the spread of corrected scores; 0: none.
    """

    label: ClassVar[str]
    head_read: ClassVar[Read]
    metrics: ClassVar[Mapping[str, Metric]]

    forms: tuple[Form, ...] = hyper(default=BOTH)
    repeats: int = hyper(default=5, at_least=1)
    epochs: int = hyper(default=41, at_least=1)
    codes: CodesRead = hyper(default="means", identity="changed")
    resamples: int = hyper(default=200, at_least=0)

    @abstractmethod
    def _head(self, seed: int) -> Probe:
        """The published head."""

    def _measure(
        self, model: Model, parts: Mapping[str, Sequences], data: Any, controls: bool
    ) -> tuple[list[Score], dict[str, Any]]:
        check_forms(self, self.forms)
        check_same_classes(parts, self.label)
        kept = {name: with_label(part, self.label) for name, part in parts.items()}
        labels = {name: part.labels[self.label] for name, part in kept.items()}
        own = {name: model.encode(part) for name, part in kept.items()}
        factors = {type(model).__name__: own}
        if controls:
            factors |= control_codes(model, kept, own, self.seed, fitted_on=parts["train"])
        redraw = samplers(model, kept) if self.codes == "samples" else {}
        coders = {
            name: {part: Codes.of(code, kept[part], redraw.get(name, {}).get(part)) for part, code in codes.items()}
            for name, codes in factors.items()
        }
        fixed = label_controls(kept, self.label, self.seed) if controls else {}
        rows: list[Score] = []
        if "published" in self.forms:
            rows += self._published_rows(coders, fixed, labels)
        if "corrected" in self.forms:
            rows += self._corrected_rows(coders, fixed, labels, kept["test"].groups)
        return rows, _counts(parts, labels)

    def _form(self) -> str:
        """Of rows by the published head."""
        return "published" if self.codes == "means" else SAMPLED

    def _published_rows(
        self, coders: Mapping[str, Mapping[str, Codes]], fixed: Mapping[str, Array], labels: Mapping[str, Array]
    ) -> list[Score]:
        rows, form = [], self._form()
        for method, codes in coders.items():
            heads = [self._read(self._head(self.seed + k), codes, labels) for k in range(self.repeats)]
            for name, metric in self.metrics.items():
                values = np.array([metric(labels["test"], head) for head in heads])
                rows.append(self._row(method, name, self.head_read, form, values.mean(), values, "head seeds"))
        for method, probabilities in fixed.items():
            for name, metric in self.metrics.items():
                value = metric(labels["test"], probabilities)
                rows.append(self._row(method, name, self.head_read, form, value))
        return with_roles(rows, next(iter(coders)))

    def _corrected_rows(
        self,
        coders: Mapping[str, Mapping[str, Codes]],
        fixed: Mapping[str, Array],
        labels: Mapping[str, Array],
        groups: Array | None,
    ) -> list[Score]:
        spreads = {method: self._resampled(labels["test"], output, groups) for method, output in fixed.items()}
        rows = []
        for read in READS:
            outputs = {name: self._read(LinearProbe(read=read), codes, labels) for name, codes in coders.items()}
            for method, probabilities in {**outputs, **fixed}.items():
                draws = spreads.get(method) or self._resampled(labels["test"], probabilities, groups)
                for name, metric in self.metrics.items():
                    value = metric(labels["test"], probabilities)
                    rows.append(self._row(method, name, read, "corrected", value, draws[name], "test resamples"))
        return with_roles(rows, next(iter(coders)))

    def _read(self, probe: Probe, codes: Mapping[str, Codes], labels: Mapping[str, Array]) -> Array:
        probe.fit(codes["train"], labels["train"], codes["valid"], labels["valid"])
        return probe.predict_proba(codes["test"])

    def _resampled(self, labels: Array, probabilities: Array, groups: Array | None) -> dict[str, Array]:
        return {
            name: bootstrap(
                lambda rows, metric=metric: metric(labels[rows], probabilities[rows]),  # type: ignore[misc]
                len(labels),
                resamples=self.resamples,
                seed=self.seed,
                present=labels if metric in ALL_CLASSES else None,
                groups=groups,
            )
            for name, metric in self.metrics.items()
        }

    def _row(
        self, method: str, metric: str, read: Read, form: str, value: float, draws: Array | None = None, over: str = ""
    ) -> Score:
        return score_row(
            method=method,
            metric=metric,
            factor=f"{self.label} from {read}",
            form=form,
            better="higher",
            value=value,
            draws=draws,
            over=over,
        )


def _counts(parts: Mapping[str, Sequences], labels: Mapping[str, Array]) -> dict[str, Any]:
    return {
        "sequences": {name: len(values) for name, values in labels.items()},
        "dropped, label unknown": {name: len(part) - len(labels[name]) for name, part in parts.items()},
        "per class": {name: np.bincount(values).tolist() for name, values in labels.items()},
    }

"""`Protocol`: a published evaluation as settings; `LabelProtocol`: the kind that reads one label from codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np

from seqdis.errors import SettingsError
from seqdis.evaluation.controls import control_codes, label_controls
from seqdis.evaluation.metrics import Metric, bootstrap
from seqdis.evaluation.parts import Model, dataset_name, parts_of, with_label
from seqdis.evaluation.probe import Codes, LinearProbe, Probe, Read
from seqdis.evaluation.published import published
from seqdis.evaluation.report import Report, Role, Score, provenance
from seqdis.hyperparameters import Settings, hyper, hyperparameters, signature, to_dict, validate
from seqdis.sequences import Array, Sequences

Form = Literal["published", "corrected"]
BOTH: tuple[Form, ...] = ("published", "corrected")


@dataclass(frozen=True, kw_only=True)
class Printed:
    """Where a number of ``published.csv`` belongs among the rows of a protocol.

    Parameters
    ----------
    key : str
        Metric as the file names it.
    metric, factor, better : str
        As in the protocol's own rows.
    unit : float
        What the printed value is multiplied with: 0.01 for per cent.
    """

    key: str
    metric: str
    factor: str
    better: str = "higher"
    unit: float = 1.0


@hyperparameters
class Protocol(Settings, ABC):
    """A published evaluation: settings that hold the paper's numbers, and `run`.

    An entry sets the class variables, declares its hyperparameters, and writes ``_measure``.

    Attributes
    ----------
    name, title : str
    needs, welcome : tuple of str
        Parts of the data that must be there, and those used where they exist.
    published : tuple of Printed
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ("train", "valid", "test")
    welcome: ClassVar[tuple[str, ...]] = ()
    published: ClassVar[tuple[Printed, ...]] = ()

    seed: int = hyper(default=0, at_least=0)

    def run(self, model: Model, data: Any) -> Report:
        """Evaluate a fitted model.

        Parameters
        ----------
        model : Disentangler
            Or anything that answers the same calls; see `seqdis.evaluation.parts.Model`.
        data : SequenceDataset, mapping from part name to Sequences, or Sequences

        Returns
        -------
        Report
            Rows of the model, of its controls and of the papers, equal in protocol, form, metric
            and factor where they may be compared.

        Raises
        ------
        SettingsError, DataError, CapabilityError
        """
        validate(self)
        parts = parts_of(data, self.needs, self.welcome)
        dataset = dataset_name(data, parts)
        rows, notes = self._measure(model, parts, data)
        seed = getattr(getattr(model, "training", None), "seed", None)
        scores = [
            replace(row, dataset=dataset, protocol=self.name, seed=seed if row.role == "model" else None)
            for row in (*rows, *self._printed(dataset, parts))
        ]
        about = {"model": _about(model), self.name: notes}
        fingerprints = {name: part.fingerprint() for name, part in parts.items()}
        return Report(
            scores=tuple(scores), settings={self.name: _as_saved(self)}, provenance=provenance(fingerprints, about)
        )

    @abstractmethod
    def _measure(self, model: Model, parts: Mapping[str, Sequences], data: Any) -> tuple[list[Score], dict[str, Any]]:
        """Rows of model and controls, data set and protocol still empty, and notes for the provenance."""

    def _places(self, parts: Mapping[str, Sequences]) -> tuple[Printed, ...]:
        """``published``, with factor names filled in where they depend on the data."""
        return self.published

    def _printed(self, dataset: str, parts: Mapping[str, Sequences]) -> list[Score]:
        rows: dict[tuple[str, str, str, float], Score] = {}
        for place in self._places(parts):
            for row in published(dataset, place.key):
                spread = None if row.spread is None else row.spread * place.unit
                moved = replace(
                    row,
                    metric=place.metric,
                    factor=place.factor,
                    better=place.better,
                    value=row.value * place.unit,
                    spread=spread,
                )
                # Papers reprint one another's rows: the first place stands for all that agree.
                rows.setdefault((row.method, place.metric, place.factor, row.value), moved)
        return list(rows.values())


@hyperparameters
class LabelProtocol(Protocol):
    """Reads one class label from frozen codes, in the published and in the corrected form.

    Parameters
    ----------
    forms : tuple of "published" and "corrected"
        *published*: the paper's head on posterior means, repeated with several seeds.
        *corrected*: logistic regression, strength chosen on valid, separately on each code.
    repeats : int
        Seeds of the published head.
    epochs : int
        Epochs of the published head.
    resamples : int
        Resamples of the test part for the spread of corrected scores; 0: none.
    """

    label: ClassVar[str]
    reads: ClassVar[tuple[Read, ...]]
    head_read: ClassVar[Read]
    metrics: ClassVar[Mapping[str, Metric]]

    forms: tuple[Form, ...] = hyper(default=BOTH)
    repeats: int = hyper(default=3, at_least=1)
    epochs: int = hyper(default=41, at_least=1)
    resamples: int = hyper(default=200, at_least=0)

    @abstractmethod
    def _head(self, seed: int) -> Probe:
        """The published head."""

    def _measure(self, model: Model, parts: Mapping[str, Sequences], data: Any) -> tuple[list[Score], dict[str, Any]]:
        check_forms(self, self.forms)
        kept = {name: with_label(part, self.label) for name, part in parts.items()}
        labels = {name: part.labels[self.label] for name, part in kept.items()}
        own = {name: model.encode(part) for name, part in kept.items()}
        factors = {type(model).__name__: own, **control_codes(model, kept, own, self.seed)}
        coders = {
            name: {part: Codes.of(code, kept[part]) for part, code in codes.items()} for name, codes in factors.items()
        }
        fixed = label_controls(kept, self.label, self.seed)
        rows: list[Score] = []
        if "published" in self.forms:
            rows += self._published_rows(coders, fixed, labels)
        if "corrected" in self.forms:
            rows += self._corrected_rows(coders, fixed, labels)
        return rows, _counts(parts, labels)

    def _published_rows(
        self, coders: Mapping[str, Mapping[str, Codes]], fixed: Mapping[str, Array], labels: Mapping[str, Array]
    ) -> list[Score]:
        rows = []
        for method, codes in coders.items():
            heads = [self._read(self._head(self.seed + k), codes, labels) for k in range(self.repeats)]
            for name, metric in self.metrics.items():
                values = np.array([metric(labels["test"], head) for head in heads])
                rows.append(self._row(method, name, self.head_read, "published", values.mean(), values, "head seeds"))
        for method, probabilities in fixed.items():
            for name, metric in self.metrics.items():
                value = metric(labels["test"], probabilities)
                rows.append(self._row(method, name, self.head_read, "published", value))
        return _with_roles(rows, next(iter(coders)))

    def _corrected_rows(
        self, coders: Mapping[str, Mapping[str, Codes]], fixed: Mapping[str, Array], labels: Mapping[str, Array]
    ) -> list[Score]:
        spreads = {method: self._resampled(labels["test"], probabilities) for method, probabilities in fixed.items()}
        rows = []
        for read in self.reads:
            outputs = {name: self._read(LinearProbe(read=read), codes, labels) for name, codes in coders.items()}
            for method, probabilities in {**outputs, **fixed}.items():
                draws = spreads.get(method) or self._resampled(labels["test"], probabilities)
                for name, metric in self.metrics.items():
                    value = metric(labels["test"], probabilities)
                    rows.append(self._row(method, name, read, "corrected", value, draws[name], "test resamples"))
        return _with_roles(rows, next(iter(coders)))

    def _read(self, probe: Probe, codes: Mapping[str, Codes], labels: Mapping[str, Array]) -> Array:
        probe.fit(codes["train"], labels["train"], codes["valid"], labels["valid"])
        return probe.predict_proba(codes["test"])

    def _resampled(self, labels: Array, probabilities: Array) -> dict[str, Array]:
        return {
            name: bootstrap(
                lambda rows, metric=metric: metric(labels[rows], probabilities[rows]),  # type: ignore[misc]
                len(labels),
                resamples=self.resamples,
                seed=self.seed,
                present=labels,
            )
            for name, metric in self.metrics.items()
        }

    def _row(
        self, method: str, metric: str, read: Read, form: Form, value: float, draws: Array | None = None, over: str = ""
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


def score_row(
    *,
    method: str,
    metric: str,
    factor: str,
    form: str,
    better: str,
    value: float,
    draws: Array | None = None,
    over: str = "",
    role: Role = "control",
) -> Score:
    """A row with the standard deviation of ``draws``, where there are two or more."""
    n = 1 if draws is None else len(draws)
    return Score(
        method=method,
        dataset="",
        protocol="",
        metric=metric,
        factor=factor,
        value=float(value),
        spread=float(np.std(draws, ddof=1)) if draws is not None and n > 1 else None,
        n=max(n, 1),
        over=over if n > 1 else "",
        role=role,
        form=form,
        better=better,
    )


def check_forms(protocol: Protocol, forms: tuple[Form, ...]) -> None:
    """Refuse an empty choice of forms."""
    if not forms:
        raise SettingsError(f"{type(protocol).__name__}.forms = (): expected 'published', 'corrected' or both.")


def _with_roles(rows: list[Score], model: str) -> list[Score]:
    return [replace(row, role="model") if row.method == model else row for row in rows]


def _counts(parts: Mapping[str, Sequences], labels: Mapping[str, Array]) -> dict[str, Any]:
    return {
        "sequences": {name: len(values) for name, values in labels.items()},
        "dropped, label unknown": {name: len(part) - len(labels[name]) for name, part in parts.items()},
        "per class": {name: np.bincount(values).tolist() for name, values in labels.items()},
    }


def _about(model: Model) -> dict[str, Any]:
    about: dict[str, Any] = {"class": type(model).__name__}
    if isinstance(model, Settings):
        about |= {"signature": signature(model), "settings": _as_saved(model)}
    return about


def _as_saved(settings: Settings) -> dict[str, Any]:
    """With lists for tuples, so that a report equals what is loaded from its file."""
    return msgspec.json.decode(msgspec.json.encode(to_dict(settings)))

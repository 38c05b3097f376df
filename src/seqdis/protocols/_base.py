"""`Protocol`: a published evaluation as settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np

from seqdis.datasets import SequenceDataset
from seqdis.errors import SettingsError
from seqdis.evaluation.parts import Model, dataset_name, parts_of
from seqdis.evaluation.published import published
from seqdis.evaluation.report import Report, Role, Score, provenance
from seqdis.hyperparameters import Settings, hyper, hyperparameters, signature, to_dict, validate
from seqdis.sequences import Array, Sequences

Form = Literal["published", "corrected"]
BOTH: tuple[Form, ...] = ("published", "corrected")
CodesRead = Literal["means", "samples"]
SAMPLED = "published, sampled codes"
"""Form of rows whose heads read samples."""


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
    draws_from_prior : bool
        Whether methods without a prior, and controls made with one, lack some of its rows.
    version : int
        Raised with every change of the code that changes its scores: what a study kept of another is not reused.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ("train", "valid", "test")
    welcome: ClassVar[tuple[str, ...]] = ()
    published: ClassVar[tuple[Printed, ...]] = ()
    draws_from_prior: ClassVar[bool] = False
    version: ClassVar[int] = 1

    seed: int = hyper(default=0, at_least=0, at_most=2**31)

    def run(self, model: Model, data: Any, *, controls: bool = True) -> Report:
        """Evaluate a fitted model.

        Parameters
        ----------
        model : Disentangler
            Or anything that answers the same calls; see `seqdis.evaluation.parts.Model`.
        data : SequenceDataset, mapping from part name to Sequences, or Sequences
        controls : bool
            False: the model's own rows only. Controls do not change from one training run to the
            next on the same data (but for the untrained encoder), and most of the time goes there.

        Returns
        -------
        Report
            Rows of the model, of its controls and of the papers, equal in protocol, form, metric
            and factor where they may be compared. Printed numbers belong to the default settings of a
            `SequenceDataset` and to its settings ``as_printed``: with other settings (another test part, other
            features) there are none. Of a mapping or of Sequences the name alone is known, and decides.

        Raises
        ------
        SettingsError, DataError, CapabilityError
        """
        validate(self)
        parts = parts_of(data, self.needs, self.welcome)
        dataset = dataset_name(data, parts)
        rows, notes = self._measure(model, parts, data, controls)
        printed = self._printed(dataset, parts) if controls and _as_printed(data) else []
        seed = getattr(getattr(model, "training", None), "seed", None)
        scores = [
            replace(row, dataset=dataset, protocol=self.name, seed=seed if row.role == "model" else None)
            for row in (*rows, *printed)
        ]
        about = {"model": _about(model), self.name: notes}
        fingerprints = {name: part.fingerprint() for name, part in parts.items()}
        return Report(
            scores=tuple(scores), settings={self.name: _as_saved(self)}, provenance=provenance(fingerprints, about)
        )

    def prepare(self, data: Any) -> None:
        """Work that all models share and that is kept, such as the training of a judge: `run` finds it done."""

    @abstractmethod
    def _measure(
        self, model: Model, parts: Mapping[str, Sequences], data: Any, controls: bool
    ) -> tuple[list[Score], dict[str, Any]]:
        """Rows of the model and, if wanted, of its controls; data set and protocol still empty. Notes beside."""

    def _places(self, parts: Mapping[str, Sequences]) -> tuple[Printed, ...]:
        """``published``, with factor names filled in where they depend on the data."""
        return self.published

    def _form(self) -> str:
        """Form of the rows that printed numbers stand beside; empty: as the rows of ``published`` say."""
        return ""

    def _printed(self, dataset: str, parts: Mapping[str, Sequences]) -> list[Score]:
        rows: dict[tuple[str, str, str, float], Score] = {}
        for place in self._places(parts):
            for row in published(dataset, place.key):
                spread = None if row.spread is None else row.spread * place.unit
                moved = replace(
                    row,
                    form=self._form() or row.form,
                    metric=place.metric,
                    factor=place.factor,
                    better=place.better,
                    value=row.value * place.unit,
                    spread=spread,
                )
                # Papers reprint one another's rows: the first place that has a spread stands for all that agree.
                known = rows.get(key := (row.method, place.metric, place.factor, row.value))
                if known is None or (known.spread is None and moved.spread is not None):
                    rows[key] = moved
        return list(rows.values())


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


def with_roles(rows: list[Score], model: str) -> list[Score]:
    """The same rows, those of ``model`` marked as the model's."""
    return [replace(row, role="model") if row.method == model else row for row in rows]


def check_forms(protocol: Protocol, forms: tuple[Form, ...]) -> None:
    """Refuse an empty choice of forms."""
    if not forms:
        raise SettingsError(f"{type(protocol).__name__}.forms = (): expected 'published', 'corrected' or both.")


def _as_printed(data: Any) -> bool:
    """Whether these may be the sequences of the papers."""
    if not isinstance(data, SequenceDataset):
        return True
    kind = type(data)
    return signature(data) in (signature(kind()), signature(kind(**kind.as_printed)))


def _about(model: Model) -> dict[str, Any]:
    about: dict[str, Any] = {"class": type(model).__name__}
    if isinstance(model, Settings):
        about |= {"signature": signature(model), "settings": _as_saved(model)}
    return about


def _as_saved(settings: Settings) -> dict[str, Any]:
    """With lists for tuples, so that a report equals what is loaded from its file."""
    return msgspec.json.decode(msgspec.json.encode(to_dict(settings)))

"""`WindowRegression`: the kind of protocol that reads one number per window of steps from codes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

from seqdis.evaluation.controls import samplers
from seqdis.evaluation.metrics import pooled_mean
from seqdis.evaluation.parts import Model
from seqdis.evaluation.probe import READS, Codes, Read, pass_seed
from seqdis.evaluation.raw_windows import number_controls, window_codes, window_tables
from seqdis.evaluation.regression import LeastAbsolute, NumberHead
from seqdis.evaluation.report import Score
from seqdis.evaluation.windows import Aggregate, WindowValues, released_pairing, rows, window_values
from seqdis.factors import Factors
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.protocols._base import BOTH, SAMPLED, CodesRead, Form, Protocol, check_forms, score_row, with_roles
from seqdis.sequences import Array, Sequences

PARTS = ("train", "valid", "test")
HEAD_READ: Read = "static + dynamic"


@hyperparameters
class WindowRegression(Protocol):
    """Reads one number per window from frozen codes, in the published and in the corrected form.

    A window is what one dynamic code of the model covers. Scores are mean absolute errors in the unit
    of the label, over all windows of test.

    Parameters
    ----------
    forms : tuple of "published" and "corrected"
        *published*: the paper's head on both codes, repeated with several seeds.
        *corrected*: linear regression of least absolute error, strength chosen on valid, separately on
        each code and on both; windows with an incomplete label are dropped.
    repeats, epochs : int
        Seeds and epochs of the published head.
    resamples : int
        Resamples of the test **sequences** for the spread of corrected scores; 0: none.
    pairing : "correct" or "released"
        How the published form pairs codes with labels; see Notes of the entries. Rows of "released"
        are of the form "published, released pairing".
    codes : "means" or "samples"
        What the published head reads: posterior means, encoded once, or as released a fresh sample in every epoch,
        also of test. Forms of rows of the latter end in "sampled codes".
    rotated : int
        Windows by which the released pairing shifts labels against codes.
    """

    label: ClassVar[str]
    aggregate: ClassVar[Aggregate]
    zero_incomplete: ClassVar[bool] = False

    forms: tuple[Form, ...] = hyper(default=BOTH)
    repeats: int = hyper(default=5, at_least=1)
    epochs: int = hyper(default=51, at_least=1)
    resamples: int = hyper(default=200, at_least=0)
    pairing: Literal["correct", "released"] = "correct"
    codes: CodesRead = hyper(default="means", identity="changed")
    rotated: int = hyper(default=0, at_least=0)

    @abstractmethod
    def _head(self, seed: int) -> NumberHead:
        """The published head."""

    def _measure(
        self, model: Model, parts: Mapping[str, Sequences], data: Any, controls: bool
    ) -> tuple[list[Score], dict[str, Any]]:
        check_forms(self, self.forms)
        own = {name: Codes.of(model.encode(part), part).factors for name, part in parts.items()}
        truth = {name: window_values(part, self.label, own[name], self.aggregate) for name, part in parts.items()}
        coders = {type(model).__name__: own, **(window_codes(model, parts, own, self.seed) if controls else {})}
        tables = window_tables(parts, own) if controls else None
        found: list[Score] = []
        if "published" in self.forms:
            redraw = samplers(model, parts) if self.codes == "samples" else {}
            found += self._published_rows(coders, redraw, tables, self._as_published(truth, own))
        if "corrected" in self.forms:
            found += self._corrected_rows(coders, tables, truth)
            found += self._more_rows(coders, tables, truth)
        return with_roles(found, type(model).__name__), _counts(parts, truth, own)

    def _more_rows(
        self,
        coders: Mapping[str, Mapping[str, Factors]],
        tables: Mapping[str, Array] | None,
        truth: Mapping[str, WindowValues],
    ) -> list[Score]:
        """What an entry asks of the same windows beside their number, in the corrected form."""
        return []

    def _form(self) -> str:
        """Of rows by the published head; the released pairing is the script that the printed numbers come from."""
        form = "published" if self.codes == "means" else SAMPLED
        return form if self.pairing == "correct" else f"{form}, released pairing"

    def _as_published(self, truth: Mapping[str, WindowValues], codes: Mapping[str, Factors]) -> dict[str, WindowValues]:
        found = dict(truth)
        if self.zero_incomplete:
            for name, targets in truth.items():
                real = codes[name].valid().numpy()
                found[name] = WindowValues(values=np.where(targets.known, targets.values, 0.0), known=real)
        if self.pairing == "correct":
            return found
        shuffled = {"train": self.seed}
        return {name: released_pairing(x, self.rotated, shuffled.get(name)) for name, x in found.items()}

    def _published_rows(
        self,
        coders: Mapping[str, Mapping[str, Factors]],
        redraw: Mapping[str, Mapping[str, Callable[[int], Factors]]],
        tables: Mapping[str, Array] | None,
        truth: Mapping[str, WindowValues],
    ) -> list[Score]:
        form = self._form()
        y = {name: targets.listed() for name, targets in truth.items()}
        found = []
        for method, codes in coders.items():
            x = {name: rows(codes[name], HEAD_READ, truth[name].known) for name in ("train", "test")}
            errors = np.empty(self.repeats)
            for k in range(self.repeats):
                again = _sampled_rows(redraw[method], truth, k) if method in redraw else None
                head = self._head(self.seed + k)
                head.fit(x["train"], y["train"], None if again is None else partial(again, "train"))
                asked = x["test"] if again is None else again("test", self.epochs)
                errors[k] = np.abs(head.predict(asked) - y["test"]).mean()
            found.append(self._row(method, HEAD_READ, form, _Error(errors.mean(), errors, "head seeds")))
        for method, produced in self._fixed(tables, truth).items():
            error = float(np.abs(produced - y["test"]).mean())
            found.append(self._row(method, HEAD_READ, form, _Error(error)))
        return found

    def _corrected_rows(
        self,
        coders: Mapping[str, Mapping[str, Factors]],
        tables: Mapping[str, Array] | None,
        truth: Mapping[str, WindowValues],
    ) -> list[Score]:
        fixed = {name: self._resampled(produced, truth) for name, produced in self._fixed(tables, truth).items()}
        y = {name: targets.listed() for name, targets in truth.items()}
        found = []
        for read in READS:
            for method, codes in coders.items():
                x = {name: rows(codes[name], read, truth[name].known) for name in PARTS}
                linear = LeastAbsolute().fit(x["train"], y["train"], x["valid"], y["valid"])
                error = self._resampled(linear.predict(x["test"]), truth)
                found.append(self._row(method, read, "corrected", error))
            found += [self._row(method, read, "corrected", error) for method, error in fixed.items()]
        return found

    def _fixed(self, tables: Mapping[str, Array] | None, truth: Mapping[str, WindowValues]) -> dict[str, Array]:
        if tables is None:
            return {}
        known = [tables[name][truth[name].known] for name in PARTS]
        return number_controls(known, [truth[name].listed() for name in ("train", "valid")], self.seed)

    def _resampled(self, produced: Array, truth: Mapping[str, WindowValues]) -> _Error:
        test = truth["test"]
        sums, counts = test.per_sequence(np.abs(produced - test.listed()))
        value, draws = pooled_mean(sums, counts, resamples=self.resamples, seed=self.seed, groups=test.groups_of_any())
        return _Error(value, draws, "test resamples")

    def _row(self, method: str, read: Read, form: str, error: _Error) -> Score:
        return score_row(
            method=method,
            metric="MAE",
            factor=f"{self.label} from {read}",
            form=form,
            better="lower",
            value=error.value,
            draws=error.draws,
            over=error.over,
        )


@dataclass(frozen=True)
class _Error:
    value: float
    draws: Array | None = None
    over: str = ""


def _sampled_rows(
    redraw: Mapping[str, Callable[[int], Factors]], truth: Mapping[str, WindowValues], head: int
) -> Callable[[str, int], Array]:
    """From a part and the number of an epoch to what this head reads in it."""
    return lambda part, epoch: rows(redraw[part](pass_seed(head, epoch)), HEAD_READ, truth[part].known)


def _counts(
    parts: Mapping[str, Sequences], truth: Mapping[str, WindowValues], codes: Mapping[str, Factors]
) -> dict[str, Any]:
    real = {name: int(codes[name].valid().sum()) for name in parts}
    known = {name: int(targets.known.sum()) for name, targets in truth.items()}
    return {
        "sequences": {name: len(part) for name, part in parts.items()},
        "windows with a complete label": known,
        "windows without": {name: real[name] - known[name] for name in known},
        "mean label": {name: float(targets.listed().mean()) for name, targets in truth.items()},
    }

"""How much each code tells of its own kind of factor, and of the other kind, by classifiers on codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from seqdis.errors import DataError, SettingsError
from seqdis.evaluation.controls import UNTRAINED, control_codes, samplers
from seqdis.evaluation.metrics import bootstrap
from seqdis.evaluation.parts import Model, check_same_classes
from seqdis.evaluation.probe import Codes
from seqdis.evaluation.report import Role, Score
from seqdis.evaluation.tables import MAJORITY, Classifier, Table, joined, joined_labels, table_of, window_labels
from seqdis.factors import Factors
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.protocols._base import BOTH, CodesRead, Form, Printed, Protocol, check_forms
from seqdis.protocols._leakage import KINDS, Group, Kind, Reading, leakage_rows
from seqdis.sequences import Array, Sequences


def _printed_numbers() -> tuple[Printed, ...]:
    files: tuple[tuple[str, Classifier], ...] = (
        ("latent_SVC", "SVC"),
        ("latent", "SVC"),
        ("latent_RF", "RandomForest"),
        ("latent_KNN", "KNN"),
    )
    numbers = []
    for prefix, classifier in files:
        for code in KINDS:
            for kind in KINDS:
                key = f"{prefix}/{code}_feats_{kind}_acc_percent"
                better = "higher" if code == kind else ""
                factor = f"{{{kind}}} from {code}"
                numbers.append(
                    Printed(key=key, metric=f"accuracy ({classifier})", factor=factor, better=better, unit=0.01)
                )
            key = f"{prefix}/{code}_feats_leakage_gap_percent"
            numbers.append(Printed(key=key, metric=f"leakage_gap ({classifier})", factor=f"{code} code", unit=0.01))
    return tuple(numbers)


@hyperparameters
class LatentLeakage(Protocol):
    """Accuracy of reading static and dynamic factors from static and dynamic codes, and the gaps.

    Needs the parts train and test (valid is used where it exists) with class-valued factors.

    Parameters
    ----------
    classifiers : tuple of "SVC", "RandomForest" and "KNN"
        scikit-learn's, with its defaults (100 trees, 5 neighbours).
    forms : tuple of "published" and "corrected"
        *published*: fitted on 80 % of the codes of test, scored on the other 20 %, no scaling.
        *corrected*: fitted on the codes of train and valid, scored on all of test.
    static_factor, dynamic_factor : str or None
        None: the first class-valued factor of that kind that the data have.
    repeats : int
        Random splits of the published form.
    test_share : float
        Share of sequences scored in each of these splits.
    stratify : bool
        Keep the class shares in these splits, where every class has five sequences or more.
    standardise : bool
        Scale codes by what the classifier is fitted on, in the corrected form: without it an SVC
        or KNN overlooks what hides in a dimension of small variance.
    max_rows : int
        Rows that a classifier of the corrected form is fitted on at most (drawn by whole sequences).
    resamples : int
        Resamples of the test sequences for the spread of the corrected form; 0: none.
    codes : "means" or "samples"
        What is read of the model and of its untrained network: posterior means, or one sample of every sequence
        (papers do not say which).

    Notes
    -----
    ``leakage_gap`` of a code is the accuracy on its own kind of factor minus that on the other kind, signed. In
    the corrected form a read of the other kind below the majority class counts as that: where test holds
    combinations of factors that training never showed (``unseen``), a code that holds its own factor exactly
    makes the classifier answer with combinations it knows, which are all wrong. Such a read is no evidence for a
    clean code either; how many combinations of test were shown stands in the notes. Dynamic codes are flattened
    over time, or summarised (mean, standard deviation, last) where lengths differ. A dynamic factor with labels
    per step is read position by position: each window's code predicts the majority label of its steps, and the
    static code is paired with every position; all positions of a sequence stay on one side of a split.

    The published form learns from test sequences of the very classes that it is scored on; the
    corrected one asks what codes of new sequences tell. It needs classes that occur in train.

    References
    ----------
    Naiman et al., ICML 2023 (SPYL), Tab. 3, 9-11. Berman et al., ICML 2024 (DBSE), Tab. 2 and 11.

    Examples
    --------
    >>> LatentLeakage(classifiers=("SVC", "KNN")).repeats
    10
    """

    name: ClassVar[str] = "latent-leakage"
    title: ClassVar[str] = "Leakage between the codes"
    needs: ClassVar[tuple[str, ...]] = ("train", "test")
    welcome: ClassVar[tuple[str, ...]] = ("valid",)
    version: ClassVar[int] = 2
    published: ClassVar[tuple[Printed, ...]] = _printed_numbers()

    classifiers: tuple[Classifier, ...] = hyper(default=("SVC",))
    forms: tuple[Form, ...] = hyper(default=BOTH)
    static_factor: str | None = None
    dynamic_factor: str | None = None
    repeats: int = hyper(default=10, at_least=1)
    test_share: float = hyper(default=0.2, above=0.0, at_most=0.9)
    stratify: bool = True
    standardise: bool = True
    max_rows: int = hyper(default=3000, at_least=10)
    resamples: int = hyper(default=200, at_least=0)
    codes: CodesRead = hyper(default="means", identity="changed")

    def _measure(
        self, model: Model, parts: Mapping[str, Sequences], data: Any, controls: bool
    ) -> tuple[list[Score], dict[str, Any]]:
        check_forms(self, self.forms)
        if not self.classifiers:
            raise SettingsError("LatentLeakage.classifiers = (): expected 'SVC', 'RandomForest', 'KNN' or several.")
        names = self._factors(parts)
        for name in names.values():
            check_same_classes(parts, name)
        drawn = {
            method: {name: draw(self.seed) for name, draw in draws.items()}
            for method, draws in (samplers(model, parts) if self.codes == "samples" else {}).items()
        }
        read = drawn[type(model).__name__] if drawn else {name: model.encode(part) for name, part in parts.items()}
        own = {name: Codes.of(codes, parts[name]).factors for name, codes in read.items()}
        coders = {type(model).__name__: own}
        if controls:
            coders |= {MAJORITY: own, **control_codes(model, parts, own, self.seed)}
            coders |= {UNTRAINED: drawn[UNTRAINED]} if drawn else {}
        notes: dict[str, Any] = {"factors": dict(names)}
        rows: list[Score] = []
        for form in self.forms:
            used = ["test"] if form == "published" else ["test", *(name for name in parts if name != "test")]
            labels = {kind: _labels(name, [(parts[p], own[p]) for p in used]) for kind, name in names.items()}
            rounds = self._rounds(form, labels, len(parts["test"]))
            for kind, name in names.items():
                if len(np.unique(labels[kind][labels[kind] >= 0])) < 2:
                    raise DataError(f"latent-leakage: '{name}' has a single class here; name another {kind}_factor.")
            notes[form] = {
                "sequences to fit on": int(rounds[0][0].sum()),
                "to score on": int(rounds[0][1].sum()),
                "of these, with a combination of factors that is fitted on": _shown(labels, *rounds[0]),
            }
            groups = parts["test"].groups
            for method, codes in coders.items():
                tables = self._tables(joined([codes[p] for p in used]), labels, names)
                guesses = {key: self._read(table, form, MAJORITY, rounds, groups) for key, table in tables.items()}
                for classifier in self.classifiers:
                    asked = MAJORITY if method == MAJORITY else classifier
                    readings = {key: self._read(table, form, asked, rounds, groups) for key, table in tables.items()}
                    role: Role = "model" if method == type(model).__name__ else "control"
                    rows += leakage_rows(Group(method, classifier, form, role), names, readings, guesses)
        return rows, notes

    def _places(self, parts: Mapping[str, Sequences]) -> tuple[Printed, ...]:
        names = self._factors(parts)
        known = [place for place in self.published if all(k in names or f"{{{k}}}" not in place.factor for k in KINDS)]
        return tuple(replace(place, factor=place.factor.format(**names)) for place in known)

    def _factors(self, parts: Mapping[str, Sequences]) -> dict[Kind, str]:
        test, names = parts["test"], {}
        for kind, wanted in zip(KINDS, (self.static_factor, self.dynamic_factor), strict=True):
            having = [f.name for f in test.spec.factors if f.kind == kind and f.classes and f.name in test.labels]
            if wanted is not None or having:
                names[kind] = wanted if wanted is not None else having[0]
        if len(names) == 2 and names["static"] == names["dynamic"]:
            raise SettingsError(
                f"latent-leakage: '{names['static']}' is read as static and as dynamic factor; name another with "
                "static_factor or dynamic_factor."
            )
        if not names:
            raise DataError(f"{test.name}: no class-valued factor; name one with static_factor or dynamic_factor.")
        return names

    def _rounds(self, form: Form, labels: Mapping[Kind, Array], n_test: int) -> list[tuple[Array, Array]]:
        """(fitted on, scored on) as boolean arrays over the sequences, test first; one pair per repetition."""
        n = len(next(iter(labels.values())))
        if form == "corrected":
            scored = np.arange(n) < n_test
            return [(~scored, scored)]
        from sklearn.model_selection import train_test_split

        if n < 2 or int(n * (1 - self.test_share)) < 1:
            raise DataError(
                f"the test part has {n} sequence(s): too few for the published form, which scores a share of "
                f"{self.test_share:g} of them and fits on the rest. Use a larger test part, or forms=('corrected',)."
            )
        strata = _strata(labels, int(n * self.test_share)) if self.stratify else None
        rounds = []
        for k in range(self.repeats):
            split = train_test_split(
                np.arange(n), test_size=self.test_share, stratify=strata, random_state=self.seed + k
            )
            scored = np.isin(np.arange(n), split[1])
            rounds.append((~scored, scored))
        return rounds

    def _tables(
        self, factors: Factors, labels: Mapping[Kind, Array], names: Mapping[Kind, str]
    ) -> dict[tuple[Kind, Kind], Table]:
        return {
            (code, kind): table_of(factors, code, labels[kind], f"'{name}' from the {code} code")
            for code in KINDS
            for kind, name in names.items()
        }

    def _read(
        self, table: Table, form: Form, classifier: str, rounds: list[tuple[Array, Array]], groups: Array | None
    ) -> Reading:
        if form == "published":
            counts = [table.hits(classifier, fit, score, self.seed + k) for k, (fit, score) in enumerate(rounds)]
            shares = np.array([hits.sum() / rows.sum() for hits, rows in counts])
            return Reading(shares.mean(), shares, "splits")
        fit, score = rounds[0]
        fit = table.thinned(fit, self.max_rows, self.seed)
        if self.standardise:
            table = table.standardised(fit)
        hits, rows = (values[score] for values in table.hits(classifier, fit, score, self.seed))
        draws = bootstrap(
            lambda drawn: hits[drawn].sum() / rows[drawn].sum(),
            len(hits),
            resamples=self.resamples,
            seed=self.seed,
            groups=groups,
        )
        return Reading(hits.sum() / rows.sum(), draws, "test resamples")


def _labels(name: str, parts: list[tuple[Sequences, Factors]]) -> Array:
    return joined_labels([window_labels(part, name, codes.dynamic.shape[1], codes.stride) for part, codes in parts])


def _strata(labels: Mapping[Kind, Array], n_scored: int) -> Array | None:
    """Classes to keep the shares of: both factors together, else one of them; None where a class is too rare."""
    flat = [values for values in labels.values() if values.ndim == 1]
    both = [flat[0] * (flat[1].max() + 2) + flat[1]] if len(flat) == 2 else []
    for values in (*both, *flat):
        counts = np.unique(values, return_counts=True)[1]
        if counts.min() >= 5 and len(counts) <= n_scored:
            return values
    return None


def _shown(labels: Mapping[Kind, Array], fit: Array, score: Array) -> int | None:
    """How many scored sequences combine factors as one that is fitted on does; None unless both have one label each."""
    if len(labels) < 2 or any(values.ndim > 1 for values in labels.values()):
        return None
    pairs = np.stack(list(labels.values()), 1)
    known = {tuple(pair) for pair in pairs[fit].tolist()}
    return sum(tuple(pair) in known for pair in pairs[score].tolist())

"""One code kept, the other drawn or taken from elsewhere: what a judge says of the decoded video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import repeat
from typing import Any, ClassVar, Literal

import numpy as np

from seqdis.errors import DataError, SettingsError
from seqdis.evaluation.generation import (
    agreement_kl,
    balanced_rows,
    conditional_entropy,
    inception_score,
    marginal_entropy,
)
from seqdis.evaluation.judging import (
    KINDS,
    Generative,
    Kind,
    RealTest,
    Views,
    decodable,
    different_pairs,
    generative,
    has_prior,
    judged,
)
from seqdis.evaluation.parts import Model
from seqdis.evaluation.report import Score
from seqdis.factors import Factors
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.protocols._base import BOTH, Form, Printed, check_forms
from seqdis.protocols._generation import (
    REAL,
    SHUFFLED,
    UNTRAINED,
    WORDS,
    JudgedProtocol,
    Place,
    bounds,
    correct,
    rows_of,
)
from seqdis.sequences import Array, Sequences

BETTER = {"accuracy": "higher", "IS": "higher", "H(y|x)": "lower", "H(y)": "higher", "agreement KL": "lower"}
KEYS = {"accuracy": "Acc_percent", "IS": "IS", "H(y|x)": "H(y|x)", "H(y)": "H(y)"}
Values = dict[Place, float]


@hyperparameters
class ConditionalGeneration(JudgedProtocol):
    """Accuracy, inception score and entropies, by a judge, of video with one code kept, and of swaps.

    Needs train, valid and test of video with class factors, one label per sequence.

    Parameters
    ----------
    forms : tuple of "published" and "corrected"
        *published*: as the released loaders, which shuffle, the last incomplete batch of ``batch_size`` is left
        out, and the balanced subset is chosen by ``balance``.
        *corrected*: nothing left out, balanced by the label that is judged.
    batch_size : int
        Of the published form.
    balance : "judged" or "released"
        Of the published form. *released*: by the first judged static factor whatever is judged, as in DBSE's
        script for MUG.

    Notes
    -----
    - *kept dynamics*: posterior-mean dynamics of each test sequence, one static code from the prior.
      Dynamic factors are judged; this is what the papers' tables print.
    - *kept static*: posterior-mean static code, a roll-out of the dynamic prior whose step means are
      decoded. Static factors are judged.
    - *swap*: pairs of different test sequences; static factors are compared with those of the static
      donor, dynamic ones with those of the dynamic donor. Accuracy only, and in the corrected form only:
      published swaps are between consecutive batches of a shuffled loader, in both directions. A model
      without a prior has this case only.

    Labels are the true ones of the source, never the judge's. IS and the entropies are of a
    class-balanced subset, accuracy and agreement of all sequences. IS = exp(H(y) - H(y|x)) holds for
    every repeat; some printed rows miss it. Controls: the real test data (the judge's ceiling; for
    swaps, either donor unchanged), shuffled labels (chance), and the same network with random weights.
    In the published code DBSE's posterior mean is itself random; here it is not.

    References
    ----------
    Bai et al., NeurIPS 2021 (C-DSVAE). Naiman et al., ICML 2023 (SPYL), Tab. 1. Berman et al., ICML 2024
    (DBSE), Tab. 1 and App. B.4 (300 repetitions).

    Examples
    --------
    >>> ConditionalGeneration(repeats=300).judge.floor
    0.99
    """

    name: ClassVar[str] = "conditional-generation"
    title: ClassVar[str] = "One code kept, by a judge"
    version: ClassVar[int] = 3
    published: ClassVar[tuple[Printed, ...]] = tuple(
        Printed(
            key=key,
            metric=metric,
            factor=f"{{dynamic}}, {WORDS['dynamic']}",
            better=BETTER[metric],
            unit=0.01 if metric == "accuracy" else 1.0,
        )
        for metric, key in KEYS.items()
    )

    forms: tuple[Form, ...] = hyper(default=BOTH)
    batch_size: int = hyper(default=128, at_least=1)
    balance: Literal["judged", "released"] = "judged"

    def _measure(
        self, model: Model, parts: Mapping[str, Sequences], data: Any, controls: bool
    ) -> tuple[list[Score], dict[str, Any]]:
        check_forms(self, self.forms)
        drawn = has_prior(model)
        made = generative(model) if drawn or "corrected" not in self.forms else decodable(model)
        if len(parts["test"]) < 2:
            raise DataError(f"{parts['test'].name} holds one sequence; {self.name} swaps codes of two or more.")
        if self.balance == "released" and "published" in self.forms and not self._judged(parts["test"], "static"):
            raise SettingsError(
                f"{type(self).__name__}.balance = 'released': the judge reads no static factor of {parts['test'].name} "
                "to balance by. Use balance='judged', forms=('corrected',), or other judge.factors."
            )
        real = self._real(parts)
        counts = self._counts(real)  # first: it refuses what cannot be balanced
        own, seen = self._generated(made, real)
        rows = rows_of(type(model).__name__, "model", own)
        if controls:
            if drawn:
                rows += bounds(rows_of(REAL, "control", [self._real_values(real)]))
            for donor in KINDS if "corrected" in self.forms else ():
                copies = [self._copies(real, donor, k) for k in range(self.repeats)]
                copied = rows_of(f"copy of the {donor} donor", "control", copies, "pairings")
                rows += bounds(copied, real.factors(donor))
            if drawn:
                chance = [self._chance(real, k) for k in range(self.repeats)]
                rows += rows_of(SHUFFLED, "control", chance, "shufflings")
            rows += rows_of(UNTRAINED, "control", self._generated(decodable(made.untrained()), real)[0])
        about = {"judge": real.notes(), "counts": counts, "confusion": _confusion(real, seen)}
        return rows, about if drawn else about | {"swaps only": f"{type(model).__name__} has no prior"}

    def _places(self, parts: Mapping[str, Sequences]) -> tuple[Printed, ...]:
        names = self._judged(parts["test"], "dynamic")
        return tuple(replace(place, factor=place.factor.format(dynamic=names[0])) for place in self.published if names)

    def _generated(self, model: Generative, real: RealTest) -> tuple[list[Values], dict[str, Array]]:
        """Scores of every repeat; classes judged under kept dynamics, (repeats, n) by dynamic factor."""
        codes = model.encode(real.part)
        found: list[Values] = []
        judged_as: dict[str, list[Array]] = {name: [] for name in real.factors("dynamic")}
        kept = self._kept(model, codes, real) if has_prior(model) else repeat(dict[Kind, Views](), self.repeats)
        for k, views in enumerate(kept):
            values: Values = {}
            for kind, judged_views in views.items():
                values |= self._scores(kind, judged_views, real)
            if "corrected" in self.forms:
                values |= self._swaps(self._hybrids(model, codes, real, k), real, k)
            found.append(values)
            for name, classes in judged_as.items() if views else ():
                classes.append(views["dynamic"][name].argmax(1))
        return found, {name: np.stack(classes) for name, classes in judged_as.items() if classes}

    def _hybrids(self, model: Generative, codes: Factors, real: RealTest, repeat: int) -> Views:
        """What the judge sees in decoded swaps of the pairs of one repeat."""
        first, second = self._pairs(real, repeat)
        hybrids = Factors(
            codes.static[first],
            codes.dynamic[second],
            None if codes.lengths is None else codes.lengths[second],
            codes.stride,
        )
        lengths = None if real.part.lengths is None else real.part.lengths[second]
        return judged(real.judge, model, hybrids, real.part.x.shape[1], lengths)

    def _scores(self, kind: Kind, views: Views, real: RealTest) -> Values:
        """All scores of what keeps one code, for the factors of that kind."""
        values: Values = {}
        for name in real.factors(kind):
            for form in self.forms:
                shown = self._shown(form, len(real.part))
                labels, p = real.part.labels[name][shown], views[name][shown]
                chosen, _ = balanced_rows(self._balancing(form, name, real)[shown])
                scores = {
                    "accuracy": correct(labels, p),
                    "IS": inception_score(p[chosen]),
                    "H(y|x)": conditional_entropy(p[chosen]),
                    "H(y)": marginal_entropy(p[chosen]),
                    "agreement KL": agreement_kl(p, real.views[name][shown]),
                }
                factor = f"{name}, {WORDS[kind]}{real.mark(name)}"
                values |= {(metric, factor, form, BETTER[metric]): value for metric, value in scores.items()}
        return values

    def _swaps(self, views: Views, real: RealTest, repeat: int) -> Values:
        """Accuracies of swaps, each factor against the donor of its kind."""
        donors = dict(zip(KINDS, self._pairs(real, repeat), strict=True))
        return {
            ("accuracy", f"{name}, swap{real.mark(name)}", "corrected", "higher"): correct(
                real.part.labels[name][donors[kind]], views[name]
            )
            for kind in KINDS
            for name in real.factors(kind)
        }

    def _copies(self, real: RealTest, donor: Kind, repeat: int) -> Values:
        rows = dict(zip(KINDS, self._pairs(real, repeat), strict=True))[donor]
        return self._swaps({name: views[rows] for name, views in real.views.items()}, real, repeat)

    def _real_values(self, real: RealTest) -> Values:
        return self._scores("static", real.views, real) | self._scores("dynamic", real.views, real)

    def _chance(self, real: RealTest, repeat: int) -> Values:
        """Accuracy against labels in another order."""
        values: Values = {}
        for kind in KINDS:
            for name in real.factors(kind):
                labels = self._shuffled(real.part.labels[name], repeat)
                for form in self.forms:
                    shown = self._shown(form, len(labels))
                    place = ("accuracy", f"{name}, {WORDS[kind]}{real.mark(name)}", form, "higher")
                    values[place] = correct(labels[shown], real.views[name][shown])
        return values

    def _pairs(self, real: RealTest, repeat: int) -> tuple[Array, Array]:
        return different_pairs(len(real.part), len(real.part), self._seed_of(repeat))

    def _shown(self, form: Form, n: int) -> Array:
        """Rows that count; where not one batch is full, none is left out."""
        whole = n // self.batch_size * self.batch_size
        if form == "corrected" or not whole:
            return np.arange(n)
        return np.sort(np.random.default_rng(self.seed).permutation(n)[:whole])

    def _balancing(self, form: Form, factor: str, real: RealTest) -> Array:
        released = form == "published" and self.balance == "released"
        return real.part.labels[real.factors("static")[0] if released else factor]

    def _counts(self, real: RealTest) -> dict[str, Any]:
        """How many sequences accuracy (n) and entropies (m of each class) are of."""
        counts: dict[str, Any] = {}
        for form in self.forms:
            shown = self._shown(form, len(real.part))
            counts[form] = {
                name: {
                    "n": int((real.part.labels[name][shown] >= 0).sum()),
                    "m": balanced_rows(self._balancing(form, name, real)[shown])[1],
                }
                for name in real.views
            }
        return counts


def _confusion(real: RealTest, judged_as: Mapping[str, Array]) -> dict[str, Any]:
    """How often a true class was judged as which under kept dynamics, over all repeats."""
    from sklearn.metrics import confusion_matrix

    found = {}
    for name, classes in judged_as.items():
        names = real.part.spec.factor(name).classes
        labels = np.broadcast_to(real.part.labels[name], classes.shape)
        known = labels >= 0
        counts = confusion_matrix(labels[known], classes[known], labels=range(len(names)))
        found[name] = {"classes": list(names), "counts": counts.tolist()}
    return found

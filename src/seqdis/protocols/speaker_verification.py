"""Speaker verification by both codes, and what the dynamic code tells of the words said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from seqdis.errors import CapabilityError, SettingsError
from seqdis.estimator import Disentangler
from seqdis.evaluation.metrics import pooled_mean
from seqdis.evaluation.parts import Model, normalised, with_label
from seqdis.evaluation.probe import Codes, Logistic
from seqdis.evaluation.report import Score
from seqdis.evaluation.tables import MAJORITY, Table, window_labels
from seqdis.evaluation.verification import Trials, content_table, together, utterance_vectors
from seqdis.factors import Factors
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.protocols._base import BOTH, Form, Printed, Protocol, check_forms, score_row, with_roles
from seqdis.sequences import Array, Sequences
from seqdis.spectrogram import utterances

Kind = Literal["static", "dynamic"]
KINDS: tuple[Kind, ...] = ("static", "dynamic")
MEAN, UNTRAINED, STARVED = "mean spectrogram", "untrained encoder", "starved dynamic code"


@hyperparameters
class SpeakerVerification(Protocol):
    """Equal error rates of telling speakers apart by the static and by the dynamic code, and their difference.

    Needs train and test, with speakers as labels; valid is used where it exists.

    Parameters
    ----------
    forms : tuple of "published" and "corrected"
        *published*: static vectors are averages of posterior means, dynamic ones of posterior samples, as in
        released code of DBSE. *corrected*: both are averages of means.
    speaker : str
        Name of the label.
    content : str or None
        What is said. None: the first class-valued dynamic factor, if the data have one.
    together : tuple of int
        Utterances of one speaker (drawn with ``seed``) that make one vector. A sentence of TIMIT lasts three
        seconds, a word less than one: five words compare with a sentence.
    max_rows : int
        Rows that the content is learnt from at most (drawn by whole sequences).
    resamples : int
        Resamples of the test speakers for the spread; 0: none.

    Notes
    -----
    A vector per utterance: the static code averaged over segments, the dynamic one over segments and frames
    (`seqdis.spectrogram.utterances` says which segments belong together). All unordered pairs are compared by
    cosine similarity; the core test set of TIMIT gives 18,336 pairs, 672 of one speaker. ``EER``, in [0, 1], is
    where as many pairs of one speaker are refused as pairs of two are accepted; ``EER gap`` is that of the dynamic
    code minus that of the static one. A good static code has a low rate; a dynamic code without the speaker 0.5.

    So has a dynamic code that holds nothing. Its content is therefore read beside: in the corrected form, by
    logistic regression on its course (`seqdis.evaluation.verification.course`), fitted on train, penalised as valid
    likes it best, scored on test; the same from the static code, which should not know. Where every frame has a
    label, frame by frame.

    Controls: "mean spectrogram", the average frame as static code and the frames themselves as dynamic one;
    "untrained encoder"; "starved dynamic code", the model's static code beside a dynamic one of pure noise, whose
    gap comes for free; for contents also the commonest class.

    Departures from released code: it finds the threshold by bisection, pair by pair, which gives the same to within
    one step of a rate; another routine there samples static codes, too.

    References
    ----------
    Li and Mandt, ICML 2018 (DSVAE), Sec. 4.2. Berman et al., ICML 2024 (DBSE), Tab. 7.

    Examples
    --------
    >>> SpeakerVerification(together=(1, 5)).content is None
    True
    """

    name: ClassVar[str] = "speaker-verification"
    title: ClassVar[str] = "Speaker verification"
    needs: ClassVar[tuple[str, ...]] = ("train", "test")
    welcome: ClassVar[tuple[str, ...]] = ("valid",)
    version: ClassVar[int] = 3
    published: ClassVar[tuple[Printed, ...]] = (
        Printed(key="static_EER_percent", metric="EER", factor="static", better="lower", unit=0.01),
        Printed(key="dynamic_EER_percent", metric="EER", factor="dynamic", better="higher", unit=0.01),
        Printed(key="EER_gap_percent", metric="EER gap", factor="", unit=0.01),
    )

    forms: tuple[Form, ...] = hyper(default=BOTH)
    speaker: str = "speaker"
    content: str | None = None
    together: tuple[int, ...] = (1,)
    max_rows: int = hyper(default=5000, at_least=10)
    resamples: int = hyper(default=100, at_least=0)

    def _measure(
        self, model: Model, parts: Mapping[str, Sequences], data: Any, controls: bool
    ) -> tuple[list[Score], dict[str, Any]]:
        check_forms(self, self.forms)
        if not self.together or min(self.together) < 1:
            raise SettingsError(
                f"SpeakerVerification.together = {self.together}: expected numbers from 1, such as (1, 5)."
            )
        test = with_label(parts["test"], self.speaker)
        content = self._content(test) if "corrected" in self.forms else None
        learnt = {name: part for name, part in parts.items() if content and name != "test"}
        read = {name: _some(part, content, self.max_rows, self.seed) for name, part in learnt.items()} | {"test": test}
        means = _coders(model, read, controls, self.seed)
        trials, rows = _Utterances(test, self.speaker), []
        for form in self.forms:
            for method, codes in means.items():
                vectors = codes["test"]
                if form == "published" and method in (type(model).__name__, UNTRAINED):
                    vectors = _sampled(model if method != UNTRAINED else model.untrained(), test, vectors, self.seed)
                rows += self._rates(method, form, trials, vectors)
        notes: dict[str, Any] = {"utterances": len(trials.speaker), "speakers": len(np.unique(trials.speaker))}
        if content:
            notes["content"] = {"read": content} | {f"sequences of {name}": len(part) for name, part in read.items()}
            rows += self._contents(content, read, means, test.labels[self.speaker])
        return with_roles(rows, type(model).__name__), notes

    def _content(self, test: Sequences) -> str | None:
        having = [f.name for f in test.spec.factors if f.kind == "dynamic" and f.classes and f.name in test.labels]
        return self.content if self.content is not None else having[0] if having else None

    def _rates(self, method: str, form: Form, trials: _Utterances, codes: Factors) -> list[Score]:
        """Rates of both codes and their gap, for every number of utterances in a vector."""
        rows = []
        for size in self.together:
            found = []
            for vectors in utterance_vectors(codes, trials.utterance):
                vectors, speaker = together(vectors, trials.speaker, size, self.seed)
                found.append(Trials(speaker).error_rate(vectors, resamples=self.resamples, seed=self.seed))
            (static, statics), (dynamic, dynamics) = found
            beside = f"{size} together" if size > 1 else ""
            for metric, factor, better, value, draws in (
                ("EER", "static", "lower", static, statics),
                ("EER", "dynamic", "higher", dynamic, dynamics),
                ("EER gap", "", "higher", dynamic - static, dynamics - statics),
            ):
                named = ", ".join(word for word in (factor, beside) if word)
                rows.append(_row(method, metric, named, form, better, value, draws, "resamples of speakers"))
        return rows

    def _contents(
        self,
        content: str,
        parts: Mapping[str, Sequences],
        coders: Mapping[str, Mapping[str, Factors]],
        speaker: Array,
    ) -> list[Score]:
        """Accuracies of reading what is said from either code."""
        rows = []
        for code in KINDS:
            better = "higher" if code == "dynamic" else ""
            factor = f"{content} from {code}"
            for method, codes in coders.items():
                if method == STARVED and code == "static":
                    continue
                tables = {name: _table(codes[name], code, part, content) for name, part in parts.items()}
                hits, rows_asked = _hits(tables)
                any_asked = rows_asked > 0
                value, draws = pooled_mean(
                    hits[any_asked],
                    rows_asked[any_asked],
                    resamples=self.resamples,
                    seed=self.seed,
                    groups=speaker[any_asked],
                )
                rows.append(
                    _row(method, "accuracy", factor, "corrected", better, value, draws, "resamples of speakers")
                )
            if len(coders) > 1:
                common = np.bincount(tables["train"].y).argmax()
                value = float((tables["test"].y == common).mean())
                rows.append(_row(MAJORITY, "accuracy", factor, "corrected", better, value))
        return rows


class _Utterances:
    """Utterance of every segment, and speaker of every utterance."""

    def __init__(self, part: Sequences, speaker: str) -> None:
        self.utterance = np.arange(len(part)) if part.ids is None else utterances(part.ids)
        first = np.unique(self.utterance, return_index=True)[1]
        self.speaker: Array = part.labels[speaker][first]


def _row(
    method: str,
    metric: str,
    factor: str,
    form: Form,
    better: str,
    value: float,
    draws: Array | None = None,
    over: str = "",
) -> Score:
    return score_row(
        method=method, metric=metric, factor=factor, form=form, better=better, value=value, draws=draws, over=over
    )


def _some(part: Sequences, content: str | None, most: int, seed: int) -> Sequences:
    """As many sequences, drawn at random, as make up so many rows for a classifier."""
    labels = part.labels.get(content or "")
    rows = part.x.shape[1] if labels is not None and labels.ndim == 2 else 1
    count = max(2, most // rows)
    if count >= len(part):
        return part
    return part[np.sort(np.random.default_rng(seed).permutation(len(part))[:count])]


def _coders(model: Model, parts: Mapping[str, Sequences], controls: bool, seed: int) -> dict[str, dict[str, Factors]]:
    """Codes of all parts by the model and, if wanted, by its controls."""
    own = {name: Codes.of(model.encode(part), part).factors for name, part in parts.items()}
    coders = {type(model).__name__: own}
    if controls:
        untrained = model.untrained()
        coders[MEAN] = {name: _frames(part, model) for name, part in parts.items()}
        coders[UNTRAINED] = {name: untrained.encode(part) for name, part in parts.items()}
        coders[STARVED] = {name: _starved(codes, seed + k) for k, (name, codes) in enumerate(own.items())}
    return coders


def _frames(part: Sequences, model: Model) -> Factors:
    """The average frame as static code, the frames as dynamic one, as networks see them."""
    frames = torch.from_numpy(normalised(part.x, model.spec_).reshape(*part.x.shape[:2], -1).astype(np.float32))
    lengths = None if part.lengths is None else torch.from_numpy(np.asarray(part.lengths, dtype=np.int64))
    codes = Factors(frames[:, 0], frames, lengths, 1)
    return replace(codes, static=codes.dynamic_mean())


def _starved(codes: Factors, seed: int) -> Factors:
    """A dynamic code that holds nothing."""
    return replace(codes, dynamic=torch.randn(codes.dynamic.shape, generator=torch.Generator().manual_seed(seed)))


def _sampled(model: Model, part: Sequences, means: Factors, seed: int) -> Factors:
    """Static means beside one draw of the dynamic code."""
    if not isinstance(model, Disentangler):
        raise CapabilityError(
            f"the published form of speaker-verification draws from the posterior, which {type(model).__name__} "
            "does not offer; use forms=('corrected',)."
        )
    return replace(means, dynamic=model.encode(part, draw=seed).dynamic)


def _table(codes: Factors, code: Kind, part: Sequences, content: str) -> Table:
    labels = window_labels(part, content, codes.dynamic.shape[1], codes.stride)
    return content_table(codes, code, labels, f"'{content}' from the {code} code of {part.name}")


def _hits(tables: Mapping[str, Table]) -> tuple[Array, Array]:
    """Right answers and rows asked of every test sequence."""
    train, test = tables["train"], tables["test"]
    # Without a valid part nothing is chosen: one penalty, and what it is compared with does not matter.
    valid, logistic = (tables["valid"], Logistic()) if "valid" in tables else (train, Logistic(strengths=(1e-2,)))
    said = logistic.fit(train.x, train.y, valid.x, valid.y).predict_proba(test.x).argmax(1)
    asked = np.bincount(test.sequence, minlength=test.n)
    hits = np.bincount(test.sequence, weights=said == test.y, minlength=test.n)
    return hits, asked

"""What a judge makes of real test data and of what a model generates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
import torch

from seqdis.coding import device_of
from seqdis.errors import CapabilityError, SeqdisError
from seqdis.evaluation.judge import Judge
from seqdis.evaluation.judge_cache import fitted_judge
from seqdis.evaluation.metrics import accuracy
from seqdis.evaluation.parts import Model
from seqdis.factors import Factors
from seqdis.nn.network import Network
from seqdis.sequences import Array, Sequences

Kind = Literal["static", "dynamic"]
KINDS: tuple[Kind, Kind] = ("static", "dynamic")
Views = Mapping[str, Array]
"""Class probabilities, (n, classes), by factor."""

DECODED_AT_ONCE = 128
"""Sequences decoded and judged at a time: a whole test part of video as floats takes gigabytes."""


class Generative(Model, Protocol):
    """A fitted model whose codes can be redrawn from a prior."""

    network_: Network

    def decode(self, factors: Factors, /) -> Array:
        """Observations of codes, in data units (images: [0, 1])."""


def decodable(model: Model) -> Generative:
    """The model itself, if codes of given sequences can be exchanged and decoded.

    Raises
    ------
    CapabilityError
        It cannot encode or decode.
    """
    if not getattr(model, "has_encoder", True) or not callable(getattr(model, "decode", None)):
        raise CapabilityError(f"{type(model).__name__} cannot exchange codes: that takes an encoder and a decoder.")
    return cast(Generative, model)


def generative(model: Model) -> Generative:
    """The model itself, if one of its codes can be kept and the other be drawn.

    Raises
    ------
    CapabilityError
        It cannot encode, decode, or draw from a prior.
    """
    coded = getattr(model, "has_encoder", True)
    able = coded and has_prior(model)
    if not able or not hasattr(model, "network_") or not callable(getattr(model, "decode", None)):
        raise CapabilityError(
            f"{type(model).__name__} cannot keep one code and draw the other: that takes an encoder, a decoder and a "
            f"network_ with a prior.{' Use an evaluation without samples, such as reencode-swap.' if coded else ''}"
        )
    return cast(Generative, model)


def has_prior(model: Model) -> bool:
    """Whether codes can be drawn; its own word is taken."""
    return bool(getattr(model, "probabilistic", True))


@dataclass(frozen=True, kw_only=True)
class RealTest:
    """Real test data through the eyes of a judge: its ceiling, and the reference of agreement.

    Parameters
    ----------
    judge : Judge
        Fitted.
    part : Sequences
        The test part, its judged labels as `Judge.targets` gives them.
    views : mapping from factor to array, (n, classes)
        The judge's class probabilities.
    accuracy : mapping from factor to float
        Share of sequences with a known label that the judge reads right. Nothing is selected by it.
    """

    judge: Judge
    part: Sequences
    views: Views
    accuracy: Mapping[str, float]

    @classmethod
    def of(
        cls, judge: Judge, parts: Mapping[str, Sequences], folder: Path, needed: Collection[str] | None = None
    ) -> RealTest:
        """Train the judge on train and valid (or load it from ``folder``) and show it test.

        Parameters
        ----------
        judge : Judge
            Its settings.
        parts : mapping from part name to Sequences
        folder : Path
        needed : collection of str, optional
            Factors whose scores will be used; None: all that are judged.

        Raises
        ------
        DataError
            Labels of test that are not those of train; see `Judge.targets`.
        SeqdisError
            The judge is too weak on a needed factor, by its own ``floor``, and ``on_weak`` is "refuse".
        """
        fitted, test = fitted_judge(judge, parts["train"], parts["valid"], folder), parts["test"]
        targets = {name: labels.numpy() for name, labels in fitted.targets(test).items()}
        test = replace(test, labels={**test.labels, **targets})
        views = fitted.predict_proba(test)
        right = {}
        for name, probabilities in views.items():
            labels = test.labels[name]
            right[name] = accuracy(labels[labels >= 0], probabilities[labels >= 0])
        real = cls(judge=fitted, part=test, views=views, accuracy=right)
        real._refuse_weak(views if needed is None else needed)
        return real

    def factors(self, kind: Kind) -> tuple[str, ...]:
        """Judged factors of one kind, in the order of the data."""
        return tuple(name for name in self.views if self.part.spec.factor(name).kind == kind)

    def mark(self, factor: str) -> str:
        """What is written behind a factor that the judge reads worse than its floor."""
        weak = self.accuracy[factor] < self.judge.floor
        return f" (weak judge: {self.accuracy[factor]:.3f})" if weak else ""

    def notes(self) -> dict[str, Any]:
        """For the provenance of a report."""
        return {
            "accuracy on real test data": dict(self.accuracy),
            "floor": self.judge.floor,
            "epochs trained": len(self.judge.history_),
            "seconds trained": round(sum(record.get("seconds", 0.0) for record in self.judge.history_), 2),
        }

    def _refuse_weak(self, needed: Collection[str]) -> None:
        weak = {name: self.accuracy[name] for name in needed if self.mark(name)}
        if weak and self.judge.on_weak == "refuse":
            listed = ", ".join(f"'{name}' in {value:.3f}" for name, value in weak.items())
            raise SeqdisError(
                f"the judge is too weak: of the real sequences of {self.part.name} it reads {listed} right; expected "
                f"at least {self.judge.floor}, or scores would measure the judge. Train it longer (judge.epochs, "
                "judge.patience) or on more data, leave the factor out (judge.factors), lower judge.floor, or set "
                "judge.on_weak='warn' to have its rows marked."
            )


def prior_codes(model: Generative, n: int, windows: int, *, mean: bool, seed: int) -> Factors:
    """Codes drawn as `Disentangler.sample` draws them, without decoding.

    Parameters
    ----------
    model : Generative
    n, windows : int
    mean : bool
        Step means along a sampled path instead of the samples.
    seed : int
    """
    generator = torch.Generator(device_of(model.network_)).manual_seed(seed)
    with torch.inference_mode():
        return model.network_.prior(n, windows, generator, mean=mean).to("cpu")


def one_kept(model: Generative, codes: Factors, keep: Kind, seed: int) -> Factors:
    """Codes with one of them kept and the other drawn from the prior.

    ``keep="dynamic"`` draws static codes; ``keep="static"`` rolls the dynamic prior out, samples fed
    back, and takes the step **means**, as published evaluations do. The same draws as those of
    ``model.sample(like=..., keep=..., mean=keep == "static", seed=seed)``, which encodes every time.
    """
    drawn = prior_codes(model, len(codes), codes.dynamic.shape[1], mean=keep == "static", seed=seed)
    if keep == "static":
        return Factors(codes.static, drawn.dynamic, codes.lengths, codes.stride)
    return Factors(drawn.static, codes.dynamic, codes.lengths, codes.stride)


def judged(
    judge: Judge, model: Generative, codes: Factors, steps: int, lengths: Array | None = None
) -> dict[str, Array]:
    """The judge's class probabilities on decoded codes, (n, classes) for every factor.

    Parameters
    ----------
    judge : Judge
    model : Generative
    codes : Factors
    steps : int
        Frames that are looked at; windows of codes may decode to more.
    lengths : array of int, (n,), optional
        How many of them are real; None: all.
    """
    found = []
    for start in range(0, len(codes), DECODED_AT_ONCE):
        rows = slice(start, start + DECODED_AT_ONCE)
        real = None if lengths is None else lengths[rows]
        found.append(judge.predict_proba(model.decode(codes[rows])[:, :steps], real))
    return {name: np.concatenate([views[name] for views in found]) for name in found[0]}


def produced(values: Array, like: Sequences) -> Sequences:
    """What a model made of ``like``, as sequences that can be encoded again: nothing missing, same lengths."""
    spec = replace(like.spec, scale=(1.0,), center=(0.0,)) if like.spec.kind == "image" else like.spec
    if like.lengths is not None:  # NaN beyond; within, it would be a failure to be refused
        padded = np.arange(values.shape[1]) >= like.lengths[:, None]
        values = np.where(padded.reshape(*padded.shape, *(1,) * (values.ndim - 2)), values.dtype.type(0), values)
    return Sequences(x=values, spec=replace(spec, missing=False), lengths=like.lengths, name=f"made of {like.name}")


def different_pairs(n: int, n_pairs: int, seed: int) -> tuple[Array, Array]:
    """Rows of pairs of different sequences, each (n_pairs,), drawn at random."""
    generator = np.random.default_rng(seed)
    first = generator.integers(n, size=n_pairs)
    return first, (first + generator.integers(1, n, size=n_pairs)) % n

"""Hidden values of series, guessed by reconstruction from what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from seqdis.errors import CapabilityError, DataError
from seqdis.evaluation.filling import carried, interpolated, sequence_mean
from seqdis.evaluation.metrics import pooled_mean
from seqdis.evaluation.parts import Model, normalised, refuse_shared
from seqdis.evaluation.report import Score
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.inputs import standardised
from seqdis.protocols._base import Protocol, score_row, with_roles
from seqdis.sequences import Array, DataSpec, Sequences


@hyperparameters
class Imputation(Protocol):
    """Squared and absolute error on observed values of test that were hidden from the model.

    Needs train (for the scale) and test, both series, with or without missing values.

    Parameters
    ----------
    share : float
        Chance of an observed value to be hidden. One value of every sequence always stays.
    resamples : int
        Resamples of the test sequences for the spread; 0: none.

    Notes
    -----
    Errors are per hidden value, in standard deviations of what train observed. A hidden value is
    masked, and the mean of its feature stands in its place. Controls: the training mean, the mean of
    what is left of the same sequence and feature, the last value carried forward (before the first:
    the next), linear interpolation in time (each zero, the training mean, for a feature that a
    sequence never observed), and the same network with random weights.

    Values are hidden independently of one another; in practice whole stretches are missing, which is
    harder, above all for interpolation. Not published anywhere in this form.

    Examples
    --------
    >>> Imputation(share=0.3).seed
    0
    """

    version: ClassVar[int] = 2
    name: ClassVar[str] = "imputation"
    title: ClassVar[str] = "Hidden values"
    needs: ClassVar[tuple[str, ...]] = ("train", "test")

    share: float = hyper(default=0.1, above=0.0, at_most=0.9)
    resamples: int = hyper(default=200, at_least=0)

    def _measure(
        self, model: Model, parts: Mapping[str, Sequences], data: Any, controls: bool
    ) -> tuple[list[Score], dict[str, Any]]:
        test = parts["test"]
        if test.spec.kind != "series":
            raise CapabilityError(f"imputation hides single values of series; {test.name} holds {test.spec.kind}s.")
        refuse_shared(parts)
        spec = standardised(parts["train"])
        hidden = self._hidden(test)
        left = _without(test, hidden, spec)
        guesses = {type(model).__name__: normalised(model.reconstruct(left), spec)}
        if controls:
            guesses |= _guesses(left, spec)
            guesses["untrained network"] = normalised(model.untrained().reconstruct(left), spec)
        truth = normalised(test.x, spec)
        scores = [
            row for method, guess in guesses.items() for row in self._rows(method, truth, guess, hidden, test.groups)
        ]
        notes = {"hidden": int(hidden.sum()), "observed": int(test.observed().sum()), "units": "deviations of train"}
        return with_roles(scores, type(model).__name__), notes

    def _hidden(self, test: Sequences) -> Array:
        """(n, time, features) of bool: observed values to be hidden."""
        seen = test.observed()
        draw = np.where(seen, np.random.default_rng(self.seed).random(seen.shape), -1.0)
        # The largest draw of a sequence stays, so that no model is asked about an empty one.
        hidden = seen & (draw < self.share) & (draw < draw.max((1, 2), keepdims=True))
        if not hidden.any():
            raise DataError(
                f"{test.name}: a share of {self.share} hides none of {int(seen.sum())} observed values. "
                "Use a larger share, or more data."
            )
        return hidden

    def _rows(self, method: str, truth: Array, guess: Array, hidden: Array, groups: Array | None) -> list[Score]:
        if guess.shape != truth.shape:
            raise DataError(
                f"{method} reconstructed shape {guess.shape}; expected that of the test part, {truth.shape}."
            )
        miss = np.where(hidden, guess.astype(np.float64) - truth, 0.0)
        counts = hidden.sum((1, 2))
        asked = counts > 0
        found = []
        for metric, errors in (("MSE", np.square(miss)), ("MAE", np.abs(miss))):
            value, draws = pooled_mean(
                errors.sum((1, 2))[asked],
                counts[asked],
                resamples=self.resamples,
                seed=self.seed,
                groups=None if groups is None else groups[asked],
            )
            found.append(
                score_row(
                    method=method,
                    metric=metric,
                    factor="hidden values",
                    form="",
                    better="lower",
                    value=value,
                    draws=draws,
                    over="test resamples",
                )
            )
        return found


def _without(test: Sequences, hidden: Array, spec: DataSpec) -> Sequences:
    """The test part as if ``hidden`` had never been observed."""
    center = np.broadcast_to(np.asarray(spec.center, dtype=test.x.dtype), test.x.shape)
    return replace(test, x=np.where(hidden, center, test.x), mask=test.observed() & ~hidden)


def _guesses(left: Sequences, spec: DataSpec) -> dict[str, Array]:
    seen = left.observed()
    values = np.where(seen, normalised(left.x, spec), 0.0)
    return {
        "training mean": np.zeros(values.shape),
        "sequence mean": sequence_mean(values, seen),
        "last value": carried(values, seen),
        "linear interpolation": interpolated(values, seen, left.times),
    }

"""How well the two codes of a sequence bring it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from seqdis.evaluation.metrics import bootstrap
from seqdis.evaluation.parts import Model, normalised
from seqdis.evaluation.report import Score
from seqdis.evaluation.squares import first_step, mean_step, squared_sums
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.protocols._base import Printed, Protocol, score_row, with_roles
from seqdis.sequences import Array, DataSpec, Sequences

Guess = Callable[[Sequences], Array]


@hyperparameters
class Reconstruction(Protocol):
    """Squared error of reconstructions from posterior means: per sequence, per value, and as PSNR.

    Needs train (for the mean frame) and test, of any kind.

    Parameters
    ----------
    resamples : int
        Resamples of the test sequences for the spread; 0: none.

    Notes
    -----
    In the units that networks see (images: [0, 1]; series: standard deviations), of observed values only.

    - *squared error per sequence*: summed over time and features, averaged over sequences. This scale fits
      the printed numbers, whose data set and reduction the paper does not name.
    - *MSE*: per value, over all values of all sequences.
    - *PSNR* (images): ``10 log10(1 / MSE)`` in dB, of that MSE; not the mean of the PSNR of single frames.

    Codes are posterior means; losses logged in training are of samples, and larger. Controls: the mean
    frame of train, the first observed frame of the same sequence at every step (all that a static code
    could hold), and the same network with random weights.

    References
    ----------
    Berman et al., ICML 2024 (DBSE), reconstruction errors of C-DSVAE, SPYL and DBSE.

    Examples
    --------
    >>> Reconstruction(resamples=0).seed
    0
    """

    name: ClassVar[str] = "reconstruction"
    title: ClassVar[str] = "Reconstruction"
    needs: ClassVar[tuple[str, ...]] = ("train", "test")
    version: ClassVar[int] = 2
    published: ClassVar[tuple[Printed, ...]] = (
        Printed(
            key="reconstruction_MSE_sum_per_sequence", metric="squared error per sequence", factor="", better="lower"
        ),
    )

    resamples: int = hyper(default=200, at_least=0)

    def _measure(
        self, model: Model, parts: Mapping[str, Sequences], data: Any, controls: bool
    ) -> tuple[list[Score], dict[str, Any]]:
        test = parts["test"]
        # Images say themselves how they are stored; series are scaled as the model was fitted.
        spec = test.spec if test.spec.kind == "image" else model.spec_
        guesses: dict[str, Guess] = {type(model).__name__: _of(model, spec)}
        if controls:
            mean = mean_step(parts["train"], spec)
            guesses |= {
                "mean step of train": lambda some: np.broadcast_to(mean, some.x.shape),
                "copy of the first step": lambda some: first_step(some, spec),
                "untrained network": _of(model.untrained(), spec),
            }
        rows: list[Score] = []
        for method, guess in guesses.items():
            sums, counts = squared_sums(test, guess, spec)
            rows += self._rows(method, sums, counts, test)
        notes = {"sequences": len(test), "values": int(counts.sum()), "units": "as networks see the data"}
        return with_roles(rows, type(model).__name__), notes

    def _rows(self, method: str, sums: Array, counts: Array, test: Sequences) -> list[Score]:
        def mse(rows: Array) -> float:
            return float(sums[rows].sum() / counts[rows].sum())

        metrics: dict[str, tuple[str, Callable[[Array], float]]] = {
            "squared error per sequence": ("lower", lambda rows: float(sums[rows].mean())),
            "MSE": ("lower", mse),
        }
        if test.spec.kind == "image":
            metrics["PSNR"] = ("higher", lambda rows: psnr(mse(rows)))
        rows = []
        for metric, (better, score) in metrics.items():
            draws = bootstrap(score, len(sums), resamples=self.resamples, seed=self.seed, groups=test.groups)
            rows.append(
                score_row(
                    method=method,
                    metric=metric,
                    factor="",
                    form="published",
                    better=better,
                    value=score(np.arange(len(sums))),
                    draws=draws[np.isfinite(draws)],  # without any error PSNR is infinite
                    over="test resamples",
                )
            )
        return rows


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio in dB of values in [0, 1]; infinite without any error."""
    return float(-10 * np.log10(mse)) if mse > 0 else np.inf


def _of(model: Model, spec: DataSpec) -> Guess:
    """Reconstructions as networks see them; decoded images already are in [0, 1]."""
    image = spec.kind == "image"
    return lambda some: model.reconstruct(some) if image else normalised(model.reconstruct(some), spec)

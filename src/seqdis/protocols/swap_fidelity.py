"""Swapped codes against the true hybrid, where the data can render it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from seqdis.errors import CapabilityError, DataError
from seqdis.evaluation.judging import different_pairs
from seqdis.evaluation.metrics import squared_error
from seqdis.evaluation.parts import Model, normalised
from seqdis.evaluation.report import Score
from seqdis.evaluation.squares import mean_step, per_value
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.protocols._base import Protocol, score_row
from seqdis.sequences import Array, DataSpec, Sequences

AVERAGE, UNTRAINED = "average frame", "untrained network"


@hyperparameters
class SwapFidelity(Protocol):
    """Mean squared error of swaps against true hybrids, and of reconstructions against the donors.

    Needs train (for the average frame) and test, and data with ``hybrid(static_of, dynamic_of)``: the
    sequence that has the static factors of one and the dynamic factors of the other. No judge is involved.

    Parameters
    ----------
    n_pairs : int
        Pairs of different test sequences, drawn at random with ``seed``.

    Notes
    -----
    Errors are per value, in the units that networks see (images: [0, 1]; series: standard deviations),
    on the real steps of the dynamic donor, reconstructions on its observed values only. Controls of the
    swap: either donor unchanged, the average training frame, and the same network with random weights.
    A model that ignores its static code scores about as a copy of the dynamic donor. The average frame
    is hard to beat where figures are small. The spread is over pairs.

    Not published anywhere.

    Examples
    --------
    >>> SwapFidelity(n_pairs=64).seed
    0
    """

    name: ClassVar[str] = "swap-fidelity"
    title: ClassVar[str] = "Swaps against true hybrids"
    needs: ClassVar[tuple[str, ...]] = ("train", "test")

    n_pairs: int = hyper(default=256, at_least=2)

    def _measure(
        self, model: Model, parts: Mapping[str, Sequences], data: Any, controls: bool
    ) -> tuple[list[Score], dict[str, Any]]:
        if not callable(getattr(data, "hybrid", None)):
            raise CapabilityError(
                f"swap-fidelity needs data that can render true hybrids; {type(data).__name__} has no method "
                "hybrid(static_of, dynamic_of). Pass a generated data set, such as MovingFigures, as a whole."
            )
        test = parts["test"]
        # Images say themselves how they are stored; series are scaled as the model was fitted.
        spec = test.spec if test.spec.kind == "image" else model.spec_
        statics, dynamics = self._pairs(len(test))
        a, b = test[statics], test[dynamics]
        swaps = {type(model).__name__: _produced(model.swap(a, b), spec)}
        copies = {type(model).__name__: _produced(model.reconstruct(b), spec)}
        if controls:
            donors, untrained = _unchanged(parts["train"], a, b, spec), model.untrained()
            swaps |= {**donors, UNTRAINED: _produced(untrained.swap(a, b), spec)}
            copies |= {AVERAGE: donors[AVERAGE], UNTRAINED: _produced(untrained.reconstruct(b), spec)}
        steps = replace(b, mask=None).observed()  # the hybrid is known where values are missing, too
        rows = _rows("swap_mse", swaps, normalised(data.hybrid(a, b), spec), steps)
        rows += _rows("reconstruction_mse", copies, normalised(b.x, spec), b.observed())
        return rows, {"pairs": self.n_pairs, "units": "as networks see the data; images: [0, 1]"}

    def _pairs(self, n: int) -> tuple[Array, Array]:
        if n < 2:
            raise DataError(f"the test part has {n} sequence; swap-fidelity needs two or more to make pairs.")
        return different_pairs(n, self.n_pairs, self.seed)


def _rows(metric: str, produced: Mapping[str, Array], truth: Array, valid: Array) -> list[Score]:
    rows = []
    for position, (method, values) in enumerate(produced.items()):
        errors = squared_error(truth, values, valid)
        rows.append(
            score_row(
                method=method,
                metric=metric,
                factor="",
                form="",
                better="lower",
                value=errors.mean(),
                draws=errors,
                over="pairs",
                role="control" if position else "model",
            )
        )
    return rows


def _produced(values: Array, spec: DataSpec) -> Array:
    """Decoded values as networks see them; decoded images already are in [0, 1]."""
    return values if spec.kind == "image" else normalised(values, spec)


def _unchanged(train: Sequences, a: Sequences, b: Sequences, spec: DataSpec) -> dict[str, Array]:
    """What needs no model: either donor as it is, and the average training frame."""
    frame = mean_step(train, spec)
    donors = [_filled(part, frame, spec) for part in (a, b)]
    return {
        "copy of the static donor": donors[0],
        "copy of the dynamic donor": donors[1],
        AVERAGE: np.broadcast_to(frame, donors[1].shape),
    }


def _filled(part: Sequences, frame: Array, spec: DataSpec) -> Array:
    """Donors with the average frame where a value is missing, so that a copy is as good as it can be."""
    return np.where(per_value(part), normalised(part.x, spec), frame)

"""A method on toy data, and the comparisons that contracts need."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from seqdis import coding
from seqdis.estimator import Disentangler
from seqdis.factors import Factors
from seqdis.inputs import as_sequences
from seqdis.sequences import Array, Kind, Sequences

Contract = Callable[["Case"], None]
MODALITIES: tuple[Kind, ...] = ("series", "spectrogram", "image")
ROWS, STEPS = 10, 9
FILLER = 1e6
"""Stands where nothing may be read: any use of it shows."""
TOLERANCE = 1e-5
"""Codes of the same input by other batches differ in the order of float sums only."""


@dataclasses.dataclass(eq=False)
class Case:
    """A method, small toy data of one modality, and the method fitted on them (once)."""

    method: Disentangler
    kind: Kind

    def __post_init__(self) -> None:
        # Weights are compared bit by bit, which graphics processors do not promise.
        self.method = self.method.replace(training__accelerator="cpu")

    @functools.cached_property
    def x(self) -> Array:
        """(10, 9, ...): a level that stays, a wave that moves, a little noise; all within 0 to 1."""
        draw = np.random.default_rng(0)
        level = draw.uniform(0.3, 0.7, size=(ROWS, 1, 1))
        phase = draw.uniform(0, 2 * np.pi, size=(ROWS, 1, 1)) + np.arange(3)
        rows = level + 0.2 * np.sin(0.7 * np.arange(STEPS)[:, None] + phase) + draw.normal(0, 0.01, (ROWS, STEPS, 3))
        if self.kind == "image":
            rows = np.broadcast_to(rows[..., None, None], (ROWS, STEPS, 3, 8, 8)) * draw.uniform(0.5, 1, size=(8, 8))
        return rows.astype(np.float32)

    def data(self, x: Array | None = None, **more: Any) -> Sequences:
        """These observations as this modality."""
        return as_sequences(self.x if x is None else x, kind=self.kind, **more)

    def fit(self, x: Array | None = None, **changes: Any) -> Disentangler:
        """A fresh copy of the method, fitted."""
        return self.method.replace(**changes).fit(self.data(x))

    @functools.cached_property
    def model(self) -> Disentangler:
        """The method fitted on `x`."""
        return self.fit()

    def codes(self, x: Array | None = None, **more: Any) -> Factors:
        """Codes of these observations by `model`."""
        return self.model.encode(self.data(x, **more))


def close(a: Array, b: Array, tolerance: float = TOLERANCE) -> bool:
    """Equal arrays up to the order of float sums."""
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=tolerance, atol=tolerance))


def same(a: Factors, b: Factors, tolerance: float = TOLERANCE) -> bool:
    """Equal codes up to the order of float sums."""
    if a.dynamic.shape != b.dynamic.shape or not torch.equal(a.valid(), b.valid()):
        return False
    return all(close(one.numpy(), other.numpy(), tolerance) for one, other in zip(a, b, strict=True))


def same_weights(a: Disentangler, b: Disentangler) -> bool:
    """Equal networks, bit by bit."""
    one, other = a.network_.state_dict(), b.network_.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def raises(kind: type[Exception], call: Callable[[], Any]) -> bool:
    """Whether a call raises an error of this kind; errors of other kinds pass through."""
    try:
        call()
    except kind:
        return True
    return False


@contextmanager
def encoding_batches_of(rows: int) -> Iterator[None]:
    """Encode and decode so many sequences per call."""
    before, coding.BATCH = coding.BATCH, rows
    try:
        yield
    finally:
        coding.BATCH = before


def needs(*flags: str) -> Callable[[Contract], Contract]:
    """A contract that binds only methods with these capabilities."""

    def decorate(contract: Contract) -> Contract:
        @functools.wraps(contract)
        def run(case: Case) -> None:
            if all(getattr(case.method, flag) for flag in flags):
                contract(case)

        return run

    return decorate

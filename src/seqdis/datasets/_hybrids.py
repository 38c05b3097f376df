"""The labels of a true hybrid: static factors of one set, dynamic factors of another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from seqdis.errors import DataError
from seqdis.sequences import FactorSpec, Sequences


def hybrid_labels(
    name: str, factors: Iterable[FactorSpec], shape: tuple[int, ...], static_of: Sequences, dynamic_of: Sequences
) -> dict[str, npt.NDArray[Any]]:
    """Labels by factor name: static ones of one set, dynamic ones of the other, row by row.

    Parameters
    ----------
    name : str
        Name of the data set that renders, for messages.
    factors : iterable of FactorSpec
        Those that the rendering needs.
    shape : tuple of int
        Shape of a frame.
    static_of, dynamic_of : Sequences

    Raises
    ------
    DataError
        Different numbers of sequences, or sequences without these factors (classes included) or of another shape.
    """
    if len(static_of) != len(dynamic_of):
        raise DataError(
            f"hybrid of {len(static_of)} and {len(dynamic_of)} sequences: give as many of one as of the other."
        )
    labels = {}
    for factor in factors:
        given = static_of if factor.kind == "static" else dynamic_of
        if factor not in given.spec.factors or factor.name not in given.labels or given.spec.shape != shape:
            known = ", ".join(given.labels) or "none"
            raise DataError(
                f"{given.name}: elements of shape {given.spec.shape} with labels {known}; "
                f"hybrids need sequences of {name} of shape {shape} with its classes of {factor.name}."
            )
        values = given.labels[factor.name]
        real = values
        if values.ndim == 2 and given.lengths is not None:  # a step that is padded has no label
            real = values[np.arange(values.shape[1]) < given.lengths[:, None]]
        if factor.classes and real.size and not 0 <= real.min() <= real.max() < len(factor.classes):
            raise DataError(
                f"{given.name}: labels of {factor.name} from {real.min()} to {real.max()}; hybrids need known "
                f"ones, 0 to {len(factor.classes) - 1}. Leave out sequences whose label is unknown."
            )
        labels[factor.name] = values
    return labels

"""Codes on a plane: places, one label per sequence, colours of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seqdis.errors import DataError
from seqdis.sequences import FactorSpec

Array = npt.NDArray[Any]


def positions(code: Array, perplexity: float, seed: int) -> Array:
    """(n, 2) places of a t-SNE map; all in one place where the code is the same for all sequences.

    Parameters
    ----------
    code : array, (n, code)
    perplexity : float
        At most a third of ``n`` is used.
    seed : int

    Raises
    ------
    DataError
        The codes are not finite.

    References
    ----------
    van der Maaten & Hinton, "Visualizing Data using t-SNE", JMLR 9, 2008.
    """
    from sklearn.manifold import TSNE

    spread = code.std(0)
    scale = spread.max()
    if not np.isfinite(scale):
        raise DataError("the codes hold NaN or infinity; the model has diverged.")
    if scale < 1e-12:
        return np.zeros((len(code), 2))
    # One common factor: dimensions that the model switched off must stay small.
    code = (code - code.mean(0)) / scale
    if code.shape[1] == 1:
        code = np.concatenate([code, np.zeros_like(code)], axis=1)
    points = TSNE(init="pca", perplexity=min(perplexity, len(code) / 3), random_state=seed).fit_transform(code)
    return np.asarray(points)


def per_sequence(labels: Array, factor: FactorSpec) -> Array:
    """One value per sequence, NaN where unknown."""
    if not factor.classes:
        values = labels.astype(np.float64)
        if values.ndim == 1:
            return values
        known = np.isfinite(values)
        return np.where(known.any(1), np.where(known, values, 0.0).sum(1) / np.maximum(known.sum(1), 1), np.nan)
    if labels.ndim == 1:
        return np.where(labels < 0, np.nan, labels)
    counts = np.stack([(labels == k).sum(1) for k in range(len(factor.classes))], axis=1)
    return np.where(counts.any(1), counts.argmax(1), np.nan)


def class_colors(count: int) -> Array:
    """(count, 3) colours, told apart as well as so many can be."""
    from matplotlib import colormaps

    if count <= 20:
        return colormaps["tab10" if count <= 10 else "tab20"](np.arange(count))[:, :3]
    return colormaps["turbo"](np.linspace(0.03, 0.97, count))[:, :3]

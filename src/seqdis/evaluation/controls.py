"""Trivial baselines that stand beside every score: fitted on train, selected on valid, scored on test.

`control_codes` gives other codes, which go through the very probe that reads the model's. Predictors
that need no code are in `seqdis.evaluation.raw_labels` (classes) and `seqdis.evaluation.raw_windows` (numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from seqdis.errors import CapabilityError
from seqdis.estimator import Disentangler
from seqdis.evaluation.parts import Model, normalised
from seqdis.evaluation.probe import stride_of
from seqdis.factors import Factors
from seqdis.inputs import scaled, standardised
from seqdis.sequences import Array, Sequences

UNTRAINED, PCA_CODE, RAW = "untrained encoder", "PCA code", "raw features"
MAX_VALUES = 4096


def control_codes(
    model: Model,
    parts: Mapping[str, Sequences],
    codes: Mapping[str, Factors],
    seed: int,
    fitted_on: Sequences | None = None,
) -> dict[str, dict[str, Factors]]:
    """Codes that any useful encoder should beat, in the shape of the model's.

    Parameters
    ----------
    model : Model
    parts : mapping from part name to Sequences
        "train" must be among them.
    codes : mapping from part name to Factors
        The model's codes of these parts; tells how many windows it uses.
    seed : int
        For the randomised PCA of wide inputs.
    fitted_on : Sequences, optional
        What scales and components are learned from, where that is more than the part "train": sequences without
        the label that is read, which the model was fitted on as well.

    Returns
    -------
    dict from control to part name to Factors
        "untrained encoder": same network, random weights. "PCA code": principal components of whole
        sequences (static) and of windows (dynamic), of the model's sizes. "raw features": see `RawFeatures`.
    """
    untrained = model.untrained()
    fitted_on = parts["train"] if fitted_on is None else fitted_on
    raw = RawFeatures().fit(fitted_on, codes["train"].dynamic.shape[1], codes["train"].stride)
    values = {name: raw.factors(part) for name, part in parts.items()}
    learned = raw.factors(fitted_on)
    return {
        UNTRAINED: {name: untrained.encode(part) for name, part in parts.items()},
        PCA_CODE: _pca(learned, values, model.static_dim, model.dynamic_dim, seed),
        RAW: values,
    }


def samplers(model: Model, parts: Mapping[str, Sequences]) -> dict[str, dict[str, Callable[[int], Factors]]]:
    """Samples of the codes of the model and of the untrained encoder, by method and part, from a seed.

    Raises
    ------
    CapabilityError
        A model of another library, which is not asked for samples.
    """
    if not isinstance(model, Disentangler):
        raise CapabilityError(
            f"codes='samples' draws from the posterior, which {type(model).__name__} does not offer; use 'means'."
        )
    models = {type(model).__name__: model, UNTRAINED: model.untrained()}

    def sampler(method: str, part: Sequences) -> Callable[[int], Factors]:
        return lambda seed: models[method].encode(part, draw=seed)

    return {method: {name: sampler(method, part) for name, part in parts.items()} for method in models}


@dataclass
class RawFeatures:
    """The observations themselves as features.

    Series are standardised per feature by the observed values of train; images and spectrograms as
    networks see them, images averaged over blocks of pixels until a sequence has at most
    ``max_values`` values. Missing and padded values are zero, which is the mean for series.
    """

    max_values: int = MAX_VALUES

    def fit(self, train: Sequences, windows: int | None = None, stride: int = 0) -> Self:
        """Learn scales, sizes and, where it is not stated, the stride from the number of window codes."""
        self.time_ = train.x.shape[1]
        self.stride_ = stride_of(self.time_, windows or self.time_, stride)
        self.spec_ = standardised(train) if train.spec.kind == "series" else scaled(train)
        self.width_ = self.values(train[:1]).shape[2]
        return self

    def values(self, part: Sequences) -> Array:
        """(n, time, width) float32, zero where missing or padded."""
        observed = part.observed()
        frames = self._pooled(part) if part.spec.kind == "image" else normalised(part.x, self.spec_)
        return np.where(observed if observed.ndim == 3 else observed[..., None], frames, np.float32(0))

    def summaries(self, part: Sequences) -> Array:
        """(n, 5 * width): mean, minimum, maximum, last value and count of what was observed.

        NaN where a feature was never observed; a count is zero then.
        """
        values = self.values(part)
        observed = part.observed()
        seen = np.broadcast_to(observed if observed.ndim == 3 else observed[..., None], values.shape)
        count = seen.sum(1)
        last = values.shape[1] - 1 - seen[:, ::-1].argmax(1)
        tables = (
            values.sum(1) / np.maximum(count, 1),
            np.where(seen, values, np.inf).min(1),
            np.where(seen, values, -np.inf).max(1),
            np.take_along_axis(values, last[:, None], 1)[:, 0],
        )
        return np.concatenate([*(np.where(count > 0, table, np.nan) for table in tables), count], 1)

    def factors(self, part: Sequences) -> Factors:
        """Raw values where codes are expected: whole sequences as static code, windows as dynamic one."""
        values = torch.from_numpy(self.values(part))
        n, steps, width = values.shape
        windows = -(-steps // self.stride_)
        filled = torch.zeros(n, windows * self.stride_, width)
        filled[:, :steps] = values
        whole = torch.zeros(n, self.time_, width)  # parts of another length than train are cut or filled up
        whole[:, : min(steps, self.time_)] = values[:, : self.time_]
        lengths = None
        if part.lengths is not None:
            lengths = -(-torch.from_numpy(np.asarray(part.lengths, dtype=np.int64)) // self.stride_)
        return Factors(whole.flatten(1), filled.reshape(n, windows, -1), lengths, self.stride_)

    def _pooled(self, part: Sequences) -> Array:
        n, time, channels, height, width = part.x.shape
        block = 1
        while time * channels * _blocks(height, block) * _blocks(width, block) > self.max_values:
            if block >= max(height, width):
                break
            block *= 2
        size = (_blocks(height, block), _blocks(width, block))
        pooled = np.empty((n, time, channels * size[0] * size[1]), dtype=np.float32)
        for start in range(0, n, 256):  # stored bytes become floats a few sequences at a time
            frames = torch.tensor(part.x[start : start + 256]).flatten(0, 1).float()
            small = adaptive_avg_pool2d(frames, size).numpy()
            pooled[start : start + 256] = normalised(small, self.spec_).reshape(-1, time, pooled.shape[2])
        return pooled


def _blocks(pixels: int, block: int) -> int:
    return max(1, pixels // block)


def _pca(
    learned: Factors, values: Mapping[str, Factors], static_dim: int, dynamic_dim: int, seed: int
) -> dict[str, Factors]:
    static = _components(learned.static, static_dim, seed)
    dynamic = _components(learned.dynamic[learned.valid()], dynamic_dim, seed)
    return {
        name: Factors(
            static(raw.static),
            dynamic(raw.dynamic.flatten(0, 1)).reshape(*raw.dynamic.shape[:2], -1) * raw.valid()[..., None],
            raw.lengths,
            raw.stride,
        )
        for name, raw in values.items()
    }


def _components(rows: Tensor, size: int, seed: int) -> Callable[[Tensor], Tensor]:
    from sklearn.decomposition import PCA

    pca = PCA(n_components=min(size, *rows.shape), random_state=seed).fit(rows.numpy())
    return lambda values: torch.from_numpy(pca.transform(values.numpy()).astype(np.float32))


def filled(tables: Sequence[Array]) -> list[Array]:
    """Tables, train first, with the training mean of a column where a value is missing (zero if all are)."""
    from sklearn.impute import SimpleImputer

    imputer = SimpleImputer(keep_empty_features=True).fit(tables[0])
    return [imputer.transform(table) for table in tables]

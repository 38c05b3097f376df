"""Reading a number from tables of codes, by absolute error: the linear read, and the published heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from seqdis.errors import DataError
from seqdis.evaluation.fitting import one_pass, seeded
from seqdis.sequences import Array


class LeastAbsolute:
    """Linear regression of least absolute error: inputs standardised on train, strength chosen on valid.

    Least squares would not do: it predicts means, which for a quantity that is mostly zero (rain)
    lose to the constant zero however much a code tells. With a strong penalty this regression
    becomes the training median, so that a code which tells nothing scores like that constant.

    Parameters
    ----------
    strengths : tuple of float
        Inverse regularisation strengths ``C`` of scikit-learn's ``LinearSVR``, ascending, for targets
        of mean absolute deviation 1; the one of least mean absolute error on valid stays. The
        search ends when two were worse than the best; the strongest may all give the same constant.
    """

    def __init__(self, strengths: tuple[float, ...] = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)) -> None:
        self.strengths = strengths

    def fit(self, train: Array, train_values: Array, valid: Array, valid_values: Array) -> Self:
        """Tables are (n, columns), finite; values (n,) in any unit."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import LinearSVR

        self.center_ = float(np.median(train_values))
        self.scale_ = float(np.abs(train_values - self.center_).mean()) or 1.0
        train, valid = train.astype(np.float64), valid.astype(np.float64)
        best, rises = np.inf, 0
        for strength in self.strengths:
            # The intercept is penalised as a weight of this scale, here next to nothing; seeds only order updates.
            svr = LinearSVR(C=strength, epsilon=0.0, intercept_scaling=10.0, tol=1e-3, max_iter=3000, random_state=0)
            model = make_pipeline(StandardScaler(), svr).fit(train, (train_values - self.center_) / self.scale_)
            error = float(np.abs(valid_values - self._values(model, valid)).mean())
            if error < best:
                best, rises, self.model_, self.strength_ = error, 0, model, strength
            rises += error > best
            if rises == 2:  # weaker penalties only overfit further, and take longest
                break
        return self

    def predict(self, table: Array) -> Array:
        """(n,) in the unit of the training values."""
        return self._values(self.model_, table)

    def _values(self, model: Any, table: Array) -> Array:
        return self.center_ + self.scale_ * model.predict(table)


@dataclass(kw_only=True)
class NumberHead:
    """A published head for one number per window: a small network, absolute error, Adam, last epoch.

    Parameters
    ----------
    net : callable
        From the number of columns to a network with one output per row.
    seed, epochs : int
    lr : float
    batch_size : int
        Windows, mixed from all sequences; 280 are ten sequences of 28 windows.
    """

    net: Callable[[int], nn.Module]
    seed: int
    epochs: int
    lr: float
    batch_size: int = 280

    def fit(self, table: Array, values: Array, redraw: Callable[[int], Array] | None = None) -> Self:
        """Rows (n, columns) and their numbers (n,); ``redraw`` gives another table of them for every epoch.

        Raises
        ------
        DataError
            Fewer than two rows, of which batch norm can learn nothing.
        """
        if len(table) < 2:
            raise DataError(f"the published head was given {len(table)} training window; it needs two or more.")
        inputs, targets = torch.from_numpy(table).float(), torch.from_numpy(values).float()
        with seeded(self.seed):
            self.net_ = self.net(table.shape[1])
            optimiser = torch.optim.Adam(self.net_.parameters(), lr=self.lr, fused=True)
            for epoch in range(self.epochs):
                if redraw is not None:
                    inputs = torch.from_numpy(redraw(epoch)).float()
                one_pass(self.net_, optimiser, (inputs,), targets, _absolute, self.batch_size)
        return self

    def predict(self, table: Array) -> Array:
        """(n,)."""
        self.net_.eval()
        with torch.inference_mode():
            return self.net_(torch.from_numpy(table).float()).squeeze(1).double().numpy()


def _absolute(produced: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.l1_loss(produced.squeeze(1), targets)

"""Ridge regressions of many targets on one table of codes, targets partly unknown, every strength at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqdis.sequences import Array

# Penalties per row for columns of variance 1, strongest first: of equals the strongest is taken.
STRENGTHS = 10.0 ** np.arange(3, -5, -1)


@dataclass(frozen=True)
class Block:
    """Rows that one set of regressions is for: columns of code, targets, known ones, and whose they are."""

    x: Array
    y: Array
    known: Array
    sequence: Array

    def where(self, chosen: Array) -> Block:
        """These rows only."""
        return Block(self.x[chosen], self.y[chosen], self.known[chosen], self.sequence[chosen])

    def holding(self) -> Array:
        """Sequences with a known target, per feature."""
        return np.array([len(np.unique(self.sequence[known])) for known in self.known.T])


class Ridges:
    """Ridge regressions of every strength on one table, one per target; unknown targets are left out."""

    def __init__(self, train: Block, asked: Array) -> None:
        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        # A rotation changes no prediction, and leaves wide tables as many columns as rows.
        wide = train.x.shape[1] > len(train.x)
        x = train.x.astype(np.float64)
        self.prepare = make_pipeline(StandardScaler(), PCA(svd_solver="full") if wide else "passthrough").fit(x)
        self.asked = asked
        self.means = np.ma.array(train.y, mask=~train.known).mean(0).filled(0.0)
        x = self.prepare.transform(x)
        self.weights = np.zeros((len(STRENGTHS), x.shape[1], len(asked)))
        self.intercepts = np.zeros((len(STRENGTHS), len(asked)))
        # Targets known in the same rows share one factorisation.
        patterns, which = np.unique(train.known[:, asked], axis=1, return_inverse=True)
        for number, chosen in enumerate(patterns.T):
            columns = np.flatnonzero(asked)[which.ravel() == number]
            center = x[chosen].mean(0)
            weights = _every_strength(x[chosen] - center, (train.y[chosen] - self.means)[:, columns])
            self.weights[:, :, columns] = weights
            self.intercepts[:, columns] = self.means[columns] - center @ weights

    def squares(self, block: Block, strength: Array) -> tuple[Array, Array]:
        """Squared errors, of ``strength`` per feature and of the mean of train; (rows, features), zero if unknown."""
        known, features = block.known & self.asked, np.arange(len(strength))
        read = np.zeros(block.y.shape)
        if len(read):  # scikit-learn refuses tables without rows
            x = self.prepare.transform(block.x.astype(np.float64))
            read = x @ self.weights[strength, :, features].T + self.intercepts[strength, features]
        return np.where(known, np.square(block.y - read), 0.0), np.where(known, np.square(block.y - self.means), 0.0)


def _every_strength(x: Array, y: Array) -> Array:
    """Weights (strengths, columns, targets) that minimise ``mean (y - x w)^2 + strength |w|^2``; x, y centred."""
    variances, axes = np.linalg.eigh(x.T @ x / len(x))
    turned = axes.T @ (x.T @ y) / len(x)
    return axes @ (turned / (np.maximum(variances, 0)[:, None] + STRENGTHS[:, None, None]))

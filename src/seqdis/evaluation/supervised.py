"""A small recurrent network trained on the labels themselves: what may be had without any representation."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from seqdis.evaluation.controls import RawFeatures
from seqdis.evaluation.fitting import one_pass, seeded
from seqdis.evaluation.probe import log_loss
from seqdis.sequences import Array, Sequences

Inputs = tuple[Tensor, Tensor]


@dataclass(kw_only=True)
class SupervisedGRU:
    """A GRU over standardised values and their mask, then a linear layer on its last real state.

    Cross-entropy, Adam, gradient norm clipped, no class weights; the epoch of least validation
    log-loss stays, and training ends when ``patience`` epochs in a row were worse.

    Parameters
    ----------
    seed : int
        For weights, dropout and order.
    max_steps : int
        Longer series are averaged over blocks of steps: a plain GRU over hundreds of steps is slow
        and learns little from the early ones.
    hidden, epochs, patience, batch_size : int
    lr, dropout, clip : float
    """

    seed: int
    max_steps: int = 96
    hidden: int = 32
    epochs: int = 40
    patience: int = 6
    batch_size: int = 64
    lr: float = 3e-3
    dropout: float = 0.3
    clip: float = 1.0

    def fit(self, train: Sequences, train_labels: Array, valid: Sequences, valid_labels: Array) -> Self:
        """Series, and labels (n,) of int >= 0."""
        self.raw_ = RawFeatures().fit(train)
        inputs, held_out = self._inputs(train), self._inputs(valid)
        targets, classes = torch.from_numpy(train_labels), int(train_labels.max()) + 1
        best, worse = np.inf, 0
        with seeded(self.seed):
            net = _Net(inputs[0].shape[2], self.hidden, classes, self.dropout)
            optimiser = torch.optim.Adam(net.parameters(), lr=self.lr, fused=True)
            for _ in range(self.epochs):
                one_pass(net, optimiser, inputs, targets, nn.CrossEntropyLoss(), self.batch_size, clip=self.clip)
                loss = log_loss(valid_labels, _probabilities(net, held_out))
                worse = 0 if loss < best else worse + 1
                if loss < best:
                    best, self.net_ = loss, copy.deepcopy(net)
                if worse == self.patience:
                    break
        return self

    def predict_proba(self, part: Sequences) -> Array:
        """(n, classes): column k belongs to class k."""
        return _probabilities(self.net_, self._inputs(part))

    def _inputs(self, part: Sequences) -> Inputs:
        """Mean of the observed values and share observed, (n, blocks, 2 * features); index of the last real block."""
        values, seen = self.raw_.values(part), part.observed()
        n, steps, width = values.shape
        block = -(-self.raw_.time_ // self.max_steps)
        short = [(0, 0), (0, -steps % block), (0, 0)]
        totals, counts = (
            np.pad(table.astype(np.float32), short).reshape(n, -1, block, width).sum(2) for table in (values, seen)
        )
        lengths = np.full(n, steps) if part.lengths is None else np.asarray(part.lengths)
        table = np.concatenate([totals / np.maximum(counts, 1), counts / block], 2)
        return torch.from_numpy(table), torch.from_numpy((lengths - 1).astype(np.int64) // block)


def gru_probabilities(parts: Mapping[str, Sequences], label: str, seed: int) -> Array:
    """Class probabilities on test, (n, classes), of `SupervisedGRU` fitted on train and stopped by valid.

    Parameters
    ----------
    parts : mapping with "train", "valid", "test"
        Series with every label known. Labels of test are not read.
    label : str
    seed : int
    """
    train, valid = parts["train"], parts["valid"]
    gru = SupervisedGRU(seed=seed).fit(train, train.labels[label], valid, valid.labels[label])
    return gru.predict_proba(parts["test"])


class _Net(nn.Module):
    def __init__(self, width: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.gru = nn.GRU(width, hidden, batch_first=True)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, classes))

    def forward(self, x: Tensor, last: Tensor) -> Tensor:
        states = self.gru(x)[0]
        return self.out(states[torch.arange(len(states)), last])


def _probabilities(net: nn.Module, inputs: Inputs) -> Array:
    net.eval()
    with torch.inference_mode():
        return torch.softmax(net(*inputs), 1).double().numpy()

"""Probes: small classifiers that read a factor from frozen codes.

`LinearProbe` is the corrected form. `RecurrentHead` and `StaticHead` are the heads of the DBSE and
GLR papers, here with the mask kept, which the authors drop, and on posterior means encoded once, or like
theirs on fresh samples at every pass, at test time too (`Codes.redraw`).
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor, nn

from seqdis.errors import DataError
from seqdis.evaluation.fitting import one_pass, seeded
from seqdis.factors import Factors
from seqdis.sequences import Array, Sequences

Read = Literal["static", "dynamic", "static + dynamic"]
READS: tuple[Read, ...] = get_args(Read)


@dataclass(frozen=True, kw_only=True)
class Codes:
    """Codes of one part as probes take them.

    Parameters
    ----------
    factors : Factors
    last : Tensor of int64, (n,)
        Index of each sequence's last **full** window: ``length // stride - 1`` (a partly filled one
        is passed over, as in the authors' code).
    redraw : callable or None
        From a seed to one sample of the codes, which published heads then read instead of ``factors``.
    """

    factors: Factors
    last: Tensor
    redraw: Callable[[int], Factors] | None = None

    @classmethod
    def of(cls, factors: Factors, part: Sequences, redraw: Callable[[int], Factors] | None = None) -> Self:
        """Codes of ``part``.

        Raises
        ------
        DataError
            A code is not finite.
        """
        for name, code in (("static", factors.static), ("dynamic", factors.dynamic)):
            if not torch.isfinite(code).all():
                raise DataError(f"{part.name}: the {name} code holds NaN or infinity. Did training diverge?")
        windows, steps = factors.dynamic.shape[1], part.x.shape[1]
        stride = stride_of(steps, windows, factors.stride)
        lengths = np.full(len(part), steps) if part.lengths is None else np.asarray(part.lengths)
        last = torch.from_numpy(np.clip(lengths // stride - 1, 0, windows - 1).astype(np.int64))
        return cls(factors=factors, last=last, redraw=redraw)

    def at(self, head: int, number: int) -> Factors:
        """What a published head of this seed reads in its pass of this number: a fresh sample, or the means."""
        return self.factors if self.redraw is None else self.redraw(pass_seed(head, number))

    def table(self, read: Read) -> Array:
        """One row per sequence: the static code, a summary of the dynamic one, or both."""
        static, dynamic = self.factors.static, summary(self.factors)
        tables = {"static": static, "dynamic": dynamic, "static + dynamic": torch.cat([static, dynamic], 1)}
        return tables[read].numpy()


def pass_seed(head: int, number: int) -> int:
    """Seed of the sample that a head of this seed reads in its pass of this number."""
    return head * 1_000_003 + number


def stride_of(steps: int, windows: int, stated: int = 0) -> int:
    """Steps that one window code covers: as stated, else the smallest stride that makes ``windows`` of ``steps``."""
    return stated or -(-steps // windows)


def summary(factors: Factors) -> Tensor:
    """Mean, standard deviation and last value of the dynamic code over real windows: (n, 3 * dynamic)."""
    valid = factors.valid()
    weight = valid.unsqueeze(-1).to(factors.dynamic.dtype)
    mean = factors.dynamic_mean()
    variance = ((factors.dynamic - mean[:, None]).square() * weight).sum(1) / weight.sum(1)
    last = factors.dynamic[torch.arange(len(factors)), valid.sum(1) - 1]
    return torch.cat([mean, variance.sqrt(), last], 1)


class Probe(ABC):
    """Fitted on the codes of train, selected on those of valid, asked about those of test."""

    @abstractmethod
    def fit(self, train: Codes, train_labels: Array, valid: Codes, valid_labels: Array) -> Self:
        """Learn to read labels, (n,) of int >= 0, from codes."""

    @abstractmethod
    def predict_proba(self, codes: Codes) -> Array:
        """(n, classes): column k belongs to class k."""


class Logistic:
    """Logistic regression on a table: inputs standardised on train, strength chosen on valid.

    Parameters
    ----------
    strengths : tuple of float
        Inverse regularisation strengths ``C``, ascending; the one of least validation log-loss
        stays. The search ends when two in a row were worse than the best.
    """

    def __init__(self, strengths: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)) -> None:
        self.strengths = strengths

    def fit(self, train: Array, train_labels: Array, valid: Array, valid_labels: Array) -> Self:
        """Tables are (n, columns); labels (n,) of int >= 0."""
        from sklearn.decomposition import PCA
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if len(np.unique(train_labels)) < 2:
            raise DataError(f"all {len(train_labels)} training labels are the same; a probe needs two classes.")
        # scikit-learn keeps float32 inputs as they are, and L-BFGS then takes twice as long.
        train, valid = train.astype(np.float64), valid.astype(np.float64)
        # A rotation changes no prediction, and leaves wide tables (raw sequences) as many columns as rows.
        wide = train.shape[1] > len(train)
        prepare = make_pipeline(StandardScaler(), PCA(svd_solver="full") if wide else "passthrough").fit(train)
        rows, valid = prepare.transform(train), prepare.transform(valid)
        best, rises = np.inf, 0
        for strength in self.strengths:
            model = LogisticRegression(C=strength, max_iter=2000).fit(rows, train_labels)
            loss = log_loss(valid_labels, by_class(model.predict_proba(valid), model.classes_))
            if loss < best:
                best, rises, self.model_, self.strength_ = loss, 0, make_pipeline(*prepare, model), strength
            else:
                rises += 1
            if rises == 2:  # weaker penalties only overfit further, and take longest
                break
        return self

    def predict_proba(self, table: Array) -> Array:
        """(n, classes): column k belongs to class k."""
        return by_class(self.model_.predict_proba(table), self.model_.classes_)


@dataclass(kw_only=True)
class LinearProbe(Probe):
    """Logistic regression on one code or both: how much of a factor lies open in them."""

    read: Read
    logistic: Logistic = field(default_factory=Logistic)

    def fit(self, train: Codes, train_labels: Array, valid: Codes, valid_labels: Array) -> Self:
        """See `Probe`."""
        self.logistic.fit(train.table(self.read), train_labels, valid.table(self.read), valid_labels)
        return self

    def predict_proba(self, codes: Codes) -> Array:
        """See `Probe`."""
        return self.logistic.predict_proba(codes.table(self.read))


@dataclass(kw_only=True)
class RecurrentHead(Probe):
    """Published head for in-hospital mortality: LSTM over window codes, then the static code joins.

    Binary cross-entropy, Adam, gradient norm clipped, no class weights, last epoch (DBSE paper,
    Sec. 5.4 and released code). Two classes only.
    """

    seed: int
    epochs: int = 41
    hidden: int = 32
    batch_size: int = 30
    lr: float = 1e-3
    clip: float = 1.0

    def fit(self, train: Codes, train_labels: Array, valid: Codes, valid_labels: Array) -> Self:
        """See `Probe`; valid is not used, as the last epoch is kept."""
        if set(np.unique(train_labels).tolist()) != {0, 1}:
            raise DataError(f"RecurrentHead reads classes 0 and 1; got {np.unique(train_labels).tolist()}.")
        targets = torch.from_numpy(train_labels).to(torch.float32)
        with seeded(self.seed):
            factors, loss = train.factors, nn.BCEWithLogitsLoss()
            self.net_ = _RecurrentNet(factors.static.shape[1], factors.dynamic.shape[2], self.hidden)
            optimiser = torch.optim.Adam(self.net_.parameters(), lr=self.lr, fused=True)
            for epoch in range(self.epochs):
                inputs = (*train.at(self.seed, epoch), train.last)
                one_pass(self.net_, optimiser, inputs, targets, loss, self.batch_size, clip=self.clip)
        return self

    def predict_proba(self, codes: Codes) -> Array:
        """See `Probe`."""
        self.net_.eval()
        with torch.inference_mode():
            positive = torch.sigmoid(self.net_(*codes.at(self.seed, self.epochs), codes.last)).double()
        return torch.stack([1 - positive, positive], 1).numpy()


@dataclass(kw_only=True)
class StaticHead(Probe):
    """Published head for static patterns: ``Linear(static, K) ReLU Linear(K, K)`` on the static code.

    Cross-entropy, Adam, best validation loss (DBSE paper, Sec. 5.4; GLR, released code). An epoch
    is ``passes`` passes: there with fresh code samples each; over the same means, too, so that the
    number of updates agrees.
    """

    seed: int
    epochs: int = 41
    passes: int = 5
    batch_size: int = 30
    lr: float = 1e-3

    def fit(self, train: Codes, train_labels: Array, valid: Codes, valid_labels: Array) -> Self:
        """See `Probe`."""
        targets = torch.from_numpy(train_labels)
        classes = int(train_labels.max()) + 1
        best = np.inf
        with seeded(self.seed):
            width = train.factors.static.shape[1]
            net = nn.Sequential(nn.Linear(width, classes), nn.ReLU(), nn.Linear(classes, classes))
            optimiser = torch.optim.Adam(net.parameters(), lr=self.lr, fused=True)
            for epoch in range(self.epochs):
                for number in range(epoch * self.passes, (epoch + 1) * self.passes):
                    static = train.at(self.seed, number).static
                    one_pass(net, optimiser, (static,), targets, nn.CrossEntropyLoss(), self.batch_size)
                loss = log_loss(valid_labels, _class_probabilities(net, valid.at(self.seed, epoch).static))
                if loss < best:
                    best, self.net_ = loss, copy.deepcopy(net)
        return self

    def predict_proba(self, codes: Codes) -> Array:
        """See `Probe`."""
        return _class_probabilities(self.net_, codes.at(self.seed, self.epochs).static)


def by_class(probabilities: Array, classes: Array) -> Array:
    """Columns moved to the places of their class numbers; zero for classes never seen."""
    wide = np.zeros((len(probabilities), int(classes.max()) + 1))
    wide[:, classes.astype(int)] = probabilities
    return wide


def log_loss(labels: Array, probabilities: Array) -> float:
    """Mean negative log-probability of the true class; scikit-learn's, but classes may be unseen."""
    seen = labels < probabilities.shape[1]
    of_truth = np.where(seen, probabilities[np.arange(len(labels)), np.where(seen, labels, 0)], 0.0)
    return float(-np.log(np.maximum(of_truth, 1e-15)).mean())


class _RecurrentNet(nn.Module):
    def __init__(self, static_dim: int, dynamic_dim: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dynamic_dim, hidden, batch_first=True)
        self.out = nn.Sequential(nn.Linear(hidden + static_dim, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 1))

    def forward(self, static: Tensor, dynamic: Tensor, last: Tensor) -> Tensor:
        states = self.lstm(dynamic)[0]
        state = states[torch.arange(len(states)), last]
        return self.out(torch.cat([state, static], 1)).squeeze(1)


def _class_probabilities(net: nn.Module, static: Tensor) -> Array:
    with torch.inference_mode():
        return torch.softmax(net(static), 1).double().numpy()

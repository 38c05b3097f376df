"""`Judge`: a classifier that reads factors from observations. Not to be confused with a probe, which reads codes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from torch import Tensor
from torch.nn.functional import cross_entropy

from seqdis.coding import device_of
from seqdis.errors import CapabilityError, DataError, SeqdisError, unknown_name
from seqdis.evaluation.fitting import seeded
from seqdis.evaluation.judge_network import JudgeNetwork
from seqdis.hyperparameters import Settings, hyper, hyperparameters, validate
from seqdis.sequences import Array, DataSpec, Sequences
from seqdis.training.engine import Engine, Store
from seqdis.training.settings import Training

Watcher = Callable[[int, int, dict[str, Any]], None]
"""Called with (epochs done, epochs at most, the epoch's record)."""

JUDGED_AT_ONCE = 128
JUDGED = "factor of two or more classes with one label per sequence"


@hyperparameters
class Judge(Settings):
    """Reads class factors from video; trained on real data with their labels, asked about generated ones.

    Parameters
    ----------
    epochs : int
        At most.
    patience : int
        Training ends when this many epochs in a row were worse on valid than the best, which is kept.
    lr, batch_size
        Of Adam.
    filters, feature_dim, hidden_dim : int
        Sizes; the defaults are the published ones. See `JudgeNetwork`.
    factors : tuple of str
        Which factors are judged; empty: all static and dynamic factors of two or more classes with one label per
        sequence.
    floor : float
        Least accuracy on real test data, of every factor, below which no score is given.
    on_weak : "refuse" or "warn"
        What happens below ``floor``: an error, or rows marked as of a weak judge.
    seed : int
    accelerator : "auto", "cpu", "cuda" or "mps"

    Notes
    -----
    The loss is the sum over factors of cross-entropies; unknown labels do not count. Factors with one
    label per step are left out: scores of generated sequences compare one label per sequence.
    Neither papers nor released code say how the published judges were trained.

    References
    ----------
    Bai et al., NeurIPS 2021 (C-DSVAE), whose judge SPYL and DBSE use.

    Examples
    --------
    >>> Judge(epochs=20, filters=16).floor
    0.99
    """

    epochs: int = hyper(default=100, at_least=1)
    patience: int = hyper(default=10, at_least=1)
    lr: float = hyper(default=1e-3, above=0)
    batch_size: int = hyper(default=64, at_least=2)
    filters: int = hyper(default=64, at_least=1)
    feature_dim: int = hyper(default=128, at_least=1)
    hidden_dim: int = hyper(default=256, at_least=1)
    factors: tuple[str, ...] = ()
    floor: float = hyper(default=0.99, at_least=0.0, at_most=1.0)
    on_weak: Literal["refuse", "warn"] = "refuse"
    seed: int = hyper(default=0, at_least=0, at_most=2**32 - 1)
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = hyper(default="auto", identity=False)

    def fit(self, train: Sequences, valid: Sequences, *, watch: Watcher | None = None) -> Self:
        """Train on one part and stop by another; sets ``network_``, ``classes_`` and ``history_``.

        Parameters
        ----------
        train, valid : Sequences of images
        watch : callable, optional
            See `Watcher`.

        Raises
        ------
        SettingsError, DataError
        CapabilityError
            Not video.
        SeqdisError
            The loss was never finite.
        """
        network = self.fresh_network(train)
        seen, held_out = (_Labelled(part, self.targets(part), network) for part in (train, valid))
        optimiser = torch.optim.Adam(network.parameters(), lr=self.lr)
        best, worse, kept = np.inf, 0, None
        for epoch in range(self.epochs):
            started = time.perf_counter()
            order = torch.randperm(len(train), generator=torch.Generator().manual_seed(self.seed * 1_000_003 + epoch))
            learned = self._pass(network, seen, order, optimiser)
            with torch.no_grad():
                loss = self._pass(network, held_out, torch.arange(len(valid)))
            record = {"epoch": epoch + 1, "train": round(learned, 6), "valid": round(loss, 6)}
            self.history_.append(record | {"seconds": round(time.perf_counter() - started, 3)})
            worse = 0 if loss < best else worse + 1
            if loss < best:
                best, kept = loss, {name: value.cpu().clone() for name, value in network.state_dict().items()}
            if watch is not None:
                watch(epoch + 1, self.epochs, self.history_[-1])
            if worse == self.patience:
                break
        if kept is None:
            raise SeqdisError(f"the judge's validation loss was never finite in {epoch + 1} epochs. Lower Judge.lr.")
        network.load_state_dict(kept)
        self.network_ = network.eval()
        return self

    def predict_proba(self, X: Any, lengths: Array | None = None) -> dict[str, Array]:
        """Class probabilities, (n, classes) for every factor: column k belongs to class k.

        Parameters
        ----------
        X : Sequences, or array (n, time, channels, height, width)
            Arrays hold bytes, stored as those of the data it was fitted on (``spec_.scale``), or floats in [0, 1]
            as models decode them.
        lengths : array of int, (n,), optional
            Real frames of the sequences of an array.

        Raises
        ------
        DataError
            Frames of another shape, or values that are not finite or leave [0, 1].
        """
        if not hasattr(self, "network_"):
            raise NotFittedError("this Judge is not fitted yet: call fit(train, valid).")
        store = Store(self._as_sequences(X, lengths), self.spec_, device_of(self.network_))
        self.network_.eval()
        with torch.inference_mode():
            outputs = [self.network_(store.take(rows)) for rows in torch.arange(len(store)).split(JUDGED_AT_ONCE)]
        return {
            name: torch.softmax(torch.cat([scores[name] for scores in outputs]).double(), 1).cpu().numpy()
            for name in self.classes_
        }

    def fresh_network(self, train: Sequences) -> JudgeNetwork:
        """An untrained network for these data, on its device; what an earlier fit left is dropped.

        Raises
        ------
        SettingsError, CapabilityError, DataError
        """
        validate(self)
        if train.spec.kind != "image":
            raise CapabilityError(
                f"a judge looks at video; {train.name} holds {train.spec.kind}. Use a probe on codes."
            )
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)
        self.spec_: DataSpec = train.spec
        self.classes_ = {name: len(train.spec.factor(name).classes) for name in self._judged(train)}
        self.history_: list[dict[str, Any]] = []
        with seeded(self.seed):
            network = JudgeNetwork(train.spec.shape, self.classes_, self.filters, self.feature_dim, self.hidden_dim)
        return network.to(Engine(Training(accelerator=self.accelerator)).device)

    def _judged(self, train: Sequences) -> tuple[str, ...]:
        known = [
            factor.name
            for factor in train.spec.factors
            if len(factor.classes) > 1 and factor.name in train.labels and np.ndim(train.labels[factor.name]) == 1
        ]
        for name in self.factors:
            if name not in known:
                raise DataError(f"{train.name}: {unknown_name(JUDGED, name, known)}")
        if not known:
            names = ", ".join(factor.name for factor in train.spec.factors) or "none"
            raise DataError(f"{train.name}: a judge needs a {JUDGED}; factors of the data: {names}.")
        return self.factors or tuple(known)

    def targets(self, part: Sequences) -> dict[str, Tensor]:
        """Labels of the judged factors, int64 (n,), -1 where unknown (NaN, or any negative number).

        Raises
        ------
        DataError
            A label is missing, unknown for all sequences, not among the classes or one per step, or its classes
            have other names than those of train.
        """
        found = {}
        for name, count in self.classes_.items():
            if name not in part.labels:
                raise DataError(f"{part.name}: {unknown_name('label', name, part.labels)}")
            given, expected = part.spec.factor(name).classes, self.spec_.factor(name).classes
            if given != expected:
                raise DataError(
                    f"{part.name}: classes of '{name}' are {', '.join(given)}; the judge is trained on "
                    f"{', '.join(expected)}. Label all parts by the same classes in the same order."
                )
            values = np.asarray(part.labels[name])
            if values.ndim != 1:
                raise DataError(
                    f"{part.name}: labels of '{name}' have shape {values.shape}; expected one per sequence."
                )
            labels = np.where(values >= 0, values, -1)  # NaN is not
            if not (labels >= 0).any() or labels.max() >= count:
                raise DataError(
                    f"{part.name}: labels of '{name}' lie in {labels.min()}..{labels.max()}; expected classes in "
                    f"0..{count - 1} (-1: unknown), one of them known at least."
                )
            found[name] = torch.from_numpy(labels.astype(np.int64))
        return found

    def _pass(
        self,
        network: JudgeNetwork,
        part: _Labelled,
        order: Tensor,
        optimiser: torch.optim.Optimizer | None = None,
    ) -> float:
        """Once over the rows, with updates if there is an optimiser; the mean loss per known label, over factors."""
        network.train(optimiser is not None)
        totals, counts = torch.zeros(2, len(part.targets), device=part.store.device)
        for rows in order.split(self.batch_size):
            outputs = network(part.store.take(rows))
            losses = [_loss(outputs[name], labels[rows]) for name, labels in part.targets.items()]
            summed, known = (torch.stack(each) for each in zip(*losses, strict=True))
            if optimiser is not None:
                optimiser.zero_grad(set_to_none=True)
                (summed / known.clamp(min=1)).sum().backward()
                optimiser.step()
            # Means of batches would weigh a label by how few others are known in its batch.
            totals += summed.detach()
            counts += known
        return float((totals / counts).sum())

    def _as_sequences(self, X: Any, lengths: Array | None) -> Sequences:
        if isinstance(X, Sequences):
            x, lengths, mask, scale, name = X.x, X.lengths, X.mask, X.spec.scale, X.name
        else:
            x, mask, name = np.asarray(X), None, "generated"
            scale = self.spec_.scale if x.dtype == np.uint8 else (1.0,)
            if x.size and (x.min() < 0 or x.max() > scale[0]):
                raise DataError(
                    f"{name}: values {x.min():g}..{x.max():g} ({x.dtype}); expected bytes up to "
                    f"{self.spec_.scale[0]:g} as in the data the judge was fitted on, or floats in [0, 1]."
                )
        if x.ndim < 2:
            raise DataError(f"{name}: got shape {x.shape}; a judge looks at (n, time, {self.spec_.shape}).")
        return Sequences(
            x=x, spec=replace(self.spec_, scale=scale, length=x.shape[1]), lengths=lengths, mask=mask, name=name
        )


class _Labelled:
    """Sequences and their labels on the device of a network."""

    def __init__(self, part: Sequences, targets: dict[str, Tensor], network: JudgeNetwork) -> None:
        self.store = Store(part, part.spec, device_of(network))
        self.targets = targets


def _loss(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy summed over the known labels, and their number."""
    labels = labels.to(scores.device)
    return cross_entropy(scores.float(), labels, ignore_index=-1, reduction="sum"), (labels >= 0).sum()

"""DBME: the static code from many elements at once, in closed form, subtracted from each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seqdis.errors import SettingsError
from seqdis.estimator import Disentangler, Presets
from seqdis.factors import Gaussian, Posterior
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.losses import LossTerms
from seqdis.nn.bodies import FrameBody, SeriesBody, build_body
from seqdis.nn.elements import elements_of
from seqdis.nn.heads import start_certain
from seqdis.nn.network import Progress
from seqdis.nn.pooling import ManyElements, statistics_of, window_profile, window_statistics
from seqdis.nn.sequence_vae import SequenceVAE
from seqdis.sequences import Batch, DataSpec
from seqdis.training.settings import Training


@hyperparameters
class DBME(Disentangler):
    """Disentanglement by many elements: what tells sequences apart but hardly moves inside one.

    Our own extension of `DBSE` for time series and sound, not a published method. DBSE reads the static code
    from one window, which may be noisy or empty. Here every window is an anchor: statistics of the
    windows are averaged, and a linear map, fitted in closed form before training, leads to the
    directions in which sequences differ most against how much windows of one sequence differ. What the
    windows have in common is subtracted before the dynamic posterior reads them.

    Parameters
    ----------
    static_dim, dynamic_dim
        Sizes of the two codes.
    window
        Series: steps per element. Spectrograms: frames that statistics are taken over; every frame has a dynamic
        code of its own.
    parts
        1: the static code cannot depend on the order of the windows. More: averages over each of so
        many equal parts of the sequence; it then sees slow changes, and the leakage must be looked at.
    profile
        Series: statistics include the value at every step of a window. For densely observed data whose
        windows mean something, such as days.
    ridge
        Small: directions are judged by how steady they are; large: by how much sequences differ.
    subtract
        Subtract the windows' common part before the dynamic posterior; False is the ablation.
    static_weight, dynamic_weight
        Weights of the two KL terms against the likelihood. The static posterior is fitted before training: its term
        is only reported, in losses and in `score`.
    hidden_dim
        Width of the prior over dynamic codes.
    feature_dim
        Width of the step encoder.
    scale_floor
        Smallest predicted scale, in standard deviations of the feature.
    training
        The optimiser's settings; they concern the dynamic posterior, its prior and the decoder.

    Notes
    -----
    With ``e_w`` the statistics of window ``w`` (`seqdis.nn.pooling.window_statistics`), ``T`` the covariance
    of their averages over sequences, and ``S`` the covariance of an average around its sequence, from the
    spread of its windows: ``s = A' mean_w e_w``, where the columns of ``A`` solve
    ``T a = lambda (S + ridge * c * I) a`` with ``c`` the mean of ``diag(S)``. It is Fisher's discriminant
    analysis with every sequence a class, the two-covariance model of speaker recognition; no label is
    used. The posterior is ``N(s, diag(A' S A))``, scaled so that level and noise add up to the prior N(0, I).
    The rest is the evidence bound of DBSE without an anchor term: ``q(d_w)`` from ``x_w`` minus the common
    part, a learned autoregressive prior, a Gaussian likelihood over observed values (of spectrograms the squared
    error). Of logarithmic spectrograms the common part is the mean spectrum, and what is left the variable known in
    speech recognition as cepstral mean normalisation.

    Order-free statistics keep the dynamics out by construction: permuting the windows leaves the static
    code as it is.

    References
    ----------
    Berman et al. (DBSE), ICML 2024, for the idea of anchors and of subtraction.
    Fisher, Annals of Eugenics 7, 1936. Ioffe, Probabilistic Linear Discriminant Analysis, ECCV 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from seqdis.methods import DBME
    >>> from seqdis.training import Training
    >>> x = np.random.default_rng(0).normal(size=(16, 12, 3))
    >>> static, dynamic = DBME(static_dim=4, dynamic_dim=4, training=Training(max_epochs=1)).fit(x).encode(x)
    >>> tuple(static.shape), tuple(dynamic.shape)
    ((16, 4), (16, 3, 4))
    """

    name = "dbme"
    papers = ("Berman2024DBSE",)
    kinds = ("series", "spectrogram")

    static_dim: int = hyper(default=8, low=4, high=64, log=True, at_least=1)
    dynamic_dim: int = hyper(default=8, low=4, high=64, log=True, at_least=1)
    window: int = hyper(default=4, low=2, high=24, at_least=1)
    parts: int = hyper(default=1, low=1, high=4, at_least=1)
    profile: bool = True
    ridge: float = hyper(default=0.1, low=1e-3, high=10.0, log=True, above=0)
    subtract: bool = True
    static_weight: float = hyper(default=1.0, at_least=0)
    dynamic_weight: float = hyper(default=0.2, low=1e-2, high=1.0, log=True, at_least=0)
    hidden_dim: int = hyper(default=64, low=32, high=256, log=True, at_least=1)
    feature_dim: int = hyper(default=32, low=16, high=128, log=True, at_least=1)
    scale_floor: float = hyper(default=0.05, at_least=0, at_most=0.4)
    training: Training = hyper(factory=Training)

    def build(self, spec: DataSpec) -> DBMENetwork:
        """The network for these data.

        Raises
        ------
        SettingsError
            A static code larger than the statistics it is read from.
        """
        return DBMENetwork(self, spec)

    @classmethod
    def presets(cls) -> Presets:
        """Ours; no paper's. How each was chosen: docs/time-series.md and docs/audio.md."""
        return {"ours": OURS}


class DBMENetwork(SequenceVAE[FrameBody | SeriesBody]):
    """A closed-form static posterior beside a learned dynamic one."""

    closed_form = True

    def __init__(self, settings: DBME, spec: DataSpec) -> None:
        body = build_body(
            spec,
            static_dim=settings.static_dim,
            dynamic_dim=settings.dynamic_dim,
            hidden_dim=settings.hidden_dim,
            feature_dim=settings.feature_dim,
            filters=1,
            window=settings.window,
            causal=False,
            scale_floor=settings.scale_floor,
            spectrogram_encoder="element",
        )
        super().__init__(spec, body, settings.static_dim, settings.dynamic_dim, settings.hidden_dim)
        del body.static_head  # the closed form stands in its place
        start_certain(body)
        self.settings = settings
        self.profile = settings.profile and spec.kind == "series"
        statistics = statistics_of(spec.shape[0], settings.window, self.profile)
        if settings.static_dim > statistics * settings.parts:
            raise SettingsError(
                f"DBME.static_dim = {settings.static_dim}: these data give {statistics * settings.parts} statistics; "
                "expected at most as many. Raise `parts`, or use `profile` (series)."
            )
        self.static = ManyElements(statistics, settings.parts, settings.static_dim)

    def prepare(self, everything: Batch, generator: torch.Generator) -> None:
        """Fit the static posterior to the training sequences."""
        # On the CPU: some accelerators know neither double precision nor these decompositions.
        rows, weight = (values.cpu() for values in self._statistics(everything))
        self.static.cpu().fit(rows, weight, self.settings.ridge)
        self.static.to(everything.x.device)

    def encode(self, batch: Batch) -> Posterior:
        """Posterior of both codes; nothing in it is drawn."""
        return Posterior(
            self.static(*self._statistics(batch)), self._dynamic(batch), elements_of(batch.lengths, self.stride)
        )

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        """The evidence bound; the static posterior is fixed, so its KL is only reported."""
        settings, posterior = self.settings, self.encode(batch)
        codes = posterior.sample(progress.generator)
        return self.bound(batch, posterior, codes, (1.0, settings.static_weight, settings.dynamic_weight))

    def _statistics(self, batch: Batch) -> tuple[Tensor, Tensor]:
        window = self.settings.window
        windows = -(-batch.x.shape[1] // window)
        valid = batch.x.new_ones(len(batch), windows, dtype=torch.bool)
        lengths = elements_of(batch.lengths, window)
        if lengths is not None:
            valid = torch.arange(windows, device=valid.device) < lengths[:, None]
        return window_statistics(batch.x, _seen(batch), valid, window, self.profile)

    def _dynamic(self, batch: Batch) -> Gaussian:
        if self.settings.subtract:
            seen = _seen(batch)
            common = window_profile(batch.x, seen, self.settings.window, self.profile)
            batch = replace(batch, x=(batch.x - common) * seen)
        return self.body.dynamic(self.body.features(batch))


def _seen(batch: Batch) -> Tensor:
    valid = batch.valid_steps().unsqueeze(-1)
    if batch.mask is not None:
        valid = valid & batch.mask.reshape(*batch.mask.shape, *[1] * (batch.x.ndim - batch.mask.ndim))
    return valid.expand_as(batch.x)


def _ours(epochs: int, batch: int = 32, **values: Any) -> dict[str, Any]:
    return {"training": Training(max_epochs=epochs, batch_size=batch, lr=3e-3, schedule="cosine"), **values}


OURS: dict[str, dict[str, Any]] = {
    "air-quality": _ours(40, batch=10, window=24, ridge=0.3, static_dim=6, dynamic_dim=8),
    "etth1": _ours(300, batch=10, window=24, ridge=0.1, static_dim=8, dynamic_dim=8),
    "icu-unit": _ours(20, window=4, parts=4, profile=False, ridge=3.0, static_dim=48, dynamic_dim=8),
    "mortality": _ours(20, window=4, parts=4, profile=False, ridge=1.0, static_dim=32, dynamic_dim=8),
    "mortality-all": _ours(20, window=4, parts=2, profile=False, ridge=1.0, static_dim=80, dynamic_dim=8),
    "spoken-words": _ours(10, window=8, ridge=1.0, static_dim=64, dynamic_dim=32, dynamic_weight=0.05, feature_dim=128),
}

"""GP-VAE: codes along time that follow Gaussian processes, and no static code of their own."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from seqdis.errors import SettingsError
from seqdis.estimator import Disentangler, Presets
from seqdis.factors import Factors, Posterior
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.losses import LossTerms, gaussian_nll
from seqdis.nn.banded import Band, BandedHead, Neighbours
from seqdis.nn.codec import codec_of
from seqdis.nn.elements import Observation, observed_means
from seqdis.nn.gaussian_process import BandedGaussian, GaussianProcessPrior, Kernel
from seqdis.nn.network import Network, Progress
from seqdis.nn.recurrent import start_loud
from seqdis.sequences import Batch, DataSpec
from seqdis.training.settings import Training


@hyperparameters
class GPVAE(Disentangler):
    """Gaussian-process prior VAE; it does not disentangle.

    Every frame or window has a code, whose dimensions are Gaussian processes along the sequence. A control
    beside methods that split: all codes are dynamic. Where an evaluation asks for a static code, the mean of the
    dynamic ones over the real elements stands for it, and decoding shifts all codes so that their mean is the
    static code: a swap moves them to the other's mean.

    Not to be confused with `GLR`, which has the same prior and a static code beside it, nor with the plain form of
    `VAE`, whose codes know nothing of each other.

    Parameters
    ----------
    code_dim
        Size of the code, hence of both.
    window
        Series: steps per element. (Frames are elements by themselves.)
    context
        Elements that the encoder sees for a code, its own in their middle; 1: that one alone. Only they can
        fill a gap: the band of the posterior couples deviations, not means.
    kernels, kernel_scales, length_scale, cauchy_variance, period
        Prior: kernels, number of length scales of each (halved from one to the next) and the largest, in
        elements; variance of the Cauchy kernel; elements per cycle of the periodic one. See `covariance`.
    banded
        The posterior's precision is tridiagonal. False, an ablation: elements are independent in it.
    band
        What the entries of its factor may be; see `BandedHead`. "softplus" and "sigmoid", as published, let
        neighbours only vary against each other; "signed", ours, also with each other.
    beta
        Weight of the KL term.
    reduction
        "sum", as in the paper, or "mean": the averages of the baseline beside GLR; see Notes.
    likelihood
        Series: "predicted", a scale for every value, or "unit", a variance of 1, as in the paper and as
        frames always have.
    feature_dim
        Width of an element's features.
    filters
        Images: channels of the first convolution.
    scale_floor
        Series: smallest predicted scale, in standard deviations of the feature; 0 as published.
    training
        The optimiser's settings.

    Notes
    -----
    The paper's model, with ``n`` elements, ``T`` steps of ``F`` values and ``k = code_dim``:
    ``p(z_j) = N(0, K_j)``; ``q(z_j | x) = N(m_j, (B_j B_j')^-1)``, ``B_j`` upper bidiagonal. Losses::

        sum    nll + beta KL
        mean   nll / (T F) + beta * share * KL / (n k)

    ``nll`` sums over observed values, a ``share`` of the real ones; with a variance of 1 it is half the squared error.
    The KL is exact and sums over the real elements. ``T`` and ``n`` are those of the training data, padding included.

    Departures from the paper's released code. Encoder and decoder are the house's: frames pass convolutions and
    windows an LSTM before `context` is taken, where a convolution along time comes first there; steps at which most
    values are missing are read as zeros; weights start as the house's do, posteriors with deviations of 0.2 (but for
    "sigmoid"). An element gives its own entries of ``B``; there, all values of a dimension are read as one vector
    and dealt out anew. The ablation keeps the diagonal's form. One draw per step, without importance weights;
    numbers that are not finite are not replaced. No Bernoulli likelihood, no "diffusion" kernel; its
    ``exp(-r^2 / l^2)`` is "rbf" with ``length_scale = l / sqrt(2)``. The diagonal of ``K`` is larger by 1e-5. Time
    stamps are not read: elements count as evenly spaced.

    "paper" holds its settings for stays in intensive care and for Sprites, at widths of 128 and 256 for all layers
    (theirs: 128 and 256, decoder 256; first layer 32). Its stays have 35 variables, and as many dimensions.

    "reference" is the baseline beside GLR. Departures: those of `VAE` from the baseline of that name in encoder,
    decoder and noise; windows of padding take no part, as in `GLR`; batches are taken from GLR's settings.

    `encode(draw=...)` draws a path of the joint posterior, and its mean.

    References
    ----------
    Fortuin, Baranchuk, Raetsch, Mandt. GP-VAE: Deep Probabilistic Time Series Imputation. AISTATS 2020,
    PMLR 108:1651-1661.
    Tonekaboni, Li, Arik, Goldenberg, Pfister. Decoupling Local and Global Representations of Time
    Series. AISTATS 2022 (the baseline for series).

    Examples
    --------
    >>> import numpy as np
    >>> from seqdis.methods import GPVAE
    >>> from seqdis.training import Training
    >>> x = np.random.default_rng(0).normal(size=(16, 12, 3))
    >>> static, dynamic = GPVAE(code_dim=4, training=Training(max_epochs=1)).fit(x).encode(x)
    >>> tuple(static.shape), tuple(dynamic.shape)
    ((16, 4), (16, 3, 4))
    """

    name = "gp-vae"
    papers = ("Fortuin2020GPVAE",)

    code_dim: int = hyper(default=16, low=4, high=256, log=True, at_least=1)
    window: int = hyper(default=4, low=2, high=24, at_least=1)
    context: int = hyper(default=3, low=1, high=24, log=True, at_least=1)
    kernels: tuple[Kernel, ...] = ("cauchy",)
    kernel_scales: int = hyper(default=4, low=1, high=4, at_least=1)
    length_scale: float = hyper(default=2.0, low=0.5, high=8.0, log=True, above=0)
    cauchy_variance: float = hyper(default=1.0, above=0)
    period: float = hyper(default=15.0, above=0)
    banded: bool = True
    band: Band = "softplus"
    beta: float = hyper(default=0.2, low=0.01, high=1.0, log=True, at_least=0)
    reduction: Literal["sum", "mean"] = "sum"
    likelihood: Literal["predicted", "unit"] = "predicted"
    feature_dim: int = hyper(default=64, low=16, high=256, log=True, at_least=1)
    filters: int = hyper(default=32, low=16, high=64, log=True, at_least=1)
    scale_floor: float = hyper(default=0.05, at_least=0, at_most=0.4)
    training: Training = hyper(factory=Training)

    @property
    def static_dim(self) -> int:
        """Size of the static code: that of the only one."""
        return self.code_dim

    @property
    def dynamic_dim(self) -> int:
        """Size of a dynamic code: that of the only one."""
        return self.code_dim

    def build(self, spec: DataSpec) -> GPVAENetwork:
        """The network for these data.

        Raises
        ------
        SettingsError
            No kernel.
        """
        if not self.kernels:
            raise SettingsError("GPVAE.kernels = (): expected one or more kernels.")
        return GPVAENetwork(self, spec)

    @classmethod
    def presets(cls) -> Presets:
        """ "paper": its table of settings. "reference": the baseline that was released beside GLR. See Notes."""
        return {"paper": PAPER, "reference": REFERENCE}


class GPVAENetwork(Network):
    """A codec, a banded posterior along its elements, and a Gaussian-process prior."""

    def __init__(self, settings: GPVAE, spec: DataSpec) -> None:
        super().__init__()
        self.spec, self.settings = spec, settings
        self.codec = codec_of(settings, spec, settings.code_dim)
        self.stride = self.codec.stride
        self.elements = math.ceil(spec.length / self.stride)
        self.neighbours = Neighbours(settings.feature_dim, settings.context) if settings.context > 1 else None
        self.head = BandedHead(settings.feature_dim, settings.code_dim, band=settings.band, banded=settings.banded)
        self.dynamic_prior = GaussianProcessPrior(
            settings.code_dim,
            self.elements,
            settings.kernels,
            length_scale=settings.length_scale,
            scales=settings.kernel_scales,
            sigma=settings.cauchy_variance,
            period=settings.period,
        )
        start_loud(self)

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        """The loss of the class's Notes."""
        settings = self.settings
        posterior, valid, lengths = self._posterior(batch)
        observation = self.codec.observe(posterior.sample(progress.generator), None if lengths is None else valid)
        error, share = self._error(observation, batch)
        kl = (self.dynamic_prior.kl(posterior) * valid).sum(1)
        # Half the squared error is the negative log-likelihood at a variance of 1, up to a constant.
        weight, beta = (1.0 if self._predicts_scale() else 0.5), settings.beta
        if settings.reduction == "mean":
            weight /= self.spec.length * math.prod(self.spec.shape)
            beta /= self.elements * settings.code_dim
            kl = kl * share
        return LossTerms().add("reconstruction", error.mean(), weight).add("kl", kl.mean(), beta)

    def encode(self, batch: Batch) -> Posterior:
        """Posterior of every element by itself, and of the mean over a sequence's real ones."""
        posterior, valid, lengths = self._posterior(batch)
        return Posterior(posterior.weighted_sum(_equal_weights(valid)), posterior.marginals(), lengths)

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> Factors:
        """One path of the joint posterior, and its mean over the real elements."""
        posterior, valid, lengths = self._posterior(batch)
        path = posterior.sample(generator)
        return Factors((path * _equal_weights(valid).unsqueeze(-1)).sum(1), path, lengths)

    def decode(self, factors: Factors) -> Tensor:
        """(batch, elements * stride, *features): of codes shifted so that their mean is the static code."""
        shift = factors.static - factors.dynamic_mean()
        valid = None if factors.lengths is None else factors.valid()
        return observed_means(self.codec.observe(factors.dynamic + shift.unsqueeze(1), valid), factors, self.stride)

    def prior(self, n: int, length: int, generator: torch.Generator | None = None, *, mean: bool = False) -> Factors:
        """Dynamic codes from the Gaussian processes, or their step means along a drawn path, and the mean of those."""
        dynamic = self.dynamic_prior.sample(n, length, generator, mean=mean)
        return Factors(dynamic.mean(1), dynamic)

    def _posterior(self, batch: Batch) -> tuple[BandedGaussian, Tensor, Tensor | None]:
        """Joint posterior of all elements, which of them are real, and how many (None: all)."""
        elements = self.codec.elements(batch)
        features, lengths = elements.values, elements.lengths
        valid = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
        if lengths is not None:
            valid = torch.arange(features.shape[1], device=features.device) < lengths[:, None]
            features = features * valid.unsqueeze(-1)
        if self.neighbours is not None:
            features = self.neighbours(features)
        return self.head(features, valid), valid, lengths

    def _error(self, observation: Observation, batch: Batch) -> tuple[Tensor, Tensor]:
        """Negative log-likelihood, or squared error, summed over observed values, and their share; (batch,) each."""
        mean, real = observation.mean[:, : batch.x.shape[1]], batch.valid_steps()
        if self._predicts_scale():
            assert observation.scale is not None
            error = gaussian_nll(batch.x, mean, observation.scale[:, : batch.x.shape[1]])
        else:
            error = (batch.x - mean).square().flatten(2)
        seen = real.unsqueeze(-1)
        if batch.mask is not None:
            seen = seen & batch.mask.reshape(*real.shape, -1)
        spent = torch.where(seen, error, 0.0).sum((1, 2))
        return spent, seen.sum((1, 2)) / (real.sum(1) * seen.shape[2])

    def _predicts_scale(self) -> bool:
        return self.spec.kind == "series" and self.settings.likelihood == "predicted"


def _equal_weights(valid: Tensor) -> Tensor:
    """(batch, elements): what every real element weighs in the mean of its sequence."""
    return valid / valid.sum(1, keepdim=True)


def _paper(width: int, epochs: int, beta: float, **values: Any) -> dict[str, Any]:
    training = Training(lr=1e-3, batch_size=64, max_epochs=epochs, gradient_clip=1e4)
    shared = {"window": 1, "kernel_scales": 1, "likelihood": "unit", "feature_dim": width, "training": training}
    return {"beta": beta, **shared, **values}


def _reference(window: int, batch: int, epochs: int) -> dict[str, Any]:
    training = Training(lr=1e-3, batch_size=batch, max_epochs=epochs)
    sizes = {"code_dim": 8, "window": window, "context": 1, "feature_dim": 32, "scale_floor": 0.0}
    return {"beta": 1.0, "reduction": "mean", **sizes, "training": training}


PAPER: dict[str, dict[str, Any]] = {
    "mortality": _paper(128, 40, 0.2, code_dim=35, context=24, length_scale=7.0, cauchy_variance=1.005, band="sigmoid"),
    "sprites": _paper(256, 20, 0.1, code_dim=256, context=3),
}
REFERENCE: dict[str, dict[str, Any]] = {
    "mortality": _reference(window=4, batch=20, epochs=50),
    "icu-unit": _reference(window=4, batch=20, epochs=50),
    "air-quality": _reference(window=24, batch=10, epochs=100),
}
